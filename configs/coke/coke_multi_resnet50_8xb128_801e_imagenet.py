"""CoKe with two large and six small views, 800 epochs after one that only clusters (the authors' recipe; 76.4 % linear)."""

from mmengine.config import read_base

with read_base():
    from .coke_double_resnet50_8xb128_1001e_imagenet import *

_large = train_dataloader['dataset']['views']['views']
_small = dict(_large[0], size=96, scale=(0.05, 0.6), blur_prob=0.5)
train_dataloader['dataset']['views'].update(counts=[1, 1, 6], views=[*_large, _small])
model.update(large_weight=0.5)
train_cfg.update(max_epochs=801)
