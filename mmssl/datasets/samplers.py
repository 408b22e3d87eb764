"""Which images, in which order, on which rank."""

from collections.abc import Iterator, Mapping, Sized
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info
from torch import nn
from torch.utils.data import Sampler

from mmssl.functional import Stream, hash_seed
from mmssl.registry import DATA_SAMPLERS

Key = tuple[int, int]  # index of the image, number of the draw


@DATA_SAMPLERS.register_module()
class DrawSampler(Sampler):
    """The order of one epoch, the same on every rank, as ``(index, draw)``.

    ``draw = epoch * N + place`` numbers every visit of the run, whatever the batches and the processes.

    Args:
        dataset: Its length counts.
        shuffle: Whether the order is a permutation, new in every epoch; else that of the data set.
        replacement: Whether every place draws anew from all images; an epoch still has N places.
        seed: Of the run; the Runner gives it.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, replacement: bool = False, seed: int | None = 0) -> None:
        self.num_samples = len(dataset)
        self.shuffle, self.replacement, self.seed = shuffle, replacement, seed or 0
        self.epoch = self.start = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0, and begin at its first place."""
        self.epoch, self.start = epoch, 0

    def set_start(self, place: int) -> None:
        """Leave out what was seen of this epoch; call it after :meth:`set_epoch`.

        Args:
            place: Samples that all ranks together have taken.
        """
        self.start = place

    def __iter__(self) -> Iterator[Key]:
        first_draw = self.epoch * self.num_samples
        for place, index in enumerate(self._order()[self.start :].tolist(), start=self.start):
            yield index, first_draw + place

    def __len__(self) -> int:
        """Places left in the epoch."""
        return self.num_samples - self.start

    def _order(self) -> torch.Tensor:
        generator = torch.Generator().manual_seed(hash_seed(self.seed, self.epoch, Stream.EPOCH_ORDER))
        if self.replacement:
            return torch.randint(self.num_samples, (self.num_samples,), generator=generator)
        if self.shuffle:
            return torch.randperm(self.num_samples, generator=generator)
        return torch.arange(self.num_samples)


