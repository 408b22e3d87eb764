"""Optimizer wrappers whose steps are taken or skipped by all ranks together."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from mmengine.optim import AmpOptimWrapper as MMEngineAmpOptimWrapper
from mmengine.optim import OptimWrapper as MMEngineOptimWrapper
from torch import Tensor

from mmssl.functional import max_over_ranks
from mmssl.registry import OPTIM_WRAPPERS

_LOSS = 2  # a loss that is not finite counts before a gradient


class NonFiniteLossError(FloatingPointError):
    """A loss or a gradient was NaN or infinite, on this or another rank."""


class _FiniteSteps:
    """Mixin for MMEngine's wrappers: agree on one finite flag, then step or skip on every rank.

    Attributes:
        stepped: Whether the last :meth:`update_params` changed the weights. The optimizer itself reports it, so a step
            that a gradient scaler skips is noticed too.
    """

    on_nonfinite: Literal['stop', 'skip']
    stepped: bool
    optimizer: Any  # from here on, attributes of MMEngine's wrappers
    scale_loss: Callable
    backward: Callable
    should_update: Callable
    step: Callable
    zero_grad: Callable
    _accumulative_counts: int

    def _watch(self, on_nonfinite: Literal['stop', 'skip']) -> None:
        if on_nonfinite not in ('stop', 'skip'):
            raise ValueError(f"optim_wrapper.on_nonfinite is {on_nonfinite!r}: set it to 'stop' or 'skip'.")
        self.on_nonfinite, self.stepped = on_nonfinite, False
        self._nonfinite: Tensor | None = None
        self.optimizer.register_step_post_hook(self._note_step)

    def _note_step(self, *_: Any) -> None:
        self.stepped = True

    @property
    def accumulative_counts(self) -> int:
        """Number of micro-batches per step."""
        return self._accumulative_counts

    def _nonfinite_gradient(self, loss: Tensor) -> Tensor:
        """1 if a gradient is not finite, which a finite loss may have; else 0."""
        groups = self.optimizer.param_groups
        sums = [part.grad.sum() for group in groups for part in group['params'] if part.grad is not None]
        return (~torch.isfinite(torch.stack(sums)).all()).float() if sums else torch.zeros_like(loss.detach())

    def update_params(self, loss: Tensor, step_kwargs: dict | None = None, zero_kwargs: dict | None = None) -> None:
        """Back-propagate; at the end of an accumulation take a step, unless the loss of any rank was not finite.

        Args:
            loss: Loss of this rank, a scalar.
            step_kwargs: Arguments of the optimizer's step.
            zero_kwargs: Arguments for clearing the gradients.

        Raises:
            NonFiniteLossError: On every rank, if ``on_nonfinite`` is ``'stop'``.
        """
        self.stepped = False
        nonfinite = _LOSS * (~torch.isfinite(loss.detach())).float()
        self._nonfinite = nonfinite if self._nonfinite is None else torch.maximum(self._nonfinite, nonfinite)
        self.backward(self.scale_loss(loss))
        if not self.should_update():
            return
        found = torch.maximum(self._nonfinite, self._nonfinite_gradient(loss))
        skip = int(max_over_ranks(found))  # every rank asks, whatever its own loss is
        self._nonfinite = None
        if skip and self.on_nonfinite == 'stop':
            raise NonFiniteLossError(f'The {"loss" if skip == _LOSS else "gradient"} is not finite')
        if not skip:
            self.step(**(step_kwargs or {}))
        self.zero_grad(**(zero_kwargs or {}))


@OPTIM_WRAPPERS.register_module()
class OptimWrapper(_FiniteSteps, MMEngineOptimWrapper):
    """MMEngine's wrapper, in full precision, with steps that all ranks take or skip.

    Args:
        on_nonfinite: ``'stop'`` ends the run at a loss or a gradient that is not finite; ``'skip'`` skips the step on
            all ranks.
        wrapper: MMEngine's arguments (``optimizer``, ``accumulative_counts``, ``clip_grad``).
    """

    def __init__(self, on_nonfinite: Literal['stop', 'skip'] = 'stop', **wrapper: Any) -> None:
        super().__init__(**wrapper)
        self._watch(on_nonfinite)


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(_FiniteSteps, MMEngineAmpOptimWrapper):
    """Like :class:`OptimWrapper`, but in mixed precision on a GPU.

    Args:
        on_nonfinite: As in :class:`OptimWrapper`.
        wrapper: MMEngine's arguments (``optimizer``, ``loss_scale``, ``dtype``, ``accumulative_counts``).

    Raises:
        ValueError: There is no GPU.
    """

    def __init__(self, on_nonfinite: Literal['stop', 'skip'] = 'stop', **wrapper: Any) -> None:
        if not torch.cuda.is_available():
            raise ValueError('Mixed precision (--amp), but there is no GPU: leave --amp out, training runs in float32.')
        super().__init__(**wrapper)
        self._watch(on_nonfinite)

    def _nonfinite_gradient(self, loss: Tensor) -> Tensor:
        """0: the gradient scaler looks for infinite gradients, which it makes itself, and skips their steps."""
        return torch.zeros_like(loss.detach())
