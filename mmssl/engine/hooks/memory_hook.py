"""Memories learn after the optimizer's step."""

from typing import Any

from mmengine.hooks import Hook, SyncBuffersHook

from mmssl.functional import world_size
from mmssl.progress import Progress
from mmssl.registry import HOOKS


@HOOKS.register_module()
class MemoryHook(Hook):
    """Lets every memory of the model allocate, prepare, commit or discard, and maintain itself.

    With accumulated gradients it waits for the optimizer's step.

    Args:
        check_interval: Optimizer steps between two comparisons of the memories of all ranks.
        prepare_batch_size: Images at a time where a memory wants the features of the whole training set.
    """

    priority = 'ABOVE_NORMAL'

    def __init__(self, check_interval: int = 1000, prepare_batch_size: int = 256) -> None:
        self.check_interval, self.prepare_batch_size = check_interval, prepare_batch_size

    def before_run(self, runner: Any) -> None:
        """Fit the algorithm and its memories to the training set, before a checkpoint is loaded.

        Raises:
            ValueError: Something does not fit, or another hook would average the memories over the ranks.
        """
        if any(isinstance(hook, SyncBuffersHook) for hook in runner.hooks):
            raise ValueError(
                'SyncBuffersHook averages every buffer, also those of memories: take it out of the config.'
            )
        for part in (runner.algorithm, *runner.algorithm.memories().values()):
            part.seed = runner.seed
        runner.algorithm.allocate(len(runner.train_dataloader.dataset))
        sampler = runner.train_dataloader.batch_sampler.sampler
        if hasattr(sampler, 'read'):
            sampler.read(runner.algorithm.memories())

    def before_train_epoch(self, runner: Any) -> None:
        """Tell memories the epoch, and prepare those that want it."""
        wanting = []
        for memory in runner.algorithm.memories().values():
            memory.begin_epoch(runner.epoch)
            wanting += [memory] if memory.wants_preparation(runner.epoch) else []
        if wanting:
            features = self._features(runner)
            for memory in wanting:
                memory.prepare(features, runner.epoch)
            runner.algorithm.after_preparation(runner.epoch)

    def _features(self, runner: Any) -> Any:
        """Features of the training set without augmentation, in its order: ``(N, D)``."""
        from mmssl.datasets import ImageDataset
        from mmssl.evaluation import extract_features

        trained, model = runner.train_dataloader.dataset, runner.algorithm
        plain = ImageDataset(trained.source, runner.cfg.evaluation.gallery.views, channels=trained.channels)
        workers = runner.train_dataloader.num_workers
        batches = -(-len(plain) // (self.prepare_batch_size * world_size()))
        with Progress(f'Features of {len(plain)} images for the memories', batches) as progress:
            return extract_features(
                model, plain, self.prepare_batch_size, workers, model.bank_features, progress.advance
            ).features

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Commit what was staged since the last step, or discard it where the step was skipped.

        Raises:
            RuntimeError: The memories of the ranks have parted.
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
                    f'{name} holds other values on other ranks at step {step}: resume from the last checkpoint, with '
                    f'randomness.deterministic=True.'
                )
