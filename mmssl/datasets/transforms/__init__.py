"""Views of a decoded image."""

from mmssl.datasets.transforms.views import EvalView, MultiView, RandomCrop, View, resize

__all__ = ['EvalView', 'MultiView', 'RandomCrop', 'View', 'resize']
