"""Masked images: which patches are seen, and the loss of the pixels of the others (He et al., CVPR 2022)."""

from typing import NamedTuple

import torch
from torch import Tensor

from mmssl.functional.precision import in_float32

_EPS = 1e-6  # added to the variance of a patch


class ChosenPatches(NamedTuple):
    """Patches that an encoder sees.

    Attributes:
        seen: Numbers of these patches, int64, shape ``(B, K)``.
        restore: Place of each patch among the seen ones followed by the others, int64, shape ``(B, N)``.
        masked: Whether a patch is not seen, bool, shape ``(B, N)``.
    """

    seen: Tensor
    restore: Tensor
    masked: Tensor


def choose_patches(noise: Tensor, count: int) -> ChosenPatches:
    """Choose the patches of each image with the smallest random numbers.

    Args:
        noise: Random numbers, shape ``(B, N)`` for ``N`` patches.
        count: Number ``K`` of patches that are seen, from 1 to ``N``.
    """
    order = noise.argsort(dim=1, stable=True)
    restore = order.argsort(dim=1)
    return ChosenPatches(order[:, :count], restore, restore >= count)


def patchify(images: Tensor, size: int) -> Tensor:
    """Cut images into square patches: ``(B, C, H, W)`` to ``(B, N, size * size * C)``, row by row, channels last.

    Args:
        images: Height and width are multiples of ``size``.
        size: Side of a patch in pixels.
    """
    patches = images.unfold(2, size, size).unfold(3, size, size)  # (B, C, h, w, size, size)
    return patches.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)


def unpatchify(patches: Tensor, size: int) -> Tensor:
    """Join one row of patches to strips: ``(B, N, size * size * C)`` to ``(B, C, size, N * size)``.

    Args:
        patches: From :func:`patchify`, of images that are one patch high.
        size: Side of a patch in pixels.
    """
    return patches.unflatten(2, (size, size, -1)).permute(0, 4, 2, 1, 3).flatten(3)


@in_float32
def masked_pixel_loss(predictions: Tensor, patches: Tensor, masked: Tensor, normalise: bool = True) -> Tensor:
    """Mean squared error of the pixels of masked patches.

    Args:
        predictions: Shape ``(B, N, D)``.
        patches: From :func:`patchify`, shape ``(B, N, D)``.
        masked: Which patches count, bool, shape ``(B, N)``; as many in every image.
        normalise: Whether mean and deviation of each patch are removed from its pixels first.

    Returns:
        Scalar: mean over the masked patches of all images.

    Source: MAE, section 3; facebookresearch/mae, ``models_mae.py`` (unbiased variance).
    """
    if normalise:
        patches = (patches - patches.mean(dim=2, keepdim=True)) / (patches.var(dim=2, keepdim=True) + _EPS).sqrt()
    errors = (predictions - patches).square().mean(dim=2)  # (B, N)
    return (errors * masked).sum() / masked.sum()


def sincos_positions(height: int, width: int, dim: int, device: torch.device | None = None) -> Tensor:
    """Sine and cosine of rows and columns at many frequencies, ``(height * width, dim)``: fixed positions of patches.

    Args:
        height: Rows of patches.
        width: Columns of patches.
        dim: Width of a position, a multiple of 4: half of it for the row, half for the column.
        device: Where to compute them; the CPU by default.

    Raises:
        ValueError: ``dim`` is no multiple of 4.

    Source: facebookresearch/moco-v3, ``vits.py``.
    """
    if dim % 4:
        raise ValueError(f'Positions of width {dim}: give a multiple of 4.')
    rates = 10000.0 ** -(torch.arange(dim // 4, device=device) / (dim // 4))
    sides = (torch.arange(side, device=device) for side in (height, width))
    rows, columns = torch.meshgrid(*sides, indexing='ij')
    angles = [place.flatten()[:, None] * rates for place in (rows, columns)]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], dim=1)
