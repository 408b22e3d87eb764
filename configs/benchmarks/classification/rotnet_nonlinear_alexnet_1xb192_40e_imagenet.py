"""The rest of an AlexNet on its frozen conv4 and conv5, as in RotNet: Nesterov, rate 0.01, steps, 40 epochs."""

from mmengine.config import read_base

from mmssl.evaluation import NonLinearClassifier

with read_base():
    from ._base_.rotnet_protocol import *

protocol = 'RotNet non-linear: AlexNet after conv4 and conv5, SGD, rate 0.01, steps of 0.2 at 10, 20 and 30, 40 epochs'

model.update(type=NonLinearClassifier, classifiers=dict(conv4='alexnet_conv4', conv5='alexnet_conv5'))
param_scheduler.update(milestones=[10, 20, 30])
train_cfg.update(max_epochs=40)
