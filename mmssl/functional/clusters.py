"""Clusters of unequal size: class weights, a weighted loss, the change of labels, and members."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mmssl.functional.collectives import mean_over_ranks
from mmssl.functional.precision import in_float32


class Members(NamedTuple):
    """Members of some clusters.

    Attributes:
        samples: Sample indices in ascending order, padded with N, int64, shape ``(B, M)``, where M is the size of the
            largest cluster.
        counts: Number of members, int64, shape ``(B,)``.
    """

    samples: Tensor
    counts: Tensor


def class_weights(counts: Tensor, power: float = 0.5) -> Tensor:
    """Class weights that favour small clusters: ``n ** -power``, normalised to a sum of 1.

    Args:
        counts: Members of each cluster, shape ``(K,)``; an empty cluster is weighted as if it had one member.
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

    The mean over the ranks, weighted by batch size, is the loss of one process with the whole batch.

    Args:
        logits: Shape ``(B, K)``.
        labels: int64, shape ``(B,)``.
        weights: Weight of each class, shape ``(K,)``; their scale does not matter.

    Returns:
        Scalar.

    Source: ODC in mmselfsup 0.x and OpenSelfSup; the port in 1.x divides by the number of samples instead.
    """
    own = weights.to(logits)[labels]
    return (own * cross_entropy(logits, labels, reduction='none')).mean() / mean_over_ranks(own)


def label_change(before: Tensor, after: Tensor) -> Tensor:
    """Share of the samples that did not move with the majority of their cluster, however the clusters are numbered.

    Args:
        before: Cluster of each sample, int64, shape ``(N,)``.
        after: Its cluster in another clustering, int64, shape ``(N,)``.

    Returns:
        float64 scalar, 0 to 1; splitting a cluster counts as change, merging whole clusters does not.
    """
    width = int(after.max()) + 1
    pairs, together = (before * width + after).unique(return_counts=True)
    largest = torch.zeros(int(before.max()) + 1, dtype=together.dtype, device=together.device)
    largest.scatter_reduce_(0, pairs // width, together, 'amax')
    return 1 - largest.sum().double() / len(before)


def cluster_members(labels: Tensor, wanted: Tensor, num_clusters: int) -> Members:
    """Find the members of the wanted clusters in one pass over all labels.

    Args:
        labels: Cluster of each sample, int64, shape ``(N,)``.
        wanted: Clusters, int64, shape ``(B,)``; each must have a member.
        num_clusters: Number of clusters.

    Returns:
        Members of each wanted cluster, ``B`` rows in all.
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
