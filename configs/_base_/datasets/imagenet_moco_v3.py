"""ImageNet in 2 crops of 224 pixels: the views of BYOL with crops from a fifth of the area, as MoCo v3 has them for ResNets."""

from mmengine.config import read_base

with read_base():
    from .imagenet_byol import *

for _crop in train_dataloader['dataset']['views']['views']:
    _crop.update(scale=(0.2, 1.0), interpolation='bilinear')
