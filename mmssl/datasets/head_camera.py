"""Frames of a made-up head camera: a slow pan over scenes of digits, independent looks at them, or single digits."""

from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor

from mmssl.datasets.moving_digits import handwritten_digits
from mmssl.datasets.sources import ImageSource
from mmssl.functional import hash_seed
from mmssl.ranges import COUNT, INDEX, NOT_NEGATIVE, check_numbers
from mmssl.registry import DATASETS

_SIDE, _CELLS = 32, 8  # pixels of a frame and of a cell of a scene; cells along a side of a scene
_DIGIT = (20, 29)  # range of the side of a digit, in pixels
_TURN = 0.1  # deviation of the change of direction per frame, in radians
_WAVES = 4  # waves that the ground of a scene is the sum of
_HAND = (6, 12)  # range of the half axes of what passes before the camera, in pixels


@DATASETS.register_module()
class HeadCamera(ImageSource):
    """Frames of 32 pixels of scenes of 64 handwritten digits; the same for the same number.

    The digits are those of scikit-learn (UCI, 8 x 8 pixels), so nothing is downloaded. In ``'pan'`` the camera moves
    slowly over a scene, so that neighbouring frames look alike, as in the video of a head camera; in ``'jumps'`` every
    frame is an independent look at the same scenes. Something like a hand passes before the camera in both. In
    ``'digits'``, each frame shows one digit with its class, without a hand.

    Args:
        scenes: Number of scenes, at least 1.
        frames: Frames of each scene, at least 1.
        gaze: ``'pan'``, ``'jumps'`` or ``'digits'``.
        speed: Pixels that the camera moves per frame in ``'pan'``, at least 0.
        skip: Number of scenes at the start to leave to another part, at least 0.

    Attributes:
        labels: Class of each frame in ``'digits'``, int64, shape ``(N,)``; None otherwise.

    Raises:
        ValueError: There is no such gaze.
    """

    labels: Tensor | None
    classes: list[str] | None
    fingerprint: str

    def __init__(
        self,
        scenes: int,
        frames: int,
        gaze: Literal['pan', 'jumps', 'digits'] = 'pan',
        speed: float = 1.0,
        skip: int = 0,
    ) -> None:
        check_numbers(COUNT, scenes=scenes, frames=frames)
        check_numbers(NOT_NEGATIVE, speed=speed)
        check_numbers(INDEX, skip=skip)
        if gaze not in ('pan', 'jumps', 'digits'):
            raise ValueError(f"gaze={gaze!r}: give 'pan', 'jumps' or 'digits'.")
        self.scenes, self.frames, self.gaze, self.speed, self.skip = scenes, frames, gaze, speed, skip
        self.labels = self.classes = None
        if gaze == 'digits':
            found = [_cells_seen(scene, frames) for scene in range(skip, skip + scenes)]
            shown = [_scene(scene + skip)[1][cells] for scene, cells in enumerate(found)]
            self.labels = torch.from_numpy(np.concatenate(shown)).long()
            self.classes = [str(digit) for digit in range(10)]
        self.fingerprint = f'head camera {scenes} {frames} {gaze} {speed} {skip}'

    def __len__(self) -> int:
        return self.scenes * self.frames

    def name(self, index: int) -> str:
        """Numbers of the scene and the frame."""
        scene, frame = divmod(index, self.frames)
        return f'scene {scene + self.skip}[{frame}]'

    def load(self, index: int) -> Tensor:
        """Draw a frame, uint8, shape ``(3, 32, 32)``."""
        scene, frame = divmod(index, self.frames)
        scene += self.skip
        corners, times = _path(scene, self.frames, self.gaze, self.speed)
        top, left = corners[frame]
        picture = _scene(scene)[0][top : top + _SIDE, left : left + _SIDE].copy()
        if self.gaze != 'digits':
            _draw_hand(picture, scene, float(times[frame]))
        return torch.from_numpy(picture).permute(2, 0, 1)


@lru_cache(maxsize=256)
def _scene(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A scene, uint8, ``(256, 256, 3)``, and the digit of each cell, ``(64,)``."""
    generator = np.random.default_rng(hash_seed(number))
    images, numbers = handwritten_digits()
    whole = _ground(generator)
    chosen = generator.integers(len(numbers), size=_CELLS**2)
    for cell, digit in enumerate(chosen):
        side = int(generator.integers(*_DIGIT))
        top, left = np.array(divmod(cell, _CELLS)) * _SIDE + generator.integers(0, _SIDE - side + 1, 2)
        ink = cv2.resize(images[digit], (side, side))[..., None] * (0.5 + generator.uniform(0, 0.5, 3))
        part = whole[top : top + side, left : left + side]
        part += ink * (255 - part)
    return np.rint(whole).clip(0, 255).astype(np.uint8), numbers[chosen]


def _ground(generator: np.random.Generator) -> np.ndarray:
    """Sum of waves, 0 to 160, ``(256, 256, 3)``."""
    down, right = np.meshgrid(*[np.arange(_SIDE * _CELLS)] * 2, indexing='ij')
    total = np.zeros((*down.shape, 3))
    for _ in range(_WAVES):
        low = generator.uniform(-0.25, 0.25, 2)
        wave = np.sin(low[0] * down + low[1] * right + generator.uniform(0, 2 * np.pi))
        total += wave[..., None] * generator.uniform(-1, 1, 3)
    return 80 + 80 * total / np.abs(total).max()


def _cells_seen(scene: int, frames: int) -> np.ndarray:
    """Cell that each frame of single digits shows, ``(frames,)``."""
    return np.random.default_rng(hash_seed(scene, 1)).integers(_CELLS**2, size=frames)


@lru_cache(maxsize=256)
def _path(scene: int, frames: int, gaze: str, speed: float) -> tuple[np.ndarray, np.ndarray]:
    """Upper left corners of the frames, ``(frames, 2)``, and the times at which the hand is seen, ``(frames,)``."""
    generator = np.random.default_rng(hash_seed(scene, 2))
    room = _SIDE * (_CELLS - 1)
    if gaze == 'digits':
        return np.stack(np.divmod(_cells_seen(scene, frames), _CELLS), axis=1) * _SIDE, np.zeros(frames)
    if gaze == 'jumps':
        return generator.integers(0, room + 1, (frames, 2)), generator.uniform(0, frames, frames)
    angles = generator.uniform(0, 2 * np.pi) + np.cumsum(generator.normal(0, _TURN, frames))
    steps = speed * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    along = generator.uniform(0, room, 2) + np.cumsum(steps, axis=0)
    turned = np.abs((along + room) % (2 * room) - room)  # to the border and back
    return np.rint(turned).astype(np.int64), np.arange(frames, dtype=np.float64)


def _draw_hand(picture: np.ndarray, scene: int, time: float) -> None:
    """Draw what passes before the camera; it is out of sight about half of the time."""
    generator = np.random.default_rng(hash_seed(scene, 3))
    pace, start = generator.uniform(0.02, 0.06, 2), generator.uniform(0, 2 * np.pi, 2)
    down, right = np.rint(_SIDE / 2 + _SIDE * np.sin(pace * time + start)).astype(int).tolist()
    axes = generator.integers(*_HAND, 2).tolist()
    colour = generator.integers(0, 256, 3).tolist()
    cv2.ellipse(picture, (right, down), axes, float(generator.uniform(0, 180)), 0, 360, colour, thickness=-1)
