"""Linear classification as in CoKe with one view: SGD, rate 0.2, cosine by epoch to 0, 90 epochs, batch 1024."""

from mmengine.config import read_base

with read_base():
    from .mocov3_linear_resnet50_8xb128_90e_imagenet import *

protocol = 'CoKe (single view) linear: frozen backbone in eval mode, SGD, rate 0.2, cosine, 90 epochs, batch 1024'

optim_wrapper['optimizer'].update(lr=0.2, weight_decay=1e-6)
