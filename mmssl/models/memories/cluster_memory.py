"""Bank of rows with cluster labels and centroids."""

import torch
from torch import Tensor

from mmssl.functional import (
    Stream,
    hash_seed,
    largest,
    last_occurrences,
    mixed_rows,
    most_similar,
    random_rows,
    split_in_two,
    unit,
)
from mmssl.models.memories.cluster_labels import ClusterLabels
from mmssl.models.memories.feature_bank import DTYPES, check_dtype
from mmssl.ranges import COUNT, INDEX, SEVERAL, SHARE, check_numbers
from mmssl.registry import MEMORIES

_UNITS = 2.0**30  # integer steps per unit of length; float64 holds sums of 8 million rows exactly
_ROWS = 1 << 16  # converted at a time


@MEMORIES.register_module()
class ClusterMemory(ClusterLabels):
    """Unit embeddings of all images and their clusters, found by k-means and then updated online.

    Rows are moving averages, as in :class:`FeatureBank`. Online, an image moves to the centroid with the largest inner
    product whenever its row is updated. Centroids are the means of their members, without normalisation, and are
    updated every ``centroid_interval`` steps. Clusters that have become too small are dissolved, and get half of the
    largest one. Sums and counts are updated incrementally, not recomputed over all rows. Every rank does the same
    work on the same rows. If an image occurs twice in a global batch, the last occurrence in rank order counts.

    Buffers: those of the labels; ``rows`` ``(N, dim)``; ``centroids`` ``(num_clusters, dim)``; ``sums`` of the
    members, in integer multiples of ``2 ** -30`` (which have the same sum in any order, on every rank and device).
    Online, ``change_ratio`` is the share of the last batch that changed its cluster, counting each occurrence of an
    image, as in the released code.

    Args:
        num_clusters: Number K of clusters, at least 2.
        dim: Width of a row, at least 1.
        momentum: Weight of the OLD row, 0 to 1; ODC's 0.5 and InterCLR's 1.0 for the new one are 0.5 and 0 here.
        dtype: ``'float32'`` or ``'bfloat16'``.
        online: Whether clusters follow the rows; otherwise only k-means changes them.
        min_cluster: Clusters with fewer members are dissolved, at least 0; 0 never dissolves.
        centroid_interval: Steps between two updates of the centroids, at least 1.
        prepare_every: Epochs between two runs of k-means, at least 0; 0 for a single run before training.
        iterations: Iterations of k-means, at least 1.

    Source: ODC, section 3.1 (Zhan et al., CVPR 2020), and its released code for the order of operations.
    """

    rows: Tensor
    centroids: Tensor
    sums: Tensor
    retired: tuple[str, ...] = ('neighbors',)  # empty, from a time when this was a FeatureBank

    def __init__(
        self,
        num_clusters: int,
        dim: int,
        momentum: float = 0.5,
        dtype: str = 'float32',
        online: bool = True,
        min_cluster: int = 20,
        centroid_interval: int = 10,
        prepare_every: int = 0,
        iterations: int = 20,
    ) -> None:
        check_numbers(SEVERAL, num_clusters=num_clusters)
        check_numbers(COUNT, dim=dim, centroid_interval=centroid_interval, iterations=iterations)
        check_numbers(SHARE, momentum=momentum)
        check_numbers(INDEX, min_cluster=min_cluster, prepare_every=prepare_every)
        super().__init__(num_clusters, prepare_every, iterations=iterations)
        check_dtype(dtype, 'ClusterMemory')
        self.dim, self.momentum, self.online = dim, momentum, online
        self.min_cluster, self.centroid_interval = min_cluster if online else 0, centroid_interval
        self.minimum_size = max(self.min_cluster, 1)
        self.register_buffer('rows', torch.zeros(0, dim, dtype=DTYPES[dtype]))
        self.register_buffer('centroids', torch.zeros(num_clusters, dim))
        self.register_buffer('sums', torch.zeros(num_clusters, dim, dtype=torch.float64))

    def __len__(self) -> int:
        return len(self.rows)

    def allocate(self, num_samples: int) -> None:
        """Allocate labels, and random rows that are the same on every rank.

        Raises:
            ValueError: Too few images to fill the clusters.
        """
        super().allocate(num_samples)
        self.rows = random_rows(num_samples, self.dim, self.seed).to(self.rows)

    def prepare(self, features: Tensor, epoch: int) -> None:
        """Set the rows to the features, and cluster them by k-means.

        Args:
            features: Shape ``(N, dim)``, not normalised.
            epoch: The epoch that follows.

        Raises:
            ValueError: Features and rows differ in width.
        """
        if features.shape[1] != self.dim:
            raise ValueError(
                f'Features of width {features.shape[1]} for a memory of width {self.dim}: set dim of the memory to '
                f'{features.shape[1]}.'
            )
        rows = unit(features).to(self.labels.device)
        self.cluster(rows, epoch)
        self.rows = rows.to(self.rows)
        self.recount()

    def recount(self) -> None:
        """Recompute counts, sums and centroids from rows and labels."""
        self.counts = self.labels.bincount(minlength=self.num_clusters)
        self.sums.zero_()
        for first in range(0, len(self.rows), _ROWS):
            some = slice(first, first + _ROWS)
            self.sums.index_add_(0, self.labels[some], _whole(self.rows[some]))
        self.update_centroids()

    def stage(self, sample_idx: Tensor, rows: Tensor) -> None:
        """Stage what this rank saw for the next commit.

        Args:
            sample_idx: Sample indices, int64, shape ``(B,)``.
            rows: Their unit embeddings, shape ``(B, dim)``.
        """
        self.keep(sample_idx, rows)

    def commit(self) -> None:
        """Mix the staged rows of all ranks into the old ones, and assign the images to the most similar centroids."""
        if not self._staged:
            return
        sample_idx, rows = self.take_staged()
        old = self.rows[sample_idx]
        new = mixed_rows(old, rows, self.momentum)
        last = last_occurrences(sample_idx)
        if self.online:
            labels = most_similar(new.to(self.centroids.dtype), self.centroids)
            self.change_ratio.copy_((labels != self.labels[sample_idx]).double().mean())
            self._reassign(sample_idx[last], labels[last], old[last], new[last])
        self.rows[sample_idx[last]] = new[last]

    def maintain(self, iteration: int, epoch: int) -> None:
        """Update the centroids every ``centroid_interval`` steps, and dissolve clusters that have become too small."""
        if not self.online:
            return
        if iteration % self.centroid_interval == 0:
            self.update_centroids()
        if bool((self.counts < self.min_cluster).any()):
            self._dissolve((self.counts < self.min_cluster).nonzero()[:, 0])

    def update_centroids(self) -> None:
        """Set every centroid to the mean of its members; centroids of empty clusters do not change."""
        means, empty = self._means(self.sums, self.counts), self.counts == 0
        means[empty] = self.centroids[empty]
        self.centroids = means

    def _means(self, sums: Tensor, counts: Tensor) -> Tensor:
        # Not in place: in float64, .to() returns the sums themselves.
        return sums.to(self.centroids.dtype) / (_UNITS * counts.clamp_min(1))[:, None]

    def _dissolve(self, small: Tensor) -> None:
        """Reassign the members of small clusters to the others; then give each half of the largest one, in order."""
        keep = torch.ones_like(self.counts, dtype=torch.bool).index_fill(0, small, False)
        members = (~keep)[self.labels].nonzero()[:, 0]
        rows = self.rows[members]
        kept = keep.nonzero()[:, 0]
        self._reassign(members, kept[most_similar(rows.to(self.centroids.dtype), self.centroids[kept])], rows, rows)
        for cluster in small.tolist():
            self._split_largest(cluster)

    def _split_largest(self, empty: int) -> None:
        big = largest(self.counts)
        members = (self.labels == big).nonzero()[:, 0]
        second = members[split_in_two(self.rows[members], hash_seed(self.seed, Stream.SPLIT, empty))]
        rows = self.rows[second]
        self._reassign(second, torch.full_like(second, empty), rows, rows)
        pair = torch.tensor([big, empty], device=second.device)
        self.centroids[pair] = self._means(self.sums[pair], self.counts[pair])

    def _reassign(self, sample_idx: Tensor, labels: Tensor, old: Tensor, new: Tensor) -> None:
        """Remove images with their old rows from their clusters, and add them with their new rows to others."""
        before = self.labels[sample_idx]
        changed = before != labels  # most images stay, and their clusters get the difference of the rows
        self.labels[sample_idx] = labels
        self.sums.index_add_(0, labels, _whole(new).sub_(_whole(old)))
        places, taken = torch.cat([before[changed], labels[changed]]), _whole(old[changed])
        self.sums.index_add_(0, places, torch.cat([-taken, taken]))
        ones = torch.ones_like(places[: len(taken)])
        self.counts.index_add_(0, places, torch.cat([-ones, ones]))


def _whole(rows: Tensor) -> Tensor:
    # A product with a power of two is exact; fractions are truncated in the same way wherever the row is counted.
    return ((rows.float() if rows.dtype == torch.bfloat16 else rows) * _UNITS).trunc_().double()
