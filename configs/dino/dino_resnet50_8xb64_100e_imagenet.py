"""DINO on a ResNet-50, 100 epochs, batch 512 (the authors' recipe; they give no figure for it)."""

from mmengine.config import read_base
from torch.optim import SGD

from mmssl.engine import WarmupCosineLR
from mmssl.models import ResNet

with read_base():
    from .dino_vit_small_8xb64_100e_imagenet import *

model['backbone'] = dict(type=ResNet, depth=50)
model['head'].update(in_channels=2048)
for _crop, _scale in zip(
    train_dataloader['dataset']['views']['views'], ((0.14, 1.0), (0.14, 1.0), (0.05, 0.14)), strict=True
):
    _crop.update(scale=_scale)
optim_wrapper['optimizer'] = dict(type=SGD, lr=0.06, momentum=0.9, weight_decay=1e-4)
param_scheduler = dict(
    type=WarmupCosineLR, warmup=10, warmup_reaches_base=True, end_factor=1e-6 / 0.06, convert_to_iter_based=True
)
sync_bn = 'torch'
