"""Cluster labels of all images, found by k-means."""

import torch
from mmengine.logging import print_log
from torch import Tensor

from mmssl.functional import Stream, class_weights, hash_seed, kmeans, label_change, rank, sum_over_ranks, unit, whiten
from mmssl.models.memories.base import BaseMemory
from mmssl.progress import Progress
from mmssl.ranges import COUNT, INDEX, SEVERAL, check_numbers
from mmssl.registry import MEMORIES


@MEMORIES.register_module()
class ClusterLabels(BaseMemory):
    """Labels of all images, found by k-means before some epochs and unchanged in between; no rows are kept.

    Buffers: ``labels`` ``(N,)`` int64, -1 before the first k-means; ``counts`` ``(num_clusters,)`` int64;
    ``change_ratio``, the share of all images that the last k-means separated from the majority of their cluster;
    ``prepared``, the last epoch before which k-means ran, -1 before the first.

    Args:
        num_clusters: Number K of clusters, at least 2.
        prepare_every: Epochs between two runs of k-means, at least 0; 0 for a single run before training.
        pca: Number of whitened directions for k-means, at least 0; 0 for the features themselves.
        iterations: Iterations of k-means, at least 1.

    Source: DeepCluster, section 3.2 (Caron et al., ECCV 2018).
    """

    per_image = True
    labels: Tensor
    counts: Tensor
    change_ratio: Tensor
    prepared: Tensor
    # Empty buffers from a time when labels and rows were one memory.
    retired: tuple[str, ...] = ('rows', 'neighbors', 'centroids', 'sums')

    def __init__(self, num_clusters: int, prepare_every: int = 1, pca: int = 0, iterations: int = 20) -> None:
        check_numbers(SEVERAL, num_clusters=num_clusters)
        check_numbers(INDEX, prepare_every=prepare_every, pca=pca)
        check_numbers(COUNT, iterations=iterations)
        super().__init__()
        self.num_clusters, self.minimum_size = num_clusters, 1
        self.prepare_every, self.pca, self.iterations = prepare_every, pca, iterations
        self.register_buffer('labels', torch.zeros(0, dtype=torch.long))
        self.register_buffer('counts', torch.zeros(num_clusters, dtype=torch.long))
        self.register_buffer('change_ratio', torch.zeros(()))
        self.register_buffer('prepared', torch.tensor(-1))

    @property
    def class_weights(self) -> Tensor:
        """Weights of the clusters in a loss, larger for smaller clusters, shape ``(K,)``."""
        return class_weights(self.counts)

    @property
    def health(self) -> dict[str, Tensor]:
        """Scalars for the log: ``label_change``, and ``largest_cluster`` as a share of all images."""
        return {'label_change': self.change_ratio, 'largest_cluster': self.counts.max() / max(len(self.labels), 1)}

    def allocate(self, num_samples: int) -> None:
        """Allocate labels.

        Raises:
            ValueError: Too few images to fill the clusters.
        """
        minimum = self.minimum_size
        if self.num_clusters * minimum > num_samples:
            fewer = f', and min_cluster to {num_samples // 4} or less' if 2 * minimum > num_samples else ''
            raise ValueError(
                f'{self.num_clusters} clusters of {minimum} images or more, but the data set has {num_samples} images: '
                f'set num_clusters of the memory to {max(num_samples // max(2 * minimum, 10), 2)} or less{fewer}.'
            )
        self.labels = self.labels.new_full((num_samples,), -1)

    def wants_preparation(self, epoch: int) -> bool:
        """Whether k-means must run: before the first epoch, and every ``prepare_every`` epochs."""
        due = epoch - epoch % self.prepare_every if self.prepare_every else 0
        return not due <= int(self.prepared) <= epoch  # a later epoch was loaded with the weights of another run

    def prepare(self, features: Tensor, epoch: int) -> None:
        """Cluster the training set by k-means.

        Args:
            features: Shape ``(N, D)``, not normalised.
            epoch: The epoch that follows.
        """
        self.cluster(unit(whiten(features, self.pca) if self.pca else features).to(self.labels.device), epoch)

    def cluster(self, rows: Tensor, epoch: int) -> None:
        """Set the labels by k-means, which every rank runs; all use the result of rank 0.

        Args:
            rows: Unit rows of all images, shape ``(N, D)``.
            epoch: The epoch that follows.
        """
        with Progress(f'k-means, {self.num_clusters} clusters of {len(rows)} images', self.iterations) as progress:
            seed = hash_seed(self.seed, epoch, Stream.KMEANS)
            labels = kmeans(rows, self.num_clusters, self.iterations, seed, progress.advance).labels
        labels = sum_over_ranks(labels if rank() == 0 else torch.zeros_like(labels))
        if int(self.prepared) >= 0:
            self.change_ratio.copy_(label_change(self.labels, labels))
        self.labels, self.counts = labels, labels.bincount(minlength=self.num_clusters)
        self.prepared.fill_(epoch)
        sizes = self.counts.sort().values
        print_log(
            f'k-means before epoch {epoch + 1}: clusters of {int(sizes[0])} to {int(sizes[-1])} images, half of them '
            f'below {int(sizes[len(sizes) // 2])}.',
            'current',
        )

    def commit(self) -> None:
        """Change nothing; only k-means changes labels."""
