"""Views of a decoded image."""

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

__all__ = ['CentreView', 'EvalView', 'MultiView', 'PatchGrid', 'RandomCrop', 'View', 'ViewsByEpoch', 'resize']
