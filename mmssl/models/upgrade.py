"""Checkpoints of earlier versions, whose keys had other names."""

from collections.abc import Mapping
from typing import Any

from torch import nn


class Upgrading(nn.Module):
    """A module that knows what its keys were called in earlier versions; a load gives them today's names."""

    def upgrade(self, state: dict[str, Any], prefix: str) -> None:
        """Give the keys of an earlier version today's names, in place; keys of today stay.

        Args:
            state: State dict of the whole model.
            prefix: What the keys of this module begin with.
        """

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *more: Any) -> None:
        self.upgrade(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *more)


def upgraded(model: nn.Module, state: Mapping[str, Any]) -> dict[str, Any]:
    """The state of an earlier version under today's names.

    Args:
        model: The model that it belongs to.
        state: Its state dict; stays as it is.

    Returns:
        A state dict whose keys can be compared with those of the model.
    """
    state = dict(state)
    for name, module in model.named_modules():
        if isinstance(module, Upgrading):
            module.upgrade(state, f'{name}.' if name else '')
    return state
