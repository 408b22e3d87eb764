"""A linear classifier on each convolution of an AlexNet for Places205, as in RotNet: steps, 35 epochs."""

from mmengine.config import read_base

with read_base():
    from .rotnet_linear_alexnet_1xb192_35e_imagenet import *  # noqa: I001 - the data last: it replaces the first's
    from ._base_.places205 import *

protocol = 'RotNet linear, Places205: conv1 to conv5, maxima, SGD, rate 0.01, steps of 0.2 at 5, 15 and 25, 35 epochs'

model.update(num_classes=205)
train_dataloader['dataset']['source'] = places_train
evaluation['gallery']['source'] = places_train
evaluation['query']['source'] = places_val
