"""Closed-form learning-rate schedules (MMEngine's recursive ones divide by zero if a warm-up starts at 0)."""

from typing import Any

from mmengine.optim import _ParamScheduler

from mmssl.checkpoint import CheckpointError
from mmssl.functional.schedules import warmup_cosine, warmup_halving
from mmssl.ranges import COUNT, NOT_NEGATIVE, check_given, check_numbers
from mmssl.registry import PARAM_SCHEDULERS

_POSITION = ('_global_step', '_last_value')  # where a schedule of MMEngine's is in the run


@PARAM_SCHEDULERS.register_module()
class WarmupCosineLR(_ParamScheduler):
    """Linear warm-up, then half a cosine over the rest of the run, in steps of the optimizer or in epochs.

    Set ``convert_to_iter_based=True`` in the config to count the warm-up in epochs and update the rate at every step.

    In a run with ``train_cfg.minutes``, the share of the run that is over takes the place of the steps. A parameter
    group with ``fix_lr=True`` (in ``optim_wrapper.paramwise_cfg.custom_keys``) keeps its rate, as SimSiam's predictor.

    Args:
        optimizer: Wrapper whose learning rates are set.
        end: Length of the run; set by the Runner.
        warmup: Length of the warm-up, at least 0; 0 for none.
        warmup_factor: Rate at the first step, as a fraction of the full rate, at least 0.
        end_factor: Rate at which the cosine ends, as a fraction of the full rate, at least 0.
        warmup_reaches_base: Whether the last warm-up step already has the full rate (SwAV), or only the step after it.
        first: Number of the first step; 1 for InvP, whose code counts epochs from 1.
        idle: Steps at a rate of 0 before the warm-up (CoKe's first epoch, which only clusters), at least 0.
        by_epoch: Whether a step is an epoch.

    Source: facebookresearch/swav, ``main_swav.py`` (a table with one rate per iteration).
    """

    name = 'lr'  # of the value in the optimizer's groups

    def __init__(
        self,
        optimizer: Any,
        end: int,
        warmup: int = 0,
        warmup_factor: float = 0.0,
        end_factor: float = 0.0,
        warmup_reaches_base: bool = False,
        first: int = 0,
        idle: int = 0,
        by_epoch: bool = True,
        **scheduler: Any,
    ) -> None:
        check_numbers(NOT_NEGATIVE, warmup=warmup, warmup_factor=warmup_factor, end_factor=end_factor, idle=idle)
        self.warmup, self.warmup_factor = warmup, warmup_factor
        self.end_factor, self.warmup_reaches_base, self.first = end_factor, warmup_reaches_base, first
        self.idle = idle
        super().__init__(optimizer, self.name, end=end, by_epoch=by_epoch, **scheduler)

    @classmethod
    def build_iter_from_epoch(
        cls,
        *args: Any,
        end: float,
        epoch_length: int,
        warmup: float = 0,
        idle: float = 0,
        by_epoch: bool = True,
        **settings: Any,
    ) -> 'WarmupCosineLR':
        """Convert lengths in epochs to lengths in steps; MMEngine calls this for ``convert_to_iter_based=True``."""
        settings.update(warmup=round(warmup * epoch_length), idle=round(idle * epoch_length))
        settings.update(end=round(end * epoch_length), by_epoch=False)
        return cls(*args, **settings)

    def follow(self, share: float) -> None:
        """Set the rates for a share of the run, instead of counting steps.

        Args:
            share: Share of the run that is over, 0 to 1.
        """
        for group, value in zip(self.optimizer.param_groups, self._values(share * self.end)):
            group[self.param_name] = value

    def set_values(self) -> None:
        """Set the rates for the steps that are done."""
        for group, value in zip(self.optimizer.param_groups, self._get_value()):
            group[self.param_name] = value

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the position; length and settings stay those of this run.

        Raises:
            CheckpointError: One schedule counts epochs, the other steps.
        """
        if state_dict['by_epoch'] != self.by_epoch:
            before, now = (('epochs' if counts else 'steps') for counts in (state_dict['by_epoch'], self.by_epoch))
            raise CheckpointError(
                f'{type(self).__name__} counts {now}, but counted {before} in the checkpoint: resume with '
                'param_scheduler as before, or start a new run from the weights with --init.'
            )
        super().load_state_dict({name: state_dict[name] for name in _POSITION})
        self.last_step = min(self._global_step, self.end - 1)  # at the end of a shorter run it had stopped one earlier

    def _get_value(self) -> list[float]:
        return self._values(self.last_step)

    def _values(self, step: float) -> list[float]:
        step = step + self.first - self.idle
        if step < 0:
            return [0.0 for _ in self.base_values]
        if self.idle:
            step = max(step, 1)  # CoKe's code never learns with a rate of 0 after its first epoch
        length = self.end - self.idle
        factor = warmup_cosine(
            step, length, 1.0, self.end_factor, self.warmup, self.warmup_factor, self.warmup_reaches_base
        )
        groups = zip(self.base_values, self.optimizer.param_groups)
        return [base if group.get(f'fix_{self.name}') else base * factor for base, group in groups]


@PARAM_SCHEDULERS.register_module()
class CosineWeightDecay(WarmupCosineLR):
    """Half a cosine from the optimizer's weight decay to ``end_factor`` times its value; groups without any keep 0.

    Arguments are those of :class:`WarmupCosineLR`. A second scheduler beside that of the learning rate:
    ``param_scheduler=[dict(type=WarmupCosineLR, ...), dict(type=CosineWeightDecay, end_factor=10)]``.

    Source: DINO, section 3 (Caron et al., ICCV 2021): from 0.04 to 0.4.
    """

    name = 'weight_decay'


@PARAM_SCHEDULERS.register_module()
class WarmupHalvingLR(WarmupCosineLR):
    """Linear warm-up that starts above 0, times a rate that halves again and again from the first step on.

    Args:
        optimizer: Wrapper whose learning rates are set; a group with ``fix_lr=True`` keeps its rate.
        warmup: Length of the warm-up; its last step has the full rate.
        half_life: Steps until the rate has halved, at least 1; None for never.
        scheduler: ``end``, set by the Runner, and ``by_epoch``.

    Source: OCRL, ``utils/tools.py`` (Yoon et al., ICML 2023).
    """

    def __init__(self, optimizer: Any, warmup: int = 0, half_life: int | None = None, **scheduler: Any) -> None:
        check_given(COUNT, half_life=half_life)
        self.half_life = half_life
        super().__init__(optimizer, warmup=warmup, **scheduler)

    def _values(self, step: float) -> list[float]:
        factor = warmup_halving(step, self.warmup, self.half_life)
        groups = zip(self.base_values, self.optimizer.param_groups)
        return [base if group.get('fix_lr') else base * factor for base, group in groups]
