"""Views of a decoded image."""

from mmssl.datasets.transforms.views import (
    CentreView,
    EvalView,
    MultiView,
    PaddedView,
    PatchGrid,
    RandomCrop,
    View,
    ViewsByEpoch,
    resize,
)

__all__ = [
    'CentreView',
    'EvalView',
    'MultiView',
    'PaddedView',
    'PatchGrid',
    'RandomCrop',
    'View',
    'ViewsByEpoch',
    'resize',
]
