"""Mixtures of two images, and what is left of each in them."""

from typing import NamedTuple

import numpy as np
from torch import Tensor

Box = tuple[int, int, int, int]  # top, left, bottom, right, in pixels


class Mixture(NamedTuple):
    """How two images are mixed.

    Attributes:
        share: Share of the first image in the mixture, 0 to 1.
        box: Where the second image replaces the first; None if both are everywhere, weighted by their shares.
    """

    share: float
    box: Box | None = None


def draw_mixture(seed: int, height: int, width: int, global_prob: float = 0.5, alpha: float = 1.0) -> Mixture:
    """Draw a share and a kind of mixture.

    Args:
        seed: From :func:`~mmssl.functional.hash_seed`.
        height: Of the images, in pixels.
        width: Of the images, in pixels.
        global_prob: Probability of mixing everywhere instead of in a box.
        alpha: Both parameters of the beta distribution of the share; positive. 1 is the uniform distribution.

    Source: Un-Mix, section 3.2 (Shen et al., AAAI 2022).
    """
    generator = np.random.default_rng(seed)
    kind, share = generator.random(), float(generator.beta(alpha, alpha))
    centre = int(generator.integers(height)), int(generator.integers(width))
    return Mixture(share) if kind < global_prob else region_mixture(share, centre, height, width)


def region_mixture(share: float, centre: tuple[int, int], height: int, width: int) -> Mixture:
    """Mixture in a box that is clipped at the border, with the share that is left of the first image.

    Args:
        share: Share of the first image if nothing were clipped, 0 to 1.
        centre: Row and column of the centre of the box, in pixels.
        height: Of the images, in pixels.
        width: Of the images, in pixels.

    Source: CutMix, eq. 2 (Yun et al., ICCV 2019); szq0214/Un-Mix for the clipped share.
    """
    side = np.sqrt(1 - share)
    spans = []
    for place, length in zip(centre, (height, width)):
        half = int(length * side) // 2
        spans.append((max(place - half, 0), min(place + half, length)))
    (top, bottom), (left, right) = spans
    area = (bottom - top) * (right - left)
    return Mixture(1 - area / (height * width), (top, left, bottom, right))


def mix(images: Tensor, partners: Tensor, mixture: Mixture) -> Tensor:
    """Mix images with their partners.

    Args:
        images: Normalised, shape ``(B, C, H, W)``.
        partners: The image that each is mixed with, shape ``(B, C, H, W)``.
        mixture: The same for all.

    Returns:
        Shape ``(B, C, H, W)``.
    """
    if mixture.box is None:
        return mixture.share * images + (1 - mixture.share) * partners
    top, left, bottom, right = mixture.box
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = partners[..., top:bottom, left:right]
    return mixed
