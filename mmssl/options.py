"""Check a config, and the options of ``--cfg-options``, against what components take, before anything is built."""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from mmengine.registry import Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmssl import registry
from mmssl.ranges import COUNT, INDEX, NOT_NEGATIVE, POSITIVE, SHARE, check_given
from mmssl.words import near_names

_LOADER = {*inspect.signature(DataLoader).parameters, 'sampler', 'batch_sampler', 'num_batch_per_epoch'}
# What is read from parts of a config that are no components.
_PARTS: dict[str, Iterable[str]] = {
    'train_dataloader': _LOADER,
    'val_dataloader': _LOADER,
    'test_dataloader': _LOADER,
    'evaluation': ('gallery', 'query', 'batch_size', 'num_workers'),
    'auto_scale_lr': ('base_batch_size', 'enable'),
    'randomness': ('seed', 'diff_rank_seed', 'deterministic'),
    'env_cfg': ('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'),
    'default_hooks': (),  # a new one needs its type
}
# What is read beside the arguments of the components in a part.
_BESIDE: dict[str, Iterable[str]] = {
    'optim_wrapper': ('constructor', 'paramwise_cfg'),
    'param_scheduler': ('convert_to_iter_based', 'epoch_length'),
    'default_hooks': ('priority',),
    'custom_hooks': ('priority',),
}
_TOP = {
    *inspect.signature(Runner).parameters, 'evaluation', 'sync_bn', 'runner_type', 'custom_imports', 'compile',
    'find_unused_parameters', 'model_wrapper_cfg', 'activation_checkpointing', 'efficient_conv_bn_eval',
}  # fmt: skip
_SHOWN = 3
# Numbers that components of other packages read, whose own messages name no entry of the config.
_RANGES = {
    'train_dataloader.batch_size': COUNT,
    'train_dataloader.num_workers': INDEX,
    'train_dataloader.prefetch_factor': COUNT,
    'optim_wrapper.optimizer.lr': POSITIVE,
    'optim_wrapper.optimizer.momentum': SHARE,
    'optim_wrapper.optimizer.weight_decay': NOT_NEGATIVE,
    'optim_wrapper.accumulative_counts': COUNT,
    'optim_wrapper.clip_grad.max_norm': POSITIVE,
    'param_scheduler.warmup': NOT_NEGATIVE,
    'randomness.seed': INDEX,
    'evaluation.batch_size': COUNT,
    'evaluation.num_workers': INDEX,
    'auto_scale_lr.base_batch_size': COUNT,
}
_PARTS_NEEDED = ('model', 'model.backbone', 'train_dataloader')
_LOG_LEVELS = ('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL')


def check_config(config: Mapping[str, Any]) -> None:
    """Refuse a number outside its range in the parts of a config that other packages read.

    Args:
        config: Config; the numbers that our own components read are left to them.

    Raises:
        ValueError: A number is outside, or a part that every config needs is missing; the message names the entry.
    """
    for entry in _PARTS_NEEDED:
        if not isinstance(part := _entry(config, entry), Mapping):
            raise ValueError(f'{entry} of the config is {part!r}: give a dictionary, such as {entry}=dict(type=...).')
    for entry, allowed in _RANGES.items():
        check_given(allowed, **{entry: _entry(config, entry)})
    level = config.get('log_level')
    if not isinstance(level, int) and level not in (None, *_LOG_LEVELS):
        raise ValueError(f'log_level={level!r}: set it to one of {", ".join(_LOG_LEVELS)}.')


def _entry(config: Any, name: str) -> Any:
    for key in name.split('.'):
        config = config.get(key) if isinstance(config, Mapping) else None
    return config


