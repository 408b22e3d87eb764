"""Views of clips: crops, colours that change over time, and patches that move along made-up trajectories (CtP).

A clip is a ``(C, T, H, W)`` tensor. Random numbers come from torch's default CPU generator, which the data set seeds
for every draw. All frames of a clip share a crop and a flip.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from mmssl.datasets.transforms.views import each_frame, mirrored, resize
from mmssl.functional import (
    Curve,
    Motion,
    interpolate_keys,
    key_frames,
    key_jitter,
    move_boxes,
    patch_sizes,
    whole_boxes,
)
from mmssl.ranges import COUNT, NOT_NEGATIVE, POSITIVE, SHARE, check_numbers
from mmssl.registry import TRANSFORMS

RECTANGLE, ELLIPSE, RHOMBUS = range(3)
_SHAPES = (0.5, 0.35, 0.15)  # probabilities
_CURVES = (0.7, 0.15, 0.15)
_INNER_KEYS = (0.5, 0.3, 0.2)
_INNER_COLOUR_KEYS = (0.7, 0.3)
_SOFT = 0.5  # probability of a soft edge
_TURNING = (0.3, 0.45)  # distance from which a soft edge fades
_HUES = 179  # largest hue of an 8-bit image in OpenCV


def scaled_size(height: int, width: int, sides: int | Sequence[int]) -> tuple[int, int]:
    """Height and width of frames after resizing.

    Args:
        height: Height now.
        width: Width now.
        sides: The shorter side, with the ratio kept and the other side rounded; or the longer and the shorter side.

    Returns:
        Height and width.

    Source: microsoft/CtP, ``GroupScale``.
    """
    if isinstance(sides, int):
        shorter = min(height, width)
        return int(height * sides / shorter + 0.5), int(width * sides / shorter + 0.5)
    longer, shorter = max(sides), min(sides)
    return (longer, shorter) if height > width else (shorter, longer)


@TRANSFORMS.register_module()
class ClipCrop:
    """One random view of a clip: resize its shorter side to one of several lengths, crop a square, flip.

    Args:
        size: Side of the view in pixels, at least 1.
        sides: Lengths of the shorter side to choose from, in pixels, at least 1; none below ``size``.
        flip: Probability of a horizontal flip, 0 to 1.

    Raises:
        ValueError: A side is shorter than the crop.

    Source: microsoft/CtP: 112 of 112, 128 or 144 pixels.
    """

    def __init__(self, size: int = 112, sides: Sequence[int] = (112, 128, 144), flip: float = 0.5) -> None:
        check_numbers(COUNT, size=size, sides=sides)
        check_numbers(SHARE, flip=flip)
        if min(sides) < size:
            raise ValueError(f'A crop of {size} does not fit into a side of {min(sides)}: set sides to {size} or more.')
        self.size, self.sides, self.flip = size, tuple(sides), flip

    def __call__(self, clip: Tensor) -> Tensor:
        """Draw a view.

        Args:
            clip: uint8 or uint16, shape ``(C, T, H, W)``.

        Returns:
            Same dtype, shape ``(C, T, size, size)``.
        """
        side, down, right, flipped = torch.rand(4, dtype=torch.float64).tolist()
        height, width = scaled_size(clip.shape[-2], clip.shape[-1], self.sides[int(side * len(self.sides))])
        top, left = int(down * (height - self.size + 1)), int(right * (width - self.size + 1))
        view = _resized_crop(clip, (height, width), (top, left), self.size)
        return (mirrored(view) if flipped < self.flip else view).contiguous()


@TRANSFORMS.register_module()
class ClipCentre:
    """The fixed view of a clip for evaluation: resize, then crop the middle.

    Args:
        resize: Length of the shorter side in pixels, or of the longer and the shorter side, at least 1.
        crop: Side of the square from the middle, in pixels, at least 1.

    Raises:
        ValueError: The crop is larger.

    Source: microsoft/CtP: 112 of 171 x 128 pixels.
    """

    def __init__(self, resize: int | Sequence[int] = (171, 128), crop: int = 112) -> None:
        check_numbers(COUNT, resize=resize, crop=crop)
        shorter = resize if isinstance(resize, int) else min(resize)
        if crop > shorter:
            raise ValueError(f'A crop of {crop} does not fit into a side of {shorter}: set resize to {crop} or more.')
        self.resize, self.crop = resize, crop

    def __call__(self, clip: Tensor) -> Tensor:
        """Make the view of a ``(C, T, H, W)`` clip: same dtype, shape ``(C, T, crop, crop)``."""
        height, width = scaled_size(clip.shape[-2], clip.shape[-1], self.resize)
        place = ((height - self.crop) // 2, (width - self.crop) // 2)
        return _resized_crop(clip, (height, width), place, self.crop).contiguous()


@TRANSFORMS.register_module()
class ClipColour:
    """Change colours: hue and saturation for the whole clip, brightness and contrast along curves of time.

    Hue and saturation are skipped for clips that do not have three channels.

    Args:
        hue: Largest shift of the hue, in OpenCV's units of two degrees, at least 0.
        saturation: Largest logarithm of the factor of the saturation, at least 0.
        hue_prob: Probability of changing hue and saturation, 0 to 1.
        brightness: Largest number that is added, of 255, at least 0.
        brightness_prob: Probability of changing the brightness, 0 to 1.
        contrast: Largest logarithm of the factor of the values, at least 0.
        contrast_prob: Probability of changing the contrast, 0 to 1.

    Source: microsoft/CtP: ``RandomHueSaturation``, ``DynamicBrightness``, ``DynamicContrast``.
    """

    def __init__(
        self,
        hue: float = 12.0,
        saturation: float = 0.1,
        hue_prob: float = 0.25,
        brightness: float = 30.0,
        brightness_prob: float = 0.5,
        contrast: float = 0.12,
        contrast_prob: float = 0.5,
    ) -> None:
        check_numbers(NOT_NEGATIVE, hue=hue, saturation=saturation, brightness=brightness, contrast=contrast)
        check_numbers(SHARE, hue_prob=hue_prob, brightness_prob=brightness_prob, contrast_prob=contrast_prob)
        self.hue, self.saturation, self.hue_prob = hue, saturation, hue_prob
        self.brightness, self.brightness_prob = brightness, brightness_prob
        self.contrast, self.contrast_prob = contrast, contrast_prob

    def __call__(self, clip: Tensor) -> Tensor:
        """Draw the changes, and apply them to a ``(C, T, H, W)`` clip of uint8; the result is rounded once."""
        pixels = clip.permute(1, 2, 3, 0).numpy()  # (T, H, W, C)
        hue, *rest = torch.rand(3, dtype=torch.float64).tolist()
        shift, factor = _uniform(-self.hue, self.hue), math.exp(_uniform(-self.saturation, self.saturation))
        if hue < self.hue_prob and len(clip) == 3:
            pixels = shift_hue_saturation(pixels, shift, factor)
        added = _over_time(len(pixels), -self.brightness, self.brightness)
        factors = np.exp(_over_time(len(pixels), -self.contrast, self.contrast))
        if rest[0] < self.brightness_prob:
            pixels = change_brightness(pixels, added)
        if rest[1] < self.contrast_prob:
            pixels = change_contrast(pixels, factors)
        return torch.from_numpy(np.rint(pixels).astype(np.uint8)).permute(3, 0, 1, 2)


def change_brightness(frames: np.ndarray, added: np.ndarray) -> np.ndarray:
    """Add a number to each frame.

    Args:
        frames: 0 to 255, shape ``(T, H, W, C)``.
        added: Shape ``(T,)``.

    Returns:
        float64, 0 to 255, shape ``(T, H, W, C)``.
    """
    return np.clip(frames + added[:, None, None, None], 0, 255)


def change_contrast(frames: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Multiply each frame by a factor.

    Args:
        frames: 0 to 255, shape ``(T, H, W, C)``.
        factors: Shape ``(T,)``.

    Returns:
        float64, 0 to 255, shape ``(T, H, W, C)``.
    """
    return np.clip(frames * factors[:, None, None, None], 0, 255)


