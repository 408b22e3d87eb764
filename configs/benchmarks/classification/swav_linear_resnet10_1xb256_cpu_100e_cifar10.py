"""SwAV's linear protocol for the narrow ResNet-10 of the CPU configs, on CIFAR-10."""

from mmengine.config import read_base

with read_base():
    from .swav_linear_resnet50_8xb32_100e_imagenet import *

model['data_preprocessor'].update(mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26])
model['backbone'].update(depth=10, stem='small', base_channels=16)
model.update(num_classes=10)

train_dataloader.update(batch_size=256, num_workers=2, pin_memory=False)
train_dataloader['dataset']['source'].update(root='data/cifar10/train')
train_dataloader['dataset']['views']['views'][0].update(size=32)
evaluation.update(num_workers=2)
evaluation['gallery'].update(views=dict(type=EvalView, resize=32, crop=32))
evaluation['gallery']['source'].update(root='data/cifar10/train')
evaluation['query'].update(views=dict(type=EvalView, resize=32, crop=32))
evaluation['query']['source'].update(root='data/cifar10/test')
default_hooks['checkpoint'].update(interval=50)
