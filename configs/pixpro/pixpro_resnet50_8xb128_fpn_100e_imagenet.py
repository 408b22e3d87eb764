"""PixPro on levels P3 to P6 of a feature pyramid, 100 epochs, batch 1,024: our form of the paper's head pre-training.

Its code was not released. Here, all levels share one projection, and their losses are averaged.
"""

from mmengine.config import read_base

from mmssl.models import FPN, ConvMLPNeck

with read_base():
    from .pixpro_resnet50_8xb128_100e_imagenet import *

model['backbone'].update(out_indices=(1, 2, 3))
model.update(
    pyramid=dict(type=FPN, in_channels=(512, 1024, 2048), out_channels=256, num_levels=4),
    neck=dict(type=ConvMLPNeck, in_channels=256, hidden_channels=4096, out_channels=256),
)
