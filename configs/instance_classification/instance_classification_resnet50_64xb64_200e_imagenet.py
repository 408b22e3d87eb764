"""Million-way instance classification, 200 epochs, batch 4096 on 64 processes (the paper's recipe).

No source that we read gives the number of hard classes; 100 is from memory of the paper.
"""

from mmengine.config import read_base

from mmssl.models import ClassTable, DataPreprocessor, InstanceClassification, MLPNeck, ResNet

with read_base():
    from .._base_.datasets.imagenet_simclr import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine_200e import *

model = dict(
    type=InstanceClassification,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50),
    neck=dict(type=MLPNeck, in_channels=2048, hidden_channels=2048, out_channels=128, batch_norm=False),
    table=dict(type=ClassTable, dim=128, start='features', num_hard=100),
    temperature=0.15,
    smoothing=0.2,
)
train_dataloader.update(batch_size=64)
train_dataloader['dataset']['views'].update(counts=[1])
optim_wrapper['optimizer'].update(lr=0.48)
param_scheduler.update(warmup=10, convert_to_iter_based=True)
auto_scale_lr.update(base_batch_size=4096)
