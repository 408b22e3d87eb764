"""RotNet on a ResNet-50, 70 epochs, 128 images in 512 rotations per step (mmselfsup's recipe; 47.0 % linear in their table)."""

from mmengine.config import read_base
from mmengine.optim import LinearLR, MultiStepLR
from torch.optim import SGD

from mmssl.datasets import MultiView, View
from mmssl.engine import EpochLoop
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import DataPreprocessor, ResNet, RotNet

with read_base():
    from .._base_.datasets.imagenet import *
    from .._base_.default_runtime import *

model = dict(type=RotNet, data_preprocessor=dict(type=DataPreprocessor), backbone=dict(type=ResNet, depth=50))
sync_bn = True
_view = dict(type=View, size=224, scale=(0.08, 1.0))
train_dataloader['dataset'].update(views=dict(type=MultiView, counts=[1], views=[_view]))
train_dataloader.update(batch_size=16)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=SGD, lr=0.2, momentum=0.9, weight_decay=1e-4))
param_scheduler = [
    dict(type=LinearLR, start_factor=0.1, begin=0, end=5, convert_to_iter_based=True),
    dict(type=MultiStepLR, milestones=[30, 50], gamma=0.1),
]
train_cfg = dict(type=EpochLoop, max_epochs=70)
auto_scale_lr = dict(base_batch_size=128, enable=False)
