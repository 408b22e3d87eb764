"""Views of a decoded image, and edits of texts."""

from mmssl.datasets.transforms.texts import RandomSpan, ShuffleWords, TextViews, Typos
from mmssl.datasets.transforms.views import (
    CentreView,
    EvalView,
    MultiView,
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
    'PatchGrid',
    'RandomCrop',
    'RandomSpan',
    'ShuffleWords',
    'TextViews',
    'Typos',
    'View',
    'ViewsByEpoch',
    'resize',
]
