"""Hook that keeps the backbone still until heads and memories have settled."""

from typing import Any

from mmengine.hooks import Hook
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmssl.models import EMATeacher
from mmssl.registry import HOOKS

_SHARE = 0.1  # of the run


@HOOKS.register_module()
class WarmupHeadsHook(Hook):
    """Keep the backbone still for the first steps, so that fresh heads do not wreck weights that are good already.

    Meanwhile its parameters get no gradient, its batch norm normalises by the batch without moving the running
    statistics, and its copies in teachers keep their bits. The optimizer skips it: no weight decay, no momentum. The
    gradients are computed and then dropped, so that several processes need not search for unused parameters.

    Args:
        length: Number of optimizer steps, or a share of the run if it is between 0 and 1. By default a tenth of the
            run if the backbone starts from weights (``init``), otherwise nothing.

    Raises:
        ValueError: The length is negative, or a number of steps that is not whole.
    """

    priority = 'HIGH'  # before memories are prepared, which may move running statistics

    def __init__(self, length: float | None = None) -> None:
        if length is not None and (length < 0 or (length >= 1 and length != int(length))):
            raise ValueError(
                f'warmup_heads.length={length}: set it to a whole number of steps, to a share of the run below 1, or '
                'to 0 to leave the warm-up out.'
            )
        self.length = length

    def stands_still(self, runner: Any) -> bool:
        """Whether the next step leaves the backbone as it is."""
        share, loop = self._share(runner), runner.train_loop
        if share < 1 and loop.budget:  # the number of steps is not known
            return loop.share_done < share
        return runner.steps < self.steps(runner)

    def steps(self, runner: Any) -> int:
        """Number of optimizer steps during which the backbone stands still, as far as it can be foreseen."""
        length = self._share(runner)
        return round(length * runner.max_iters / runner.accumulative_counts) if length < 1 else int(length)

    def _share(self, runner: Any) -> float:
        return self.length if self.length is not None else _SHARE if runner.init else 0

    def before_train(self, runner: Any) -> None:
        """Drop gradients in a pre-step hook of the optimizer, which runs after reduction and accumulation."""
        if self.stands_still(runner):
            share = self._share(runner)
            until = f'{share:.0%} of the run are over' if share < 1 else f'step {self.steps(runner)}'
            runner.logger.info(f'The backbone stands still until {until}, while heads and memories settle.')
            parameters = list(runner.algorithm.backbone.parameters())

            def drop(*_: Any) -> None:
                if self.stands_still(runner):
                    for parameter in parameters:
                        parameter.grad = None

            runner.optim_wrapper.optimizer.register_step_pre_hook(drop)

    def before_train_epoch(self, runner: Any) -> None:
        """Hold or release statistics and teachers before memories are prepared."""
        self._hold(runner)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Hold or release statistics and teachers for this iteration."""
        self._hold(runner)

    def _hold(self, runner: Any) -> None:
        still, backbone = self.stands_still(runner), runner.algorithm.backbone
        _move_statistics(backbone, not still)
        for memory in runner.algorithm.memories().values():
            if isinstance(memory, EMATeacher):
                memory.held = (backbone,) if still else ()
                for network in memory.copies(backbone):
                    _move_statistics(network, not still)


def _move_statistics(network: nn.Module, move: bool) -> None:
    """Let batch norm update its running statistics in training mode, or not; eval mode uses them either way."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.track_running_stats = move
