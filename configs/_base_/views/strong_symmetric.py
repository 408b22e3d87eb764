"""Two strong views of 32 pixels for methods that treat both alike: SimCLR's on CIFAR, as in solo-learn."""

from mmssl.datasets import MultiView, View

strong_symmetric = dict(
    type=MultiView,
    counts=[2],
    views=[
        dict(
            type=View,
            size=32,
            scale=(0.08, 1.0),
            jitter=(0.8, 0.8, 0.8, 0.2),
            jitter_prob=0.8,
            gray_prob=0.2,
            blur_prob=0.5,
            blur_sigma=(0.1, 2.0),
            interpolation='bicubic',
        )
    ],
)