def shift_hue_saturation(frames: np.ndarray, shift: float, factor: float) -> np.ndarray:
    """Add to the hue and multiply the saturation, in OpenCV's 8-bit colours.

    The hue stops at the ends of its range, instead of going round, as in the reference code.

    Args:
        frames: uint8, red, green, blue, shape ``(T, H, W, 3)``.
        shift: Added to the hue, in units of two degrees.
        factor: Factor of the saturation.

    Returns:
        uint8, shape ``(T, H, W, 3)``.
    """
    changed = []
    for frame in frames:
        colours = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2HSV).astype(np.float64)
        colours[..., 0] = np.clip(colours[..., 0] + shift, 0, _HUES)
        colours[..., 1] = np.clip(colours[..., 1] * factor, 0, 255)
        changed.append(cv2.cvtColor(np.rint(colours).astype(np.uint8), cv2.COLOR_HSV2RGB))
    return np.stack(changed)


@dataclass(frozen=True)
class Patch:
    """How a patch looks, and where it shows.

    Attributes:
        source: Frame that its pixels are cut from.
        alpha: Opacity of its pixels in that frame, 0 to 1, shape ``(h, w)``.
        opacity: Factor of ``alpha`` in each frame, shape ``(T,)``.
        visible: Whether it is pasted into each frame, bool, shape ``(T,)``.
    """

    source: int
    alpha: np.ndarray
    opacity: np.ndarray
    visible: np.ndarray


