"""Settings that linear classification on ImageNet shares: a frozen ResNet-50, SGD with momentum, cosine by epoch to 0."""

from mmengine.config import read_base
from torch.optim import SGD

from mmssl.engine import WarmupCosineLR
from mmssl.engine.optimizers import OptimWrapper
from mmssl.evaluation import LinearClassifier
from mmssl.models import DataPreprocessor, ResNet

with read_base():
    from .classification_imagenet import *

model = dict(
    type=LinearClassifier,
    data_preprocessor=dict(type=DataPreprocessor, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(type=ResNet, depth=50),
    num_classes=1000,  # tools/benchmarks/classification/linear.py sets it from the data
)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=SGD, lr=0.3, momentum=0.9, weight_decay=0.0))
param_scheduler = dict(type=WarmupCosineLR)
