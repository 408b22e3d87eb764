"""Hallucinator: further positives, generated from the embeddings of two views (Wu et al., ICCV 2023)."""

import random

import torch
from torch import Tensor

from mmssl.datasets.structures import Batch
from mmssl.functional import Stream, extrapolate
from mmssl.models.additions.base import Addition, Host, Losses
from mmssl.models.necks import MLPNeck
from mmssl.ranges import COUNT, NOT_NEGATIVE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class Hallucinator(Addition):
    """Generate a second query for each key, by moving the query away from the other view and through a small network.

    The loss of the host is replaced by that of both queries, each with the same key. The generator is trained with the
    student; teachers and exported networks do not have it. A step has one ratio on all ranks, drawn from the seed and
    the draw numbers of its images; the authors' code draws one per process.

    Args:
        dim: Width of the queries, at least 1.
        max_ratio: The ratio of the extrapolation is uniform between 0 and this, at least 0.
        together: Whether both queries are in one batch, as released: on a host whose negatives are those of the batch
            (SimCLR), the two queries of an image are then negatives of each other, and its key is both positive and
            negative. Otherwise, the loss is the mean of two, which is the same on other hosts.
        duplicate_keys: Whether a queue gets each key twice, as released.

    Source: the paper; jingwu6/Hallucination-Improves-the-Performance-of-Unsupervised-Visual-Representation-Learning.
    """

    hosts = ('MoCo', 'SimCLR', 'SimSiam')

    def __init__(self, dim: int, max_ratio: float = 0.1, together: bool = True, duplicate_keys: bool = False) -> None:
        check_numbers(COUNT, dim=dim)
        check_numbers(NOT_NEGATIVE, max_ratio=max_ratio)
        super().__init__()
        self.max_ratio, self.together, self.duplicate_keys = max_ratio, together, duplicate_keys
        self.generator = MLPNeck(2 * dim, 2 * dim, dim, num_layers=3, batch_norm=False)

    def forward(
        self, host: Host, losses: Losses, inputs: list[Tensor], queries: Tensor, keys: Tensor, batch: Batch
    ) -> Losses:
        """Replace the loss of the host by that of the queries and of what is generated from them.

        Returns:
            The losses so far, with another ``loss``.

        Raises:
            ValueError: An addition before this one has renamed the loss of the host.
        """
        if 'loss' not in losses:
            raise ValueError(
                f'Hallucinator replaces the loss of its host, which is now called {list(losses)}: put it first in '
                'model.additions.'
            )
        ratios = self.ratios(batch, host.directions)
        sides = zip(*(rows.chunk(host.directions) for rows in (queries, host.partners(queries, keys), keys)), ratios)
        parts = [
            self._loss(host, side, self.generate(side, partners, ratio), key) for side, partners, key, ratio in sides
        ]
        return {**losses, 'loss': torch.stack(parts).sum()}

    def _loss(self, host: Host, queries: Tensor, generated: Tensor, keys: Tensor) -> Tensor:
        if self.together:
            return host.contrast(torch.cat([queries, generated]), torch.cat([keys, keys]))
        return (host.contrast(queries, keys) + host.contrast(generated, keys)) / 2

    def generate(self, queries: Tensor, partners: Tensor, ratio: float) -> Tensor:
        """Generate further queries.

        Args:
            queries: Not normalised, shape ``(B, D)``.
            partners: What the host compares them with in the same space, shape ``(B, D)``.
            ratio: How far the queries are moved.

        Returns:
            Shape ``(B, D)``, not normalised.

        Raises:
            ValueError: The queries have another width than ``dim``.
        """
        width = self.generator.out_channels
        if queries.shape[1] != width:
            raise ValueError(
                f'Hallucinator with dim={width} on queries of width {queries.shape[1]}: set dim={queries.shape[1]}.'
            )
        return self.generator(torch.cat([queries, extrapolate(queries, partners, ratio)], dim=1))

    def ratios(self, batch: Batch, count: int) -> list[float]:
        """Draw a ratio per direction for the step of a batch."""
        generator = random.Random(self.step_seed(Stream.RATIO, batch))
        return [self.max_ratio * generator.random() for _ in range(count)]

    def staged(self, keys: Tensor) -> Tensor:
        """The keys, or each of them twice in a row."""
        return keys.repeat_interleave(2, dim=0) if self.duplicate_keys else keys
