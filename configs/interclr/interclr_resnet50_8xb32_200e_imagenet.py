"""InterCLR on MoCo v2, 200 epochs, batch 256 (mmselfsup's recipe; 68.0 % linear from its fifth stage)."""

from mmengine.config import read_base

with read_base():
    from .._base_.models.inter_image import *
    from ..moco.moco_v2_resnet50_8xb32_200e_imagenet import *

model.update(additions=[inter_image])
del inter_image
train_dataloader['sampler'].update(replacement=True)
