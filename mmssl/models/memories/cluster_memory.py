"""A bank whose rows belong to clusters."""

import torch
from mmengine.logging import print_log
from torch import Tensor

from mmssl.functional import (
    class_weights,
    hash_seed,
    kmeans,
    label_change,
    largest,
    most_similar,
    rank,
    split_in_two,
    sum_over_ranks,
    unit,
    whiten,
)
from mmssl.models.memories.feature_bank import FeatureBank
from mmssl.progress import Progress
from mmssl.registry import MEMORIES

_UNITS = 2.0**30  # a unit row in whole numbers; float64 holds sums of 8 million of them exactly
_ROWS = 1 << 16  # converted at a time
_KMEANS, _SPLIT = 0x3EA5, 0x5917  # tell the seeds of clusterings and of splits from those of other draws


@MEMORIES.register_module()
class ClusterMemory(FeatureBank):
    """Unit embeddings of all samples, and the cluster of each, found by k-means and then kept up to date online.

    Online, a sample goes to the centroid with the largest inner product whenever its row moves; centroids are the means
    of their members, not made unit, and follow every ``centroid_interval`` steps; clusters that have become too small
    are dissolved, and get a half of the largest one. Sums and counts are carried along: nothing is added up over all
    rows again. Every rank does the same work on the same rows.

    Buffers: those of the bank; ``labels`` ``(N,)`` int64, -1 before the first k-means; ``counts`` ``(num_clusters,)``
    int64; ``centroids`` ``(num_clusters, dim)``; ``sums`` of the members, whole numbers of ``2 ** -30`` (these have the
    same sum in any order, on every rank and device); ``change_ratio``, the share of the last batch (online) or of all
    samples (at the last k-means) that changed its cluster; ``prepared``, the last epoch before which k-means ran, -1
    before the first.

    Args:
        num_clusters: Number of clusters K.
        dim: Width of a row; 0 keeps labels alone (DeepCluster).
        momentum: Weight of the OLD row, 0 to 1; ODC's 0.5 and InterCLR's 1.0 for the new one are 0.5 and 0 here.
        dtype: ``'float32'`` or ``'bfloat16'``.
        online: Whether clusters follow the rows; else only k-means changes them.
        min_cluster: Clusters with fewer members are dissolved; 0 never dissolves.
        centroid_interval: Steps between two updates of the centroids.
        prepare_every: Epochs between two runs of k-means; 0 for one before the training only.
        pca: Whitened directions that k-means works in; 0 for the features as they are. Only without rows.
        iterations: Of k-means.

    Raises:
        ValueError: Rows and whitening together: rows would be in another space than the embeddings.

    Source: ODC, section 3.1 (Zhan et al., CVPR 2020), and its released code for the order of operations.
    """

    labels: Tensor
    counts: Tensor
    centroids: Tensor
    sums: Tensor
    change_ratio: Tensor
    prepared: Tensor

    def __init__(
        self,
        num_clusters: int,
        dim: int = 0,
        momentum: float = 0.5,
        dtype: str = 'float32',
        online: bool = True,
        min_cluster: int = 20,
        centroid_interval: int = 10,
        prepare_every: int = 0,
        pca: int = 0,
        iterations: int = 20,
    ) -> None:
        super().__init__(dim, momentum, dtype=dtype)
        if dim and pca:
            raise ValueError(f'dim={dim} and pca={pca} of a ClusterMemory: whitening needs dim=0, rows need pca=0.')
        self.num_clusters, self.online = num_clusters, online
        self.min_cluster, self.centroid_interval = min_cluster if online else 0, centroid_interval
        self.prepare_every, self.pca, self.iterations = prepare_every, pca, iterations
        self.register_buffer('labels', torch.zeros(0, dtype=torch.long))
        self.register_buffer('counts', torch.zeros(num_clusters, dtype=torch.long))
        self.register_buffer('centroids', torch.zeros(num_clusters, dim))
        self.register_buffer('sums', torch.zeros(num_clusters, dim, dtype=torch.float64))
        self.register_buffer('change_ratio', torch.zeros(()))
        self.register_buffer('prepared', torch.tensor(-1))

    @property
    def class_weights(self) -> Tensor:
        """Weights of the clusters for a loss, larger for smaller ones, shape ``(K,)``."""
        return class_weights(self.counts)

    @property
    def health(self) -> dict[str, Tensor]:
        """Scalars for the log: ``label_change``, and ``largest_cluster``, its share of all samples."""
        return {'label_change': self.change_ratio, 'largest_cluster': self.counts.max() / max(len(self.labels), 1)}

    def allocate(self, num_samples: int) -> None:
        """Make rows and labels.

        Raises:
            ValueError: The samples do not fill the clusters.
        """
        least = max(self.min_cluster, 1)
        if self.num_clusters * least > num_samples:
            raise ValueError(
                f'{self.num_clusters} clusters of {least} samples or more, but the data set has {num_samples} samples: '
                f'set num_clusters of the memory to {max(num_samples // max(2 * least, 10), 1)} or less.'
            )
        if self.dim:
            super().allocate(num_samples)
        self.labels = self.labels.new_full((num_samples,), -1)

    def wants_preparation(self, epoch: int) -> bool:
        """Before the first epoch, and before every ``prepare_every``-th."""
        due = epoch - epoch % self.prepare_every if self.prepare_every else 0
        return not due <= int(self.prepared) <= epoch  # a later one was loaded with the weights of another run

    def prepare(self, features: Tensor, epoch: int) -> None:
        """Cluster the training set by k-means; every rank does, with the result of the first taken by all.

        Args:
            features: Shape ``(N, D)``, not normalised; D is ``dim`` where rows are kept.
            epoch: The epoch that follows.

        Raises:
            ValueError: The features have another width than the rows.
        """
        rows = unit(whiten(features, self.pca) if self.pca else features).to(self.labels.device)
        if self.dim and rows.shape[1] != self.dim:
            raise ValueError(
                f'Features of width {rows.shape[1]} for a memory of width {self.dim}: set dim of the memory to '
                f'{rows.shape[1]}.'
            )
        with Progress(f'k-means, {self.num_clusters} clusters of {len(rows)} images', self.iterations) as progress:
            seed = hash_seed(self.seed, epoch, _KMEANS)
            labels = kmeans(rows, self.num_clusters, self.iterations, seed, progress.advance)[1]
        labels = sum_over_ranks(labels if rank() == 0 else torch.zeros_like(labels))
        if int(self.prepared) >= 0:
            self.change_ratio.copy_(label_change(self.labels, labels))
        self.labels, self.rows = labels, rows.to(self.rows) if self.dim else self.rows
        self.prepared.fill_(epoch)
        self.recount()
        sizes = self.counts.sort().values
        print_log(
            f'k-means before epoch {epoch + 1}: clusters of {int(sizes[0])} to {int(sizes[-1])} images, half of them '
            f'below {int(sizes[len(sizes) // 2])}.',
            'current',
        )

    def recount(self) -> None:
        """Set counts, sums and centroids to what rows and labels say."""
        self.counts = self.labels.bincount(minlength=self.num_clusters)
        self.sums.zero_()
        for first in range(0, len(self.rows), _ROWS):  # none where no rows are kept
            some = slice(first, first + _ROWS)
            self.sums.index_add_(0, self.labels[some], _whole(self.rows[some]))
        self.update_centroids()

    def commit(self) -> None:
        """Mix the staged rows of all ranks into the old ones, and move the samples to the most similar centroids."""
        if not self._staged:
            return
        sample_idx, rows, _ = self.take_staged()
        old, new = self.mix(sample_idx, rows)
        if not self.online:
            return
        before = self.labels[sample_idx]
        after = most_similar(new.to(self.centroids.dtype), self.centroids)
        self._move(sample_idx, after, old, new)
        self.change_ratio.copy_((before != after).double().mean())

    def maintain(self, iteration: int, epoch: int) -> None:
        """Let the centroids follow now and then, and dissolve clusters that have become too small."""
        if not self.online:
            return
        if iteration % self.centroid_interval == 0:
            self.update_centroids()
        if bool((self.counts < self.min_cluster).any()):
            self._dissolve((self.counts < self.min_cluster).nonzero()[:, 0])

    def update_centroids(self) -> None:
        """Make every centroid the mean of its members; that of an empty cluster stays."""
        means, empty = self._means(self.sums, self.counts), self.counts == 0
        means[empty] = self.centroids[empty]
        self.centroids = means

    def _means(self, sums: Tensor, counts: Tensor) -> Tensor:
        return sums.to(self.centroids.dtype).div_((_UNITS * counts.clamp_min(1))[:, None])

    def _dissolve(self, small: Tensor) -> None:
        """Send the members of small clusters to the others; then give each a half of the largest one, in order."""
        keep = torch.ones_like(self.counts, dtype=torch.bool).index_fill(0, small, False)
        members = (~keep)[self.labels].nonzero()[:, 0]
        rows = self.rows[members]
        kept = keep.nonzero()[:, 0]
        self._move(members, kept[most_similar(rows.to(self.centroids.dtype), self.centroids[kept])], rows, rows)
        for cluster in small.tolist():
            self._split_largest(cluster)

    def _split_largest(self, empty: int) -> None:
        big = largest(self.counts)
        members = (self.labels == big).nonzero()[:, 0]
        second = members[split_in_two(self.rows[members], hash_seed(self.seed, _SPLIT, empty))]
        rows = self.rows[second]
        self._move(second, torch.full_like(second, empty), rows, rows)
        pair = torch.tensor([big, empty], device=second.device)
        self.centroids[pair] = self._means(self.sums[pair], self.counts[pair])

    def _move(self, sample_idx: Tensor, labels: Tensor, old: Tensor, new: Tensor) -> None:
        """Take samples with their old rows out of their clusters, and put them with their new rows into others."""
        before = self.labels[sample_idx]
        moved = before != labels  # most stay, and their clusters get the difference of the rows
        self.labels[sample_idx] = labels
        self.sums.index_add_(0, labels, _whole(new).sub_(_whole(old)))
        places, taken = torch.cat([before[moved], labels[moved]]), _whole(old[moved])
        self.sums.index_add_(0, places, torch.cat([-taken, taken]))
        ones = torch.ones_like(places[: len(taken)])
        self.counts.index_add_(0, places, torch.cat([-ones, ones]))


def _whole(rows: Tensor) -> Tensor:
    # A product with a power of two is exact; bits below a unit are cut off, the same wherever the row is counted.
    return ((rows.float() if rows.dtype == torch.bfloat16 else rows) * _UNITS).trunc_().double()
