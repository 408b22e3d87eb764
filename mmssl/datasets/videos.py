"""Read frames of videos: files that FFmpeg decodes (PyAV), folders and zip archives of images, and ``.npy`` arrays."""

import io
import os
import re
import threading
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmssl.datasets.images import EXTENSIONS, UnreadableImageError, decode_image, read_image
from mmssl.dependencies import require

VIDEO_FILES = ('.avi', '.flv', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.ogv', '.webm', '.wmv')
ARCHIVES = ('.zip', '.npy')  # frames that need no decoder of videos
_AT_A_TIME = 64  # frames that are held at once
_WITHOUT_SEEKING = frozenset(('avi',))  # their time stamps are not those of the frames


class Video(ABC):
    """Frames of one video, decoded on demand.

    Args:
        path: The file or folder.

    Attributes:
        path: The file or folder.
        timed: Whether the frames have times.
    """

    timed = False

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @abstractmethod
    def __len__(self) -> int:
        """Number of frames, at least 1."""

    @abstractmethod
    def read(self, places: Sequence[int]) -> Tensor:
        """Decode frames.

        Args:
            places: Numbers of the frames from 0, in any order, also repeated; at least one.

        Returns:
            uint8 or uint16, shape ``(C, len(places), H, W)``.

        Raises:
            UnreadableImageError: A frame cannot be decoded, or the frames differ in size.
        """

    def times(self) -> np.ndarray:
        """Time of every frame in seconds from the start, and of the end; float64, shape ``(len(self) + 1,)``.

        Raises:
            ValueError: The frames have no times.
        """
        raise ValueError(f'{self.path} holds images without times: leave out rate, they are read as they are.')

    def at_rate(self, rate: float) -> 'ChosenFrames':
        """Return the same video at a fixed number of frames per second: at each time, the frame that is then shown.

        Args:
            rate: Frames per second; may be higher than that of the video, which then shows frames repeatedly.

        Returns:
            A video of at least one frame.

        Raises:
            ValueError: The frames have no times, or the rate is not positive.
            UnreadableImageError: The file cannot be read.
        """
        if rate <= 0:
            raise ValueError(f'rate={rate} frames per second: give a number above 0.')
        times = self.times()
        wanted = np.arange(max(int((times[-1] - times[0]) * rate + 1e-6), 1)) / rate + times[0]
        shown = np.searchsorted(times[:-1], wanted + 1e-6, side='right') - 1
        return ChosenFrames(self, shown.tolist())

    def frames(self) -> Iterator[Tensor]:
        """Decode all frames in order, holding a few at a time: ``(C, H, W)`` tensors."""
        for start in range(0, len(self), _AT_A_TIME):
            yield from self.read(range(start, min(start + _AT_A_TIME, len(self)))).unbind(dim=1)


class ChosenFrames(Video):
    """Some frames of another video.

    Args:
        video: The video.
        places: Numbers of the frames there.
    """

    def __init__(self, video: Video, places: Sequence[int]) -> None:
        super().__init__(video.path)
        self.video, self.places = video, places

    def __len__(self) -> int:
        return len(self.places)

    def read(self, places: Sequence[int]) -> Tensor:
        """Decode frames; see :meth:`Video.read`."""
        return self.video.read([self.places[place] for place in places])


class ImageSequence(Video):
    """A folder or a zip archive of images, sorted by their names, in which numbers count as numbers.

    Args:
        path: The folder or the archive.

    Raises:
        UnreadableImageError: There is no image in it.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self.names = sorted(filter(_is_image, self._listed()), key=_natural)
        if not self.names:
            raise UnreadableImageError(f'{path} holds no frames: give a folder or archive with images.')

    def _listed(self) -> list[str]:
        if self.path.is_dir():
            return [entry.name for entry in self.path.iterdir()]
        try:
            with zipfile.ZipFile(self.path) as archive:
                return archive.namelist()
        except (OSError, zipfile.BadZipFile) as error:
            raise UnreadableImageError(f'{self.path} cannot be read: {error}') from error

    def __len__(self) -> int:
        return len(self.names)

    def read(self, places: Sequence[int]) -> Tensor:
        """Decode frames; see :meth:`Video.read`."""
        names = [self.names[place] for place in places]
        if self.path.is_dir():
            images = {name: read_image(self.path / name) for name in dict.fromkeys(names)}
        else:
            images = self._extracted(dict.fromkeys(names))
        return _stacked(self.path, [images[name] for name in names])

    def _extracted(self, names: dict[str, None]) -> dict[str, Tensor]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                return {name: decode_image(io.BytesIO(archive.read(name))) for name in names}
        except Exception as error:  # decoders raise anything over a damaged file
            raise UnreadableImageError(f'{self.path} cannot be read: {error}') from error


class ArrayVideo(Video):
    """Frames in a ``.npy`` file, which is mapped into memory.

    Args:
        path: File with an array of uint8 or uint16, shape ``(T, H, W)`` or ``(T, H, W, C)`` with up to four channels.

    Raises:
        UnreadableImageError: The file cannot be read, or holds another array.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        try:
            self.array = np.load(path, mmap_mode='r', allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:  # NumPy's own text advises to unpickle the file
            raise UnreadableImageError(f'{path} cannot be read: it is no complete .npy file of numbers.') from error
        shape = self.array.shape
        fits = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 2, 3, 4))
        if not fits or not self.array.size or self.array.dtype not in (np.uint8, np.uint16):
            raise UnreadableImageError(
                f'{path} is {self.array.dtype} of shape {shape}; needed is uint8 or uint16 of shape (T, H, W) or '
                '(T, H, W, C), with 1 to 4 channels.'
            )

    def __len__(self) -> int:
        return len(self.array)

    def read(self, places: Sequence[int]) -> Tensor:
        """Copy frames; see :meth:`Video.read`."""
        frames = np.array(self.array[list(places)], self.array.dtype.newbyteorder('='))
        return torch.from_numpy(frames.reshape(*frames.shape[:3], -1)).permute(3, 0, 1, 2)


