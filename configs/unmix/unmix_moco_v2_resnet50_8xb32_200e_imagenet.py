"""Un-Mix on MoCo v2, 200 epochs, batch 256 (the authors' recipe; 68.6 % linear in their table, 67.5 without)."""

from mmengine.config import read_base

from mmssl.models import UnMix

with read_base():
    from ..moco.moco_v2_resnet50_8xb32_200e_imagenet import *

model.update(additions=[dict(type=UnMix)])
