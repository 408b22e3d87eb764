"""Clips: which frames of a video a clip has, and the data set that turns a draw into views of one clip."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from mmssl.datasets.datasets import TRIES, ImageDataset
from mmssl.datasets.images import UnreadableImageError, as_channels
from mmssl.datasets.sources import ImageSource
from mmssl.functional import Stream, hash_seed, jittered_frames, seed_cpu, uniform_starts
from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import DATASETS, TRANSFORMS


class FrameSampler(Protocol):
    """Chooses the frames of clips."""

    @property
    def length(self) -> int:
        """Frames per clip."""

    def __call__(self, num_frames: int) -> Tensor:
        """Choose frames of a video of ``num_frames`` frames: int64, shape ``(clips, length)``."""

    def plain(self) -> 'FrameSampler':
        """Return the fixed choice of one clip, for evaluation."""


@TRANSFORMS.register_module()
class RandomFrames:
    """One clip at random: a stride, a start, and where each frame lies within its stride.

    The last frame of a video that is too short is repeated.

    Args:
        length: Frames per clip, at least 1.
        strides: Steps between frames to choose from, at least 1 each.
        jitter: Whether each frame moves by 0 to ``stride - 1`` frames.

    Source: microsoft/CtP, ``RandomFrameSampler``.
    """

    def __init__(self, length: int = 16, strides: Sequence[int] = (1, 2, 3, 4, 5), jitter: bool = True) -> None:
        check_numbers(COUNT, length=length, strides=strides)
        self.length, self.strides, self.jitter = length, tuple(strides), jitter

    def __call__(self, num_frames: int) -> Tensor:
        """Choose the frames of one clip: int64, shape ``(1, length)``."""
        stride = self.strides[int(torch.randint(len(self.strides), ()))]
        room = num_frames - (stride * (self.length - 1) + 1)
        start = int(torch.randint(max(room, 0) + 1, ()))
        moved = torch.randint(stride if self.jitter else 1, (self.length,))
        return jittered_frames(start, stride, moved, num_frames)[None]

    def plain(self) -> 'UniformFrames':
        """The clip in the middle, with the smallest stride."""
        return UniformFrames(self.length, min(self.strides))


@TRANSFORMS.register_module()
@dataclass(frozen=True)
class UniformFrames:
    """Clips evenly spaced over the video, always the same; one clip is the middle.

    The last frame of a video that is too short is repeated.

    Args:
        length: Frames per clip, at least 1.
        stride: Steps between frames, at least 1.
        clips: Number of clips, at least 1.

    Source: microsoft/CtP, ``UniformFrameSampler``.
    """

    length: int = 16
    stride: int = 1
    clips: int = 1

    def __post_init__(self) -> None:
        """Refuse numbers outside their ranges."""
        check_numbers(COUNT, length=self.length, stride=self.stride, clips=self.clips)

    def __call__(self, num_frames: int) -> Tensor:
        """Choose the frames of all clips: int64, shape ``(clips, length)``."""
        still = torch.zeros(self.length, dtype=torch.int64)
        starts = uniform_starts(num_frames, self.length, self.stride, self.clips)
        return torch.stack([jittered_frames(start, self.stride, still, num_frames) for start in starts])

    def plain(self) -> 'UniformFrames':
        """The clip in the middle."""
        return UniformFrames(self.length, self.stride)


@DATASETS.register_module()
class ClipDataset(ImageDataset):
    """Views of clips of videos, determined by ``(seed, draw)`` like those of images; see :class:`ImageDataset`.

    Only the frames of a clip are decoded. A video that is broken or too short is replaced by another, chosen by a hash.

    Args:
        source: Source of videos or its config.
        frames: Chooses the frames, or its config. Of several clips, each becomes a view.
        views: Turns a ``(C, T, H, W)`` clip into one view, a list of views, or a dictionary of ``inputs`` and further
            fields; or its config.
        channels: Number of channels of the network, at least 1.
        seed: Seed of the run; set by the Runner.
        plain_views: Evaluation view for :meth:`plain`, or its config.

    Raises:
        ValueError: The source holds no videos.
    """

    def __init__(
        self,
        source: ImageSource | dict,
        frames: FrameSampler | dict,
        views: Callable[[Tensor], Tensor | list[Tensor] | dict] | dict,
        channels: int = 3,
        seed: int = 0,
        plain_views: Callable[[Tensor], Tensor | list[Tensor] | dict] | dict | None = None,
    ) -> None:
        check_numbers(COUNT, channels=channels)
        super().__init__(source, views, channels, seed, plain_views)
        self.frames: FrameSampler = TRANSFORMS.build(frames) if isinstance(frames, dict) else frames

    @property
    def clips(self) -> int:
        """Number of clips, and so of groups of views, per video."""
        return getattr(self.frames, 'clips', 1)

    def plain(self) -> 'ClipDataset':
        """Return the same videos with the evaluation view of one fixed clip each."""
        plain = super().plain()
        assert isinstance(plain, ClipDataset)
        plain.frames = self.frames.plain()
        return plain

    def _load(self, index: int, draw: int) -> tuple[Tensor, dict[str, Any], int]:
        """Decode the clips of a video, one after the other in time: ``(C, clips * T, H, W)``."""
        for attempt in range(TRIES):
            try:
                video = self.source.video(index)
                seed_cpu(hash_seed(self.seed, Stream.FRAMES, draw))
                clips = video.read(self.frames(len(video)).flatten().tolist())
                return clips, self.source.extras(index), index
            except UnreadableImageError as error:
                last = error
                index = hash_seed(self.seed, draw, attempt) % len(self)
        raise UnreadableImageError(f'{TRIES} videos in a row cannot be read; the last: {last}')

    def _view(self, image: Tensor) -> Tensor | list[Tensor] | dict:
        clips = as_channels(image, self.channels).split(self.frames.length, dim=1)
        if len(clips) == 1:
            return self.views(clips[0])
        made = [self.views(clip) for clip in clips]
        if any(isinstance(views, dict) for views in made):
            raise ValueError(f'{len(clips)} clips per video, but the views give further fields: take one clip.')
        return [view for views in made for view in ([views] if isinstance(views, Tensor) else views)]
