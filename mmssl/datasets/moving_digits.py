"""Clips of digits that move over a slowly changing background, made on demand."""

from functools import cache

import cv2
import numpy as np
import torch
from torch import Tensor

from mmssl.datasets.sources import ImageSource
from mmssl.datasets.videos import ArrayVideo, Video
from mmssl.functional import hash_seed
from mmssl.ranges import COUNT, INDEX, check_numbers
from mmssl.registry import DATASETS

_WAVES = 4  # waves that a background is the sum of
_DIGIT = (12, 17)  # range of the side of a digit, in pixels
_SPEED = 1.0  # largest movement per frame and axis, in pixels


@DATASETS.register_module()
class MovingDigits(ImageSource):
    """Videos of handwritten digits that move over waves of low frequency; the same for the same number.

    The digits are those of scikit-learn (UCI, 8 x 8 pixels), so nothing is downloaded. The first digit of a video is
    its class.

    Args:
        count: Number of videos, at least 1.
        frames: Frames of a video, at least 1.
        side: Side of a frame in pixels, at least 1.
        digits: Digits in a video, at least 1.
        skip: Number of videos at the start to leave to another part, at least 0.

    Attributes:
        labels: Class of each video, int64, shape ``(count,)``.
    """

    labels: Tensor
    classes: list[str]
    fingerprint: str

    def __init__(self, count: int, frames: int = 16, side: int = 32, digits: int = 2, skip: int = 0) -> None:
        check_numbers(COUNT, count=count, frames=frames, side=side, digits=digits)
        check_numbers(INDEX, skip=skip)
        self.count, self.frames, self.side, self.digits, self.skip = count, frames, side, digits, skip
        self.classes = [str(digit) for digit in range(10)]
        _, numbers = handwritten_digits()
        self.labels = torch.tensor([int(numbers[self._chosen(index)[0]]) for index in range(count)])
        self.fingerprint = f'moving digits {count} {frames} {side} {digits} {skip}'

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        """Number of a video."""
        return f'video {index + self.skip}'

    def video(self, index: int) -> Video:
        """Draw a video."""
        generator = np.random.default_rng(hash_seed(index + self.skip))
        clip = self._background(generator)
        images, _ = handwritten_digits()
        for chosen in self._chosen(index):
            self._move(clip, images[chosen], generator)
        return _Drawn(self.name(index), np.rint(clip).clip(0, 255).astype(np.uint8))

    def load(self, index: int) -> Tensor:
        """Draw the middle frame of a video, uint8, shape ``(3, side, side)``."""
        return self.video(index).read([self.frames // 2])[:, 0]

    def _chosen(self, index: int) -> np.ndarray:
        generator = np.random.default_rng(hash_seed(index + self.skip, 1))
        return generator.integers(len(handwritten_digits()[1]), size=self.digits)

    def _background(self, generator: np.random.Generator) -> np.ndarray:
        """Sum of waves that move, 0 to 160, shape ``(T, side, side, 3)``."""
        time, down, right = np.meshgrid(*map(np.arange, (self.frames, self.side, self.side)), indexing='ij')
        total = np.zeros((*time.shape, 3))
        for _ in range(_WAVES):
            low = generator.uniform(-0.25, 0.25, 3) * (0.3, 1, 1)
            angle = low[0] * time + low[1] * down + low[2] * right + generator.uniform(0, 2 * np.pi)
            total += np.sin(angle)[..., None] * generator.uniform(-1, 1, 3)
        return 80 + 80 * total / np.abs(total).max()

    def _move(self, clip: np.ndarray, digit: np.ndarray, generator: np.random.Generator) -> None:
        """Add a digit that moves in a line, and turns back at the borders."""
        side = int(generator.integers(*_DIGIT))
        ink = cv2.resize(digit, (side, side))[..., None] * (0.5 + generator.uniform(0, 0.5, 3))
        room = self.side - side
        start, speed = generator.uniform(0, room, 2), generator.uniform(-_SPEED, _SPEED, 2)
        for place, frame in enumerate(clip):
            along = np.abs((start + place * speed + room) % (2 * room) - room)  # to the border and back
            top, left = np.rint(along).astype(int)
            part = frame[top : top + side, left : left + side]
            part += ink * (255 - part)


class _Drawn(ArrayVideo):
    """Frames in memory."""

    def __init__(self, name: str, array: np.ndarray) -> None:
        Video.__init__(self, name)
        self.array = array


@cache
def handwritten_digits() -> tuple[np.ndarray, np.ndarray]:
    """Images of digits, 0 to 1, ``(N, 8, 8)``, and their numbers ``(N,)``."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.images / 16, found.target
