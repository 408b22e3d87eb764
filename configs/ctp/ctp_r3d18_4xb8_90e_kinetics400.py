"""CtP on an R3D-18, Kinetics-400, 90 epochs (the authors' recipe)."""

from mmengine.config import read_base

from mmssl.datasets import Kinetics400

with read_base():
    from .ctp_r3d18_4xb8_300e_ucf101 import *

_train = dict(type=Kinetics400, root='data/kinetics400', part='train')
_val = dict(type=Kinetics400, root='data/kinetics400', part='val')
train_dataloader['dataset'].update(source=_train)
evaluation['gallery'].update(source=_train)
for _name in ('query', 'pretext'):
    evaluation[_name].update(source=_val)
param_scheduler.update(milestones=[30, 60])
train_cfg.update(max_epochs=90)
