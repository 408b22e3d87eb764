"""Fine-tuning with all labels for two cores, not a paper's protocol: CIFAR-10, rates 0.05 and 0.5 (layer), 5 epochs."""

from mmengine.config import read_base

from mmssl.engine import WarmupCosineLR

with read_base():
    from .swav_finetune_resnet50_8xb32_20e_imagenet_10percent import *  # noqa: I001 - the data last: it replaces the first's
    from ._base_.classification_cifar10 import *

protocol = 'fine-tuning for two cores: SGD, rate 0.05, layer 0.5, cosine by step, 5 epochs, batch 128'

model['data_preprocessor'].update(cifar10_preprocessor)
model['backbone'].update(cifar10_backbone)
model.update(num_classes=10)
train_dataloader.update(batch_size=128)
optim_wrapper['optimizer'].update(lr=0.05)
optim_wrapper['paramwise_cfg']['custom_keys']['classifier'].update(lr_mult=10.0)
param_scheduler = dict(type=WarmupCosineLR, convert_to_iter_based=True)
train_cfg.update(max_epochs=5)
auto_scale_lr.update(base_batch_size=128)
