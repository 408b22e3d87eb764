"""Keep the sensitive parts of a loss out of half precision."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

_Function = TypeVar('_Function', bound=Callable[..., Any])
_HALF = (torch.float16, torch.bfloat16)


def _to_float32(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.dtype in _HALF else value
    if isinstance(value, (list, tuple)):
        items = map(_to_float32, value)
        return value._make(items) if hasattr(value, '_make') else type(value)(items)  # a NamedTuple has _make
    return value


def in_float32(function: _Function) -> _Function:
    """Run a function outside autocast, with half-precision tensors (also in lists) cast to float32 first.

    Casting the result would be too late: the product inside would already be rounded. float64 stays float64.
    """

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, (Tensor, list, tuple))]
        device = next((value.device.type for value in _flatten(tensors)), 'cpu')
        with torch.autocast(device, enabled=False):
            return function(*map(_to_float32, args), **{key: _to_float32(value) for key, value in kwargs.items()})

    return wrapper  # type: ignore[return-value]  # mypy cannot see that the signature is kept


def _flatten(values: Any) -> list[Tensor]:
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, (list, tuple)):
        return [tensor for value in values for tensor in _flatten(value)]
    return []
