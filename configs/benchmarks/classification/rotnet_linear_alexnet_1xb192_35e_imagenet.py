"""A linear classifier on each convolution of an AlexNet, as in RotNet: Nesterov, rate 0.01, steps, 35 epochs."""

from mmengine.config import read_base

from mmssl.evaluation import MultiStageClassifier

with read_base():
    from ._base_.rotnet_protocol import *

protocol = 'RotNet linear: conv1 to conv5, maxima of 12, 7, 5, 6 and 6, SGD, rate 0.01, steps of 0.2 at 5, 15 and 25'

# 9216, 9408, 9600, 9216 and 9216 numbers
model.update(type=MultiStageClassifier, pools=dict(conv1=12, conv2=7, conv3=5, conv4=6, conv5=6), weight_std=None)
train_cfg.update(max_epochs=35)
