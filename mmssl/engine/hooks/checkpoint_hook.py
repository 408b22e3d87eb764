"""Hook that saves checkpoints and deletes old ones."""

import shutil
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from mmssl.checkpoint import CheckpointError, delete_checkpoint, megabytes
from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import HOOKS


@HOOKS.register_module()
class CheckpointHook(Hook):
    """Save a checkpoint every ``interval`` epochs or steps, at the end, and when a signal ends the run.

    A new checkpoint is complete before an old one is deleted. Only checkpoints of this run are deleted.

    Args:
        interval: Epochs or optimizer steps between two checkpoints, at least 1.
        by_epoch: Whether ``interval`` counts epochs.
        max_keep_ckpts: Number of newest checkpoints to keep, at least 1; -1 keeps all.
    """

    priority = 'VERY_LOW'

    def __init__(self, interval: int = 1, by_epoch: bool = True, max_keep_ckpts: int = 3) -> None:
        check_numbers(COUNT, interval=interval)
        if max_keep_ckpts != -1:
            check_numbers(COUNT, max_keep_ckpts=max_keep_ckpts)
        self.interval, self.by_epoch, self.max_keep_ckpts = interval, by_epoch, max_keep_ckpts

    def before_train(self, runner: Any) -> None:
        """Refuse a disk on which not even one checkpoint fits.

        Raises:
            CheckpointError: The disk is full.
        """
        needed, free = _expected_bytes(runner), shutil.disk_usage(runner.work_dir).free
        if free < needed:
            raise CheckpointError(
                f'A checkpoint takes about {megabytes(needed)}, but {megabytes(free)} are free in {runner.work_dir}: '
                'make room, or give another folder with --work-dir.'
            )

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Save after every ``interval``-th step of the optimizer."""
        step, rest = divmod(runner.iter + 1, runner.accumulative_counts)
        if not self.by_epoch and not rest and step % self.interval == 0:
            self._save(runner, f'iter_{runner.iter + 1}.pth')

    def after_train_epoch(self, runner: Any) -> None:
        """Save after every ``interval``-th epoch, and after the last."""
        last = runner.epoch + 1 == runner.max_epochs
        if last or (self.by_epoch and (runner.epoch + 1) % self.interval == 0):
            self._save(runner, f'epoch_{runner.epoch + 1}.pth')

    def after_train(self, runner: Any) -> None:
        """Save if a signal ended the run."""
        if runner.train_loop.interrupted:
            self._save(runner, f'iter_{runner.iter}.pth')
            runner.logger.info(f'Ended by a signal at iteration {runner.iter}: continue with --resume.')

    def _save(self, runner: Any, name: str) -> None:
        folder, hub = Path(runner.work_dir), runner.message_hub
        kept = [old for old in hub.get_info('kept_checkpoints', []) if old != name] + [name]
        old, kept = (
            (kept[: -self.max_keep_ckpts], kept[-self.max_keep_ckpts :]) if self.max_keep_ckpts > 0 else ([], kept)
        )
        # The file itself says which are to be deleted after it: a run that ends in between leaves them to the next.
        left = [stale for stale in hub.get_info('dropped_checkpoints', []) if stale not in kept]
        hub.update_info('kept_checkpoints', kept)
        hub.update_info('dropped_checkpoints', old)
        runner.save_checkpoint(str(folder), name)
        if is_main_process():
            try:
                (folder / 'last_checkpoint').write_text(str(folder / name))
                for stale in (*left, *old):
                    delete_checkpoint(folder / stale)
            except OSError as error:  # the new checkpoint is whole, so the run goes on
                runner.logger.warning(f'Older checkpoints in {folder} could not be deleted ({error}).')


def _expected_bytes(runner: Any) -> int:
    """Size of the model's state, and of what its optimizer keeps per weight: one number, or two as Adam does."""
    state = sum(tensor.nbytes for tensor in runner.algorithm.state_dict().values())
    trained = sum(parameter.nbytes for parameter in runner.algorithm.parameters() if parameter.requires_grad)
    return state + trained * (2 if 'betas' in runner.optim_wrapper.param_groups[0] else 1)
