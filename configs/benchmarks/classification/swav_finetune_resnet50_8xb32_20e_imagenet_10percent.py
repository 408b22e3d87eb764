"""Fine-tuning with 10 % of ImageNet's labels as in SwAV: rates 0.01 and 0.2 (layer), steps, 20 epochs, batch 256."""

from mmengine.config import read_base
from mmengine.optim import MultiStepLR

from mmssl.datasets import ListedImages

with read_base():
    from .swav_linear_resnet50_8xb32_100e_imagenet import *

protocol = 'SwAV semi-supervised, 10 % of the labels: SGD, rate 0.01, layer 0.2, steps of 0.2 at 12 and 16, 20 epochs'

model.update(frozen=False)
listed = dict(
    type=ListedImages,
    source=dict(type=ImageFolder, root='data/imagenet/train'),
    file='data/imagenet/10percent.txt',  # SimCLR's list
)
train_dataloader['dataset']['source'] = listed
evaluation['gallery']['source'] = listed
optim_wrapper['optimizer'].update(lr=0.01, weight_decay=0.0)
optim_wrapper.update(paramwise_cfg=dict(custom_keys={'classifier': dict(lr_mult=20.0)}))
param_scheduler = dict(type=MultiStepLR, milestones=[12, 16], gamma=0.2)
train_cfg.update(max_epochs=20)
sync_bn = True
