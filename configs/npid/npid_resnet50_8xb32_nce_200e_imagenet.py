"""NPID, 200 epochs, batch 256, noise-contrastive estimation with 4,096 noise samples (the authors' objective)."""

from mmengine.config import read_base

with read_base():
    from .npid_resnet50_8xb32_200e_imagenet import *

model.update(objective='nce', num_negatives=4096)
