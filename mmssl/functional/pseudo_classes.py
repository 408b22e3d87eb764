"""Orders of images in which a batch holds at most one image per pseudo-class (G-SimCLR, ICDM-W 2020)."""

import torch
from torch import Tensor


def ranked_order(labels: Tensor, order: Tensor) -> Tensor:
    """Order images by their rank within their class, then by class: the first of every class, then the second.

    Cut into batches of as many images as there are classes, batch ``t`` holds one image of each class as long as every
    class has at least ``t`` images. Later batches hold several images of the larger classes.

    Args:
        labels: Pseudo-class of each image, integers from 0, shape ``(N,)``.
        order: Permutation of the images, which decides their ranks within their classes, int64, shape ``(N,)``.

    Returns:
        Image indices, int64, shape ``(N,)``.

    Source: the released notebooks of G-SimCLR; ties, which their sort leaves open, go by class.
    """
    images, ranks = _by_class(labels, order)
    return images[ranks.argsort(stable=True)]


def clean_batches(labels: Tensor, order: Tensor, batch_size: int) -> Tensor:
    """Make as many batches as possible that hold at most one image per class.

    The images stand in a row, class by class, and are dealt out to the batches in turn: with ``S`` batches and at most
    ``S`` images per class, no batch gets two images of one class.

    Args:
        labels: Pseudo-class of each image, integers from 0, shape ``(N,)``.
        order: Permutation of the images, which decides who is left out of a class with more than ``S`` images, int64,
            shape ``(N,)``.
        batch_size: Images per batch ``B``.

    Returns:
        Image indices, no image twice, int64, shape ``(S, B)``, with ``S`` from :func:`count_clean_batches`. If some
        images of the last classes do not fit, they are left out.
    """
    count = count_clean_batches(labels, batch_size)
    images, ranks = _by_class(labels, order)
    return images[ranks < count][: count * batch_size].view(batch_size, count).T


def count_clean_batches(labels: Tensor, batch_size: int) -> int:
    """Count the batches that can be made with at most one image per class, and no image twice.

    It is the largest ``S`` for which ``sum over classes of min(images, S)`` is at least ``S * batch_size``.

    Args:
        labels: Pseudo-class of each image, integers from 0, shape ``(N,)``.
        batch_size: Images per batch.

    Returns:
        The number; 0 if there are fewer classes than images in a batch.
    """
    of_size = labels.bincount().bincount()  # number of classes with so many images
    at_least = of_size.flip(0).cumsum(0).flip(0)[1:]
    usable = at_least.cumsum(0)  # sum over classes of min(images, S), for S = 1, 2, ...
    fits = usable >= batch_size * torch.arange(1, len(usable) + 1)  # true, then false: the sum is concave in S
    return len(labels) // batch_size if bool(fits.all()) else int(fits.sum())


def _by_class(labels: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """Images class by class, each class in the given order, and their ranks within their classes, from 0."""
    images = order[labels[order].argsort(stable=True)]
    sizes = labels.bincount()
    starts = sizes.cumsum(0) - sizes
    return images, torch.arange(len(labels)) - starts[labels[images]]
