"""PIC with one view of 160 and three of 96 pixels, 200 epochs, batch 256 (the authors' recipe; 68.6 % linear)."""

from mmengine.config import read_base

with read_base():
    from .pic_resnet50_4xb64_200e_imagenet import *

_large = train_dataloader['dataset']['views']['views'][0]
train_dataloader['dataset']['views'].update(
    counts=[1, 3], views=[dict(_large, size=160, scale=(0.14, 1.0)), dict(_large, size=96, scale=(0.08, 0.14))]
)
model.update(large_views=1)
