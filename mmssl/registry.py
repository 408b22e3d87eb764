"""Registries: children of MMEngine's, so that its components are found too.

``MEMORIES`` is our own: components whose state persists across iterations and has no gradient.
"""

import inspect
import sys
from collections.abc import Iterator, Mapping
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
VISBACKENDS = _child('vis_backend', mmengine_registry.VISBACKENDS)  # users' own; mmssl has none
PARAM_SCHEDULERS = _child('parameter scheduler', mmengine_registry.PARAM_SCHEDULERS, 'engine')


def components_of(package: str) -> dict[str, Any]:
    """Collect the exports of a package of components from its files, so that a new file needs no entry in a list.

    A module contributes what its ``__all__`` names; without one, the public classes that it defines and the functions
    that it registers as models. A sub-package contributes its own exports.

    Args:
        package: Dotted name of the package, which is being imported.

    Returns:
        The entries by name, in alphabetical order.
    """
    found: dict[str, Any] = {}
    for info in sorted(iter_modules(import_module(package).__path__), key=lambda info: info.name):
        module = import_module(f'{package}.{info.name}')
        named = getattr(module, '__all__', None)
        found |= _defined_in(module) if named is None else {name: getattr(module, name) for name in named}
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
    """Error for ``__getattr__`` of a package, which also tells type checkers that names are found later."""
    return AttributeError(f'{package} has no {name!r}.')


_DATA = (DATASETS, DATA_SAMPLERS, TRANSFORMS, FUNCTIONS)
# Parts of a config in a file that are built, with their registries; all others (hooks, schedules) serve a training.
_BUILT = {
    'model': (MODELS, MEMORIES, mmengine_registry.WEIGHT_INITIALIZERS),
    'evaluation': _DATA,
    'train_dataloader': _DATA,
}
_READS_ELSEWHERE = ('pretrained', 'pretrained_cfg', 'checkpoint_path')  # arguments of timm's models


def registered_config(config: Mapping[str, Any], path: object) -> dict[str, Any]:
    """Return the parts of a config from a file that name only registered components, or refuse the config.

    MMEngine's registries import and call any dotted name that they do not know. A config in a file may come from
    anybody, so its names are looked up beforehand, and nothing is imported for it. A dotted name is accepted if it
    leads to a registered class in a module that has already been imported.

    Args:
        config: Config as plain data.
        path: Path of the file, for the error message.

    Returns:
        The config. Parts that only a training builds (hooks, optimizers, schedules) are left out if they name something
        that is not registered.

    Raises:
        ValueError: A part that is built names something that is not registered or not yet imported, a file to load, or
            other configs.
    """
    for name, value in config.items():
        if name in _BUILT or name in ('custom_imports', '_base_', 'default_scope'):
            unknown = next(_unknown(value, str(name), _BUILT.get(name, ())), None)
            if unknown:
                raise ValueError(
                    f'The config in {path} says {unknown}, but only registered components are built from a file, and '
                    'nothing is imported, run or fetched for it: give the config of the training as --config, or '
                    'import the module that registers the component first.'
                )
    every = tuple(value for value in globals().values() if isinstance(value, Registry))
    return {
        name: value for name, value in config.items() if name in _BUILT or not any(_unknown(value, str(name), every))
    }


def _unknown(value: Any, path: str, registries: tuple[Registry, ...]) -> Iterator[str]:
    """Yield what a config must not contain, as ``path=value``."""
    name = path.rpartition('.')[2]
    if (
        (name == 'type' and not _is_registered(value, registries))
        or (name in ('_scope_', 'default_scope') and value not in (None, SCOPE, 'mmengine'))
        or (name == '_base_' and value)
        or (name == 'custom_imports' and not _are_imported(value))
        or (name in _READS_ELSEWHERE and value)
    ):
        yield f'{path}={value!r}'[:200]
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _unknown(entry, f'{path}.{key}', registries)
    elif isinstance(value, list | tuple):
        for place, entry in enumerate(value):
            yield from _unknown(entry, f'{path}.{place}', registries)


def _are_imported(custom_imports: Any) -> bool:
    names = custom_imports.get('imports') if isinstance(custom_imports, Mapping) else None
    names = [names] if isinstance(names, str) else names
    return isinstance(names, list | tuple) and all(name in sys.modules for name in names)


def _is_registered(name: Any, registries: tuple[Registry, ...]) -> bool:
    if not isinstance(name, str):
        return False
    chain = [registry for first in registries for registry in _with_parents(first)]
    for registry in chain:
        registry.import_from_location()
    scope, _, rest = name.partition('.')
    known = [component for registry in chain for component in registry.module_dict.values()]
    names = [(name, rest) if scope == registry.scope else (name,) for registry in chain]
    found = (registry.module_dict.get(key) for registry, keys in zip(chain, names) for key in keys)
    component = next(filter(None, found), None) or _imported(name, known)
    return component is not None and getattr(component, '__name__', '') != 'PretrainedInit'  # it unpickles a file


def _with_parents(registry: Registry | None) -> Iterator[Registry]:
    while registry is not None:
        yield registry
        registry = registry.parent


def _imported(name: str, known: list[Any]) -> Any:
    """Find the component of a dotted name, if its module is already imported; no code of the module is run."""
    module, _, attribute = name.rpartition('.')
    found = vars(sys.modules[module]).get(attribute) if module in sys.modules else None
    return next((component for component in known if component is found), None) if found is not None else None
