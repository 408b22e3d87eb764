"""Frames of videos as images: all of them, those of labelled segments, and parts with a gap of time between them."""

import csv
from collections.abc import Mapping
from functools import cached_property
from logging import WARNING
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from mmssl.datasets.images import UnreadableImageError
from mmssl.datasets.listing import list_folder
from mmssl.datasets.sources import ImageSource, Subset, build_source, hash_arrays
from mmssl.datasets.video_sources import VideoFolder, VideoSource, find_videos, video_part_sources
from mmssl.datasets.videos import read_frame
from mmssl.functional import parts_of_time
from mmssl.ranges import POSITIVE, check_numbers
from mmssl.registry import DATASETS
from mmssl.words import counted

FRAME_RATE = 5.0  # per second, as in the child's view
_NAMED = 5  # videos that cannot be read and are named
_COLUMNS = ('video', 'start', 'end', 'label')


@DATASETS.register_module()
class VideoFrames(ImageSource):
    """Every frame of videos, at a fixed rate, as an image of its own.

    For methods that learn from single images. A frame is decoded from the last place in its file where decoding can
    start, so frames of long videos that are drawn at random are faster from a folder
    (``tools/dataset_tools/video_frames.py`` writes one); :class:`ShrunkImages` keeps what it has decoded. Videos that
    cannot be read are left out, with a warning that counts and names them.

    Args:
        source: Source of videos or its config; its labels become those of the frames.
        rate: Frames per second; by default all frames. Folders, archives and arrays of images are taken as they are,
            as if they had been written at this rate.

    Attributes:
        videos: Index of the video of each frame, int64, shape ``(N,)``.
        places: Number of each frame in its video, int64, shape ``(N,)``.
        times: Time of each frame in its video in seconds, NaN if it is not known, float64, shape ``(N,)``.
        unreadable: What is wrong with each video that cannot be read.

    Raises:
        ValueError: The source holds no videos, none of them can be read, or the rate is not positive.
        ImportError: PyAV is needed and not installed.
    """

    labels: Tensor | None
    classes: list[str] | None

    def __init__(self, source: VideoSource | dict, rate: float | None = None) -> None:
        if rate is not None and rate <= 0:
            raise ValueError(f'rate={rate} frames per second: give a number above 0.')
        self.source: Any = build_source(source)
        self.rate = rate
        self.unreadable: list[str] = []
        taken = [self._taken(index) for index in range(len(self.source))]
        lengths = torch.tensor([len(places) for places, _ in taken])
        if not int(lengths.sum()):
            first = ''.join(f' {reason}' for reason in self.unreadable[:1])
            raise ValueError(f'None of the videos has frames that can be read: give other videos.{first}')
        if self.unreadable:
            named = ' '.join([*self.unreadable[:_NAMED], *(['...'] if len(self.unreadable) > _NAMED else [])])
            print_log(f'{counted(len(self.unreadable), "video")} left out: {named}', 'current', WARNING)
        self.videos = torch.arange(len(lengths)).repeat_interleave(lengths)
        self.places, self.times = (torch.cat(parts) for parts in zip(*taken))
        self.labels = None if self.source.labels is None else self.source.labels[self.videos]
        self.classes = self.source.classes

    def _taken(self, index: int) -> tuple[Tensor, Tensor]:
        """Numbers and times of the frames of a video; none of one that cannot be read."""
        try:
            video = self.source.video(index)
            if self.rate and video.timed:
                places = torch.tensor(video.at_rate(self.rate).places)
            else:
                places = torch.arange(len(video))
            if not self.rate and video.timed:
                return places, torch.from_numpy(video.times()[:-1])
        except UnreadableImageError as error:
            self.unreadable.append(str(error))
            return torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.float64)
        return places, torch.arange(len(places), dtype=torch.float64) / (self.rate or torch.nan)

    def __len__(self) -> int:
        return len(self.videos)

    def load(self, index: int) -> Tensor:
        """Decode a frame, uint8 or uint16, shape ``(C, H, W)``."""
        return read_frame(self.source.video(int(self.videos[index])), int(self.places[index]))

    def name(self, index: int) -> str:
        """Name of the video, and number of the frame."""
        return f'{self.source.name(int(self.videos[index]))}[{int(self.places[index])}]'

    def path(self, index: int) -> Path | None:
        """File or folder of the frame's video."""
        return self.source.path(int(self.videos[index]))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the source's fingerprint and the frames."""
        text = np.frombuffer(self.source.fingerprint.encode(), np.uint8)
        return hash_arrays(text, self.videos, self.places, self.labels)

    def describe(self) -> str:
        """Say in one line how many frames of how many videos there are, and at which rate they were taken."""
        videos = counted(len(self.videos.unique()), 'video')
        rate = f'at {self.rate:g} per second' if self.rate else 'all of them'
        classes = f'{len(self.classes)} classes ({", ".join(self.classes[:10])})' if self.classes else 'no classes'
        left_out = f' {counted(len(self.unreadable), "video")} left out.' if self.unreadable else ''
        return f'{counted(len(self), "frame")} of {videos}, {rate}, {classes}.{left_out}'


