"""Wall-clock time of a training, and how much of the training is over."""

import time
from collections.abc import Callable
from typing import Any

_SMOOTHING = 0.8  # weight of the past in the running mean of step times
_FIRST_STEPS = 5  # the first steps are slow, and say nothing of the machine's speed
_MUCH_SLOWER = 2.0
_SLOW_STEPS = 5  # in a row, until the running mean has followed them


class TimeBudget:
    """Time that a training may take; each step moves it on by what is left, divided by the steps that still fit.

    So the share that is over grows evenly while the speed stays the same, and it reaches 1 when the time is over,
    whatever happens to the speed.

    Args:
        seconds: Time that may be spent.
        spent: Seconds of it that were over before.
        after: Seconds that the work after the last step will take, at the speed of the first steps.
        now: Clock, in seconds.

    Attributes:
        share: Share of the training that is over, 0 to 1.
        steps: Number of steps since this process began.
        steps_expected: Number of steps that are expected to follow; 0 before the first.
    """

    def __init__(
        self, seconds: float, spent: float = 0.0, after: float = 0.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds, self.share, self._before, self._after, self._now = seconds, 0.0, spent, after, now
        self._step = self._between = self._usual = 0.0
        self.steps, self._slow, self._told = 0, 0, False
        self.steps_expected = 0.0
        self.start()

    def start(self) -> None:
        """Start the clock."""
        self._started = self._last = self._now()

    def leave_out(self) -> None:
        """Count what has passed since the last step as time, but neither for a step nor for the work of an epoch."""
        self._last = self._now()

    def begin_epoch(self) -> None:
        """Note that the work between two epochs is done."""
        now = self._now()
        self._between, self._last = now - self._last, now

    @property
    def spent(self) -> float:
        """Seconds spent, over all sessions of the run."""
        return self._before + self._now() - self._started

    @property
    def left(self) -> float:
        """Seconds left for steps and what is done between epochs; the work after the last step is set aside."""
        slower = max(self._step / self._usual, 1.0) if self._usual else 1.0
        return self.seconds - self.spent - self._between - self._after * slower

    def end_step(self, steps_per_epoch: int) -> float:
        """Note that a step has ended.

        Args:
            steps_per_epoch: Number of steps of an epoch.

        Returns:
            The number of steps that fit into the time left, this one included.
        """
        now = self._now()
        taken, self._last = now - self._last, now
        # the mean of all steps at first, so that a slow first one is soon forgotten
        weight = max(1 - _SMOOTHING, 1 / max(self.steps, 1))
        self._step += weight * (taken - self._step)
        self.steps += 1
        return 1 + max(self.left, 0.0) / max(self._step + self._between / steps_per_epoch, 1e-9)

    def spend_step(self, left: float) -> str | None:
        """Move on by one step.

        Args:
            left: Steps left, this one included; from the first process, so that all agree.

        Returns:
            A sentence, once, if the machine has become much slower than at the start.
        """
        self.steps_expected = left - 1
        self.share = 1.0 if left < 1.5 else self.share + (1 - self.share) / left
        if self.steps == _FIRST_STEPS:
            self._usual = self._step
        slower = self._usual and self._step >= _MUCH_SLOWER * self._usual
        self._slow = self._slow + 1 if slower else 0
        if self._told or self._slow < _SLOW_STEPS:
            return None
        self._told = True
        return (
            f'A step now takes {self._step:.2g} s instead of {self._usual:.2g}: about {left - 1:.0f} more steps fit '
            f'into the {max(self.left, 0) / 60:.2g} minutes left, and the schedules are shortened to them.'
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {'share': self.share, 'spent': self.spent}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the interrupted run ended.

        Args:
            state: From :meth:`state_dict`.
        """
        self.share, self._before = state['share'], state['spent']
