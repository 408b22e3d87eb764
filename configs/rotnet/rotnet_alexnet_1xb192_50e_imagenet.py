"""RotNet on an AlexNet, 50 epochs, 192 images in 768 rotations per step (the authors' released recipe)."""

from mmengine.config import read_base
from mmengine.optim import MultiStepLR
from torch.optim import SGD

from mmssl.datasets import MultiView, View
from mmssl.engine import EpochLoop
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import AlexNet, DataPreprocessor, RotNet

with read_base():
    from .._base_.datasets.imagenet import *
    from .._base_.default_runtime import *

model = dict(type=RotNet, data_preprocessor=dict(type=DataPreprocessor), backbone=dict(type=AlexNet))
_view = dict(type=View, size=224, scale=(0.08, 1.0))
train_dataloader['dataset'].update(views=dict(type=MultiView, counts=[1], views=[_view]))
train_dataloader.update(batch_size=192)
optim_wrapper = dict(
    type=OptimWrapper, optimizer=dict(type=SGD, lr=0.01, momentum=0.9, weight_decay=5e-4, nesterov=True)
)
param_scheduler = dict(type=MultiStepLR, milestones=[15, 30, 45], gamma=0.1)
train_cfg = dict(type=EpochLoop, max_epochs=50)
auto_scale_lr = dict(base_batch_size=192, enable=False)
