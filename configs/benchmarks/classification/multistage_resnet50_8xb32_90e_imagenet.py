"""A linear classifier on each stage, as in OpenSelfSup and mmselfsup: Nesterov, rate 0.01, steps, 90 epochs."""

from mmengine.config import read_base

with read_base():
    from ._base_.multistage import *

protocol = 'OpenSelfSup multi-stage linear: stem and 4 stages, SGD, rate 0.01, steps of 0.1 at 30 and 60, 90 epochs'

train_dataloader['dataset']['views']['views'][0].update(jitter=(0.4, 0.4, 0.4, 0.0), jitter_prob=1.0)
train_cfg.update(max_epochs=90)
