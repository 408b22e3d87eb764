"""Views of a decoded image, and edits of texts."""

from mmssl.datasets.transforms.clips import ClipCentre, ClipColour, ClipCrop, PastePatches
from mmssl.datasets.transforms.texts import RandomSpan, ShuffleWords, TextViews, Typos
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
    'ClipCentre',
    'ClipColour',
    'ClipCrop',
    'EvalView',
    'MultiView',
    'PaddedView',
    'PastePatches',
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
