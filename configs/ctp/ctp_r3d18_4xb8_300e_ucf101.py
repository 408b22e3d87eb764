"""CtP on an R3D-18, UCF101 split 1, 300 epochs (the authors' recipe)."""

from mmengine.config import read_base

from mmssl.models import R3D, CtP, DataPreprocessor, TrajectoryHead

with read_base():
    from .._base_.datasets.ucf101_ctp import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_clipped_steps_300e import *

model = dict(
    type=CtP,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=R3D),
    head=dict(type=TrajectoryHead, in_channels=512, frames=16, map_frames=2, stride=8),
)
sync_bn = True
