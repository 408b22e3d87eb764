"""DINO for two cores on independent looks at the scenes of the pan, as many as it has frames: what a pan costs."""

from mmengine.config import read_base

with read_base():
    from .dino_resnet10_1xb128_cpu_pan_10e_head_camera import *

train_dataloader['dataset']['source'].update(gaze='jumps')
