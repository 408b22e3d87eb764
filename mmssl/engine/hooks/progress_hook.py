"""Progress of a run on the console."""

import time
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from mmssl.functional import world_size
from mmssl.ranges import SHARE, check_numbers
from mmssl.registry import HOOKS


@HOOKS.register_module()
class ProgressHook(Hook):
    """Show a bar with epoch, loss, images per second, the share of time spent waiting for data, and the time left.

    The log says at the start how often each image will be drawn: methods that store something for every image need many
    draws. If the output is not a terminal, a line is printed for each twentieth of the run.

    Args:
        smoothing: Weight of the past in the running means of loss and times, 0 to 1.
    """

    priority = 'LOWEST'

    def __init__(self, smoothing: float = 0.9) -> None:
        check_numbers(SHARE, smoothing=smoothing)
        self.smoothing = smoothing

    def before_train(self, runner: Any) -> None:
        """Prepare the bar, and log the length of the run."""
        loop = runner.train_loop
        runner.logger.info(_describe_run(loop))
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn('{task.description}'),
            BarColumn(),
            TextColumn('{task.percentage:>3.0f} %'),
            console=self.console,
            transient=True,
            disable=not (is_main_process() and self.console.is_terminal),
        )
        self.task = self.bar.add_task('', total=1.0, completed=loop.share_done)
        self.means: dict[str, float] = {}
        self.ended = self.started = time.perf_counter()
        self.first = self.share = loop.share_done

    def before_train_epoch(self, runner: Any) -> None:
        """Show the bar; time between epochs does not count as waiting for data."""
        self.bar.start()
        self.ended = time.perf_counter()

    def after_train_epoch(self, runner: Any) -> None:
        """Stop the bar, so that work between epochs can show its own."""
        self.bar.stop()

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Note when the data arrived."""
        self.arrived = time.perf_counter()

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Advance the bar, or print a line from time to time."""
        now = time.perf_counter()
        self._average('wait', self.arrived - self.ended)
        self._average('time', now - self.ended)
        self._average('loss', float(outputs['loss'].detach()))
        self.ended = now
        before, self.share = self.share, _share(runner)
        text = self._describe(runner, len(data_batch['sample_idx']) * world_size())
        self.bar.update(self.task, completed=self.share, description=text)
        if is_main_process() and not self.console.is_terminal and _parts(self.share, 20) > _parts(before, 20):
            self.console.print(f'{_parts(self.share, 100):3d} %  {text}', highlight=False, soft_wrap=True)

    def _average(self, name: str, value: float) -> None:
        past = self.means.get(name, value)
        self.means[name] = self.smoothing * past + (1 - self.smoothing) * value

    def _describe(self, runner: Any, images: int) -> str:
        budget = runner.train_loop.budget
        left = (self.ended - self.started) / max(self.share - self.first, 1e-9) * (1 - self.share)
        if budget:  # that time is over earlier if the maximum of epochs is reached, or the machine becomes slower
            left = min(left, max(budget.left, 0.0))
        minutes, seconds = divmod(round(left), 60)
        epochs = '' if budget else f'/{runner.max_epochs}'
        return (
            f'epoch {runner.epoch + 1}{epochs}  loss {self.means["loss"]:.3f}  '
            f'{images / self.means["time"]:.0f} images/s  '
            f'waiting for data {self.means["wait"] / self.means["time"]:.0%}  '
            f'{minutes}:{seconds:02d} left'
        )

    def after_train(self, runner: Any) -> None:
        """Leave the last state of the bar on the terminal."""
        self.bar.live.transient = False
        self.bar.start()
        self.bar.stop()


def _share(runner: Any) -> float:
    """Share of the run that is over after the current iteration, 0 to 1."""
    loop = runner.train_loop
    return loop.share_done if loop.budget else (runner.iter + 1) / runner.max_iters


def _parts(share: float, parts: int) -> int:
    return int(share * parts + 1e-9)  # 29 of 100 are 29, not 28.999


def _describe_run(loop: Any) -> str:
    images, drawn = len(loop.dataloader.dataset), loop.max_iters * loop.global_batch_size
    if loop.budget:
        minutes = max(loop.budget.left, 0.0) / 60
        return (
            f'{images:,} images, {minutes:.1f} minutes left, epochs of {loop.iters_per_epoch} iterations: as many as '
            'the time allows.'
        )
    length = f'{loop.max_epochs} epochs of {loop.iters_per_epoch} iterations'
    if loop.max_iters < loop.max_epochs * loop.iters_per_epoch:
        length = f'{loop.max_iters:,} iterations in epochs of {loop.iters_per_epoch}'
    return f'{images:,} images, {length}: each image is seen {drawn / images:.3g} times.'
