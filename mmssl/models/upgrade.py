"""Upgrade of checkpoints from earlier versions, whose keys had other names."""

from collections.abc import Mapping
from typing import Any

from torch import nn


class Upgrading(nn.Module):
    """Module that renames the keys of earlier versions when a state dict is loaded."""

    def upgrade(self, state: dict[str, Any], prefix: str) -> None:
        """Rename keys of an earlier version to current names, in place; current keys do not change.

        Args:
            state: State dict of the whole model.
            prefix: Prefix of this module's keys.
        """

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *more: Any) -> None:
        self.upgrade(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *more)


def upgraded(model: nn.Module, state: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the keys of a state dict from an earlier version to current names.

    Args:
        model: The model that the state belongs to.
        state: State dict of the model; not changed.

    Returns:
        A copy whose keys can be compared with those of the model.
    """
    state = dict(state)
    for name, module in model.named_modules():
        if isinstance(module, Upgrading):
            module.upgrade(state, f'{name}.' if name else '')
    return state
