"""Measures of how evenly clusters and prototypes are used."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

_SIZES = {'quarter': 0.25, 'half': 0.5, 'equal': 1.0, 'double': 2.0, 'fourfold': 4.0, 'more': math.inf}

ONE = (
    '{largest:.0%} of the images are in one of {count} {name}: a collapse. What usually helps: balance the '
    'assignments (more Sinkhorn iterations, a smaller epsilon, a queue, a larger minimum cluster size or ratio); '
    'a lower learning rate; freeze the prototypes for longer at the start; fewer clusters.'
)
DEAD = (
    '{dead:.0%} of {count} {name} hold no image. What usually helps: fewer of them ({fewer} would be in use); more '
    'even assignments (more Sinkhorn iterations, a smaller epsilon, a longer queue); a larger minimum cluster size, '
    'so that empty clusters get part of the largest one.'
)


def usage(labels: Tensor, count: int) -> dict[str, float]:
    """Measure how evenly clusters are used.

    Args:
        labels: Cluster of each image, int64, -1 for none, shape ``(N,)``; not all -1.
        count: Number of clusters K.

    Returns:
        ``entropy`` of the shares divided by ``log K``: 1 if all clusters are used equally, 0 if one has all images.
        ``largest``: share of the images in the largest cluster. ``dead``: share of the clusters without an image. The
        other entries are a histogram of the sizes: the share of the clusters with up to a ``quarter``, ``half``, one
        (``equal``), two (``double``) and four (``fourfold``) times as many images as equal use gives, each without the
        entries before it, and with ``more``.
    """
    counts = labels[labels >= 0].bincount(minlength=count)
    shares = counts.double() / counts.sum()
    sizes, low, histogram = shares * count, 0.0, {}
    for name, high in _SIZES.items():
        histogram[name] = ((sizes > low) & (sizes <= high)).double().mean().item()
        low = high
    return {
        'entropy': torch.special.entr(shares).sum().item() / math.log(count) if count > 1 else 1.0,
        'largest': shares.max().item(),
        'dead': (counts == 0).double().mean().item(),
        **histogram,
    }


def usage_warning(
    found: dict[str, float], images: int, count: int, name: str = 'clusters', start: Mapping[str, float] | None = None
) -> str | None:
    """Warn if one cluster has nearly all images, or if many clusters are dead.

    Some clusters are empty at random: a share of ``exp(-N / K)`` if N images choose uniformly among K clusters. Three
    quarters of the others may be empty, too.

    Args:
        found: Measures from :func:`usage`.
        images: Number of images N.
        count: Number of clusters K.
        name: What the clusters are called.
        start: ``largest`` and ``dead`` of the same network at the start; what was worse then is improving, and brings
            no warning.

    Returns:
        Warning with figures and remedies; None if nothing is wrong.
    """
    start = start or {'largest': 0.0, 'dead': 0.0}
    if count > 1 and found['largest'] > 0.5 + 0.5 / count and found['largest'] >= start['largest']:
        return ONE.format(largest=found['largest'], count=count, name=name)
    chance = math.exp(-images / count)
    if found['dead'] > (3 + chance) / 4 and found['dead'] >= start['dead']:
        return DEAD.format(dead=found['dead'], count=count, name=name, fewer=round((1 - found['dead']) * count))
    return None
