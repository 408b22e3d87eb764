"""k-means by faiss, or by torch if faiss is not installed."""

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmssl.functional.precision import in_float32
from mmssl.functional.randomness import hash_seed

_ROWS, _COLUMNS = 8192, 2048  # features and centroids compared at a time
_FAISS_SEEDS = 1 << 31


class Clustering(NamedTuple):
    """Result of k-means.

    Attributes:
        centroids: Means of the members, float32 (float64 for float64 features), shape ``(K, D)``.
        labels: Cluster of each row, int64, shape ``(N,)``.
    """

    centroids: Tensor
    labels: Tensor


def kmeans(
    features: Tensor,
    num_clusters: int,
    iterations: int = 20,
    seed: int = 0,
    after_round: Callable[[], None] | None = None,
) -> Clustering:
    """Cluster rows by Euclidean distance; no cluster stays empty.

    Features on the CPU are clustered by faiss if it is installed, features on a GPU by faiss on that GPU if its GPU
    build is installed; otherwise by torch on their device. On CPUs the result depends only on the arguments and on
    which library did the work.

    Args:
        features: Shape ``(N, D)``.
        num_clusters: Number K of clusters; at most N.
        iterations: Rounds of assignment and averaging.
        seed: Seed of the initial centroids.
        after_round: Called after every round, for example to advance a progress bar.

    Returns:
        Centroids and labels; every cluster has a member.

    Raises:
        ValueError: More clusters than rows, or a value that is not finite.

    Source: Lloyd's algorithm; faiss (Johnson et al., 2019).
    """
    if not 1 <= num_clusters <= len(features):
        raise ValueError(
            f'{num_clusters} clusters of {len(features)} samples: set the number of clusters between 1 and '
            f'{max(len(features) // 10, 1)} (ten samples per cluster).'
        )
    if not bool(features.isfinite().all()):
        raise ValueError('Features with NaN or infinity cannot be clustered: lower the learning rate.')
    search = _faiss_centroids if _faiss_serves(features) else _torch_centroids
    centroids = search(features, num_clusters, iterations, hash_seed(seed), after_round or (lambda: None))
    labels = fill_empty(features, nearest_centroids(features, centroids), num_clusters, seed)
    return Clustering(cluster_means(features, labels, num_clusters), labels)


@torch.no_grad()
@in_float32
def nearest_centroids(features: Tensor, centroids: Tensor) -> Tensor:
    """Find the centroid at the smallest Euclidean distance: ``(N, D)`` and ``(K, D)`` to int64 ``(N,)``."""
    half_squares = centroids.square().sum(dim=1) / 2
    return torch.cat([most_similar(chunk, centroids, -half_squares) for chunk in features.split(_ROWS)])


@torch.no_grad()
@in_float32
def most_similar(rows: Tensor, centroids: Tensor, offsets: Tensor | None = None) -> Tensor:
    """Find the centroid with the largest inner product plus offset: ``(B, D)`` and ``(K, D)`` to int64 ``(B,)``.

    A few centroids are handled at a time, so that their products are searched while they are in the cache.
    """
    offsets = centroids.new_zeros(len(centroids)) if offsets is None else offsets
    blocks = zip(centroids.split(_COLUMNS), offsets.split(_COLUMNS))
    best = [torch.addmm(offset, rows, part.T).max(dim=1) for part, offset in blocks]
    values, places = torch.stack([part.values for part in best]), torch.stack([part.indices for part in best])
    block = values.argmax(dim=0, keepdim=True)  # (1, B)
    return (places.gather(0, block) + _COLUMNS * block)[0]


@torch.no_grad()
@in_float32
def cluster_means(features: Tensor, labels: Tensor, num_clusters: int) -> Tensor:
    """Mean of each cluster's rows, ``(K, D)``; zeros for empty clusters."""
    sums = features.new_zeros(num_clusters, features.shape[1]).index_add_(0, labels, features)
    return sums / labels.bincount(minlength=num_clusters).clamp_min(1)[:, None]


def fill_empty(features: Tensor, labels: Tensor, num_clusters: int, seed: int = 0) -> Tensor:
    """Give every empty cluster half of the largest one, in ascending order of the empty clusters.

    Args:
        features: Shape ``(N, D)``, with N at least the number of clusters.
        labels: Cluster of each row, int64, shape ``(N,)``.
        num_clusters: Number of clusters.
        seed: Seed of a random split, used if the members of a cluster are all alike.

    Returns:
        Labels in which every cluster occurs.
    """
    labels = labels.clone()
    for empty in (labels.bincount(minlength=num_clusters) == 0).nonzero()[:, 0].tolist():
        members = (labels == largest(labels.bincount(minlength=num_clusters))).nonzero()[:, 0]
        labels[members[split_in_two(features[members], hash_seed(seed, empty))]] = empty
    return labels


def largest(counts: Tensor) -> int:
    """Index of the largest count, ``(K,)``; the first of equal counts, on every device."""
    return int((counts == counts.max()).nonzero()[0, 0])


def split_in_two(rows: Tensor, seed: int = 0) -> Tensor:
    """Split a cluster in two by 2-means, or at random if one half would be empty.

    One CPU thread does the work: several would add up in the order in which they finish, and all ranks must find the
    same halves.

    Args:
        rows: Two or more, shape ``(N, D)``.
        seed: Seed of the random split.

    Returns:
        bool, shape ``(N,)``: the rows of the second half; at least one, but not all.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    points = rows.detach().to('cpu', torch.float64 if rows.dtype == torch.float64 else torch.float32).numpy()
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter('ignore', ConvergenceWarning)  # raised for identical rows
        second = KMeans(2, n_init=1, max_iter=20, random_state=0).fit_predict(points) == 1
    if second.all() or not second.any():
        order = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed)).numpy()
        second = order < len(points) // 2
    return torch.from_numpy(second).to(rows.device)


def _faiss_serves(features: Tensor) -> bool:
    if not find_spec('faiss'):
        return False
    import faiss

    return not features.is_cuda or getattr(faiss, 'get_num_gpus', int)() > 0


def _faiss_centroids(
    features: Tensor, num_clusters: int, iterations: int, seed: int, after_round: Callable[[], None]
) -> Tensor:
    import faiss

    points, dim = np.ascontiguousarray(features.detach().cpu().float().numpy()), features.shape[1]
    index: faiss.Index = faiss.IndexFlatL2(dim)
    if features.is_cuda:  # only the GPU of this process
        index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), features.device.index, index)
    search = faiss.Clustering(dim, num_clusters)
    search.niter, search.seed = 1, seed % _FAISS_SEEDS
    search.min_points_per_centroid, search.max_points_per_centroid = 1, len(points)
    for _ in range(iterations):
        search.train(points, index)  # continues from its current centroids
        after_round()
    centroids = faiss.vector_to_array(search.centroids).reshape(num_clusters, dim)
    return torch.from_numpy(centroids).to(features)


def _torch_centroids(
    features: Tensor, num_clusters: int, iterations: int, seed: int, after_round: Callable[[], None]
) -> Tensor:
    first = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))[:num_clusters]
    centroids = features[first.to(features.device)]
    for _ in range(iterations):
        labels = fill_empty(features, nearest_centroids(features, centroids), num_clusters, seed)
        centroids = cluster_means(features, labels, num_clusters)
        after_round()
    return centroids
