"""Hook that moves one scalar of the model along a curve."""

from typing import Any, Literal

from mmengine.hooks import Hook

from mmssl.functional import schedules
from mmssl.ranges import INDEX, NOT_NEGATIVE, POSITIVE, SHARE, check_given, check_numbers
from mmssl.registry import HOOKS

_CURVES = ('cosine', 'linear', 'gaussian', 'jump')
# Of attributes by the ends of their names.
_RANGES = {'momentum': SHARE, 'temperature': POSITIVE, 'weight': NOT_NEGATIVE}


@HOOKS.register_module()
class ScheduleHook(Hook):
    """Set a scalar of the model before each step; it follows from the step alone, so nothing is saved.

    In a run with ``train_cfg.minutes``, it follows from the share of the run that is over.

    Args:
        attribute: Path from the model, for example ``'teacher.momentum'``.
        start: Value up to ``begin`` (a Gaussian starts slightly above it).
        end: Value from ``until`` on.
        curve: ``'cosine'``, ``'linear'``, ``'gaussian'`` or ``'jump'`` (from ``start`` to ``end`` at ``until``).
        begin: Step at which the curve begins, at least 0.
        until: Step at which the value reaches ``end``, at least 0; the end of the run by default.
        by_epoch: Whether steps are epochs (from 0) or steps of the optimizer.
        ahead: Number of steps by which the value is ahead, at least 0; 1 for the momentum of a teacher, which moves
            after the step.

    Raises:
        ValueError: There is no such curve, or ``start`` or ``end`` is not 0 to 1 for a momentum, above 0 for a
            temperature, at least 0 for a weight; at the start of the run, there is no such attribute.
    """

    priority = 'ABOVE_NORMAL'

    def __init__(
        self,
        attribute: str,
        start: float,
        end: float,
        curve: Literal['cosine', 'linear', 'jump', 'gaussian'] = 'cosine',
        begin: int = 0,
        until: int | None = None,
        by_epoch: bool = False,
        ahead: int = 0,
    ) -> None:
        check_numbers(INDEX, begin=begin, ahead=ahead)
        check_given(INDEX, until=until)
        for ending, allowed in _RANGES.items():
            if attribute.endswith(ending):
                check_numbers(allowed, start=start, end=end)
        if curve not in _CURVES:
            raise ValueError(f'curve={curve!r} for {attribute}: set it to one of {_CURVES}.')
        self.path, _, self.name = attribute.rpartition('.')
        self.start, self.end, self.begin, self.until, self.by_epoch = start, end, begin, until, by_epoch
        self.curve, self.ahead = getattr(schedules, curve), ahead

    def before_train(self, runner: Any) -> None:
        """Refuse an attribute that the model does not have."""
        owner = _find(runner.algorithm, self.path)
        if not hasattr(owner, self.name):
            numbers = sorted(name for name, value in vars(owner).items() if isinstance(value, float))
            raise ValueError(
                f'{type(owner).__name__} has no {self.name!r}: set ScheduleHook.attribute to one of {numbers}.'
            )

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Set the value for the step that this iteration belongs to."""
        loop = runner.train_loop
        length = loop.planned_epochs * (1 if self.by_epoch else loop.iters_per_epoch // runner.accumulative_counts)
        step = runner.epoch if self.by_epoch else runner.steps
        if loop.budget:  # how many steps there will be is not known, but how much of the run is over
            step = loop.share_done * length
        until = length if self.until is None else self.until
        value = self.curve(step + self.ahead - self.begin, until - self.begin, self.start, self.end)
        setattr(_find(runner.algorithm, self.path), self.name, value)


def _find(model: Any, path: str) -> Any:
    try:
        return model.get_submodule(path)
    except AttributeError as error:
        near = ', '.join(name for name, _ in model.named_children())
        raise ValueError(f'The model has no part {path!r} (its parts: {near}): fix ScheduleHook.attribute.') from error
