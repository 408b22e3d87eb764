"""Linear classification as in CoKe with several views: SGD, rate 0.4, cosine by epoch to 0, 90 epochs, batch 1024."""

from mmengine.config import read_base

with read_base():
    from .coke_single_linear_resnet50_8xb128_90e_imagenet import *

protocol = 'CoKe (multi-view) linear: frozen backbone in eval mode, SGD, rate 0.4, cosine, 90 epochs, batch 1024'

optim_wrapper['optimizer'].update(lr=0.4)