class _Index(NamedTuple):
    """Where the frames of a file are.

    Attributes:
        stamps: Time stamp of each frame, in order; None where the file has no reliable ones.
        starts: Time stamps of the frames that decoding can start at.
        times: As in :meth:`Video.times`.
    """

    stamps: tuple[int, ...] | None
    starts: tuple[int, ...]
    times: np.ndarray


class EncodedVideo(Video):
    """A file that FFmpeg decodes; needs PyAV (the extra ``video``).

    Frames are counted in the order in which they are shown. The index of a file is read once per process, without
    decoding; an ``.avi`` file, whose time stamps are unreliable, is decoded for it, and is read from its start.

    Args:
        path: The file.

    Raises:
        UnreadableImageError: The file is missing, broken, or has no frames.
        ImportError: PyAV is not installed.
    """

    timed = True

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self.index = _index_of(str(path))

    def __len__(self) -> int:
        return len(self.index.times) - 1

    def times(self) -> np.ndarray:
        """Time of every frame; see :meth:`Video.times`."""
        return self.index.times

    def read(self, places: Sequence[int]) -> Tensor:
        """Decode frames; see :meth:`Video.read`."""
        wanted = sorted(set(places))
        with opened(self.path) as (container, stream):
            if self.index.stamps is None:
                found = dict(_counted(container.decode(stream), wanted))
            else:
                found = dict(self._sought(container, stream, wanted))
            missing = [place for place in wanted if place not in found]
            if missing:
                raise UnreadableImageError(f'{self.path} has no frame {missing[0]} that can be decoded.')
            return _stacked(self.path, [found[place] for place in places])

    def _sought(self, container: Any, stream: Any, wanted: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
        """Decode from the last start before each group of frames."""
        stamps = self.index.stamps or ()
        places = {stamps[place]: place for place in wanted}
        group = np.searchsorted(self.index.starts, list(places), side='right')
        for number in np.unique(group):
            stamps_here = [stamp for stamp, own in zip(places, group) if own == number]
            container.seek(stamps_here[0], stream=stream)
            for frame in container.decode(stream):
                if frame.pts in places:
                    yield places[frame.pts], _pixels(frame)
                if frame.pts is None or frame.pts >= stamps_here[-1]:
                    break


def open_video(path: str | Path) -> Video:
    """Open a video by the kind of its file.

    Args:
        path: A folder or ``.zip`` archive of images, a ``.npy`` array, or any file that FFmpeg reads.

    Returns:
        The video; no frame is decoded yet.

    Raises:
        UnreadableImageError: There are no frames, or the file is missing or broken.
        ImportError: The file needs PyAV, which is not installed.
    """
    path = Path(path)
    if path.is_dir() or path.suffix.lower() == '.zip':
        return ImageSequence(path)
    return ArrayVideo(path) if path.suffix.lower() == '.npy' else EncodedVideo(path)


def read_frame(video: Video, place: int) -> Tensor:
    """Decode one frame; the file of an encoded video stays open for the next one.

    A later frame is decoded from where the last one was, unless decoding can start between the two. So frames in order
    take one pass over the file, and frames at random need not open it anew.

    Args:
        video: The video.
        place: Number of the frame from 0.

    Returns:
        uint8 or uint16, shape ``(C, H, W)``.

    Raises:
        UnreadableImageError: The frame cannot be decoded.
    """
    while isinstance(video, ChosenFrames):
        place = video.places[place]
        video = video.video
    if not isinstance(video, EncodedVideo):
        return video.read([place])[:, 0]
    key = (os.getpid(), video.path)  # a forked process must not move the file of its parent
    if getattr(_KEPT, 'key', None) != key:
        _KEPT.cursor, _KEPT.key = _Cursor(video), key
    return _KEPT.cursor.frame(place)


_KEPT = threading.local()  # the file that this thread read last


class _Cursor:
    """An open file, and the place that decoding has come to.

    Attributes:
        place: Number of the frame that the decoder gives next, unless some are missing.
    """

    def __init__(self, video: EncodedVideo) -> None:
        stamps = video.index.stamps
        self.path, self.stamps = video.path, None if stamps is None else np.array(stamps)
        self.starts = np.zeros(1, np.int64)
        if self.stamps is not None and video.index.starts:
            self.starts = np.searchsorted(self.stamps, video.index.starts)
        self._open()

    def _open(self) -> None:
        self.file = opened(self.path)
        self.container, self.stream = self.file.__enter__()
        self.stream.codec_context.thread_count = 1  # threads do not survive a fork, and workers use all cores
        self.frames, self.place = self.container.decode(self.stream), 0

    def frame(self, place: int) -> Tensor:
        """Decode a frame, ``(3, H, W)``."""
        try:
            start = int(self.starts[max(np.searchsorted(self.starts, place, side='right') - 1, 0)])
            if not start <= self.place <= place:
                self._seek(start)
            for frame in self.frames:
                if frame.pts is None and self.stamps is not None:
                    break
                number = self.place if self.stamps is None else int(np.searchsorted(self.stamps, frame.pts))
                self.place = number + 1
                if number == place:
                    return _pixels(frame)
                if number > place:
                    break
        except self.file.av.FFmpegError as error:
            raise UnreadableImageError(f'{self.path} cannot be read: {error}') from error
        raise UnreadableImageError(f'{self.path} has no frame {place} that can be decoded.')

    def _seek(self, start: int) -> None:
        if self.stamps is None:  # its time stamps do not tell where a frame is
            self._open()
        else:
            self.container.seek(int(self.stamps[start]), stream=self.stream)
            self.frames, self.place = self.container.decode(self.stream), start


class opened:  # noqa: N801 - used like a function
    """Open a file for decoding: its container and its first video stream; errors of FFmpeg become ours."""

    def __init__(self, path: Path) -> None:
        self.path, self.av = path, require('av')

    def __enter__(self) -> tuple[Any, Any]:
        try:
            self.container = self.av.open(str(self.path), metadata_errors='ignore')
        except (self.av.FFmpegError, OSError, ValueError) as error:
            raise UnreadableImageError(f'{self.path} cannot be read: {error}') from error
        if not self.container.streams.video:
            self.container.close()
            raise UnreadableImageError(f'{self.path} has no frames: give a file with a video.')
        return self.container, self.container.streams.video[0]

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.container.close()
        if isinstance(error, self.av.FFmpegError):
            raise UnreadableImageError(f'{self.path} cannot be read: {error}') from error


@lru_cache(maxsize=4096)
def _index_of(path: str) -> _Index:
    with opened(Path(path)) as (container, stream):
        packets = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
        stamps = sorted(packet.pts for packet in packets if packet.pts is not None)
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        if container.format.name in _WITHOUT_SEEKING or len(set(stamps)) < len(packets):
            container.seek(0)
            count = sum(1 for _ in container.decode(stream))
            index = _Index(None, (), np.arange(count + 1) / rate)
        else:
            starts = sorted(packet.pts for packet in packets if packet.is_keyframe)
            times = (np.array(stamps, np.float64) - stamps[0] if stamps else np.empty(0)) * float(stream.time_base)
            end = times[-1:] + (times[-1:] - times[-2:-1] if len(times) > 1 else 1 / rate)
            index = _Index(tuple(stamps), tuple(starts), np.concatenate([times, end]))
    if len(index.times) < 2:
        raise UnreadableImageError(f'{path} has no frames: give a file with a video.')
    return index


def _counted(frames: Iterator[Any], wanted: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
    kept = set(wanted)
    for place, frame in enumerate(frames):
        if place in kept:
            yield place, _pixels(frame)
        if place >= wanted[-1]:
            return


def _pixels(frame: Any) -> Tensor:
    """An upright frame, uint8, ``(3, H, W)``: phones store how they were held."""
    pixels = np.rot90(frame.to_ndarray(format='rgb24'), frame.rotation // 90)
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)


def _stacked(path: Path, frames: Sequence[Tensor]) -> Tensor:
    for frame in frames:
        if frame.shape != frames[0].shape or frame.dtype != frames[0].dtype:
            raise UnreadableImageError(
                f'{path} has frames of {tuple(frames[0].shape)} and of {tuple(frame.shape)} values: give frames of '
                'one size and kind.'
            )
    return torch.stack(list(frames), dim=1)


def _is_image(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS) and not Path(name).name.startswith('.')


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sorting key in which frame 10 follows frame 9."""
    return [(0, int(part), '') if part.isdigit() else (1, 0, part) for part in re.split(r'(\d+)', name)]
