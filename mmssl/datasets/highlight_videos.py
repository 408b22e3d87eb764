"""Videos with known highlights in the layouts that their authors publish: YouTube Highlights and TVSum."""

import csv
import json
from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmssl.datasets.images import UnreadableImageError
from mmssl.datasets.video_sources import VideoSource
from mmssl.datasets.videos import VIDEO_FILES, open_video
from mmssl.registry import DATASETS

_SHOT = 2.0  # seconds of a shot of TVSum, whose frames share their scores
_DOMAINS = ('dog', 'gymnastics', 'parkour', 'skating', 'skiing', 'surfing')


class Segments(NamedTuple):
    """Segments of a video, and which of them are highlights.

    Attributes:
        times: Start and end in seconds, float64, shape ``(S, 2)``.
        truth: Whether a segment is a highlight by the judgement of each of ``A`` people, bool, shape ``(A, S)``.
    """

    times: Tensor
    truth: Tensor

    def steps(self, count: int, rate: float) -> Tensor:
        """Which steps of a sequence lie in a segment that at least half of the people call a highlight.

        Args:
            count: Number of steps; step ``i`` is at ``i / rate`` seconds.
            rate: Steps per second.

        Returns:
            bool, shape ``(count,)``.
        """
        seconds = torch.arange(count, dtype=torch.float64)[:, None] / rate
        inside = (seconds >= self.times[:, 0]) & (seconds < self.times[:, 1])
        return (inside & (self.truth.double().mean(dim=0) >= 0.5)).any(dim=1)


class HighlightVideos(VideoSource):
    """Base class of sources of videos with known highlights."""

    @abstractmethod
    def segments(self, index: int) -> Segments:
        """Segments of a video.

        Args:
            index: From 0 to ``len(self) - 1``.

        Raises:
            UnreadableImageError: The annotation cannot be read.
        """


@DATASETS.register_module()
class YouTubeHighlights(HighlightVideos):
    """YouTube Highlights (Sun et al., ECCV 2014), six domains, which are the classes.

    The layout is that of the authors: ``skating/VIDEO/match_label.json`` holds two lists, the first and the last frame
    of each clip, and its label: 1 if it was found in an edited video, -1 if not, 0 if that is unclear. The video lies
    beside it, or beside its folder, under the name of the folder. A label of 1 is a highlight; this reading is ours.
    The authors' split is not in the layout: give the videos of a part as ``names``.

    Args:
        root: Folder with the domains.
        domain: One of the domains; by default all.
        names: Names of the videos to use; by default all.
        settings: ``rate`` and ``minimum_frames`` of :class:`~mmssl.datasets.VideoSource`.

    Raises:
        ValueError: There are no videos with labels.
    """

    def __init__(
        self, root: str | Path, domain: str | None = None, names: Sequence[str] | None = None, **settings: Any
    ) -> None:
        domains = [domain] if domain else [name for name in _DOMAINS if (Path(root) / name).is_dir()]
        files = [file for name in domains for file in sorted((Path(root) / name).glob('*/match_label.json'))]
        files = [file for file in files if names is None or file.parent.name in names]
        found = [(video, file) for file in files if (video := _video_of(file.parent))]
        if not found:
            raise ValueError(
                f'No videos with a match_label.json in {root}: give the folder that holds dog, gymnastics and so on.'
            )
        self._files = [file for _, file in found]
        labels = [domains.index(file.parent.parent.name) for file in self._files]
        paths = [video.relative_to(root).as_posix() for video, _ in found]
        super().__init__(root, paths, labels, domains, **settings)

    def segments(self, index: int) -> Segments:
        """Clips of a video, in seconds of the file as it is; see the class for the labels."""
        file = self._files[index]
        try:
            clips, labels = json.loads(file.read_text(encoding='utf-8'))
            frames = np.array(clips, np.float64).reshape(len(labels), 2)
            truth = torch.tensor([[float(label) > 0 for label in labels]])
        except (OSError, ValueError, TypeError) as error:
            raise UnreadableImageError(f'{file} is not two lists, of clips and of labels: {error}') from error
        times = open_video(self.path(index)).times()
        inside = np.clip(np.stack([frames[:, 0], frames[:, 1] + 1], axis=1).astype(np.int64), 0, len(times) - 1)
        return Segments(torch.from_numpy(times[inside]), truth)


