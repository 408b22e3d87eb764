"""Five classes of ImageNet as class folders, 1,250 images to train on and 250 to test; the config that inherits it defines the training views."""

from mmengine.config import read_base

with read_base():
    from .imagenet import *

train_dataloader['dataset']['source'].update(root='data/imagenet5/train')
evaluation['gallery']['source'].update(root='data/imagenet5/train')
evaluation['query']['source'].update(root='data/imagenet5/test')
train_dataloader.update(num_workers=4)
evaluation.update(num_workers=4)
