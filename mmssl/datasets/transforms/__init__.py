"""Views of a decoded image."""

from mmssl.datasets.transforms.clips import ClipCentre, ClipColour, ClipCrop, PastePatches
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
    'ClipCentre',
    'ClipColour',
    'ClipCrop',
    'EvalView',
    'MultiView',
    'PastePatches',
    'PatchGrid',
    'RandomCrop',
    'View',
    'ViewsByEpoch',
    'resize',
]
