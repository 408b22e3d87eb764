"""Clusters with a minimum size, found online and used one epoch later."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmssl.functional import (
    SoftLabels,
    Stream,
    averaged_slots,
    constrained_assignment,
    dual_ascent,
    hash_seed,
    last_occurrences,
    slot_weights,
    updated_centroids,
)
from mmssl.models.memories.base import BaseMemory
from mmssl.ranges import COUNT, INDEX, NOT_NEGATIVE, POSITIVE, SEVERAL, SHARE, check_numbers
from mmssl.registry import MEMORIES


@MEMORIES.register_module()
class ConstrainedClusters(BaseMemory):
    """Online k-means with a minimum cluster size; the labels of an epoch are learned in the next one.

    Within an epoch, images are assigned to ``current``, centroids that follow the features, while the method learns
    with the labels and the centroids (``targets``) of the previous epoch. Every rank does the same work on the features
    of all ranks. If an image occurs twice in a global batch, its last label counts.

    Buffers: ``targets`` and ``current`` ``(K, dim)``; ``duals`` and ``counts`` ``(K,)``; ``labels`` ``(N,)`` int32, -1
    before the first draw; ``started``, the epoch that the counts belong to, -1 before the first; with soft labels
    ``slots`` ``(N, S)`` int32 and ``values`` ``(N, S)``.

    Args:
        num_clusters: Number K of clusters, at least 2.
        dim: Width of the features, at least 1.
        ratio: Minimum size of a cluster as a share of ``N / K``, 0 to 1; 1 asks for equal sizes.
        dual_rate: Step size of the bonuses that enforce the minimum size, at least 0.
        soft_from: First epoch whose centroids are averaged over epochs, at least 0; labels become soft one epoch later;
            0 for never (the single-view variant uses it).
        num_slots: Maximum number of classes in a soft label, at least 1.
        soft_temperature: Temperature of soft labels, above 0; smaller values sharpen them.

    Source: CoKe, section 3 (Qian et al., CVPR 2022), and idstcv/CoKe for the order of operations.
    """

    per_image = True
    targets: Tensor
    current: Tensor
    duals: Tensor
    counts: Tensor
    labels: Tensor
    started: Tensor
    slots: Tensor
    values: Tensor

    def __init__(
        self,
        num_clusters: int,
        dim: int,
        ratio: float = 0.4,
        dual_rate: float = 20.0,
        soft_from: int = 0,
        num_slots: int = 5,
        soft_temperature: float = 0.5,
    ) -> None:
        check_numbers(SEVERAL, num_clusters=num_clusters)
        check_numbers(COUNT, dim=dim, num_slots=num_slots)
        check_numbers(SHARE, ratio=ratio)
        check_numbers(NOT_NEGATIVE, dual_rate=dual_rate)
        check_numbers(INDEX, soft_from=soft_from)
        check_numbers(POSITIVE, soft_temperature=soft_temperature)
        super().__init__()
        self.num_clusters = num_clusters
        self.ratio, self.dual_rate, self.soft_from = ratio, dual_rate, soft_from
        self.num_slots, self.soft_temperature = num_slots if soft_from else 0, soft_temperature
        for name in ('targets', 'current'):
            self.register_buffer(name, torch.zeros(num_clusters, dim))
        for name in ('duals', 'counts'):
            self.register_buffer(name, torch.zeros(num_clusters))
        self.register_buffer('labels', torch.zeros(0, dtype=torch.int32))
        self.register_buffer('started', torch.tensor(-1))
        self.register_buffer('slots', torch.zeros(0, self.num_slots, dtype=torch.int32))
        self.register_buffer('values', torch.zeros(0, self.num_slots))

    @property
    def averaging(self) -> bool:
        """Whether this epoch's centroids are averaged with those of other epochs."""
        return 0 < self.soft_from <= self.epoch

    @property
    def health(self) -> dict[str, Tensor]:
        """Scalars for the log: ``smallest_cluster``, the minimum size in this epoch so far as a share of the mean."""
        return {'smallest_cluster': self.counts.min() / self.counts.mean().clamp_min(1e-12)}

    def allocate(self, num_samples: int) -> None:
        """Allocate labels, and draw random centroids that are the same on every rank.

        Raises:
            ValueError: More clusters than images.
        """
        if self.num_clusters > num_samples:
            raise ValueError(
                f'{self.num_clusters} clusters, but the data set has {num_samples} images: set num_clusters to '
                f'{max(num_samples // 20, 2)} or less.'
            )
        generator = torch.Generator().manual_seed(hash_seed(self.seed, Stream.CENTROID_START, self.num_clusters))
        rows = torch.randn(self.num_clusters, self.targets.shape[1], generator=generator)
        self.targets.copy_(normalize(rows, dim=1))
        self.current.copy_(self.targets)
        self.labels = self.labels.new_full((num_samples,), -1)
        self.slots = self.slots.new_full((num_samples, self.num_slots), -1)
        self.values = self.values.new_zeros(num_samples, self.num_slots)

    def begin_epoch(self, epoch: int) -> None:
        """Make the centroids of the previous epoch the targets; do nothing if the epoch continues after a resume."""
        super().begin_epoch(epoch)
        ended = int(self.started)
        if epoch == ended:
            return
        if ended >= 0 and 0 < self.soft_from <= ended:
            share = 1 / (ended - self.soft_from + 1)
            mixed = (1 - share) * self.targets + share * normalize(self.current, dim=1)
            self.targets.copy_(normalize(mixed, dim=1))
            self.current.copy_(self.targets)
        elif ended >= 0:
            self.targets.copy_(self.current)
        self.counts.zero_()
        self.started.fill_(epoch)

    def read(self, sample_idx: Tensor, features: Tensor) -> SoftLabels:
        """Read the labels to learn: those of the previous epoch, or of the current features in the first epoch.

        Args:
            sample_idx: Sample indices, shape ``(B,)``.
            features: Their features, shape ``(B, dim)``.

        Returns:
            Clusters, int64, and their weights, ``(B, S)`` each, with ``S = 1`` for hard labels. An image without a
            label so far has weights of 0.
        """
        if self.averaging and self.epoch > self.soft_from:
            found, values = self.slots[sample_idx].long(), self.values[sample_idx]
            return SoftLabels(found.clamp_min(0), slot_weights(values, self.soft_temperature))
        labels = self.labels[sample_idx].long() if self.epoch else self.assign(features)
        return SoftLabels(labels.clamp_min(0)[:, None], (labels >= 0).to(self.targets)[:, None])

    def assign(self, features: Tensor) -> Tensor:
        """Assign features to clusters by the centroids of this epoch."""
        centroids = self.targets if self.averaging else self.current
        return constrained_assignment(features.detach().to(centroids), centroids, self.duals)

    def stage(self, sample_idx: Tensor, features: Tensor) -> None:
        """Stage what this rank saw for the next commit.

        Args:
            sample_idx: Sample indices, int64, shape ``(B,)``.
            features: Features to cluster, shape ``(B, dim)``.
        """
        self.keep(sample_idx, features.to(self.targets))

    def commit(self) -> None:
        """Assign the staged features, update bonuses and centroids, and store the labels."""
        if not self._staged:
            return
        sample_idx, features = self.take_staged()
        labels = self.assign(features)
        self.duals.copy_(dual_ascent(self.duals, labels, self.dual_rate, self.ratio))
        updated = updated_centroids(self.current, self.counts, features, labels, not self.averaging)
        self.current.copy_(updated.centroids)
        self.counts.copy_(updated.counts)
        last = last_occurrences(sample_idx)
        self._store(sample_idx[last], labels[last])

    def _store(self, sample_idx: Tensor, labels: Tensor) -> None:
        self.labels[sample_idx] = labels.to(self.labels)
        if self.averaging:
            share = 1 / (self.epoch - self.soft_from + 1)
            averaged = averaged_slots(self.slots[sample_idx], self.values[sample_idx], labels, share)
            self.slots[sample_idx], self.values[sample_idx] = averaged.classes, averaged.weights
