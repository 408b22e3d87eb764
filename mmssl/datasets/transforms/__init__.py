"""Views of a decoded image."""

from mmssl.datasets.transforms.views import EvalView, MultiView, View, resize

__all__ = ['EvalView', 'MultiView', 'View', 'resize']
