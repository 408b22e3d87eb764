"""SimCLR, 200 epochs, batch 4096 (OpenMMLab's recipe; 66.9 % linear in mmselfsup's table)."""

from mmengine.config import read_base

with read_base():
    from .simclr_resnet50_8xb32_200e_imagenet import *

train_dataloader.update(batch_size=256)
optim_wrapper['optimizer'].update(lr=4.8)
auto_scale_lr.update(base_batch_size=4096)
