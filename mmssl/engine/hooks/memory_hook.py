"""Hook that updates memories after the optimizer's step."""

from collections.abc import Iterator
from typing import Any

from mmengine.hooks import Hook, SyncBuffersHook
from torch import Tensor

from mmssl.evaluation import feature_batches, joined
from mmssl.functional import world_size
from mmssl.progress import Progress
from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import HOOKS


@HOOKS.register_module()
class MemoryHook(Hook):
    """Let every memory of the model allocate, prepare, commit or discard, and maintain itself.

    If gradients are accumulated, it waits for the optimizer's step.

    Args:
        check_interval: Optimizer steps between two comparisons of the memories of all ranks, at least 1.
        prepare_batch_size: Images per rank and batch when a memory needs the features of the whole training set, at
            least 1.
    """

    priority = 'ABOVE_NORMAL'

    def __init__(self, check_interval: int = 1000, prepare_batch_size: int = 256) -> None:
        check_numbers(COUNT, check_interval=check_interval, prepare_batch_size=prepare_batch_size)
        self.check_interval, self.prepare_batch_size = check_interval, prepare_batch_size

    def before_run(self, runner: Any) -> None:
        """Fit the algorithm and its memories to the training set, before a checkpoint is loaded.

        Raises:
            ValueError: Something does not fit, or another hook would average the memories over the ranks.
        """
        if any(isinstance(hook, SyncBuffersHook) for hook in runner.hooks):
            raise ValueError(
                'SyncBuffersHook averages every buffer, including those of memories: remove it from the config.'
            )
        runner.algorithm.allocate(len(runner.train_dataloader.dataset))
        sampler = runner.train_dataloader.batch_sampler.sampler
        if hasattr(sampler, 'read'):
            sampler.read(runner.algorithm.memories())

    def before_train(self, runner: Any) -> None:
        """Let the algorithm look at the training set, after a checkpoint was loaded."""
        runner.algorithm.meet(runner.train_dataloader.dataset)

    def before_train_epoch(self, runner: Any) -> None:
        """Tell memories the epoch, and prepare those that need it."""
        memories = runner.algorithm.memories().values()
        for memory in memories:
            memory.begin_epoch(runner.epoch)
        wanting = [memory for memory in memories if memory.wants_preparation(runner.epoch)]
        for memory in wanting:
            memory.prepare(self._features(runner, memory.prepares_in_batches), runner.epoch)
        if wanting:
            runner.algorithm.after_preparation(runner.epoch)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Pass the learning rate and loss scale of this step to the memories."""
        wrapper = runner.optim_wrapper
        scaler = getattr(wrapper, 'loss_scaler', None)
        for memory in runner.algorithm.memories().values():
            memory.begin_step(wrapper.param_groups[0]['lr'], scaler.get_scale() if scaler else 1.0)

    def _features(self, runner: Any, in_batches: bool) -> Tensor | Iterator[Tensor]:
        """Features of the training set without augmentation, in order, on the CPU: ``(N, D)``, or batches of rows."""
        plain, model = runner.train_dataloader.dataset.plain(), runner.algorithm
        steps = -(-len(plain) // (self.prepare_batch_size * world_size()))
        batches = feature_batches(
            model,
            plain,
            self.prepare_batch_size,
            runner.train_dataloader.num_workers,
            forward=model.embed,
            move_statistics=model.preparation_moves_statistics,
        )
        parts = ((features[:, 0],) for features, *_ in _shown(batches, f'Features of {len(plain)} images', steps))
        return (part for (part,) in parts) if in_batches else joined(parts, len(plain))[0]

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Commit what was staged since the last step, or discard it if the step was skipped.

        Raises:
            RuntimeError: A memory differs between ranks.
        """
        if not runner.optim_wrapper.should_update():
            return
        step = (runner.iter + 1) // runner.accumulative_counts
        for name, memory in runner.algorithm.memories().items():
            if runner.optim_wrapper.stepped:
                memory.commit()
                memory.maintain(step, runner.epoch)
            else:
                memory.discard()
            if step % self.check_interval == 0 and not memory.ranks_agree():
                raise RuntimeError(
                    f'{name} differs between ranks at step {step}: resume from the last checkpoint, with '
                    f'randomness.deterministic=True.'
                )


def _shown(batches: Iterator, title: str, steps: int) -> Iterator:
    """Yield the batches, and advance a progress bar."""
    with Progress(f'{title} for the memories', steps) as progress:
        for batch in batches:
            progress.advance()
            yield batch
