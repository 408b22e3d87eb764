"""Base class of hooks that measure the network from time to time."""

import time
from abc import abstractmethod
from typing import Any

import torch
from mmengine.hooks import Hook

from mmssl.functional import broadcast
from mmssl.ranges import COUNT, NOT_NEGATIVE, check_numbers


class MonitorHook(Hook):
    """Measure the network before the first epoch, after every ``interval``-th, and after the last.

    All measurements together, with their preparation and one for the end, take at most ``share`` of the time since the
    start. If the next one would take more, it is postponed to a later epoch; the clock of the first process decides for
    all processes. The first and the last measurement always take place. Measurements do not change the training, so a
    resumed run may measure after other epochs and still gives the same bits.

    The state of a monitor, including time and alarms, is in its ``state_dict``, which the Runner saves and restores.

    Args:
        interval: Epochs between two measurements, at least 1.
        share: Maximum share of the time that measurements may take, at least 0.

    Attributes:
        name: Name in the log: ``<name>_seconds`` is the duration of a measurement.
        first_judged: Iterations before which a collapse is not warned of: many networks first move their features close
            together, and spread them later.
    """

    priority = 'BELOW_NORMAL'
    name: str
    first_judged = 500

    def __init__(self, interval: int = 1, share: float = 0.02) -> None:
        check_numbers(COUNT, interval=interval)
        check_numbers(NOT_NEGATIVE, share=share)
        self.interval, self.share = interval, share
        self.alarms: dict[str, int] = {}
        self.seconds = self.spent = self.elapsed = 0.0
        self.started = time.perf_counter()
        self.wait_logged = False

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs, as plain types and tensors: the time spent and the active alarms."""
        return {
            'alarms': dict(self.alarms),
            'seconds': self.seconds,
            'spent': self.spent,
            'elapsed': time.perf_counter() - self.started,
            'wait_logged': self.wait_logged,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state returned by :meth:`state_dict`; called before the training continues."""
        self.alarms = dict(state['alarms'])
        self.seconds, self.spent, self.elapsed = state['seconds'], state['spent'], state['elapsed']
        self.wait_logged = state['wait_logged']

    def before_train(self, runner: Any) -> None:
        """Prepare, and measure the untrained network."""
        now = time.perf_counter()
        self.started = now - self.elapsed  # as if the run had not been interrupted
        self.active = self.prepare(runner)
        self.spent += time.perf_counter() - now
        if self.active and runner.iter == 0:
            self._look(runner, 0)

    def after_train_epoch(self, runner: Any) -> None:
        """Measure if it is due."""
        epoch = runner.epoch + 1
        if not self.active:
            return
        if epoch == runner.max_epochs or (epoch % self.interval == 0 and self._affordable(runner, epoch)):
            self._look(runner, epoch)

    @abstractmethod
    def prepare(self, runner: Any) -> bool:
        """Prepare; return whether there is anything to measure, the same on every rank."""

    @abstractmethod
    def look(self, runner: Any, epoch: int) -> dict[str, float]:
        """Measure, and warn the user if necessary; runs on every rank.

        Args:
            runner: The runner.
            epoch: Number of epochs done.

        Returns:
            Scalars for the logs, the same on every rank.
        """

    def warn(self, runner: Any, epoch: int, subject: str, warning: str | None) -> None:
        """Log a warning of two consecutive measurements, or of the last one, once until it clears.

        A single measurement may happen while the running statistics of batch norm lag behind the weights.

        Args:
            runner: The runner.
            epoch: Number of epochs done.
            subject: Name of the alarm; each has its own count.
            warning: Text of the warning; None if nothing is wrong.
        """
        seen = self.alarms.get(subject, 0) + 1 if warning else 0
        self.alarms[subject] = seen
        if seen == 2 or (seen == 1 and epoch == runner.max_epochs):
            runner.logger.warning(f'Epoch {epoch}: {warning}')

    def at_start(self, runner: Any, name: str, value: float) -> float:
        """The first measured value of a scalar, which a checkpoint keeps; the value now if it is the first.

        Args:
            runner: The runner.
            name: Name in the log, without ``val/``.
            value: The value now.
        """
        history = runner.message_hub.log_scalars
        return float(history[f'val/{name}'].data[0][0]) if f'val/{name}' in history else value

    def _affordable(self, runner: Any, epoch: int) -> bool:
        passed = time.perf_counter() - self.started
        needed = self.spent + 2 * self.seconds  # this measurement and the last one
        cheap = torch.tensor(needed <= self.share * passed, device=next(runner.model.parameters()).device)
        affordable = bool(broadcast(cheap.int(), 0))
        if not affordable and not self.wait_logged:
            self.wait_logged = True
            runner.logger.info(
                f'{type(self).__name__} waits at epoch {epoch}: with a measurement now and one at the end, its '
                f'measurements would take {needed:.2g} s, more than {self.share:.1%} of the {passed:.2g} s since the '
                'start. Raise its share, or give it fewer images, to measure more often.'
            )
        return affordable

    def _look(self, runner: Any, epoch: int) -> None:
        start = time.perf_counter()
        found = self.look(runner, epoch)
        self.seconds = time.perf_counter() - start
        self.spent += self.seconds
        for key, value in found.items():
            runner.message_hub.update_scalar(f'val/{key}', value)
        seconds = {f'{self.name}_seconds': round(self.seconds, 4)}
        runner.visualizer.add_scalars({**found, **seconds, 'epoch': epoch}, step=runner.iter)
