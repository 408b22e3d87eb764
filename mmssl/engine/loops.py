"""Training loop over epochs, which can start inside an epoch."""

import logging
import os
import signal
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.runner import BaseLoop
from torch import Tensor, nn

from mmssl.datasets.listing import printable
from mmssl.engine.budget import TimeBudget
from mmssl.engine.finite import FiniteStatistics
from mmssl.engine.optimizers import NonFiniteLossError
from mmssl.functional import hash_seed, rank, seed_cpu, sum_over_ranks, world_size
from mmssl.ranges import COUNT, NOT_NEGATIVE, POSITIVE, SHARE, check_given, check_numbers
from mmssl.registry import LOOPS

EPOCHS_IF_UNLIMITED = 100  # schedules with lengths in epochs read them as percent of the time
_UNLIMITED = 1_000_000  # epochs; a number, since MMEngine computes with it
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_NONE = torch.empty(0, dtype=torch.int64)
_NAMED = 10  # images with warnings that a log names


@LOOPS.register_module()
class EpochLoop(BaseLoop):
    """Loop over epochs of whole optimizer steps, which can start anywhere inside an epoch.

    Before each iteration the generators are seeded from ``(seed, iteration, rank)``, so a resumed run draws what an
    uninterrupted run would have drawn. SIGINT (Ctrl-C), SIGTERM or SIGUSR1 on any rank
    saves a checkpoint and ends the run on all ranks; a second SIGINT ends the process at once.

    With ``minutes``, the run ends when that time is over, in the middle of an epoch if need be, and all schedules are
    stretched or shortened to it: they follow :attr:`share_done` instead of the number of steps. A run that is resumed
    goes on with the time that it had left; ``minutes`` may be raised before.

    Args:
        runner: The runner.
        dataloader: Data loader with a :class:`~mmssl.datasets.RankBatchSampler`, or its config.
        max_epochs: Number of epochs of the run, at least 1.
        max_iters: Number of iterations of the run, rounded down to whole optimizer steps, at least 1; its last epoch
            ends with them. Trainings on sets of different sizes are compared at the same number of iterations. Of
            several limits, the one that is reached first ends the run.
        minutes: Wall-clock time of the training, including what is done between epochs, above 0; None for as long as
            ``max_epochs`` or ``max_iters`` take.
        seconds_spent: How much of ``minutes`` was over before the training began: a command that promises a time gives
            here what has passed since its own start, at least 0. A resumed run remembers its own.
        seconds_after: How much of ``minutes`` the command needs after the training, to measure and report, at least 0.
        max_unreadable: Maximum share of unreadable images among those that all ranks have drawn, 0 to 1.

    Raises:
        ValueError: No limit is given, or an optimizer step takes more iterations than an epoch or the run has.

    Attributes:
        max_epochs: Number of epochs, the last of which may be incomplete.
        planned_epochs: The same as a fraction, which schedules with lengths in epochs end with.
        stop_training: Set it to end the run after the current iteration.
        by_ctrl_c: Whether this process has received SIGINT while it trained.
        samples_seen: Number of draws that all ranks together have made in the current epoch.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Any,
        max_epochs: int | None = None,
        max_unreadable: float = 0.01,
        minutes: float | None = None,
        seconds_spent: float = 0.0,
        seconds_after: float = 0.0,
        max_iters: int | None = None,
    ) -> None:
        check_given(COUNT, max_epochs=max_epochs, max_iters=max_iters)
        check_numbers(SHARE, max_unreadable=max_unreadable)
        check_given(POSITIVE, minutes=minutes)
        check_numbers(NOT_NEGATIVE, seconds_spent=seconds_spent, seconds_after=seconds_after)
        super().__init__(runner, dataloader)
        if max_epochs is None and max_iters is None and minutes is None:
            raise ValueError('train_cfg has neither max_epochs, max_iters nor minutes: set one of them, or several.')
        self.budget = None if minutes is None else TimeBudget(minutes * 60, seconds_spent, seconds_after)
        self._steps = len(self.dataloader) // runner.accumulative_counts
        for name, length in (('an epoch', len(self.dataloader)), ('the run', max_iters)):
            if length is not None and length < runner.accumulative_counts:
                raise ValueError(
                    f'optim_wrapper.accumulative_counts is {runner.accumulative_counts}, but {name} has '
                    f'{length} batches: set it to {length} or less.'
                )
        self.max_unreadable = max_unreadable
        self._set_length(max_epochs, max_iters)
        self._epoch, self._iter, self.samples_seen = 0, 0, 0
        self.stop_training, self._interrupted, self.by_ctrl_c = False, False, False
        self._seen = self._unreadable = 0
        self._warned: set[int] = set()
        self.val_begin, self.val_interval = 1, 1  # MMEngine's hooks read them

    def _set_length(self, max_epochs: int | None, max_iters: int | None) -> None:
        """Set the number of epochs and optimizer steps to the smaller of both limits."""
        self.max_epochs = _UNLIMITED if max_epochs is None else int(max_epochs)
        self.planned_epochs: float = EPOCHS_IF_UNLIMITED if max_epochs is None else self.max_epochs
        self._max_steps = self.max_epochs * self._steps
        if max_iters is not None and max_iters // self.runner.accumulative_counts < self._max_steps:
            self._max_steps = max_iters // self.runner.accumulative_counts
            self.planned_epochs = self._max_steps / self._steps
            self.max_epochs = -(-self._max_steps // self._steps)

    @property
    def epoch(self) -> int:
        """Number of the current epoch, from 0."""
        return self._epoch

    @property
    def iter(self) -> int:
        """Number of iterations (micro-batches) done in the whole run."""
        return self._iter

    @property
    def iters_per_epoch(self) -> int:
        """Iterations per epoch; batches that would not fill an accumulated step are dropped."""
        return self._steps * self.runner.accumulative_counts

    @property
    def max_iters(self) -> int:
        """Number of iterations of the whole run; with ``minutes``, as many as are expected now."""
        if self.budget and self.budget.steps_expected:
            return self._iter + round(self.budget.steps_expected * self.runner.accumulative_counts)
        return self._max_steps * self.runner.accumulative_counts

    @property
    def share_done(self) -> float:
        """Share of the run that is over, 0 to 1: of its time, or of its steps."""
        if self.budget:
            return self.budget.share
        return (self._iter // self.runner.accumulative_counts) / self._max_steps

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended the run before its last epoch."""
        return self._interrupted

    def progress(self) -> dict[str, Any]:
        """Return the position in the run, as stored in checkpoints."""
        iterations = self.samples_seen // self.global_batch_size
        epochs, iterations = divmod(self._epoch * self.iters_per_epoch + iterations, self.iters_per_epoch)
        return {'epoch': epochs, 'samples_seen': iterations * self.global_batch_size, **self._size, **self._time}

    def restore(self, progress: dict[str, Any]) -> None:
        """Continue from a position returned by :meth:`progress`.

        Raises:
            ValueError: The data set, the global batch size or a file that the sampler reads differs, so the order of
                the images could not continue.
        """
        for name, now in self._size.items():
            if progress.get(name) != now:
                raise ValueError(
                    f'The checkpoint was made with {name.replace("_", " ")} {progress.get(name)}, but it is now {now}: '
                    f'resume with the same data, and with train_dataloader.batch_size x processes as before.'
                )
        self._epoch, self.samples_seen = progress['epoch'], progress['samples_seen']
        self._iter = self._epoch * self.iters_per_epoch + self.samples_seen // self.global_batch_size
        if self.budget and 'time' in progress:
            self.budget.load_state_dict(progress['time'])

    @property
    def _time(self) -> dict[str, Any]:
        return {'time': self.budget.state_dict()} if self.budget else {}

    @property
    def global_batch_size(self) -> int:
        """Images per iteration, over all ranks."""
        return self.dataloader.batch_sampler.batch_size * world_size()

    @property
    def _size(self) -> dict[str, Any]:
        size = {'num_samples': len(self.dataloader.dataset), 'global_batch_size': self.global_batch_size}
        fingerprint = getattr(self.dataloader.batch_sampler.sampler, 'fingerprint', None)  # of files that it reads
        return size if fingerprint is None else {**size, 'sampler_fingerprint': fingerprint}

    def run(self) -> nn.Module:
        """Train to the end, or until a stop is requested."""
        handlers = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            if self.budget:
                self.budget.start()
            self.runner.call_hook('before_train')
            if self.budget:
                self.budget.leave_out()
            _ = self._statistics  # they are read here, before the first step
            while self._epoch < self.max_epochs and not self.stop_training and not self._is_over:
                self._run_epoch()
            self._count_warnings()
            self.runner.call_hook('after_train')
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return self.runner.model

    @property
    def _is_over(self) -> bool:
        """Whether the time or the number of iterations is reached; the last epoch need not be complete."""
        return self.share_done >= 1

    def _on_signal(self, number: int, *_: Any) -> None:
        if number == signal.SIGINT:
            if self.by_ctrl_c:
                os._exit(128 + signal.SIGINT)  # no cleaning up, which could wait; checkpoints are written atomically
            self.by_ctrl_c = True
        self._interrupted = True

    def _run_epoch(self) -> None:
        self.runner.call_hook('before_train_epoch')
        if self.budget:
            self.budget.begin_epoch()
        self.runner.model.train()
        for batch_idx, data_batch in self._batches():
            self._run_iter(batch_idx, data_batch)
            if self.stop_training and batch_idx + 1 < self.iters_per_epoch:
                return
            if self._is_over:
                self.max_epochs = self._epoch + 1  # hooks see that this epoch is the last
                break
        self.runner.call_hook('after_train_epoch')
        if self.samples_seen < self.iters_per_epoch * self.global_batch_size:
            return
        self._epoch, self.samples_seen = self._epoch + 1, 0

    def _batches(self) -> Iterator[tuple[int, dict]]:
        sampler = self.dataloader.batch_sampler.sampler
        sampler.set_epoch(self._epoch)
        sampler.set_start(self.samples_seen)
        first = self.samples_seen // self.global_batch_size
        yield from zip(range(first, self.iters_per_epoch), self.dataloader)

    def _run_iter(self, batch_idx: int, data_batch: dict) -> None:
        hooks = {'batch_idx': batch_idx, 'data_batch': data_batch}
        self.runner.call_hook('before_train_iter', **hooks)
        _seed_iteration(self.runner.seed, self._iter)
        try:
            outputs = self.runner.model.train_step(data_batch, optim_wrapper=self.runner.optim_wrapper)
        except NonFiniteLossError as error:
            raise NonFiniteLossError(self._describe(data_batch, str(error))) from error
        self._restore_statistics()
        self.samples_seen += self.global_batch_size
        self._agree(data_batch)
        self.runner.call_hook('after_train_iter', **hooks, outputs=outputs)
        self._iter += 1

    def _agree(self, data_batch: dict) -> None:
        """Sum over all ranks the numbers of unreadable images and of signals to stop."""
        bad = data_batch.get('unreadable', _NONE)
        for index in bad[bad >= 0].tolist():
            name, why = self._name(index), self._reason(index)
            print_log(f'{name} cannot be read; another image took its place{why}.', 'current', logging.WARNING)
        self._note_warnings(data_batch.get('warned', _NONE))
        mine = [len(data_batch['sample_idx']), int((bad >= 0).sum()), int(self._interrupted), self._steps_left()]
        noticed = sum_over_ranks(torch.tensor(mine).to(_device(self.runner.model)))
        seen, unreadable, interrupted, steps_left = noticed.tolist()
        if steps_left:
            self._spend_step(steps_left)
        self._seen, self._unreadable = self._seen + seen, self._unreadable + unreadable
        self._refuse_too_many_unreadable()
        if interrupted and self.runner.optim_wrapper.should_update():  # between steps: no gradient is lost
            self._interrupted = self.stop_training = True

    def _steps_left(self) -> int:
        """Thousandths of steps left, the one that ends now included: rank 0 says it; 0 on others and within steps."""
        if self.budget is None or not self.runner.optim_wrapper.should_update():
            return 0
        left = self.budget.end_step(self._steps)  # all ranks watch the time; one decides
        done = self._iter // self.runner.accumulative_counts
        return 0 if rank() else max(round(1000 * min(left, self._max_steps - done)), 1)

    def _spend_step(self, thousandths: int) -> None:
        assert self.budget is not None
        slower = self.budget.spend_step(thousandths / 1000)
        if slower:
            print_log(slower, 'current', logging.WARNING)

    def _refuse_too_many_unreadable(self) -> None:
        # The first 1,000 images may include more bad ones than that share; a single one never stops the run.
        if self._unreadable > max(self.max_unreadable * max(self._seen, 1000), 1):
            raise ValueError(
                f'{self._unreadable} of {self._seen} images could not be read, more than {self.max_unreadable:.0%}: '
                f'fix or remove the files named in the log, or set train_cfg.max_unreadable.'
            )

    def _restore_statistics(self) -> None:
        """Where steps may be skipped, keep what a skipped one has put into the statistics of batch norm out of them."""
        wrapper = self.runner.optim_wrapper
        if self._statistics and wrapper.should_update():
            if wrapper.stepped:
                self._statistics.keep()
            else:
                self._statistics.restore()

    @cached_property
    def _statistics(self) -> FiniteStatistics | None:
        """Statistics before the first step; None where no step is skipped."""
        skips = getattr(self.runner.optim_wrapper, 'on_nonfinite', 'stop') == 'skip'
        return FiniteStatistics(self.runner.algorithm) if skips else None

    def _describe(self, data_batch: dict, what: str) -> str:
        samples = data_batch['sample_idx'].tolist()
        shown = ', '.join(map(self._name, samples[:8]))
        return (
            f'{what} at iteration {self._iter} (epoch {self._epoch}); the batch of rank {rank()} held '
            f'{len(samples)} samples, first {shown}. Lower the learning rate, or set '
            f"optim_wrapper.on_nonfinite='skip' to skip such steps."
        )

    def _reason(self, index: int) -> str:
        reason = getattr(self.dataloader.dataset, 'reason', lambda _: '')(index)
        return f' ({printable(reason)})' if reason else ''

    def _note_warnings(self, warned: Tensor) -> None:
        """Name the first images whose files Pillow warns of; the end of the run says how many there were."""
        for index in set(warned[warned >= 0].tolist()) - self._warned:
            self._warned.add(index)
            if len(self._warned) <= _NAMED:
                sentence = f'{self._name(index)} is read, but Pillow warns of it: it may be damaged.'
                print_log(sentence, 'current', logging.WARNING)

    def _count_warnings(self) -> None:
        if self._warned:
            print_log(
                f'Pillow warned of {len(self._warned)} images, which may be damaged: '
                'tools/dataset_tools/verify_images.py says what is wrong.', 'current', logging.WARNING,
            )  # fmt: skip

    def _name(self, index: int) -> str:
        """Name of an image for messages; a user's data set may have no names."""
        return printable(getattr(self.dataloader.dataset, 'name', 'sample {}'.format)(index))


def _seed_iteration(seed: int, iteration: int) -> None:
    """Seed randomness that belongs to no image, such as dropout, from ``(seed, iteration, rank)``."""
    number = hash_seed(seed, iteration, rank())
    seed_cpu(number)
    if torch.cuda.is_available():
        torch.cuda.manual_seed(number)


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
