"""Samplers: which images are drawn, in which order, and on which rank."""

import math
from collections.abc import Iterator, Mapping, Sized
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info
from torch import nn
from torch.utils.data import Sampler

from mmssl.functional import Stream, hash_seed
from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import DATA_SAMPLERS

Key = tuple[int, int]  # sample index, number of the draw


@DATA_SAMPLERS.register_module()
class DrawSampler(Sampler):
    """Order of an epoch as pairs ``(index, draw)``, the same on every rank.

    ``draw = epoch * N + place`` numbers all draws of the run, independently of batches and processes.

    Args:
        dataset: Data set; only its length is used.
        shuffle: Whether the order is a new permutation in every epoch; otherwise it is that of the data set.
        replacement: Whether every place is drawn anew from all images; an epoch still has N places.
        seed: Seed of the run; set by the Runner.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, replacement: bool = False, seed: int | None = 0) -> None:
        self.num_samples = len(dataset)
        self.shuffle, self.replacement, self.seed = shuffle, replacement, seed or 0
        self.epoch = self.start = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, from 0, and start at its first place."""
        self.epoch, self.start = epoch, 0

    def set_start(self, place: int) -> None:
        """Skip the places of this epoch that were already drawn; call after :meth:`set_epoch`.

        Args:
            place: Number of places that all ranks together have drawn.
        """
        self.start = place

    def set_batch_size(self, batch_size: int) -> None:
        """Called by :class:`RankBatchSampler`; a sampler whose order depends on the batches keeps the number.

        Args:
            batch_size: Images per batch of all ranks together.
        """

    def __iter__(self) -> Iterator[Key]:
        first_draw = self.epoch * self.num_samples
        for place, index in enumerate(self._order()[self.start :].tolist(), start=self.start):
            yield index, first_draw + place

    def __len__(self) -> int:
        """Number of places left in the epoch."""
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
    """Sampler that gives every cluster of a memory the same share of an epoch, whatever its size.

    When an epoch begins, the training process reads the labels from the memory of the model, so persistent workers need
    not know them. Images of small clusters are drawn with replacement.

    Args:
        dataset: Data set; only its length is used.
        seed: Seed of the run; set by the Runner.

    Source: DeepCluster, section 3.3 (Caron et al., ECCV 2018), and mmselfsup's sampler.
    """

    def __init__(self, dataset: Sized, seed: int | None = 0) -> None:
        super().__init__(dataset, seed=seed)
        self.memory: Any = None

    def read(self, memories: Mapping[str, nn.Module]) -> None:
        """Read the labels of the model's cluster memory from now on; called by MemoryHook.

        Args:
            memories: All memories of the model by name.

        Raises:
            ValueError: No memory holds labels, or its labels change within an epoch, so that a run resumed inside an
                epoch could not restore its order.
        """
        self.memory = next((memory for memory in memories.values() if hasattr(memory, 'labels')), None)
        if self.memory is None:
            raise ValueError(
                f'ClusterSampler reads the clusters of a ClusterMemory, but the model has {sorted(memories)}: set '
                f'train_dataloader.sampler.type to DrawSampler.'
            )
        if getattr(self.memory, 'online', False):
            raise ValueError(
                'ClusterSampler needs labels that stay the same for an epoch, but the memory is online: set '
                'train_dataloader.sampler.type to DrawSampler.'
            )

    def _order(self) -> torch.Tensor:
        generator = np.random.default_rng(hash_seed(self.seed, self.epoch, Stream.EPOCH_ORDER))
        labels = self.memory.labels.cpu().numpy()
        share = -(-self.num_samples // len(np.unique(labels)))
        return torch.from_numpy(draw_evenly(labels, share, generator)[: self.num_samples])


@DATA_SAMPLERS.register_module()
class SlidingWindowSampler(DrawSampler):
    """Sampler whose epochs are windows over one order of the images, each a stride further than the last.

    An image recurs in several consecutive epochs and then pauses, so its row in a class table learns in bursts. The
    order wraps around at its end: every image is in ``window / stride`` epochs of a sweep. Order and windows follow
    from seed and epoch, so a resumed run needs no saved state.

    Args:
        dataset: Data set; only its length is used.
        window: Images per epoch, at least 1.
        stride: Distance between the starts of consecutive windows, at least 1.
        seed: Seed of the run; set by the Runner.

    Raises:
        ValueError: The window is larger than the data set, or the stride is larger than the window.

    Source: PIC (Cao et al., NeurIPS 2020). The released sampler wraps around the window instead of the data set, so it
    never leaves the first window.
    """

    def __init__(self, dataset: Sized, window: int = 131072, stride: int = 16384, seed: int | None = 0) -> None:
        check_numbers(COUNT, window=window, stride=stride)
        super().__init__(dataset, seed=seed)
        if not 1 <= stride <= window <= len(dataset):
            raise ValueError(
                f'A window of {window} images and a stride of {stride} over {len(dataset)} images: set '
                f'train_dataloader.sampler.window to {len(dataset)} or less, and stride to the window or less.'
            )
        self.total, self.num_samples, self.stride = len(dataset), window, stride

    def permutation(self) -> torch.Tensor:
        """Return the order that the windows slide over, the same in all epochs."""
        generator = torch.Generator().manual_seed(hash_seed(self.seed, 0, Stream.WINDOW_ORDER))
        return torch.randperm(self.total, generator=generator)

    def _order(self) -> torch.Tensor:
        places = (self.epoch * self.stride + torch.arange(self.num_samples)) % self.total
        return self.permutation()[places][super()._order()]


def draw_evenly(labels: np.ndarray, share: int, generator: Any) -> np.ndarray:
    """Draw the same number of images from every cluster, and shuffle them.

    Args:
        labels: Cluster of each image, integers, shape ``(N,)``.
        share: Images per cluster; drawn with replacement if the cluster has no more than that.
        generator: NumPy's ``Generator`` or ``RandomState``.

    Returns:
        Sample indices, shape ``(share * clusters that are not empty,)``.
    """
    order = np.argsort(labels, kind='stable')
    members = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    drawn = np.concatenate([generator.choice(some, share, replace=len(some) <= share) for some in members])
    generator.shuffle(drawn)
    return drawn


@DATA_SAMPLERS.register_module()
class DomainBalancedSampler(DrawSampler):
    """Sampler in whose order the domains take turns, so that every global batch has the same number of each.

    An epoch has as many draws as the data set has images, rounded down to whole turns. A domain with more images than
    its share shows a part of them, new in each epoch; one with fewer repeats them, none twice more often than another.

    Args:
        dataset: Data set; its ``source.domain_labels`` say the domain of each image.
        seed: Seed of the run; set by the Runner.

    Raises:
        ValueError: The images have no domains, or only one, or a domain has no images.

    Source: BrAD's queues assume equal shares; the order is our own.
    """

    def __init__(self, dataset: Sized, seed: int | None = 0) -> None:
        super().__init__(dataset, seed=seed)
        self.counts, self._members = _by_domain(getattr(dataset, 'source', None))
        self.share = self.num_samples // len(self.counts)
        self.num_samples = self.share * len(self.counts)
        self._per_batch = 0

    def set_batch_size(self, batch_size: int) -> None:
        """Tell the sampler the number of images per global batch, which the domains must be able to share equally.

        Raises:
            ValueError: The number is no multiple of the number of domains.
        """
        domains, (_, world_size) = len(self.counts), get_dist_info()
        if batch_size % domains:
            step, own = domains // math.gcd(domains, world_size), batch_size // world_size
            fitting = [works for works in (own // step * step, -(-own // step) * step) if works]
            raise ValueError(
                f'{domains} domains ({", ".join(self.counts)}) cannot have equal shares of {batch_size} images: set '
                f'train_dataloader.batch_size to {" or ".join(map(str, fitting))}.'
            )
        self._per_batch = batch_size // domains

    def read(self, memories: Mapping[str, nn.Module]) -> None:
        """Let memories with domains of their own check that they fit; called by MemoryHook before the run.

        Args:
            memories: All memories of the model by name.

        Raises:
            ValueError: A memory does not fit.
        """
        for memory in memories.values():
            if hasattr(memory, 'check_domains'):
                memory.check_domains(self.counts, self._per_batch)

    def _order(self) -> torch.Tensor:
        generator = torch.Generator().manual_seed(hash_seed(self.seed, self.epoch, Stream.EPOCH_ORDER))
        turns = [_repeated(members, self.share, generator) for members in self._members]
        return torch.stack(turns, dim=1).flatten()


def _by_domain(source: Any) -> tuple[dict[str, int], tuple[torch.Tensor, ...]]:
    """Number of images of each domain by name, and the indices of its images."""
    labels = getattr(source, 'domain_labels', None)
    if labels is None:
        raise ValueError(
            'DomainBalancedSampler needs the domain of every image, but the images have none: give a DomainFolder or a '
            'DomainList as train_dataloader.dataset.source, or set train_dataloader.sampler.type to DrawSampler.'
        )
    members = tuple((labels == number).nonzero()[:, 0] for number in range(len(source.domains)))
    counts = dict(zip(source.domains, map(len, members)))
    if len(counts) < 2 or not all(counts.values()):
        found = ', '.join(f'{name}: {count} images' for name, count in counts.items())
        raise ValueError(
            f'DomainBalancedSampler balances two domains or more, each with images, but there are {found}: take other '
            'domains in train_dataloader.dataset.source, or set train_dataloader.sampler.type to DrawSampler.'
        )
    return counts, members


def _repeated(members: torch.Tensor, share: int, generator: torch.Generator) -> torch.Tensor:
    """Draw ``share`` of the members: without replacement as long as there are any, then all of them anew."""
    rounds = -(-share // len(members))
    orders = [torch.randperm(len(members), generator=generator) for _ in range(rounds)]
    return members[torch.cat(orders)[:share]]


@DATA_SAMPLERS.register_module()
class RankBatchSampler(Sampler):
    """Split the global order into global batches, and give each rank its block of every batch.

    The blocks are contiguous: joined in the order of the ranks, they are the batch of a single process.

    Args:
        sampler: Yields the global order, the same on every rank.
        batch_size: Images per rank and batch, at least 1.
        drop_last: Whether to drop the last, smaller global batch. Otherwise its images are divided among the ranks, the
            first ranks taking one more; if there are fewer images than ranks, they are repeated until each rank has
            one.

    Raises:
        ValueError: ``drop_last`` would leave no batch, or the sampler refuses the batch size.
    """

    def __init__(self, sampler: DrawSampler, batch_size: int, drop_last: bool = True) -> None:
        check_numbers(COUNT, batch_size=batch_size)
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last
        self.rank, self.world_size = get_dist_info()
        sampler.set_batch_size(self._global_size)
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
        """Number of batches left in the epoch."""
        missing = 0 if self.drop_last else self._global_size - 1
        return (len(self.sampler) + missing) // self._global_size

    def _block(self, batch: list[Key]) -> list[Key]:
        while len(batch) < self.world_size:
            batch = (batch + batch)[: self.world_size]
        share, more = divmod(len(batch), self.world_size)
        start = self.rank * share + min(self.rank, more)
        return batch[start : start + share + (self.rank < more)]
