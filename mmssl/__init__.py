"""mmssl: self-supervised learning of image backbones, in the OpenMMLab manner."""

from typing import TYPE_CHECKING, Any

from .dependencies import check_dependencies
from .version import __version__

if TYPE_CHECKING:
    from .apis import extract_features, get_model, list_models, train_from_folder

check_dependencies()

_APIS = ('extract_features', 'get_model', 'list_models', 'train_from_folder')
__all__ = ['__version__', 'extract_features', 'get_model', 'list_models', 'train_from_folder']


def __getattr__(name: str) -> Any:
    """What the functions for users need, torch before all, is imported when one of them is asked for."""
    if name in _APIS:
        from . import apis

        return getattr(apis, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
