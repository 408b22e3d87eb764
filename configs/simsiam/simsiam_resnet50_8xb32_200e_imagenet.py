"""SimSiam, 200 epochs, batch 256 (the authors' recipe; 69.8 % linear in mmselfsup's table)."""

from mmengine.config import read_base

with read_base():
    from .simsiam_resnet50_8xb32_100e_imagenet import *

train_cfg.update(max_epochs=200)
