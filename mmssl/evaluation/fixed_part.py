"""Fixed images for monitoring a training."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mmssl.datasets import ImageDataset, Subset, collate
from mmssl.datasets.workers import start_worker
from mmssl.evaluation.classes import has_labels
from mmssl.evaluation.features import Features, class_names, count_steps, forward_batches, own_share, readable
from mmssl.functional import Stream, hash_seed, world_size

_HELD = 2**28  # bytes of images that a rank keeps in memory


class FixedPart:
    """A fixed random order of a data set's images, and the current network's features of the first ones.

    Features are extracted at most once per step, however many hooks ask for them. Images are decoded once, as long as
    they fit into 256 MB per rank (5,000 of 128 pixels). The random generators of a running training stay untouched.

    Args:
        dataset: The images; not changed.
        batch_size: Images per step and rank.
        num_workers: Loading processes per rank.
    """

    def __init__(self, dataset: ImageDataset, batch_size: int = 256, num_workers: int = 0) -> None:
        generator = torch.Generator().manual_seed(hash_seed(Stream.FIXED_PART))
        order = torch.randperm(len(dataset), generator=generator)
        self.dataset = copy.copy(dataset)
        self.dataset.source = Subset(dataset.source, indices=order)
        self.batch_size, self.num_workers = batch_size, num_workers
        self._held: dict[int, dict] = {}
        self._bytes = 0
        self._step: int | None = None
        self._found: list[tuple[Tensor, ...]] = []

    @property
    def labelled(self) -> bool:
        """Whether the images have labels."""
        return has_labels(self.dataset.source.labels)

    def load(self, count: int) -> None:
        """Decode the first images into the cache, so that the first call of ``features`` need not.

        Args:
            count: Number of images; all if there are fewer.
        """
        for place, _ in enumerate(self._batches(0, count_steps(min(count, len(self.dataset)), self.batch_size))):
            if place not in self._held:
                return

    def features(self, model: nn.Module, count: int, step: int) -> Features:
        """Extract features of the first images.

        Args:
            model: A :class:`~mmssl.models.BaseAlgorithm`.
            count: Number of images; all if there are fewer.
            step: Number of the training step: with a new one, features are extracted again.

        Returns:
            ``count`` rows, fewer if some of the images cannot be read; equal on every rank.
        """
        if step != self._step:
            self._step, self._found = step, []
        steps = count_steps(min(count, len(self.dataset)), self.batch_size)
        done = len(self._found)
        if done < steps:
            left = len(self.dataset) - done * self.batch_size * world_size()
            self._found += forward_batches(model, self._batches(done, steps), left)
        views, indices, unreadable, *labels = (torch.cat(parts)[:count] for parts in zip(*self._found))
        found = Features(views[:, 0], labels[0] if labels else None, indices, class_names(self.dataset))
        return readable(found, unreadable, self.dataset)

    def _batches(self, first: int, last: int) -> Iterator[dict]:
        """This rank's images of some steps, from the cache if they are in it."""
        missing = [place for place in range(first, last) if place not in self._held]
        shares = [own_share(len(self.dataset), self.batch_size, place) for place in missing]
        workers = {'num_workers': self.num_workers if missing else 0, 'worker_init_fn': start_worker}
        loaded = iter(DataLoader(self.dataset, batch_sampler=shares, collate_fn=collate, **workers))
        for place in range(first, last):
            if place not in missing:
                yield self._held[place]
                continue
            batch = next(loaded)
            self._hold(place, batch)
            yield batch

    def _hold(self, place: int, batch: dict) -> None:
        stored = [*batch['inputs'], *batch['extras'].values()]
        size = sum(part.nbytes for part in stored if isinstance(part, Tensor))
        if self._bytes + size <= _HELD:
            self._held[place], self._bytes = batch, self._bytes + size
