"""Two weak views of 32 pixels for methods that treat both alike: those of AdaInf (larger crops, half the jitter, half as often)."""

from mmssl.datasets import MultiView, View

weak_symmetric = dict(
    type=MultiView,
    counts=[2],
    views=[
        dict(
            type=View,
            size=32,
            scale=(0.2, 1.0),
            jitter=(0.4, 0.4, 0.4, 0.1),
            jitter_prob=0.4,
            gray_prob=0.2,
            blur_prob=0.5,
            blur_sigma=(0.1, 2.0),
            interpolation='bicubic',
        )
    ],
)