@DATASETS.register_module()
class TVSum(HighlightVideos):
    """TVSum (Song et al., CVPR 2015): 50 videos of ten categories, each scored by 20 people.

    The layout is that of the authors: ``data/ydata-tvsum50-anno.tsv`` has a line per person, with the video, its
    category and a score per frame, and ``video/VIDEO.mp4``. A segment is a shot of two seconds; it is a highlight for a
    person whose score of it is above the median of that person's scores of this video. This reading is ours.

    Args:
        root: Folder of the data set, or the one inside it that holds ``data`` and ``video``.
        settings: ``rate`` and ``minimum_frames`` of :class:`~mmssl.datasets.VideoSource`.

    Raises:
        ValueError: A file of the layout is missing, or a line of it cannot be read.
    """

    def __init__(self, root: str | Path, **settings: Any) -> None:
        folders = (Path(root), *sorted(Path(root).glob('ydata*')))
        root = next((folder for folder in folders if (folder / 'data').is_dir()), folders[0])
        table = root / 'data' / 'ydata-tvsum50-anno.tsv'
        if not table.is_file():
            raise ValueError(f'There is no {table}: give the folder of TVSum that holds data and video.')
        self._scores: dict[str, list[np.ndarray]] = {}
        categories: dict[str, str] = {}
        for name, category, scores in _tvsum_lines(table):
            self._scores.setdefault(name, []).append(scores)
            categories[name] = category
        self._names = sorted(self._scores)
        classes = sorted(set(categories.values()))
        labels = [classes.index(categories[name]) for name in self._names]
        super().__init__(root, [f'video/{name}.mp4' for name in self._names], labels, classes, **settings)

    def segments(self, index: int) -> Segments:
        """Shots of two seconds of a video."""
        scores = np.stack(self._scores[self._names[index]])  # (A, frames)
        end = float(open_video(self.path(index)).times()[-1])
        starts = np.arange(0, end, _SHOT)
        edges = np.append(starts, end)
        places = np.clip((edges / end * scores.shape[1]).round().astype(np.int64), 0, scores.shape[1] - 1)
        shots = np.stack([scores[:, a : max(b, a + 1)].mean(axis=1) for a, b in pairwise(places)], axis=1)
        truth = torch.from_numpy(shots > np.median(shots, axis=1, keepdims=True))
        return Segments(torch.from_numpy(np.stack([edges[:-1], edges[1:]], axis=1)), truth)


def _tvsum_lines(table: Path) -> list[tuple[str, str, np.ndarray]]:
    found = []
    csv.field_size_limit(1 << 24)
    with table.open(encoding='utf-8', newline='') as file:
        for number, line in enumerate(csv.reader(file, delimiter='\t'), 1):
            try:
                name, category, scores = line
                found.append((name, category, np.array(scores.split(','), np.float64)))
            except ValueError as error:
                raise ValueError(f'{table}, line {number} is no video, category and scores: {error}.') from error
    lengths = {name: len(scores) for name, _, scores in found}
    for name, _, scores in found:
        if len(scores) != lengths[name]:
            raise ValueError(f'{table} has {len(scores)} and {lengths[name]} scores of {name}: give one per frame.')
    return found


def _video_of(folder: Path) -> Path | None:
    """The video of a folder of YouTube Highlights: in it, or beside it under its name."""
    for video in (*sorted(folder.iterdir()), *(folder.with_name(folder.name + end) for end in VIDEO_FILES)):
        if video.suffix.lower() in VIDEO_FILES and video.is_file():
            return video
    return None