@DATA_SAMPLERS.register_module()
class ClusterSampler(DrawSampler):
    """Every cluster of a memory gets the same share of an epoch, whatever its size.

    The labels are read from the memory of the running model when an epoch begins, in the process of the training, so
    loading processes that live on need not know them. Small clusters are drawn from with replacement.

    Args:
        dataset: Its length counts.
        seed: Of the run; the Runner gives it.

    Source: DeepCluster, section 3.3 (Caron et al., ECCV 2018), and mmselfsup's sampler.
    """

    def __init__(self, dataset: Sized, seed: int | None = 0) -> None:
        super().__init__(dataset, seed=seed)
        self.memory: nn.Module | None = None

    def read(self, memories: Mapping[str, nn.Module]) -> None:
        """Take the labels of the model's memory of clusters from now on; MemoryHook calls it.

        Args:
            memories: All memories of the model, by name.

        Raises:
            ValueError: None of them holds labels, or its labels change within an epoch: the order that an epoch began
                with would be lost when a run is resumed inside it.
        """
        self.memory = next((memory for memory in memories.values() if hasattr(memory, 'labels')), None)
        if self.memory is None:
            raise ValueError(
                f'ClusterSampler reads the clusters of a ClusterMemory, but the model has {sorted(memories)}: set '
                f'train_dataloader.sampler.type to DrawSampler.'
            )
        if getattr(self.memory, 'online', False):
            raise ValueError(
                'ClusterSampler needs labels that stay for an epoch, but the memory is online: set '
                'train_dataloader.sampler.type to DrawSampler.'
            )

    def _order(self) -> torch.Tensor:
        generator = np.random.default_rng(hash_seed(self.seed, self.epoch, Stream.EPOCH_ORDER))
        labels = self.memory.labels.cpu().numpy()
        share = -(-self.num_samples // len(np.unique(labels)))
        return torch.from_numpy(draw_evenly(labels, share, generator)[: self.num_samples])


@DATA_SAMPLERS.register_module()
class SlidingWindowSampler(DrawSampler):
    """An epoch is a window over one order of the images, and the next one lies a stride further.

    Images come back in the next epochs and then rest, so their rows of a table of classes learn in bursts. At its
    end the order goes on from its beginning: every image is in ``window / stride`` epochs of a sweep. The order and
    the windows follow from seed and epoch, so a resumed run needs nothing saved.

    Args:
        dataset: Its length counts.
        window: Images an epoch.
        stride: Places between the beginnings of two windows.
        seed: Of the run; the Runner gives it.

    Raises:
        ValueError: The window is larger than the data, or the stride than the window.

    Source: PIC (Cao et al., NeurIPS 2020). The released sampler wraps around the window instead of the
    data, and so never leaves the first window.
    """

    def __init__(self, dataset: Sized, window: int = 131072, stride: int = 16384, seed: int | None = 0) -> None:
        super().__init__(dataset, seed=seed)
        if not 1 <= stride <= window <= len(dataset):
            raise ValueError(
                f'A window of {window} images and a stride of {stride} over {len(dataset)} images: set '
                f'train_dataloader.sampler.window to {len(dataset)} or less, and stride to the window or less.'
            )
        self.total, self.num_samples, self.stride = len(dataset), window, stride

    def permutation(self) -> torch.Tensor:
        """The order that windows slide over, the same in all epochs."""
        generator = torch.Generator().manual_seed(hash_seed(self.seed, 0, Stream.WINDOW_ORDER))
        return torch.randperm(self.total, generator=generator)

    def _order(self) -> torch.Tensor:
        places = (self.epoch * self.stride + torch.arange(self.num_samples)) % self.total
        return self.permutation()[places][super()._order()]


def draw_evenly(labels: np.ndarray, share: int, generator: Any) -> np.ndarray:
    """So many samples of every cluster, mixed.

    Args:
        labels: Cluster of each sample, whole numbers, shape ``(N,)``.
        share: Samples a cluster; drawn with replacement where it has no more than that.
        generator: NumPy's ``Generator`` or ``RandomState``.

    Returns:
        Sample numbers, shape ``(share * clusters that have members,)``.
    """
    order = np.argsort(labels, kind='stable')
    members = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    drawn = np.concatenate([generator.choice(some, share, replace=len(some) <= share) for some in members])
    generator.shuffle(drawn)
    return drawn


@DATA_SAMPLERS.register_module()
class RankBatchSampler(Sampler):
    """Cut the global order into global batches, and give each rank its block of every one.

    The blocks are contiguous: joined in the order of the ranks, they are the batch of one process.

    Args:
        sampler: Gives the global order, the same on every rank.
        batch_size: Samples a rank and batch.
        drop_last: Whether to leave out the last, smaller global batch. Otherwise its samples are shared out, the first
            ranks taking one more; where there are fewer than ranks, they are repeated until each has one.

    Raises:
        ValueError: ``drop_last`` would leave nothing.
    """

    def __init__(self, sampler: DrawSampler, batch_size: int, drop_last: bool = True) -> None:
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last
        self.rank, self.world_size = get_dist_info()
        samples = len(sampler)
        if drop_last and samples < self._global_size:
            works = samples // self.world_size
            fix = f'train_dataloader.batch_size={works} or less' if works else f'{samples} processes or fewer'
            raise ValueError(
                f'{samples} samples do not fill one batch of {batch_size} on each of {self.world_size} processes: use '
                f'{fix}, or train_dataloader.batch_sampler.drop_last=False.'
            )

    @property
    def _global_size(self) -> int:
        return self.batch_size * self.world_size

    def __iter__(self) -> Iterator[list[Key]]:
        batch: list[Key] = []
        for key in self.sampler:
            batch.append(key)
            if len(batch) == self._global_size:
                yield self._block(batch)
                batch = []
        if batch and not self.drop_last:
            yield self._block(batch)

    def __len__(self) -> int:
        """Batches left in the epoch."""
        missing = 0 if self.drop_last else self._global_size - 1
        return (len(self.sampler) + missing) // self._global_size

    def _block(self, batch: list[Key]) -> list[Key]:
        while len(batch) < self.world_size:
            batch = (batch + batch)[: self.world_size]
        share, more = divmod(len(batch), self.world_size)
        start = self.rank * share + min(self.rank, more)
        return batch[start : start + share + (self.rank < more)]
