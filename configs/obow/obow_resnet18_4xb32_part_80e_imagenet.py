"""OBoW in full on a fifth of ImageNet, 80 epochs, batch 128 (the authors' setting for ablations)."""

from mmengine.config import read_base

from mmssl.datasets import ImageFolder, Subset

with read_base():
    from .obow_resnet50_8xb32_200e_imagenet import *

train_dataloader['dataset']['source'] = dict(
    type=Subset, num=260000, source=dict(type=ImageFolder, root='data/imagenet/train')
)
model['backbone'].update(depth=18)
model['head'].update(in_channels=512, word_channels=[256, 512], scale=5.0)
for _vocabulary, _width in zip(model['vocabularies'], (256, 512)):
    _vocabulary.update(dim=_width, inv_delta=10.0)
optim_wrapper['optimizer'].update(lr=0.05, weight_decay=5e-4)
param_scheduler.update(warmup=0)
train_cfg.update(max_epochs=80)
auto_scale_lr.update(base_batch_size=128)
