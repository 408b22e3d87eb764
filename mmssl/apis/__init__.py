"""Functions for scripts and notebooks: the model zoo, features of images, training on a folder.

Each name is imported on first use: names that do not need torch, such as ``list_models``, do not wait for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmssl.download import DownloadError
    from mmssl.files import cache_folder

    from .features import ImageFeatures, extract_features
    from .models import get_model, load
    from .publish import publish_checkpoints
    from .release import Terms
    from .training import train_from_folder
    from .weights import cached_weights, fetch_weights, verify_weights
    from .zoo import ZooEntry, find_entry, list_models, zoo_entries

_MODULES = {
    'mmssl.download': ('DownloadError',),
    'mmssl.files': ('cache_folder',),
    '.features': ('ImageFeatures', 'extract_features'),
    '.models': ('get_model', 'load'),
    '.publish': ('publish_checkpoints',),
    '.release': ('Terms',),
    '.training': ('train_from_folder',),
    '.weights': ('cached_weights', 'fetch_weights', 'verify_weights'),
    '.zoo': ('ZooEntry', 'find_entry', 'list_models', 'zoo_entries'),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
__all__ = [
    'DownloadError',
    'ImageFeatures',
    'Terms',
    'ZooEntry',
    'cache_folder',
    'cached_weights',
    'extract_features',
    'fetch_weights',
    'find_entry',
    'get_model',
    'list_models',
    'load',
    'publish_checkpoints',
    'train_from_folder',
    'verify_weights',
    'zoo_entries',
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
