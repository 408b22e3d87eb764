"""Slots: vectors that compete for the places of an image, so that each comes to stand for one object."""

import torch
from torch import Tensor

from mmssl.functional.precision import in_float32

_EPS = 1e-8  # a slot that wins no place still has weights to divide


@in_float32
def compete(queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Attention whose softmax runs over the slots (and heads): each place is shared out among them.

    Args:
        queries: One per slot, shape ``(B, heads, K, d)``.
        keys: One per place, divided by the square root of ``d``, shape ``(B, heads, N, d)``.
        values: One per place, shape ``(B, heads, N, d)``.

    Returns:
        Updates, the mean of the values that each slot won, ``(B, K, heads * d)``; and the attention summed over the
        heads, which adds up to 1 over the slots, ``(B, N, K)``.

    Source: Slot Attention, algorithm 1 (Locatello et al., NeurIPS 2020); several heads as in singhgautam/slate,
    ``slot_attn.py``.
    """
    logits = (keys @ queries.transpose(-1, -2)).transpose(1, 2)  # (B, N, heads, K)
    attention = logits.flatten(2).softmax(dim=2).view_as(logits)
    weights = attention + _EPS
    weights = (weights / weights.sum(dim=1, keepdim=True)).permute(0, 2, 3, 1)  # (B, heads, K, N)
    updates = (weights @ values).transpose(1, 2).flatten(2)
    return updates, attention.sum(dim=2)


def cardinal_ramps(height: int, width: int, like: Tensor) -> Tensor:
    """Position of every pixel as its nearness to the four edges: north, south, west, east.

    Args:
        height: Rows of the map.
        width: Columns of the map.
        like: Tensor whose dtype and device the map gets.

    Returns:
        From 0 to 1, both included, shape ``(4, height, width)``.

    Source: jsikyoon/OCRL, ``ocrs/common/utils.py``.
    """
    south = torch.linspace(0, 1, height, dtype=like.dtype, device=like.device)[:, None].expand(height, width)
    east = torch.linspace(0, 1, width, dtype=like.dtype, device=like.device).expand(height, width)
    return torch.stack([1 - south, south, 1 - east, east])


@in_float32
def mix_slots(colours: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Compose an image of what each slot paints.

    Args:
        colours: Pixels of each slot, shape ``(B, K, C, H, W)``.
        logits: How strongly a slot claims a pixel, shape ``(B, K, 1, H, W)``.

    Returns:
        The image, ``(B, C, H, W)``; the masks, which add up to 1 over the slots, ``(B, K, 1, H, W)``.
    """
    masks = logits.softmax(dim=1)
    return (masks * colours).sum(dim=1), masks


@in_float32
def image_error(reconstruction: Tensor, images: Tensor) -> Tensor:
    """Squared error summed over pixels and channels: the mean over the images of a batch, a scalar.

    Args:
        reconstruction: Shape ``(B, C, H, W)``.
        images: Shape ``(B, C, H, W)``.
    """
    return (reconstruction - images).square().sum() / len(images)


@in_float32
def code_loss(scores: Tensor, codes: Tensor) -> Tensor:
    """Cross-entropy of the codes of an image, summed over its places: the mean over the images of a batch, a scalar.

    Args:
        scores: Of every code for each place, shape ``(B, N, V)``.
        codes: The code of each place, int64, shape ``(B, N)``.

    Source: SLATE, eq. 8 (Singh et al., ICLR 2022).
    """
    chosen = scores.log_softmax(dim=2).gather(2, codes[..., None])
    return -chosen.sum() / len(scores)
