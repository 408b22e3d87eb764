"""Highlight curves of whole videos, their top moments, and how well they find known highlights."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmssl.functional import highlight_precision, standardised_over_time
from mmssl.models import RASL
from mmssl.models.modes import eval_mode

_APART = 1.0  # seconds between two moments


class Moment(NamedTuple):
    """A step of a video that stands out: its place, its time in seconds, and its score."""

    step: int
    seconds: float
    score: float


def highlight_curve(model: RASL, visual: Tensor, length: int) -> Tensor:
    """Score every step of a video of any length, from its images alone.

    A longer video is read in windows as long as those of the training, which overlap by half or more; a step has the
    mean over its windows.

    Args:
        model: Runs in eval mode.
        visual: Features of the images, shape ``(T, D)``.
        length: Steps of a window.

    Returns:
        Standardised over the video, float32 on the CPU, shape ``(T,)``.
    """
    steps = len(visual)
    length = min(length, steps)
    count = 1 + -(-(steps - length) // max(length // 2, 1))
    starts = np.linspace(0, steps - length, count).round().astype(int).tolist()
    windows = torch.stack([visual[start : start + length].T for start in starts])[..., None, None]
    with eval_mode(model), torch.no_grad():
        rows = torch.cat([_scored(model, part) for part in windows.split(64)])
    totals, counts = torch.zeros(steps), torch.zeros(steps)
    for start, row in zip(starts, rows):
        totals[start : start + length] += row
        counts[start : start + length] += 1
    return standardised_over_time(totals / counts)


def _scored(model: RASL, windows: Tensor) -> Tensor:
    batch = {'inputs': [windows], 'sample_idx': torch.arange(len(windows)), 'draw': torch.arange(len(windows))}
    return model.mean_latents(model.data_preprocessor(batch)['inputs'][0]).float().cpu()


def top_moments(curve: Tensor, rate: float, count: int) -> list[Moment]:
    """Find the highest steps of a curve that lie at least a second apart.

    Args:
        curve: Shape ``(T,)``.
        rate: Steps per second.
        count: Maximum number of moments.

    Returns:
        Moments, highest first.
    """
    left = curve.clone()
    found: list[Moment] = []
    steps = torch.arange(len(curve))
    while len(found) < count and left.max() > -torch.inf:
        step = int(left.argmax())
        found.append(Moment(step, step / rate, float(curve[step])))
        left[(steps - step).abs() < max(_APART * rate, 1)] = -torch.inf
    return found


def segment_precision(
    curve: Tensor, rate: float, times: Tensor, truth: Tensor, first: int | None = None
) -> float | None:
    """Average precision of a curve on the segments of a video: the score of a segment is the mean of its steps.

    Args:
        curve: Shape ``(T,)``.
        rate: Steps per second.
        times: Start and end of each segment in seconds, shape ``(S, 2)``.
        truth: Whether a segment is a highlight by the judgement of each person, bool, shape ``(A, S)``.
        first: As in :func:`~mmssl.functional.highlight_precision`.

    Returns:
        From 0 to 1, mean over the people; those who call none of the segments a highlight are left out. None if that
        leaves nobody.
    """
    edges = torch.stack([(times[:, 0] * rate).floor(), (times[:, 1] * rate).ceil()], dim=1).long()
    starts = edges[:, 0].clamp(0, len(curve) - 1)
    ends = torch.maximum(edges[:, 1].clamp_max(len(curve)), starts + 1)
    scores = torch.stack([curve[start:end].mean() for start, end in zip(starts.tolist(), ends.tolist())])
    judged = truth[truth.any(dim=1)]
    if not len(judged):
        return None
    return float(highlight_precision(scores.expand(len(judged), -1), judged, first).mean())
