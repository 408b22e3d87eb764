"""Rows in order of arrival, for every domain by itself."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mmssl.models.memories.base import BaseMemory
from mmssl.models.memories.queue import newest_places
from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import MEMORIES


@MEMORIES.register_module()
class DomainQueue(BaseMemory):
    """The most recent rows of each domain, in a ring buffer per domain, and the images that they belong to.

    It starts empty: a place without a row is not usable, so that nothing random stands for an image of a domain. Every
    rank holds the same rows, whatever shares of the domains its own batches have.

    Buffers: ``rows`` ``(D, K, dim)`` float32; ``indices`` ``(D, K)``, the sample index of each row, -1 for none yet;
    ``heads`` ``(D,)``, the next places to write.

    Args:
        length: Number of rows K per domain, at least 1.
        dim: Width of a row, at least 1.
        num_domains: Number of domains D, at least 1.

    Raises:
        ValueError: There is no domain or no row.

    Source: MoCo's queue (He et al., CVPR 2020), one per domain as in leokarlin/BrAD, which also leaves out the earlier
    rows of the image itself.
    """

    rows: Tensor
    indices: Tensor
    heads: Tensor

    def __init__(self, length: int, dim: int, num_domains: int) -> None:
        check_numbers(COUNT, length=length, dim=dim, num_domains=num_domains)
        super().__init__()
        self.length, self.num_domains = length, num_domains
        self.register_buffer('rows', torch.zeros(num_domains, length, dim))
        self.register_buffer('indices', torch.full((num_domains, length), -1))
        self.register_buffer('heads', torch.zeros(num_domains, dtype=torch.long))

    def allocate(self, num_samples: int) -> None:
        """Refuse queues that would hold images twice.

        Raises:
            ValueError: The queues are together longer than the training set.
        """
        if self.length * self.num_domains > num_samples:
            works = max(num_samples // self.num_domains, 1)
            raise ValueError(
                f'{self.num_domains} queues of {self.length} rows, but the data set has {num_samples} images: they '
                f'would hold several rows of one image. Set the length of the queue to {works} or less.'
            )

    def check_domains(self, counts: Mapping[str, int], per_batch: int) -> None:
        """Refuse domains that the queues do not fit; a sampler that knows the domains calls it before the run.

        Args:
            counts: Images of each domain, by its name, in the order of the domains' numbers.
            per_batch: Images of each domain in a batch of all ranks.

        Raises:
            ValueError: The domains are more or fewer than the queues, one has fewer images than its queue has rows, or
                a batch has more images of a domain than that.
        """
        if len(counts) != self.num_domains:
            raise ValueError(
                f'There are queues for {self.num_domains} domains, but the images have {len(counts)} '
                f'({", ".join(counts)}): set num_domains of the queue to {len(counts)}, or domains of the source.'
            )
        smallest = min(counts, key=counts.__getitem__)
        if counts[smallest] < self.length:
            raise ValueError(
                f'A queue of {self.length} rows per domain, but {smallest!r} has {counts[smallest]} images: it would '
                f'hold several rows of one image. Set the length of the queue to {counts[smallest]} or less.'
            )
        if per_batch > self.length:
            raise ValueError(
                f'A batch has {per_batch} images of each domain, but a queue holds {self.length} rows per domain: set '
                f'the length of the queue to {per_batch} or more, or train_dataloader.batch_size to less.'
            )

    def usable(self, samples: Tensor) -> Tensor:
        """Say which rows may be negatives of which images: those that are there and belong to other images.

        Args:
            samples: Sample indices, shape ``(B,)``.

        Returns:
            Boolean, shape ``(B, D, K)``.
        """
        return (self.indices >= 0) & (self.indices != samples[:, None, None])

    def stage(self, rows: Tensor, domains: Tensor, samples: Tensor) -> None:
        """Stage rows of this rank for the next commit.

        Args:
            rows: Shape ``(B, dim)``; ``B`` may differ between ranks.
            domains: Domain of each row, int64, from 0 to ``D - 1``, shape ``(B,)``.
            samples: Sample index of each row, int64, shape ``(B,)``.
        """
        self.keep(rows, domains, samples)

    def commit(self) -> None:
        """Write the staged rows of all ranks into the queues of their domains, the newest over the oldest."""
        if not self._staged:
            return
        rows, domains, samples = self.take_staged()
        for domain, head in enumerate(self.heads):
            (chosen,) = (domains == domain).nonzero(as_tuple=True)
            places = newest_places(head, len(chosen), self.length)
            newest = chosen[len(chosen) - len(places) :]
            self.rows[domain, places] = rows[newest].to(self.rows.dtype)
            self.indices[domain, places] = samples[newest]
            head.copy_((head + len(chosen)) % self.length)
