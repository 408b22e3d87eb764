"""Online k-means with a minimum cluster size, enforced by a bonus for each cluster."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from mmssl.functional.precision import in_float32
from mmssl.functional.unit import unit


class Centroids(NamedTuple):
    """Running cluster means within an epoch.

    Attributes:
        centroids: Shape ``(K, D)``.
        counts: Members so far in this epoch, shape ``(K,)``.
    """

    centroids: Tensor
    counts: Tensor


class SoftLabels(NamedTuple):
    """A few classes per sample with their weights.

    Attributes:
        classes: Class indices, integers, shape ``(B, S)``.
        weights: Shape ``(B, S)``.
    """

    classes: Tensor
    weights: Tensor


@in_float32
def constrained_assignment(features: Tensor, centroids: Tensor, duals: Tensor) -> Tensor:
    """Assign each sample to the cluster with the largest sum of inner product and bonus.

    Args:
        features: Shape ``(B, D)``.
        centroids: Shape ``(K, D)``.
        duals: Bonus of each cluster, shape ``(K,)``.

    Returns:
        int64, shape ``(B,)``.

    Source: CoKe, eq. 6 (Qian et al., CVPR 2022), and idstcv/CoKe.
    """
    return torch.addmm(duals, features, centroids.T).argmax(dim=1)


@in_float32
def dual_ascent(duals: Tensor, labels: Tensor, rate: float, ratio: float) -> Tensor:
    """Raise the bonus of clusters that get less than ``ratio`` of their equal share, and lower it for those with more.

    Args:
        duals: Shape ``(K,)``.
        labels: Clusters that a batch was assigned to, shape ``(B,)``.
        rate: Step size of the ascent.
        ratio: Minimum size of a cluster, as a share of ``N / K``; 1 asks for equal sizes, and bonuses may then become
            negative.

    Returns:
        Shape ``(K,)``.
    """
    counts = torch.bincount(labels, minlength=len(duals)).to(duals)
    risen = duals + rate * (ratio / len(duals) - counts / max(len(labels), 1))
    return risen if ratio == 1 else risen.clamp_min(0)


@in_float32
def updated_centroids(
    centroids: Tensor, counts: Tensor, features: Tensor, labels: Tensor, unit_length: bool
) -> Centroids:
    """Running means of the members of an epoch, after one more batch.

    Args:
        centroids: Shape ``(K, D)``.
        counts: Members so far in this epoch, shape ``(K,)``.
        features: Shape ``(B, D)``.
        labels: Their clusters, shape ``(B,)``.
        unit_length: Whether to normalise the centroids that got members; the others do not change.

    Returns:
        The centroids and the counts after the batch.
    """
    ordered, order = labels.sort(stable=True)
    clusters, new = ordered.unique_consecutive(return_counts=True)  # at most B clusters of the K
    means = embedding_bag(order, features, new.cumsum(dim=0) - new, mode='mean')  # the same bits on all ranks
    total = counts.index_add(0, clusters, new.to(counts))
    share = (new / total[clusters])[:, None]
    result = torch.lerp(centroids[clusters], means.to(centroids), share.to(centroids))
    result = unit(result) if unit_length else result
    return Centroids(centroids.index_copy(0, clusters, result), total)


def averaged_slots(classes: Tensor, values: Tensor, labels: Tensor, share: float) -> SoftLabels:
    """Running averages of one-hot labels, limited to a few classes per sample.

    A label that already has a slot adds to it; a new label replaces the slot with the smallest value.

    Args:
        classes: Class in each slot, -1 for a free slot, shape ``(B, S)``.
        values: Value of each slot, 0 for a free slot; rows sum to 1; shape ``(B, S)``.
        labels: New labels, shape ``(B,)``.
        share: Weight of the new label in the average; 1 discards the old labels.

    Returns:
        Updated classes and values (the weights).

    Source: CoKe, the soft labels of the single-view variant; idstcv/CoKe.
    """
    present = classes == labels[:, None]
    place = torch.where(present.any(dim=1), present.int().argmax(dim=1), values.argmin(dim=1))[:, None]
    evicted = torch.where(present.any(dim=1, keepdim=True), torch.zeros_like(values[:, :1]), values.gather(1, place))
    kept = values.scatter(1, place, values.gather(1, place) - evicted)
    values = kept * ((1 - share) / (1 - evicted).clamp_min(1e-12))
    classes = classes.scatter(1, place, labels[:, None].to(classes))
    return SoftLabels(classes, values.scatter_add(1, place, torch.full_like(evicted, share)))


def slot_weights(values: Tensor, temperature: float) -> Tensor:
    """Softmax over the occupied slots: ``(B, S)`` to ``(B, S)``, 0 for free slots."""
    return torch.where(values > 0, values / temperature, -torch.inf).softmax(dim=1).nan_to_num(0.0)
