"""Settings that classifiers on all stages share: windows with about 9,000 numbers per stage, Nesterov's momentum, steps."""

from mmengine.config import read_base
from mmengine.optim import MultiStepLR
from torch.optim import SGD

from mmssl.engine.optimizers import OptimWrapper
from mmssl.evaluation import MultiStageClassifier
from mmssl.models import DataPreprocessor, ResNet

with read_base():
    from .classification_imagenet import *

model = dict(
    type=MultiStageClassifier,
    data_preprocessor=dict(type=DataPreprocessor, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(type=ResNet, depth=50),
    num_classes=1000,
    # window, stride, padding: 9216, 9216, 8192, 9216 and 8192 numbers of a ResNet-50 at 224 pixels
    pools=dict(stem=(10, 10, 4), stage1=(16, 8, 0), stage2=(13, 5, 0), stage3=(8, 3, 0), stage4=(6, 1, 0)),
)
optim_wrapper = dict(
    type=OptimWrapper, optimizer=dict(type=SGD, lr=0.01, momentum=0.9, weight_decay=1e-4, nesterov=True)
)
param_scheduler = dict(type=MultiStepLR, milestones=[30, 60], gamma=0.1)
sync_bn = True
