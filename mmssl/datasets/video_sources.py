"""Sources of videos: a folder and a list file."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmssl.datasets.images import EXTENSIONS, UnreadableImageError
from mmssl.datasets.listing import find_parts
from mmssl.datasets.sources import ImageSource, classes_of, hash_arrays, path_and_label, read_list
from mmssl.datasets.videos import ARCHIVES, VIDEO_FILES, Video, open_video
from mmssl.ranges import COUNT, POSITIVE, check_given, check_numbers
from mmssl.registry import DATASETS

_KINDS = ', '.join((*VIDEO_FILES, *ARCHIVES))


class VideoSource(ImageSource):
    """Base class of sources whose items are videos: :meth:`video` opens one, and the data set decodes some frames.

    As a source of images, it gives the middle frame of each video.

    Args:
        root: Folder that the paths are relative to.
        paths: A file, or a folder of frames, for each video.
        labels: Class of each video, -1 for none; None without labels.
        classes: Names of the classes.
        rate: Frames per second that all videos are read at; by default each has its own.
        minimum_frames: Frames that a video needs; a shorter one counts as unreadable.

    Raises:
        ValueError: There are no videos, or the first, the middle and the last are missing.
    """

    labels: Tensor | None
    classes: list[str] | None

    def __init__(
        self,
        root: str | Path,
        paths: Sequence[str],
        labels: Sequence[int] | None = None,
        classes: Sequence[str] | None = None,
        rate: float | None = None,
        minimum_frames: int = 2,
    ) -> None:
        if not paths:
            raise ValueError(f'No videos ({_KINDS}, or folders of images) in {root}: give their folder as root.')
        self.root, self.paths, self.rate, self.minimum_frames = Path(root), list(paths), rate, minimum_frames
        self.labels = None if labels is None else torch.tensor(labels, dtype=torch.int64)
        self.classes = None if classes is None else list(classes)
        some = {self.paths[place]: None for place in (0, len(paths) // 2, -1)}
        if not any((self.root / path).exists() for path in some):
            raise ValueError(f'{", ".join(some)} are not in {root}: give the folder that they are relative to.')

    def __len__(self) -> int:
        return len(self.paths)

    def video(self, index: int) -> Video:
        """Open a video.

        Args:
            index: From 0 to ``len(self) - 1``.

        Returns:
            The video, at the rate of the source.

        Raises:
            UnreadableImageError: It is missing or broken, or has fewer frames than ``minimum_frames``.
            ImportError: It needs PyAV, which is not installed.
        """
        video = open_video(self.path(index))
        video = video.at_rate(self.rate) if self.rate else video
        if len(video) < self.minimum_frames:
            at_rate = f' at {self.rate:g} per second' if self.rate else ''
            raise UnreadableImageError(
                f'{self.path(index)} is too short: {len(video)} frame{"" if len(video) == 1 else "s"}{at_rate}, but '
                f'{self.minimum_frames} are needed.'
            )
        return video

    def load(self, index: int) -> Tensor:
        """Decode the middle frame of a video, uint8 or uint16, shape ``(C, H, W)``."""
        video = self.video(index)
        return video.read([len(video) // 2])[:, 0]

    def path(self, index: int) -> Path:
        """File or folder of a video."""
        return self.root / self.paths[index]

    def name(self, index: int) -> str:
        """Path of a video relative to the root."""
        return self.paths[index]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the relative paths, the labels and the rate; not of the pixels."""
        text = '\n'.join([*self.paths, str(self.rate)]).encode('utf-8', 'surrogateescape')
        return hash_arrays(np.frombuffer(text, np.uint8), self.labels)


