"""CtP's protocol of fine-tuning of an R(2+1)D-18 on UCF101, split 1."""

from mmengine.config import read_base

from mmssl.models import R2Plus1D

with read_base():
    from .ctp_finetune_r3d18_1xb32_150e_ucf101 import *

model['backbone'].update(type=R2Plus1D)
