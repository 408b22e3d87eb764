"""Fine-tuning with 1 % of ImageNet's labels as in SwAV: rates 0.02 and 5 (layer), steps, 20 epochs, batch 256."""

from mmengine.config import read_base

with read_base():
    from .swav_finetune_resnet50_8xb32_20e_imagenet_10percent import *

protocol = 'SwAV semi-supervised, 1 % of the labels: SGD, rate 0.02, layer 5, steps of 0.2 at 12 and 16, 20 epochs'

listed.update(file='data/imagenet/1percent.txt')
train_dataloader['dataset']['source'] = listed
evaluation['gallery']['source'] = listed
optim_wrapper['optimizer'].update(lr=0.02)
optim_wrapper['paramwise_cfg']['custom_keys']['classifier'].update(lr_mult=250.0)
