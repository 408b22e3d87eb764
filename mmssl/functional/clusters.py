"""What clusters of unequal size need: weights, a loss that uses them, and draws that favour none."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mmssl.functional.collectives import mean_over_ranks
from mmssl.functional.precision import in_float32


class Members(NamedTuple):
    """Members of some clusters.

    Attributes:
        samples: Sample numbers, ascending, then N where a cluster has no more, int64, shape ``(B, M)`` for M the
            largest of the clusters.
        counts: How many members there are, int64, shape ``(B,)``.
    """

    samples: Tensor
    counts: Tensor


def class_weights(counts: Tensor, power: float = 0.5) -> Tensor:
    """Weights that make small clusters count more: ``n ** -power``, summing to 1.

    Args:
        counts: Members of each cluster, shape ``(K,)``; an empty one is weighted like one of a single member.
        power: 0 for equal weights, 1 for equal totals.

    Returns:
        float32, shape ``(K,)``.

    Source: ODC, section 3.2 (Zhan et al., CVPR 2020).
    """
    weights = counts.clamp_min(1).float() ** -power
    return weights / weights.sum()


@in_float32
def weighted_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy averaged with the weight of each sample's class, ``sum(w l) / sum(w)`` over all ranks.

    The mean over the ranks, weighted with their batches, is the loss of one process with the whole batch.

    Args:
        logits: Shape ``(B, K)``.
        labels: int64, shape ``(B,)``.
        weights: Of the classes, shape ``(K,)``; their scale does not matter.

    Returns:
        Scalar.

    Source: ODC in mmselfsup 0.x and OpenSelfSup; the port in 1.x divides by the number of samples instead.
    """
    own = weights.to(logits)[labels]
    return (own * cross_entropy(logits, labels, reduction='none')).mean() / mean_over_ranks(own)


def label_change(before: Tensor, after: Tensor) -> Tensor:
    """Share of the samples that did not go where most of their cluster went; the numbers of clusters do not matter.

    Args:
        before: Cluster of each sample, int64, shape ``(N,)``.
        after: Its cluster in another clustering, int64, shape ``(N,)``.

    Returns:
        float64 scalar, 0 to 1; splitting clusters counts as change, joining whole clusters does not.
    """
    width = int(after.max()) + 1
    pairs, together = (before * width + after).unique(return_counts=True)
    largest = torch.zeros(int(before.max()) + 1, dtype=together.dtype, device=together.device)
    largest.scatter_reduce_(0, pairs // width, together, 'amax')
    return 1 - largest.sum().double() / len(before)


def cluster_members(labels: Tensor, wanted: Tensor, num_clusters: int) -> Members:
    """Members of some clusters, by one pass over all labels.

    Args:
        labels: Cluster of each sample, int64, shape ``(N,)``.
        wanted: Clusters, int64, shape ``(B,)``; each must have a member.
        num_clusters: Number of clusters.

    Returns:
        Of each wanted cluster, ``B`` in all.
    """
    clusters, place = wanted.unique(return_inverse=True)
    row_of = labels.new_full((num_clusters,), -1)
    row_of[clusters] = torch.arange(len(clusters), device=labels.device)
    rows = row_of[labels]
    members = (rows >= 0).nonzero()[:, 0]
    rows, order = rows[members].sort(stable=True)
    counts = rows.bincount(minlength=len(clusters))
    column = torch.arange(len(rows), device=labels.device) - (counts.cumsum(0) - counts)[rows]
    table = labels.new_full((len(clusters), int(counts.max())), len(labels))
    table[rows, column] = members[order]
    return Members(table[place], counts[place])