@DATASETS.register_module()
class VideoFolder(VideoSource):
    """All videos in a folder and its subfolders, sorted.

    A video is a file that FFmpeg reads, a ``.zip`` archive of images, a ``.npy`` array, or a folder that holds images.
    The top-level folder of a video is its class, if every video is in such a folder and there are at least two.

    Args:
        root: The folder, or a single video.
        labels: Whether to use the folders as classes.
        classes: Names of the classes by number, for a part that may lack some of them; videos in other folders have no
            class (-1).
        rate: Frames per second that all videos are read at, above 0; by default each has its own.
        minimum_frames: Frames that a video needs, at least 1; a shorter one counts as unreadable.

    Attributes:
        given: What was given as ``root``.

    Raises:
        ValueError: There is no such folder, or it holds no videos.
    """

    def __init__(
        self,
        root: str | Path,
        labels: bool = True,
        classes: Sequence[str] | None = None,
        rate: float | None = None,
        minimum_frames: int = 2,
    ) -> None:
        check_given(POSITIVE, rate=rate)
        check_numbers(COUNT, minimum_frames=minimum_frames)
        self.given = root = Path(str(root))  # --cfg-options turn a folder named 2024 into a number
        if root.is_file():
            root, paths = root.parent, [root.name]
        elif root.is_dir():
            paths = find_videos(root)
        else:
            raise ValueError(f'There is no folder {root}: give the folder that holds the videos as root.')
        tops = [path.partition('/')[0] if '/' in path else '' for path in paths]
        names = list(classes or sorted(set(tops)))
        labelled = labels and (classes is not None or ('' not in tops and len(names) > 1))
        numbers = {name: number for number, name in enumerate(names)}
        given = [numbers.get(top, -1) for top in tops] if labelled else None
        super().__init__(root, paths, given, names if labelled else None, rate, minimum_frames)

    def describe(self) -> str:
        """Say in one line how many videos there are, and what was taken for classes."""
        found = f'{len(self.classes)} classes ({", ".join(self.classes[:10])})' if self.classes else 'no classes'
        return f'{self.root}: {len(self):,} videos, {found}.'


@DATASETS.register_module()
class VideoList(VideoSource):
    """Videos listed in a text file: one path per line, followed by a space and a class number on all lines or on none.

    Args:
        file: The text file, UTF-8. Empty lines are ignored, and paths may contain spaces.
        root: Folder that the paths are relative to.
        rate: Frames per second that all videos are read at, above 0; by default each has its own.
        minimum_frames: Frames that a video needs, at least 1; a shorter one counts as unreadable.

    Raises:
        ValueError: There is no such file, it lists no videos, only some of them have a class, or they are not there.
    """

    def __init__(
        self, file: str | Path, root: str | Path = '.', rate: float | None = None, minimum_frames: int = 2
    ) -> None:
        check_given(POSITIVE, rate=rate)
        check_numbers(COUNT, minimum_frames=minimum_frames)
        entries = [path_and_label(line) for line in read_list(file)]
        unlabelled = [path for path, label in entries if label is None]
        if 0 < len(unlabelled) < len(entries):
            raise ValueError(f'{file} gives no class for {unlabelled[0]}: write one on every line or on none.')
        paths = [path for path, _ in entries]
        labels, classes = classes_of([label for _, label in entries if label is not None], file)
        super().__init__(root, paths, None if labels is None else labels.tolist(), classes, rate, minimum_frames)


def video_part_sources(root: str | Path) -> tuple[VideoFolder, VideoFolder | None]:
    """Videos to learn from and videos to measure on, where a folder has parts for both.

    Args:
        root: Folder with ``train`` and ``test`` or ``val`` (see :func:`~mmssl.datasets.find_parts`), or any other
            folder of videos.

    Returns:
        As :func:`~mmssl.datasets.part_sources` for images.

    Raises:
        ValueError: There is no such folder, or it holds no videos.
    """
    parts = find_parts(root) if Path(root).is_dir() else None
    if parts is None:
        return VideoFolder(root), None
    training = VideoFolder(parts.train)
    folder = parts.test or parts.val
    if folder is None or training.classes is None:
        return training, None
    return training, VideoFolder(folder, classes=training.classes)


def find_videos(root: Path) -> list[str]:
    """Find the videos in a folder and its subfolders; hidden ones are left out.

    Args:
        root: The folder.

    Returns:
        Files, and folders that hold images, whose subfolders are not searched: relative to the root, sorted.
    """
    found: list[str] = []
    for folder, folders, files in os.walk(root, followlinks=True):
        relative = Path(folder).relative_to(root)
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        if relative.parts and any(name.lower().endswith(EXTENSIONS) for name in files):
            found.append(relative.as_posix())
            folders.clear()
            continue
        wanted = [name for name in files if name.lower().endswith((*VIDEO_FILES, *ARCHIVES))]
        found += [(relative / name).as_posix() for name in wanted if not name.startswith('.')]
    return sorted(found)
