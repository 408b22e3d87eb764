"""RotNet on a NIN of four blocks, CIFAR-10, 200 epochs, 128 images in 512 rotations per step (the authors' recipe)."""

from mmengine.config import read_base
from mmengine.optim import MultiStepLR
from torch.optim import SGD

from mmssl.datasets import MultiView, RandomCrop
from mmssl.engine import EpochLoop
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import NIN, DataPreprocessor, RotNet

with read_base():
    from .._base_.datasets.cifar10 import *
    from .._base_.default_runtime import *

model = dict(
    type=RotNet,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.3, 123.0, 113.9], std=[63.0, 62.1, 66.7]),
    backbone=dict(type=NIN, num_blocks=4),
)
# The authors pad with black, whose place in the corners tells how an image was turned: padding_mode='constant'.
_view = dict(type=RandomCrop, size=32, padding=4)
train_dataloader['dataset'].update(views=dict(type=MultiView, counts=[1], views=[_view]))
optim_wrapper = dict(
    type=OptimWrapper, optimizer=dict(type=SGD, lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
)
param_scheduler = dict(type=MultiStepLR, milestones=[60, 120, 160], gamma=0.2)
train_cfg = dict(type=EpochLoop, max_epochs=200)
auto_scale_lr = dict(base_batch_size=128, enable=False)
