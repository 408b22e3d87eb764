"""Progress of a run on the console."""

import time
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from mmssl.functional import world_size
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
        self.smoothing = smoothing

    def before_train(self, runner: Any) -> None:
        """Prepare the bar, and log the length of the run."""
        loop = runner.train_loop
        images, drawn = len(loop.dataloader.dataset), loop.max_iters * loop.global_batch_size
        runner.logger.info(
            f'{images:,} images, {loop.max_epochs} epochs of {loop.iters_per_epoch} iterations: each image is seen '
            f'{drawn / images:.3g} times.'
        )
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn('{task.description}'),
            BarColumn(),
            TextColumn('{task.percentage:>3.0f} %'),
            console=self.console,
            transient=True,
            disable=not (is_main_process() and self.console.is_terminal),
        )
        self.task = self.bar.add_task('', total=runner.max_iters, completed=runner.iter)
        self.means: dict[str, float] = {}
        self.ended = self.started = time.perf_counter()
        self.first = runner.iter

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
        done, total = runner.iter + 1, runner.max_iters
        text = self._describe(runner, len(data_batch['sample_idx']) * world_size(), done, total)
        self.bar.update(self.task, completed=done, description=text)
        if is_main_process() and not self.console.is_terminal and done * 20 // total > (done - 1) * 20 // total:
            self.console.print(f'{done * 100 // total:3d} %  {text}', highlight=False, soft_wrap=True)

    def _average(self, name: str, value: float) -> None:
        past = self.means.get(name, value)
        self.means[name] = self.smoothing * past + (1 - self.smoothing) * value

    def _describe(self, runner: Any, images: int, done: int, total: int) -> str:
        left = (self.ended - self.started) / (done - self.first) * (total - done)
        minutes, seconds = divmod(round(left), 60)
        return (
            f'epoch {runner.epoch + 1}/{runner.max_epochs}  loss {self.means["loss"]:.3f}  '
            f'{images / self.means["time"]:.0f} images/s  '
            f'waiting for data {self.means["wait"] / self.means["time"]:.0%}  '
            f'{minutes}:{seconds:02d} left'
        )

    def after_train(self, runner: Any) -> None:
        """Leave the last state of the bar on the terminal."""
        self.bar.live.transient = False
        self.bar.start()
        self.bar.stop()
