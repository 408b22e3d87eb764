"""mmssl: self-supervised learning of image backbones, in the OpenMMLab manner."""

from .dependencies import check_dependencies
from .version import __version__

check_dependencies()

__all__ = ['__version__']
