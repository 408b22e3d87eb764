"""Agreement between clusters of frozen features and the classes."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmssl.evaluation.classes import check_classes
from mmssl.evaluation.results import Measure
from mmssl.functional import kmeans, unit


class ClusterAgreement(NamedTuple):
    """Agreement of a clustering with the classes, from 0 to 100.

    Attributes:
        nmi: Normalised mutual information, over the arithmetic mean of the entropies.
        ari: Adjusted Rand index: 100 for the same partition, about 0 at random.
        accuracy: Percent of the images that are right under the best one-to-one assignment of clusters to classes.
    """

    nmi: float
    ari: float
    accuracy: float


def cluster_classes(
    features: Tensor, labels: Tensor, seed: int = 0, restarts: int = 5, iterations: int = 50
) -> list[Measure]:
    """Cluster unit features by k-means, one cluster per class, and compare the clusters with the classes.

    Args:
        features: Shape ``(N, D)``.
        labels: Classes from 0 upwards, shape ``(N,)``, with K different values.
        seed: Seed of the first centroids.
        restarts: Number of clusterings; the tightest one counts.
        iterations: Iterations of each clustering.

    Returns:
        One measure per entry of :class:`ClusterAgreement`.

    Raises:
        ValueError: A label is negative.
    """
    check_classes(labels)
    rows, number = unit(features), len(labels.unique())
    found = [kmeans(rows, number, iterations, seed + restart) for restart in range(restarts)]
    spreads = [(rows - centroids[clusters]).double().square().sum() for centroids, clusters in found]
    _, clusters = found[int(torch.stack(spreads).argmin())]
    nmi, ari, accuracy = cluster_agreement(labels, clusters)
    protocol = (
        f'clusters: k-means of the unit features of the test images into {number} clusters, one per class, without '
        'labels; accuracy: under the best one-to-one assignment of clusters to classes'
    )
    return [
        Measure('clusters, NMI', nmi, unit='0-100', protocol=protocol),
        Measure('clusters, ARI', ari, unit='0-100', protocol=protocol),
        Measure('clusters, accuracy', accuracy, protocol=protocol),
    ]


def cluster_agreement(labels: Tensor, clusters: Tensor) -> ClusterAgreement:
    """Compare a clustering with the classes; how the clusters are numbered does not matter.

    Args:
        labels: Class of each image, shape ``(N,)``.
        clusters: Cluster of each image, shape ``(N,)``.

    Returns:
        The three measures of agreement.
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    truth, found = labels.cpu().numpy(), clusters.cpu().numpy()
    table = contingency_matrix(truth, found)
    right = table[linear_sum_assignment(table, maximize=True)].sum()
    return ClusterAgreement(
        nmi=100 * float(normalized_mutual_info_score(truth, found)),
        ari=100 * float(adjusted_rand_score(truth, found)),
        accuracy=100 * float(right) / np.size(truth),
    )