@DATASETS.register_module()
class LabelledFrames(VideoFrames):
    """Frames of the segments of time that a table gives a class.

    Frames outside of all segments are left out.

    Args:
        file: Table in CSV format with the columns ``video`` (path), ``start``, ``end`` (seconds; the end is not part of
            the segment) and ``label`` (name of the class).
        root: Folder that the paths are relative to; by default that of the table.
        rate: Frames per second, above 0; see :class:`VideoFrames`.

    Raises:
        ValueError: There is no such table, a column or a video is missing, a time is no number or an end does not come
            after its start, segments of two classes overlap, or no frame lies in a segment.
    """

    def __init__(self, file: str | Path, root: str | Path | None = None, rate: float = 1.0) -> None:
        check_numbers(POSITIVE, rate=rate)
        rows = _segments(Path(file))
        paths = list(dict.fromkeys(video for video, *_ in rows))
        super().__init__(VideoSource(root or Path(file).parent, paths, minimum_frames=1), rate)
        self.classes = sorted({label for *_, label in rows})
        labels = torch.full((len(self.videos),), -1)
        for video, start, end, label in rows:
            number = self.classes.index(label)
            inside = (self.videos == paths.index(video)) & (self.times >= start) & (self.times < end)
            if bool(((labels[inside] >= 0) & (labels[inside] != number)).any()):
                raise ValueError(f'{file}: {video} from {start:g} to {end:g} is {label} and another class: keep one.')
            labels[inside] = number
        kept = labels >= 0
        if not bool(kept.any()):
            raise ValueError(f'{file} has no segment with a frame at {rate:g} per second: are its times in seconds?')
        self.videos, self.places, self.times = self.videos[kept], self.places[kept], self.times[kept]
        self.labels = labels[kept]


@DATASETS.register_module()
class TimeSplit(Subset):
    """Frames to learn from, or frames to measure on, with a gap of time between them.

    Neighbouring frames look alike, so a split at random measures how well a network remembers. Here, the time of every
    video is cut into periods, each of which has a train part, a gap, a test part, and a gap. A video that is shorter
    than a train part has no test frames.

    Args:
        source: Frames with times (:class:`VideoFrames`, :class:`LabelledFrames`) or their config.
        part: ``'train'`` or ``'test'``.
        gap: Seconds between a frame of one part and a frame of the other, at least.
        period: Seconds after which the parts recur; more than two gaps.
        share: Share of the test part in the time that is no gap, between 0 and 1.

    Raises:
        ValueError: The frames have no times, a number is out of range, or the part has no frames.
    """

    def __init__(
        self,
        source: VideoFrames | dict,
        part: Literal['train', 'test'],
        gap: float = 10.0,
        period: float = 60.0,
        share: float = 0.5,
    ) -> None:
        frames: Any = build_source(source)
        if part not in ('train', 'test'):
            raise ValueError(f"part={part!r}: give 'train' or 'test'.")
        if gap < 0 or period <= 2 * gap or not 0 < share < 1:
            raise ValueError(
                f'gap={gap:g}, period={period:g}, share={share:g}: give a gap of 0 or more, a period of more than two '
                'gaps, and a share between 0 and 1.'
            )
        if bool(frames.times.isnan().any()):
            raise ValueError('The frames have no times, by which they could be split: give VideoFrames a rate.')
        parts = parts_of_time(frames.times, gap, period, share)
        indices = (parts == ('train', 'test').index(part)).nonzero()[:, 0]
        if not len(indices):
            raise ValueError(
                f'No frame is in the {part} part: the videos last up to {float(frames.times.max()):.0f} seconds, so '
                'give a smaller period and gap.'
            )
        super().__init__(frames, indices=indices)
        self.gap = gap


