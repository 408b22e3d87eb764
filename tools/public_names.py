"""Print the public names of mmssl, and the config keys of its registered components with their defaults, as JSON.

    python tools/public_names.py > tests/public_names.json     # at a release

tests/test_public_names.py compares that file with the tree: CHANGELOG.md must name everything that was removed, became
required, or has another default. Reads the mmssl that Python finds first (PYTHONPATH=TREE).
"""

import argparse
import inspect
import json
import re
from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules, walk_packages

from mmengine.registry import Registry

import mmssl
import mmssl.registry


def public_names() -> dict[str, list[str]]:
    """Collect the exports of all packages and top-level modules.

    Returns:
        ``__all__`` of each, sorted, by the name of the module.
    """
    inside = [module.name for module in walk_packages(mmssl.__path__, 'mmssl.') if module.ispkg]
    beside = [module.name for module in iter_modules(mmssl.__path__, 'mmssl.') if module.name != 'mmssl.__main__']
    modules = {name: import_module(name) for name in ['mmssl', *inside, *beside] if '.configs' not in name}
    return {name: sorted(module.__all__) for name, module in sorted(modules.items()) if hasattr(module, '__all__')}


def config_keys() -> dict[str, dict[str, str]]:
    """Collect the arguments of the components that mmssl registers; import its packages first.

    Returns:
        Arguments by ``REGISTRY.Name``, each with its default as text or ``'required'``.
    """
    registries = {name: value for name, value in vars(mmssl.registry).items() if isinstance(value, Registry)}
    return {
        f'{name}.{key}': arguments(component)
        for name, registry in sorted(registries.items())
        for key, component in sorted(registry.module_dict.items())
        if component.__module__.split('.')[0] == 'mmssl'
    }


def arguments(component: Callable) -> dict[str, str]:
    """List the arguments of a function, or of a class with those that it passes to its bases in ``**kwargs``.

    Arguments of bases outside mmssl are left out: they vary between releases.

    Args:
        component: Function or class.

    Returns:
        Default as text, or ``'required'``, by name.
    """
    classes = component.__mro__ if isinstance(component, type) else ()
    makers = [vars(cls)['__init__'] for cls in classes if '__init__' in vars(cls)] or [component]
    found: dict[str, str] = {}
    for maker in makers:
        if getattr(maker, '__module__', '').split('.')[0] != 'mmssl':  # object's has none
            break
        parameters = list(inspect.signature(maker).parameters.values())[1 if classes else 0 :]  # without self
        for parameter in parameters:
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                found.setdefault(parameter.name, _default(parameter))
        if not any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters):
            break
    return found


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return 'required'
    return re.sub(' at 0x[0-9a-f]+', '', repr(parameter.default))


def main() -> None:
    """Print."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    print(json.dumps({'names': public_names(), 'keys': config_keys()}, indent=1, sort_keys=True))


if __name__ == '__main__':
    main()
