"""InterCLR on SimCLR, 200 epochs, batch 256: our extension of an OpenMMLab recipe, which nobody has published."""

from mmengine.config import read_base

with read_base():
    from .._base_.models.inter_image import *
    from ..simclr.simclr_resnet50_8xb32_200e_imagenet import *

model.update(additions=[inter_image])
del inter_image
train_dataloader['sampler'].update(replacement=True)
