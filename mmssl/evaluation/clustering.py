"""Whether clusters of frozen features are the classes."""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from torch import Tensor

from mmssl.functional import kmeans, unit


def cluster_classes(
    features: Tensor, labels: Tensor, seed: int = 0, restarts: int = 5, iterations: int = 50
) -> dict[str, float]:
    """k-means of unit features with as many clusters as there are classes, held against the classes.

    Args:
        features: Shape ``(N, D)``.
        labels: Shape ``(N,)``; K different ones.
        seed: Of the first centroids.
        restarts: The tightest of so many clusterings counts.
        iterations: Of each.

    Returns:
        ``clusters`` (K) and what :func:`cluster_agreement` gives.
    """
    rows, number = unit(features), len(labels.unique())
    found = [kmeans(rows, number, iterations, seed + restart) for restart in range(restarts)]
    spreads = [(rows - centroids[clusters]).double().square().sum() for centroids, clusters in found]
    _, clusters = found[int(torch.stack(spreads).argmin())]
    return {'clusters': number, **cluster_agreement(labels, clusters)}


def cluster_agreement(labels: Tensor, clusters: Tensor) -> dict[str, float]:
    """How a clustering agrees with the classes; the numbers of clusters do not matter.

    Args:
        labels: Classes, shape ``(N,)``.
        clusters: Shape ``(N,)``.

    Returns:
        ``nmi``: normalised mutual information, 0 to 100, over the arithmetic mean of the entropies. ``ari``: adjusted
        Rand index, 100 for the same partition, about 0 at random. ``accuracy``: percent of the samples that are right
        where every cluster is given a class of its own in the best way.
    """
    truth, found = labels.cpu().numpy(), clusters.cpu().numpy()
    table = contingency_matrix(truth, found)
    right = table[linear_sum_assignment(table, maximize=True)].sum()
    return {
        'nmi': 100 * float(normalized_mutual_info_score(truth, found)),
        'ari': 100 * float(adjusted_rand_score(truth, found)),
        'accuracy': 100 * float(right) / np.size(truth),
    }
