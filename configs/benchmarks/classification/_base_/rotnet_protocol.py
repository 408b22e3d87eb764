"""Settings that RotNet's classifiers on the stages of an AlexNet share: crops of one scale, Nesterov's momentum, steps."""

from mmengine.config import read_base
from mmengine.optim import MultiStepLR
from torch.optim import SGD

from mmssl.datasets import MultiView, RandomCrop
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import AlexNet, DataPreprocessor

with read_base():
    from .classification_imagenet import *

model = dict(
    data_preprocessor=dict(type=DataPreprocessor, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(type=AlexNet, fully_connected=False),
    num_classes=1000,  # tools/benchmarks/classification/linear.py sets it from the data
)
_view = dict(type=RandomCrop, size=224, resize=256)
train_dataloader.update(batch_size=192)
train_dataloader['dataset'].update(views=dict(type=MultiView, counts=[1], views=[_view]))
optim_wrapper = dict(
    type=OptimWrapper, optimizer=dict(type=SGD, lr=0.01, momentum=0.9, weight_decay=5e-4, nesterov=True)
)
param_scheduler = dict(type=MultiStepLR, milestones=[5, 15, 25], gamma=0.2)
auto_scale_lr.update(base_batch_size=192)
sync_bn = True