def frame_parts(root: str | Path, rate: float = FRAME_RATE) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Frames to learn from and frames to measure on, of a video or a folder of videos.

    With ``train`` and ``test`` (see :func:`video_part_sources`), these are the parts. Otherwise a fifth of the videos
    of each class, at least one, is held out: whole videos, since neighbouring frames look alike. A class with a single
    video is learned from. Without a class of two videos or more, there are no classes and nothing is held out.

    Args:
        root: A video or a folder of videos.
        rate: Frames per second.

    Returns:
        Configs of :class:`VideoFrames`; the second is None without classes.

    Raises:
        ValueError: There is no such folder, or it holds no videos.
    """
    training, measured = video_part_sources(root)
    if measured is not None:
        return _frames(training, rate), _frames(measured, rate)
    chosen = _held_out(training)
    if not chosen:
        return _frames(training, rate, labels=False), None
    rest = [index for index in range(len(training)) if index not in chosen]
    return _frames(training, rate, indices=rest), _frames(training, rate, indices=sorted(chosen))


def holds_videos(path: str | Path) -> bool:
    """Whether a path is a file, or a folder with videos and without images."""
    path = Path(path)
    if not path.is_dir():
        return path.is_file()
    return not len(list_folder(path).paths) and bool(find_videos(path))


def _frames(videos: VideoFolder, rate: float, labels: bool = True, indices: list[int] | None = None) -> dict[str, Any]:
    """Config of the frames of some videos."""
    config: dict[str, Any] = {'type': VideoFolder, 'root': str(videos.given.resolve()), 'minimum_frames': 1}
    config |= {'classes': videos.classes} if labels and videos.classes else {'labels': False}
    if indices is not None:
        config = {'type': Subset, 'source': config, 'indices': indices}
    return {'type': VideoFrames, 'source': config, 'rate': rate}


def _held_out(videos: VideoFolder) -> set[int]:
    """The last fifth of the videos of each class with more than one."""
    labels = [] if videos.labels is None else videos.labels.tolist()
    members = [[index for index, label in enumerate(labels) if label == own] for own in set(labels)]
    return {index for own in members if len(own) > 1 for index in own[-max(len(own) // 5, 1) :]}


def _segments(file: Path) -> list[tuple[str, float, float, str]]:
    """Read the rows of a table of segments: video, start, end, label."""
    if not file.is_file():
        raise ValueError(f'There is no table {file}: give a .csv file with the columns {", ".join(_COLUMNS)}.')
    with file.open(newline='', encoding='utf-8-sig') as lines:
        reader = csv.DictReader(lines)
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f'{file} lacks the columns {", ".join(missing)}: needed are {", ".join(_COLUMNS)}.')
        rows = [_segment(row, f'{file}:{number}') for number, row in enumerate(reader, 2)]
    if not rows:
        raise ValueError(f'{file} has no segments: write one per line.')
    return rows


def _segment(row: Mapping[str, str | None], where: str) -> tuple[str, float, float, str]:
    video, start, end, label = ((row[name] or '').strip() for name in _COLUMNS)
    try:
        times = float(start), float(end)
    except ValueError:
        times = (0.0, 0.0)
    if not video or not label or not 0 <= times[0] < times[1]:
        raise ValueError(
            f'{where} has the video {video!r}, start {start!r}, end {end!r} and label {label!r}: needed are a path, '
            'two times in seconds, the second after the first, and a name.'
        )
    return video, *times, label
