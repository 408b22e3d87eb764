"""Whether clusters of frozen features are the classes."""

from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from torch import Tensor

from mmssl.evaluation.results import Measure
from mmssl.functional import kmeans, unit


class ClusterAgreement(NamedTuple):
    """How a clustering agrees with the classes, from 0 to 100.

    Attributes:
        nmi: Normalised mutual information, over the arithmetic mean of the entropies.
        ari: Adjusted Rand index: 100 for the same partition, about 0 at random.
        accuracy: Percent of the images that are right where every cluster is given a class of its own in the best way.
    """

    nmi: float
    ari: float
    accuracy: float


def cluster_classes(
    features: Tensor, labels: Tensor, seed: int = 0, restarts: int = 5, iterations: int = 50
) -> list[Measure]:
    """k-means of unit features with as many clusters as there are classes, held against the classes.

    Args:
        features: Shape ``(N, D)``.
        labels: Shape ``(N,)``; K different ones.
        seed: Of the first centroids.
        restarts: The tightest of so many clusterings counts.
        iterations: Of each.

    Returns:
        One measure for each entry of :class:`ClusterAgreement`.
    """
    rows, number = unit(features), len(labels.unique())
    found = [kmeans(rows, number, iterations, seed + restart) for restart in range(restarts)]
    spreads = [(rows - centroids[clusters]).double().square().sum() for centroids, clusters in found]
    _, clusters = found[int(torch.stack(spreads).argmin())]
    nmi, ari, accuracy = cluster_agreement(labels, clusters)
    protocol = (
        f'clusters: k-means of the unit features of the test images into {number} clusters, as many as classes, '
        'without labels; accuracy: with every cluster given the class that fits best'
    )
    return [
        Measure('clusters, NMI', nmi, unit='0-100', protocol=protocol),
        Measure('clusters, ARI', ari, unit='0-100', protocol=protocol),
        Measure('clusters, accuracy', accuracy, protocol=protocol),
    ]


def cluster_agreement(labels: Tensor, clusters: Tensor) -> ClusterAgreement:
    """How a clustering agrees with the classes; the numbers of clusters do not matter.

    Args:
        labels: Classes, shape ``(N,)``.
        clusters: Shape ``(N,)``.

    Returns:
        The three measures of agreement.
    """
    truth, found = labels.cpu().numpy(), clusters.cpu().numpy()
    table = contingency_matrix(truth, found)
    right = table[linear_sum_assignment(table, maximize=True)].sum()
    return ClusterAgreement(
        nmi=100 * float(normalized_mutual_info_score(truth, found)),
        ari=100 * float(adjusted_rand_score(truth, found)),
        accuracy=100 * float(right) / np.size(truth),
    )
