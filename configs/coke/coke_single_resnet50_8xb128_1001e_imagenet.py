"""CoKe with one view, 1,000 epochs after one that only clusters, batch 1,024 (the authors' recipe; 72.5 % linear)."""

from mmengine.config import read_base

from mmssl.models import CoKe, DataPreprocessor, MLPNeck, ResNet

with read_base():
    from .._base_.datasets.imagenet_simclr import *
    from .._base_.default_runtime import *
    from .._base_.schedules.lars_idle_cosine_1001e import *

model = dict(
    type=CoKe,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50),
    neck=dict(
        type=MLPNeck, in_channels=2048, hidden_channels=2048, out_channels=128, num_layers=3, last_batch_norm=True
    ),
    predictor=dict(type=MLPNeck, in_channels=128, hidden_channels=2048, out_channels=128),
    clusters=dict(dim=128, ratio=0.4, dual_rate=20.0, soft_from=801, num_slots=5, soft_temperature=0.5),
    num_clusters=[3000, 4000, 5000],
    large_views=1,
    temperature=0.1,
)
sync_bn = True
train_dataloader['dataset']['views'].update(counts=[1])
train_dataloader['batch_sampler'].update(drop_last=False)
train_dataloader.update(batch_size=128)