def explained(error: KeyError | TypeError) -> str:
    """Say what a config must change for a component that cannot be built.

    Args:
        error: What MMEngine's registry, or Python at the call of the class, raised.

    Returns:
        The reason, with near names where a name is unknown.
    """
    text = str(error.args[0]) if error.args else ''
    if found := re.match(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", text):
        owner, name = found.groups()
        names = arguments_of(component) if (component := _component(owner)) else None
        return f'{owner} takes no {name!r} {_near(name, names - {"self"}) if names else ""}'.strip() + '.'
    if found := re.match(r'(\w+)\.__init__\(\) missing \d+ required .* arguments?: (.*)', text):
        return f'{found[1]} needs {found[2]}: add it to its part of the config.'
    if found := re.match(r'(\S+) is not in the ', text):
        return next(_unknown_type(found[1]), text)
    if found := re.match(r'`cfg` or `default_args` must contain the key "type", but got (.*)', text):
        return f'{found[1]} has no type: add the name of its class, such as type=...'
    return f'{text} (--verbose shows where)'


def check_options(options: Mapping[str, Any], config: Mapping[str, Any], changed: Mapping[str, Any]) -> None:
    """Refuse an option that no component knows.

    A name that the config has already is known. Beside those, a component takes the arguments of its class. What a
    class passes on to others (``**options`` for timm, say) and dictionaries without a type are not checked.

    Args:
        options: Values by dotted names, as ``--cfg-options`` gives them.
        config: Config without the options.
        changed: The same with them.

    Raises:
        ValueError: A name or a component is unknown; the message has near names.
    """
    for option in options:
        for problem in _problems(option.split('.'), config, changed):
            raise ValueError(f'--cfg-options {option}: {problem}')


def _problems(keys: list[str], config: Any, changed: Any) -> Iterator[str]:
    """Walk down one option and yield what is wrong with it."""
    part = keys[0]
    for depth, key in enumerate(keys):
        if isinstance(changed, list | tuple):
            config = config[int(key)] if isinstance(config, list | tuple) and int(key) < len(config) else {}
            changed = changed[int(key)]
            continue
        if not isinstance(changed, Mapping):
            return
        if key == 'type':
            yield from _unknown_type(changed['type'])
            return
        known = config if isinstance(config, Mapping) else {}
        owner, names = _takes(keys[:depth], changed)
        if key not in known and names is not None and not _is_component(changed[key], owner):
            names = {*names, *known, *(_BESIDE.get(part, ()) if depth else ())} - {'self'}
            if key not in names:
                yield f'{owner} takes no {key!r} {_near(key, names)}.'
                return
        config, changed = known.get(key), changed[key]


def _is_component(value: Any, owner: str) -> bool:
    """Whether an entry of ``default_hooks`` is a hook of its own, whose name is free."""
    return owner == 'default_hooks' and isinstance(value, Mapping) and 'type' in value


def _takes(place: list[str], node: Mapping[str, Any]) -> tuple[str, Iterable[str] | None]:
    """Who reads a dictionary, in words, and the names that it takes; None if any."""
    if not place:
        return 'a config', _TOP
    if 'type' in node:
        component = _component(node['type'])
        return getattr(component, '__name__', str(component)), component and arguments_of(component)
    return place[-1], _PARTS.get(place[0]) if len(place) == 1 else None


def _component(kind: Any) -> Any:
    """The class or function of a type in a config; None if it is not found."""
    if not isinstance(kind, str):
        return kind
    return next(filter(None, (each.get(kind) for each in _registries())), None)


def _registries() -> list[Registry]:
    return [value for value in vars(registry).values() if isinstance(value, Registry)]


def _unknown_type(kind: Any) -> Iterator[str]:
    if isinstance(kind, str) and _component(kind) is None:
        names = {name for each in _registries() for name in each.module_dict}
        near = near_names(kind, names, _SHOWN, cutoff=0.5)
        yield f'there is no component {kind!r} (near names: {near}).'


def arguments_of(component: Callable) -> set[str] | None:
    """Names of the arguments of a function, or of a class with those that it passes to its bases in ``**kwargs``.

    Args:
        component: Function or class.

    Returns:
        The names; None if it takes any, since it passes them on to something other than a base.
    """
    names: set[str] = set()
    makers = [vars(cls).get('__init__') for cls in component.__mro__] if inspect.isclass(component) else [component]
    for maker in filter(None, makers):
        if maker is object.__init__:
            break
        parameters = inspect.signature(maker).parameters.values()
        names |= {each.name for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)}
        rest = [each.name for each in parameters if each.kind == each.VAR_KEYWORD]
        if not rest:
            break
        if not _passes_to_base(maker, rest[0]):
            return None
    return names


def _passes_to_base(maker: Callable, rest: str) -> bool:
    """Whether a method hands its ``**rest`` to an ``__init__``, which is then the next of its class's bases."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(maker)))
    except (OSError, TypeError):
        return False
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    inits = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == '__init__']
    passed = [word.value for call in inits for word in call.keywords if word.arg is None]
    return any(isinstance(value, ast.Name) and value.id == rest for value in passed)


def _near(name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name, sorted(names), n=_SHOWN, cutoff=0.5)
    return f'(near names: {", ".join(near)})' if near else f'(it takes {", ".join(sorted(names)) or "nothing"})'
