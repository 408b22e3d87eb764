"""The registries: children of MMEngine's, so that its components are found too.

``MEMORIES`` is a kind of our own: whatever lives across iterations outside the gradient.
"""

import inspect
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from mmengine import registry as mmengine_registry
from mmengine.registry import Registry

SCOPE = 'mmssl'


def _child(name: str, parent: Registry, *locations: str) -> Registry:
    return Registry(name, parent=parent, scope=SCOPE, locations=[f'mmssl.{place}' for place in locations])


MODELS = _child('model', mmengine_registry.MODELS, 'models', 'evaluation')
MEMORIES = Registry('memory', scope=SCOPE, locations=['mmssl.models.memories'])
DATASETS = _child('dataset', mmengine_registry.DATASETS, 'datasets')
DATA_SAMPLERS = _child('data sampler', mmengine_registry.DATA_SAMPLERS, 'datasets')
TRANSFORMS = _child('transform', mmengine_registry.TRANSFORMS, 'datasets')
FUNCTIONS = _child('function', mmengine_registry.FUNCTIONS, 'datasets')
HOOKS = _child('hook', mmengine_registry.HOOKS, 'engine.hooks')
LOOPS = _child('loop', mmengine_registry.LOOPS, 'engine')
RUNNERS = _child('runner', mmengine_registry.RUNNERS, 'engine')
OPTIMIZERS = _child('optimizer', mmengine_registry.OPTIMIZERS, 'engine.optimizers')
OPTIM_WRAPPERS = _child('optim_wrapper', mmengine_registry.OPTIM_WRAPPERS, 'engine.optimizers')
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    'optimizer wrapper constructor', mmengine_registry.OPTIM_WRAPPER_CONSTRUCTORS, 'engine.optimizers'
)
VISBACKENDS = _child('vis_backend', mmengine_registry.VISBACKENDS, 'visualization')
PARAM_SCHEDULERS = _child('parameter scheduler', mmengine_registry.PARAM_SCHEDULERS, 'engine')


def components_of(package: str) -> dict[str, Any]:
    """What a package of components exports, found in its files: a new file needs no entry in a list.

    Of each module these are the public classes that it defines, and the functions that it registers as models; of each
    sub-package what that exports.

    Args:
        package: Dotted name of the package, which is being imported.

    Returns:
        The entries by name, in alphabetical order.
    """
    found: dict[str, Any] = {}
    for info in sorted(iter_modules(import_module(package).__path__), key=lambda info: info.name):
        module = import_module(f'{package}.{info.name}')
        found |= {name: getattr(module, name) for name in module.__all__} if info.ispkg else _defined_in(module)
    return dict(sorted(found.items()))


def _defined_in(module: ModuleType) -> dict[str, Any]:
    registered = list(MODELS.module_dict.values())
    return {
        name: entry
        for name, entry in vars(module).items()
        if not name.startswith('_')
        and getattr(entry, '__module__', None) == module.__name__
        and (inspect.isclass(entry) or entry in registered)
    }


def missing(package: str, name: str) -> AttributeError:
    """What ``__getattr__`` of a package raises: such a function also tells type checkers that names are found later."""
    return AttributeError(f'{package} has no {name!r}.')
