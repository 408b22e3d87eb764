"""InvP with the linear head and without blur, 800 epochs, batch 128 (the authors' recipe)."""

from mmengine.config import read_base

from mmssl.datasets import View
from mmssl.models import MLPNeck

with read_base():
    from .invp_resnet50_1xb128_mlp_800e_imagenet import *

model.update(neck=dict(type=MLPNeck, in_channels=2048, out_channels=128, num_layers=1), temperature=0.07)
_view = dict(
    type=View,
    size=224,
    scale=(0.2, 1.0),
    gray_prob=0.2,
    gray_first=True,
    jitter=(0.4, 0.4, 0.4, 0.4),
    jitter_prob=1.0,
)
train_dataloader['dataset']['views'].update(views=[_view])
