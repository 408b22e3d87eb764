"""Learning curves over the number of labels: untrained, from given weights, and pre-trained on the unlabelled rest."""

from mmssl.label_efficiency.classification import Classification, plain_recipe
from mmssl.label_efficiency.curves import Curves, Interrupted, Origin, Start, Task
from mmssl.label_efficiency.dense import Detection, Segmentation
from mmssl.label_efficiency.layouts import Layout, find_layout
from mmssl.label_efficiency.report import chosen_rates, curve_figure, format_curves

__all__ = [
    'Classification',
    'Curves',
    'Detection',
    'Interrupted',
    'Layout',
    'Origin',
    'Segmentation',
    'Start',
    'Task',
    'chosen_rates',
    'curve_figure',
    'find_layout',
    'format_curves',
    'plain_recipe',
]