def alpha_map(shape: int, height: int, width: int, turning: float | None = None) -> np.ndarray:
    """Opacity of the pixels of a patch.

    Args:
        shape: 0 for a rectangle, 1 for an ellipse, 2 for a rhombus.
        height: Height in pixels.
        width: Width in pixels.
        turning: Distance from the centre, as a share of the sides, from which the opacity falls to 0 at 0.5; None for
            a hard edge.

    Returns:
        0 to 1, float32 (float64 with a soft edge), shape ``(height, width)``. The centre is the pixel at or before the
        middle, so masks with even sides are not symmetric, as in the reference code.

    Source: microsoft/CtP, ``PatchMask``.
    """
    down = np.abs(np.arange(height) - (height - 1) // 2)[:, None] / height
    right = np.abs(np.arange(width) - (width - 1) // 2)[None] / width
    distance = (np.maximum(down, right), np.sqrt(down**2 + right**2), down + right)[shape]
    alpha = (distance < 0.5).astype(np.float32) if shape != RECTANGLE else np.ones((height, width), np.float32)
    if turning is None:
        return alpha
    slope = -1 / (0.5 - turning)  # in this order: another one moves pixels that truncation leaves on the edge
    return alpha * np.clip(distance * slope - 0.5 * slope, 0, 1)


def paste_patches(frames: np.ndarray, boxes: np.ndarray, patches: Sequence[Patch]) -> np.ndarray:
    """Paste patches into the frames that they are visible in; large ones first, so that small ones stay visible.

    Pixels are cut from the frames as they were before any pasting, and the results are truncated to whole numbers.

    Args:
        frames: uint8, shape ``(T, H, W, C)``.
        boxes: Corners x1, y1, x2, y2 in whole pixels, shape ``(N, T, 4)``.
        patches: One per row of ``boxes``.

    Returns:
        uint8, a new array, shape ``(T, H, W, C)``.

    Source: CtP, section 3.2; microsoft/CtP, ``PatchMask``.
    """
    pasted = frames.copy()
    sides = (boxes[..., 2:] - boxes[..., :2]).mean(axis=1)
    for number in np.argsort(-sides.prod(axis=1), kind='stable'):
        patch = patches[number]
        x1, y1, x2, y2 = boxes[number, patch.source]
        cut = np.ascontiguousarray(frames[patch.source, y1:y2, x1:x2])
        for place in np.flatnonzero(patch.visible):
            left, top, right, bottom = boxes[number, place]
            size = (int(right - left), int(bottom - top))
            pixels = cv2.resize(cut, size).reshape(size[1], size[0], -1)
            alpha = cv2.resize(patch.alpha, size).reshape(size[1], size[0], 1).astype(np.float64)
            alpha *= patch.opacity[place]
            under = pasted[place, top:bottom, left:right]
            pasted[place, top:bottom, left:right] = (under * (1 - alpha) + pixels * alpha).astype(np.uint8)
    return pasted


@TRANSFORMS.register_module()
class PastePatches:
    """Cut patches from a view of a clip, and paste them back along made-up trajectories, which are to be found.

    Each patch has the pixels of one frame, at a size of its own in every frame. It is left out of some frames, where
    its place counts all the same.

    Args:
        view: Makes a view of the clip before the pasting, or its config.
        colour: Changes the colours afterwards, or its config; None for no change.
        count: Number of patches per clip, at least 1.
        scales: Sides of square patches of the same area, in pixels, above 0.
        ratios: Widths divided by heights, above 0.
        scale_jitter: Largest logarithm of a factor of each side, at least 0.
        speed: Largest movement per frame and axis between two key frames, in pixels, at least 0.
        growth: Largest logarithm of the factor of a side per frame, at least 0.
        visible_prob: Probability that a patch shows in a frame, 0 to 1; it always does in the first frame and in the
            one that its pixels are from.

    Raises:
        ValueError: ``count`` is not positive.

    Source: CtP, section 3 (Wang et al., CVPR 2021), and microsoft/CtP.
    """

    def __init__(
        self,
        view: Callable[[Tensor], Tensor] | dict,
        colour: Callable[[Tensor], Tensor] | dict | None = None,
        count: int = 3,
        scales: Sequence[float] = (16, 24, 28, 32, 48, 64),
        ratios: Sequence[float] = (0.5, 0.67, 0.75, 1.0, 1.33, 1.5, 2.0),
        scale_jitter: float = 0.18,
        speed: float = 3.0,
        growth: float = 0.025,
        visible_prob: float = 0.8,
    ) -> None:
        check_numbers(COUNT, count=count)
        check_numbers(POSITIVE, scales=scales, ratios=ratios)
        check_numbers(NOT_NEGATIVE, scale_jitter=scale_jitter, speed=speed, growth=growth)
        check_numbers(SHARE, visible_prob=visible_prob)
        self.view: Any = TRANSFORMS.build(view) if isinstance(view, dict) else view
        self.colour: Any = TRANSFORMS.build(colour) if isinstance(colour, dict) else colour
        self.count, self.sizes, self.scale_jitter = count, patch_sizes(scales, ratios), scale_jitter
        self.speed, self.growth, self.visible_prob = speed, growth, visible_prob

    def __call__(self, clip: Tensor) -> dict[str, Any]:
        """Draw a view with patches.

        Args:
            clip: uint8, shape ``(C, T, H, W)``.

        Returns:
            ``inputs``, the view, uint8; ``gt_trajs``, the corners x1, y1, x2, y2 of each patch in each frame in whole
            pixels, float32, shape ``(count, T, 4)``; ``visible``, where each was pasted, bool, shape ``(count, T)``.

        Raises:
            ValueError: The clip does not have 8 bits.
        """
        view = self.view(clip)
        if view.dtype != torch.uint8:
            raise ValueError(f'PastePatches takes clips of 8 bits, but gets {view.dtype}: convert the videos.')
        _, frames, height, width = view.shape
        boxes = self.draw_boxes(frames, height, width)
        patches = [self.draw_patch(own) for own in boxes]
        pasted = paste_patches(view.permute(1, 2, 3, 0).numpy(), boxes.numpy(), patches)
        view = torch.from_numpy(pasted).permute(3, 0, 1, 2)
        return {
            'inputs': (self.colour(view) if self.colour else view).contiguous(),
            'gt_trajs': boxes.float(),
            'visible': torch.from_numpy(np.stack([patch.visible for patch in patches])),
        }

    def draw_boxes(self, frames: int, height: int, width: int) -> Tensor:
        """Draw trajectories: whole corners x1, y1, x2, y2, int64, shape ``(count, frames, 4)``.

        All patches share key frames and curves; each moves and grows by itself.
        """
        limits = torch.tensor([width, height], dtype=torch.float64)
        chosen = self.sizes[torch.randint(len(self.sizes), (self.count,))]
        jitter = torch.empty(self.count, 2, dtype=torch.float64).uniform_(-self.scale_jitter, self.scale_jitter)
        sides = torch.minimum((chosen * jitter.exp()).clamp_min(1), limits - 1)
        first = torch.rand(self.count, 2, dtype=torch.float64) * (limits - sides)
        boxes = torch.cat([first, first + sides], dim=1)
        location, size = self._draw_motion(frames, self.speed), self._draw_motion(frames, self.growth)
        return whole_boxes(move_boxes(boxes, location, size, width, height), width, height)

    def _draw_motion(self, frames: int, most: float) -> Motion:
        keys = _draw_keys(frames, _INNER_KEYS)
        gaps = torch.tensor(keys, dtype=torch.float64).diff()[:, None, None]
        moves = (2 * torch.rand(len(keys) - 1, self.count, 2, dtype=torch.float64) - 1) * most * gaps
        return Motion(keys, moves, [_choice(_CURVES) for _ in keys[1:]])

    def draw_patch(self, boxes: Tensor) -> Patch:
        """Draw the looks of one patch from its boxes in all frames, shape ``(T, 4)``."""
        frames = len(boxes)
        source = int(torch.randint(frames, ()))
        x1, y1, x2, y2 = boxes[source].tolist()
        shape, turning = _choice(_SHAPES), _uniform(*_TURNING)
        soft = float(torch.rand(())) < _SOFT
        visible = torch.rand(frames) <= self.visible_prob
        visible[[0, source]] = True
        alpha = alpha_map(shape, y2 - y1, x2 - x1, turning if soft else None)
        return Patch(source, alpha, _over_time(frames, 0.8, 1.0, _INNER_KEYS), visible.numpy())


def _resized_crop(clip: Tensor, size: tuple[int, int], place: tuple[int, int], side: int) -> Tensor:
    (height, width), (top, left) = size, place
    return each_frame(clip, lambda frame: resize(frame, height, width)[:, top : top + side, left : left + side])


def _draw_keys(frames: int, probabilities: Sequence[float]) -> list[int]:
    """Key frames with a random number of inner ones, each moved at random."""
    inner = _choice(probabilities)
    limit = key_jitter(frames, inner)
    jitter = torch.randint(-limit, limit, (inner,)).tolist() if limit else [0] * inner
    return key_frames(frames, jitter)


def _over_time(frames: int, low: float, high: float, inner: Sequence[float] = _INNER_COLOUR_KEYS) -> np.ndarray:
    """Numbers at random at key frames, and in a line between them: float64, shape ``(frames,)``."""
    keys = _draw_keys(frames, inner)
    values = torch.empty(len(keys), dtype=torch.float64).uniform_(low, high)
    return interpolate_keys(keys, values, [Curve.LINEAR] * (len(keys) - 1)).numpy()


def _choice(probabilities: Sequence[float]) -> int:
    return int(torch.multinomial(torch.tensor(probabilities), 1))


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), dtype=torch.float64))
