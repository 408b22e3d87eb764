"""ODC, 440 epochs, batch 512 (OpenSelfSup's recipe; 57.7 % linear from its fifth stage, 53.4 % after pooling)."""

from mmengine.config import read_base
from mmengine.optim import MultiStepLR
from torch.optim import SGD

from mmssl.engine import EpochLoop
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import ODC, ClusterMemory, DataPreprocessor, ODCNeck, ResNet

with read_base():
    from .._base_.datasets.imagenet_odc import *
    from .._base_.default_runtime import *

model = dict(
    type=ODC,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50),
    neck=dict(type=ODCNeck, in_channels=2048, hidden_channels=512, out_channels=256),
    clusters=dict(type=ClusterMemory, num_clusters=10000, dim=256, momentum=0.5, min_cluster=20, centroid_interval=10),
)
sync_bn = True
train_dataloader.update(batch_size=64)
train_dataloader['sampler'].update(replacement=True)
train_dataloader['batch_sampler'].update(drop_last=False)
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=SGD, lr=0.06, momentum=0.9, weight_decay=1e-5),
    paramwise_cfg=dict(custom_keys={'head': dict(momentum=0.0)}),
)
param_scheduler = dict(type=MultiStepLR, milestones=[400], gamma=0.4, by_epoch=True)
train_cfg = dict(type=EpochLoop, max_epochs=440)
auto_scale_lr = dict(base_batch_size=512, enable=False)
