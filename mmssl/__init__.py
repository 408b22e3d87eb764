"""mmssl: self-supervised learning of image backbones in the style of OpenMMLab."""

import os
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .dependencies import check_dependencies, leave_out_unused_imports
from .version import __version__

if TYPE_CHECKING:
    from .apis import extract_features, get_model, list_models, load, train_from_folder

# OpenMP's threads wait for each other by spinning. On a machine that others use too, they spin away the time of the
# thread that they wait for, and two threads train more slowly than one. OpenMP reads this when torch is imported.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

check_dependencies()
leave_out_unused_imports()

_APIS = ('extract_features', 'get_model', 'list_models', 'load', 'train_from_folder')
__all__ = ['__version__', 'extract_features', 'get_model', 'list_models', 'load', 'train_from_folder']


def __getattr__(name: str) -> Any:
    """Import the functions for users on first use: they need torch, which takes seconds to import."""
    if name in _APIS:
        from . import apis

        return getattr(apis, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    """List what mmssl offers, the functions that are not imported yet too."""
    kept = (name for name, value in globals().items() if isinstance(value, ModuleType) or name.startswith('__'))
    return sorted({*__all__, *kept})
