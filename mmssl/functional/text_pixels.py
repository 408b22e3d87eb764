"""Text as pixels: where a rendered text ends, its positions, masked spans, and sentence embeddings."""

from collections.abc import Sequence
from random import Random
from types import ModuleType
from typing import Literal

import torch
from torch import Tensor

from mmssl.functional.masked_image import sincos_positions

SPAN_WEIGHTS = (0.2, 0.4, 0.6, 0.8, 0.9, 1.0)  # cumulative, of spans of 1 to 6 patches
_ATTEMPTS = 100  # to place one span


def attended_patches(images: Tensor, size: int) -> Tensor:
    """Tell the patches of a text from the padding after it: a black patch ends the text, and white ones follow.

    Args:
        images: Strips of one row of patches in which black is 0, shape ``(B, C, size, L * size)``.
        size: Side of a patch in pixels.

    Returns:
        Whether a patch belongs to the text, the last black patch included, bool, shape ``(B, L)``; all patches of an
        image without a black patch do.
    """
    black = (images == 0).unflatten(3, (-1, size)).all(dim=4).all(dim=2).all(dim=1)  # (B, L)
    length = black.shape[1]
    last = length - 1 - black.flip(1).int().argmax(dim=1, keepdim=True)  # of no black patch: the last of all
    return torch.arange(length, device=images.device) <= last


def text_positions(length: int, dim: int, grid: int = 23, device: torch.device | None = None) -> Tensor:
    """Fixed positions of the patches of a strip: the first rows of the table of a square image.

    Args:
        length: Number of patches, at most ``grid * grid``.
        dim: Width of a position, a multiple of 4: half of it for the column in the square, half for the row.
        grid: Side of the square in patches.
        device: Where to compute them; the CPU by default.

    Returns:
        Shape ``(length, dim)``.

    Raises:
        ValueError: The table is too short.

    Source: xplip/pixel, ``utils.py``; a shorter text takes the start of the table, nothing is interpolated.
    """
    if length > grid**2:
        raise ValueError(f'{length} patches, but there are positions for {grid**2}: set patches to {grid**2} or less.')
    return sincos_positions(grid, grid, dim, device).roll(dim // 2, dims=1)[:length]


def masked_mean(tokens: Tensor, attended: Tensor) -> Tensor:
    """Mean of the tokens that belong to a text.

    Args:
        tokens: Shape ``(B, L, D)``.
        attended: Which of them count, bool, at least one per row, shape ``(B, L)``.

    Returns:
        Shape ``(B, D)``.
    """
    weights = attended[..., None].to(tokens.dtype)
    return (tokens * weights).sum(dim=1) / weights.sum(dim=1)


def draw_spans(
    length: int,
    count: int,
    text: int,
    generator: Random | ModuleType,
    weights: Sequence[float] = SPAN_WEIGHTS,
    spacing: int | Literal['span'] = 'span',
) -> list[bool]:
    """Draw the spans of patches to mask.

    The first span is tried inside the text, later ones anywhere. A span is placed only where enough patches beside it
    are not masked; after 100 attempts in vain, fewer patches are masked than asked for.

    Args:
        length: Number of patches.
        count: Number of patches to mask.
        text: Number of patches of the text.
        generator: Random numbers, such as the module ``random``.
        weights: Cumulative probabilities of spans of 1, 2, ... patches.
        spacing: Patches that stay visible on both sides of a span; by default as many as the span has.

    Returns:
        Whether a patch is masked, ``length`` entries.

    Source: xplip/pixel, ``masking.py``.
    """
    masked, lengths = [False] * length, range(1, len(weights) + 1)
    attempts, limit = 0, text
    while sum(masked) < count and attempts < _ATTEMPTS:
        attempts += 1
        (span,) = generator.choices(lengths, cum_weights=weights)
        if span >= length:
            continue
        start = generator.randint(0, max(limit - span, 0))
        limit = length
        if _fits(masked, start, span, span if spacing == 'span' else spacing, count):
            masked[start : start + span] = [True] * span
            attempts = 0
    return masked


def _fits(masked: list[bool], start: int, span: int, spacing: int, count: int) -> bool:
    """Whether a span masks something new, but not more than asked for, and has enough visible patches beside it."""
    end = start + span
    new = span - sum(masked[start:end])
    beside = masked[max(start - spacing, 0) : start] + masked[end : end + spacing]
    return 0 < new <= count - sum(masked) and not any(beside)


def span_noise(noise: Tensor, spans: Tensor) -> Tensor:
    """Order in which patches are masked, if spans were drawn: patches of spans first, then others at random.

    Args:
        noise: Random numbers from 0 to 1, shape ``(B, L)``.
        spans: From :func:`draw_spans`, bool, shape ``(B, L)``.

    Returns:
        Numbers for :func:`~mmssl.functional.choose_patches`, shape ``(B, L)``; the largest are masked.
    """
    return spans.to(noise.dtype) + noise / 100


def text_noise(noise: Tensor, attended: Tensor) -> Tensor:
    """Order in which patches are masked at random, with at least one patch of the text among them.

    Args:
        noise: Random numbers from 0 to 1, shape ``(B, L)``.
        attended: Patches of the text, bool, shape ``(B, L)``.

    Returns:
        Numbers for :func:`~mmssl.functional.choose_patches`, shape ``(B, L)``; the largest are masked.

    Source: xplip/pixel, ``modeling_pixel.py``.
    """
    forced = (noise * attended).argmax(dim=1, keepdim=True)
    return noise.scatter(1, forced, 100.0)
