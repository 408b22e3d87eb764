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
