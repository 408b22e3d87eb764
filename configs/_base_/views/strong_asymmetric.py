"""Two strong views of 32 pixels, of which only the second is solarized: BYOL's and Barlow Twins' on CIFAR, as in solo-learn."""

from mmssl.datasets import MultiView, View

_view = dict(
    type=View,
    size=32,
    scale=(0.08, 1.0),
    jitter=(0.4, 0.4, 0.2, 0.1),
    jitter_prob=0.8,
    gray_prob=0.2,
    interpolation='bicubic',
)
strong_asymmetric = dict(type=MultiView, counts=[1, 1], views=[dict(_view), dict(_view, solarize_prob=0.2)])
