"""CtP on an R(2+1)D-18, UCF101 split 1, 300 epochs (the authors' recipe)."""

from mmengine.config import read_base

from mmssl.models import R2Plus1D

with read_base():
    from .ctp_r3d18_4xb8_300e_ucf101 import *

model.update(backbone=dict(type=R2Plus1D))
