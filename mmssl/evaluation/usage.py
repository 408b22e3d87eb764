"""How evenly clusters and prototypes are used."""

import math

import torch
from torch import Tensor

_SIZES = {'quarter': 0.25, 'half': 0.5, 'equal': 1.0, 'double': 2.0, 'fourfold': 4.0, 'more': math.inf}

ONE = (
    '{largest:.0%} of the images are in one of {count} {name}: a collapse. What usually helps: balance the '
    'assignments (more Sinkhorn iterations, a smaller epsilon, a queue, a larger minimum cluster size or ratio); '
    'a lower learning rate; keep the prototypes still for longer at the start; fewer clusters.'
)
DEAD = (
    '{dead:.0%} of {count} {name} hold no image. What usually helps: fewer of them ({fewer} would be in use); more '
    'even assignments (more Sinkhorn iterations, a smaller epsilon, a longer queue); a larger minimum cluster size, '
    'so that empty ones get a part of the largest.'
)


def usage(labels: Tensor, count: int) -> dict[str, float]:
    """How evenly clusters are used.

    Args:
        labels: Cluster of each image, int64, -1 for none, shape ``(N,)``; not all -1.
        count: Number of clusters K.

    Returns:
        ``entropy`` of the shares, over ``log K``: 1 for equal use, 0 for one cluster with everything. ``largest``, its
        share of the images. ``dead``, the share of the clusters without an image. The histogram of the sizes: the
        share of the clusters with up to a ``quarter``, a ``half``, once (``equal``), twice (``double``) and four times
        (``fourfold``) as many images as equal use gives (each without those before), and with ``more``.
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


def usage_warning(found: dict[str, float], images: int, count: int, name: str = 'clusters') -> str | None:
    """A warning in words where nearly everything is in one cluster, or many clusters are dead.

    By chance some are empty: of K clusters ``exp(-N / K)`` where N images choose evenly. Of the others, three
    quarters may be.

    Args:
        found: From :func:`usage`.
        images: Number of images N.
        count: Number of clusters K.
        name: What they are called.

    Returns:
        Sentences with figures and remedies; None where all is well.
    """
    if count > 1 and found['largest'] > 0.5 + 0.5 / count:
        return ONE.format(largest=found['largest'], count=count, name=name)
    chance = math.exp(-images / count)
    if found['dead'] > (3 + chance) / 4:
        return DEAD.format(dead=found['dead'], count=count, name=name, fewer=round((1 - found['dead']) * count))
    return None
