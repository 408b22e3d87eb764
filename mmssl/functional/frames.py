"""Which frames of a video a clip has."""

import torch
from torch import Tensor


def jittered_frames(start: int, stride: int, jitter: Tensor, num_frames: int) -> Tensor:
    """Numbers of the frames of one clip.

    Args:
        start: First frame, from 0.
        stride: Step between frames.
        jitter: How far each frame moves, 0 to ``stride - 1``, int64, shape ``(T,)``.
        num_frames: Frames of the video; the last one is repeated where the clip is longer.

    Returns:
        int64, shape ``(T,)``.

    Source: microsoft/CtP, ``RandomFrameSampler``.
    """
    return (start + stride * torch.arange(len(jitter)) + jitter).clamp_max(num_frames - 1)


def uniform_starts(num_frames: int, length: int, stride: int, clips: int) -> list[int]:
    """First frames of clips that are evenly spaced over a video: the middles of equal parts of the possible starts.

    Args:
        num_frames: Frames of the video.
        length: Frames of a clip.
        stride: Step between frames.
        clips: Number of clips.

    Returns:
        One start per clip; all 0 where a clip is longer than the video.

    Source: microsoft/CtP, ``UniformFrameSampler``.
    """
    tick = max(num_frames - length * stride + 1, 0) / clips
    return [int(tick / 2 + tick * clip) for clip in range(clips)]


def parts_of_time(times: Tensor, gap: float, period: float, share: float) -> Tensor:
    """Cut time into periods of a train part, a gap, a test part, and a gap.

    Args:
        times: Seconds from the start, shape ``(N,)``.
        gap: Seconds, 0 or more.
        period: Seconds, more than two gaps.
        share: Share of the test part in the time that is no gap, between 0 and 1.

    Returns:
        0 for train, 1 for test, -1 for a gap, int64, shape ``(N,)``; times of two parts differ by more than the gap.
    """
    place, usable = times % period, period - 2 * gap
    learned = (1 - share) * usable
    parts = torch.full_like(times, -1, dtype=torch.int64)
    parts[place < learned] = 0
    parts[(place >= learned + gap) & (place < period - gap)] = 1
    return parts
