"""Three convolutions on each frozen block of a NIN, as in RotNet: CIFAR-10, Nesterov, rate 0.1, steps, 100 epochs."""

from mmengine.config import read_base
from mmengine.optim import MultiStepLR
from torch.optim import SGD

from mmssl.datasets import MultiView, RandomCrop
from mmssl.engine.optimizers import OptimWrapper
from mmssl.evaluation import NonLinearClassifier
from mmssl.models import NIN, DataPreprocessor

with read_base():
    from ._base_.classification_imagenet import *  # noqa: I001 - the data last: it replaces the first's
    from ._base_.classification_cifar10 import *

protocol = 'RotNet non-linear, CIFAR-10: 3 convolutions, SGD, rate 0.1, steps of 0.2 at 35, 70 and 85, 100 epochs'

model = dict(
    type=NonLinearClassifier,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.3, 123.0, 113.9], std=[63.0, 62.1, 66.7]),
    backbone=dict(type=NIN, num_blocks=4),
    num_classes=10,
    image_size=32,
    classifiers=dict.fromkeys(('block1', 'block2', 'block3', 'block4'), 'convolutions'),
)
_view = dict(type=RandomCrop, size=32, padding=4, padding_mode='constant')
train_dataloader.update(batch_size=128)
train_dataloader['dataset'].update(views=dict(type=MultiView, counts=[1], views=[_view]))
optim_wrapper = dict(
    type=OptimWrapper, optimizer=dict(type=SGD, lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
)
param_scheduler = dict(type=MultiStepLR, milestones=[35, 70, 85], gamma=0.2)
auto_scale_lr.update(base_batch_size=128)
train_cfg.update(max_epochs=100)
