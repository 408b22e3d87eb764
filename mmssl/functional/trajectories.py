"""Trajectories of patches in a clip: how they are made, what a network predicts of them, and its loss (CtP)."""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from mmssl.functional.precision import in_float32


class Curve(IntEnum):
    """How a value changes from one key frame to the next."""

    LINEAR = 0
    ACCELERATING = 1
    DECELERATING = 2


class Motion(NamedTuple):
    """How something changes over a clip.

    Attributes:
        keys: Frames between which it changes by one curve each; from 0 to the last frame.
        moves: Change from each key to the next, shape ``(K - 1, N, 2)``.
        curves: A :class:`Curve` for each interval.
    """

    keys: Sequence[int]
    moves: Tensor
    curves: Sequence[int]


def patch_sizes(scales: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """Widths and heights of all shapes of patches: every scale with the first ratio, then with the next.

    Args:
        scales: Square roots of the areas, in pixels.
        ratios: Widths divided by heights.

    Returns:
        float64, shape ``(len(ratios) * len(scales), 2)``.
    """
    roots = torch.tensor(list(ratios), dtype=torch.float64).sqrt()[:, None]
    sides = torch.tensor(list(scales), dtype=torch.float64)[None]
    return torch.stack([sides * roots, sides / roots], dim=2).flatten(0, 1)


def key_jitter(frames: int, inner: int) -> int:
    """Limit of the jitter of inner key frames: they move by ``-limit`` to ``limit - 1``, or not at all if it is 0."""
    return int(frames / (inner + 1) / 3)


def key_frames(frames: int, jitter: Sequence[int]) -> list[int]:
    """Key frames of a motion: the first, the last, and evenly spaced ones between them.

    Args:
        frames: Frames of the clip, at least 2.
        jitter: How far each inner key moves from its even place.

    Returns:
        Frames in ascending order, each once.
    """
    spacing = frames / (len(jitter) + 1)
    inner = [int(spacing * number) + moved for number, moved in enumerate(jitter, 1)]
    return sorted({0, frames - 1, *inner})


def interpolate_keys(keys: Sequence[int], values: Tensor, curves: Sequence[int]) -> Tensor:
    """Values in all frames from those at key frames.

    Args:
        keys: Key frames in ascending order, K of them, from 0.
        values: Values there, shape ``(K, ...)``.
        curves: A :class:`Curve` for each interval.

    Returns:
        Shape ``(keys[-1] + 1, ...)``.

    Source: CtP (Wang et al., CVPR 2021); microsoft/CtP, ``extend_key_frame_to_all``.
    """
    parts = []
    for place, curve in enumerate(curves):
        start, end = keys[place], keys[place + 1]
        share = torch.arange(end - start, dtype=values.dtype) / (end - start)
        share = (share, share**2, 1 - (1 - share) ** 2)[curve].view(-1, *[1] * (values.dim() - 1))
        parts.append(values[place] + share * (values[place + 1] - values[place]))
    return torch.cat([*parts, values[-1:]])


def move_boxes(boxes: Tensor, location: Motion, size: Motion, width: int, height: int) -> Tensor:
    """Boxes in all frames, from those in the first: centres move, sides grow or shrink.

    At key frames, centres are kept so far inside the image that the box would fit with its first size.

    Args:
        boxes: Corners x1, y1, x2, y2 in pixels, float64, shape ``(N, 4)``.
        location: Motion of the centres, in pixels.
        size: Motion of the logarithms of width and height.
        width: Width of the image.
        height: Height of the image.

    Returns:
        Corners, cut off at the border of the image and not rounded, shape ``(N, T, 4)``.

    Source: CtP, section 3.1; microsoft/CtP, ``PatchTrajectory``.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    limits = boxes.new_tensor([width, height]) - sides / 2
    centres, lengths = [(boxes[:, :2] + boxes[:, 2:]) / 2], [sides]
    for move in location.moves:
        centres.append(torch.minimum(torch.maximum(centres[-1] + move, sides / 2), limits))
    for factor in size.moves:
        lengths.append(lengths[-1] * factor.exp())
    places = interpolate_keys(location.keys, torch.stack(centres), location.curves)  # (T, N, 2)
    half = interpolate_keys(size.keys, torch.stack(lengths), size.curves) / 2
    corners = torch.cat([places - half, places + half], dim=2).transpose(0, 1)
    return torch.minimum(corners.clamp_min(0), boxes.new_tensor([width, height, width, height]))


def whole_boxes(boxes: Tensor, width: int, height: int) -> Tensor:
    """Round boxes to whole pixels inside the image, halves to even numbers; each side has at least one pixel.

    Args:
        boxes: Corners x1, y1, x2, y2, shape ``(..., 4)``.
        width: Width of the image.
        height: Height of the image.

    Returns:
        int64, the same shape.
    """
    most = boxes.new_tensor([width, height])
    corners = torch.minimum(boxes.unflatten(-1, (2, 2)).clamp_min(0), most).round().long()
    first = torch.minimum(corners[..., 0, :], most.long() - 1)
    return torch.cat([first, torch.maximum(corners[..., 1, :], first + 1)], dim=-1)


@in_float32
def encode_boxes(boxes: Tensor, deviations: Sequence[float]) -> Tensor:
    """Describe boxes by their change since the first frame.

    Args:
        boxes: Corners x1, y1, x2, y2 in pixels, shape ``(..., T, 4)``; sides count as at least one pixel.
        deviations: What the changes of x, y, log width and log height are divided by.

    Returns:
        Shape ``(..., T, 4)``; 0 in the first frame.

    Source: CtP, section 3.3; microsoft/CtP, ``CtPHead``.
    """
    centres, sides = _centres_and_sides(boxes)
    moved = centres - centres[..., :1, :]
    grown = (sides / sides[..., :1, :]).log()
    return torch.cat([moved, grown], dim=-1) / boxes.new_tensor(list(deviations))


@in_float32
def decode_boxes(changes: Tensor, first: Tensor, deviations: Sequence[float]) -> Tensor:
    """Boxes from their changes since the first frame; undoes :func:`encode_boxes`.

    Args:
        changes: Shape ``(..., T, 4)``.
        first: Boxes in the first frame, shape ``(..., 4)``.
        deviations: As in :func:`encode_boxes`.

    Returns:
        Corners x1, y1, x2, y2 in pixels, shape ``(..., T, 4)``.
    """
    changes = changes * changes.new_tensor(list(deviations))
    centres, sides = _centres_and_sides(first[..., None, :])
    centres, half = centres + changes[..., :2], sides * changes[..., 2:].exp() / 2
    return torch.cat([centres - half, centres + half], dim=-1)


@in_float32
def trajectory_loss(predicted: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Smooth L1 losses of the centres and of the sizes, each summed over its two numbers and averaged over the boxes.

    Args:
        predicted: From the head, shape ``(B, N, T, 4)``.
        targets: From :func:`encode_boxes`, shape ``(B, N, T, 4)``.
        weights: Weight of each box, shape ``(B, N, T)``; the sums are divided by their total, but at least by 1.

    Returns:
        Two scalars.

    Source: CtP, eq. 2; microsoft/CtP, ``CtPHead.loss``.
    """
    losses = smooth_l1_loss(predicted, targets, reduction='none') * weights[..., None]
    total = weights.sum().clamp_min(1)
    return losses[..., :2].sum() / total, losses[..., 2:].sum() / total


@in_float32
def box_overlap(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of boxes in pairs.

    Args:
        boxes: Corners x1, y1, x2, y2, shape ``(..., 4)``.
        others: The same shape.

    Returns:
        0 to 1, shape ``(...)``; 0 for two boxes without area.
    """
    shared = torch.minimum(boxes[..., 2:], others[..., 2:]) - torch.maximum(boxes[..., :2], others[..., :2])
    shared = shared.clamp_min(0).prod(dim=-1)
    areas = [(own[..., 2:] - own[..., :2]).prod(dim=-1) for own in (boxes, others)]
    return shared / (areas[0] + areas[1] - shared).clamp_min(1e-6)


def _centres_and_sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    return (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]).clamp_min(1)
