"""Views of one decoded image: random views for training, a fixed view for evaluation.

An image is a ``(C, H, W)`` tensor of uint8 or uint16, and so is a view. The views of a clip ``(C, T, H, W)`` are clips:
all frames get the same random parameters. Random numbers come from torch's default CPU generator, which the data set
seeds for every draw.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor
from torch.nn.functional import interpolate

from mmssl.datasets.transforms import pixels as px
from mmssl.ranges import COUNT, INDEX, NOT_NEGATIVE, POSITIVE, SHARE, check_given, check_limits, check_numbers
from mmssl.registry import TRANSFORMS

Span = tuple[float, float]
_TRIES = 10  # boxes drawn before the middle of the image is taken, to match the distribution of torchvision
_RANDOM_NUMBERS = 2 * _TRIES + 16
_AFFINE_NUMBERS = 4
_MOST_HUE = 0.5  # of the circle: every hue
_INTERPOLATIONS = ('bilinear', 'bicubic')


class Box(NamedTuple):
    """Rectangle within an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


class ViewDraw(NamedTuple):
    """Random parameters of one view.

    Attributes:
        box: The crop.
        flip: Whether to swap left and right.
        jitter: Colour operations and their factors, in order of application.
        gray: Whether to remove the colours.
        gray_first: Whether to remove them before the jitter.
        sigma: Standard deviation of the blur, in pixels of the view; 0 for none.
        solarize: Whether to invert the upper half of the range.
        angle: Angle of the rotation, in degrees; 0 for none.
        shift: Shift to the right and down, in pixels of the view.
        zoom: Factor of the size of what is seen; 1 for none.
    """

    box: Box
    flip: bool
    jitter: list[tuple[str, float]]
    gray: bool
    sigma: float
    solarize: bool
    gray_first: bool = False
    angle: float = 0.0
    shift: Span = (0.0, 0.0)
    zoom: float = 1.0


@TRANSFORMS.register_module()
class View:
    """One random view: crop and resize, flip, affine map, colour jitter, gray, blur, solarization, in this order.

    It is the augmentation of SimCLR, MoCo v2, BYOL and SwAV. All numbers mean the same as in torchvision: the four
    jitter operations are applied in random order, and ``blur_sigma`` is Pillow's radius. By default, a view is only
    cropped and flipped.

    Hue and saturation jitter and gray need three channels; for other images they are skipped, with one warning.
    Brightness and contrast change any number of channels (contrast around the mean of all values), including infrared
    or transparency.

    Args:
        size: Side of the view in pixels, at least 1.
        scale: Minimum and maximum area of the crop, as a share of the image's area, at least 0.
        ratio: Minimum and maximum aspect ratio of the crop, its width divided by its height, above 0.
        flip: Probability of a horizontal flip, 0 to 1.
        jitter: Strength of brightness, contrast, saturation and hue: factors from ``max(0, 1 - s)`` to ``1 + s``, hue
            from ``-s`` to ``s`` of the circle; at least 0, that of the hue at most 0.5. None for no jitter.
        jitter_prob: Probability of the jitter, 0 to 1.
        gray_prob: Probability of removing the colours, 0 to 1.
        blur_prob: Probability of a Gaussian blur, 0 to 1.
        blur_sigma: Minimum and maximum standard deviation of the blur, in pixels of the view, at least 0.
        solarize_prob: Probability of inverting the upper half of the range, 0 to 1.
        gray_first: Whether to remove the colours before the jitter, as in MoCo v1 and NPID.
        rotate: Maximum angle of a rotation in either direction, in degrees, at least 0; the corners become black, as in
            torchvision.
        translate: Maximum shift in each direction with the rotation, as a share of the side, at least 0.
        zoom: Minimum and maximum factor of the size, with the rotation, above 0.
        interpolation: ``'bilinear'`` or ``'bicubic'``, with antialiasing as in Pillow.

    Source: SimCLR, appendix A; SwAV's and BYOL's parameters are given in the configs.
    """

    def __init__(
        self,
        size: int,
        scale: Span = (0.08, 1.0),
        ratio: Span = (3 / 4, 4 / 3),
        flip: float = 0.5,
        jitter: tuple[float, float, float, float] | None = None,
        jitter_prob: float = 0.8,
        gray_prob: float = 0.0,
        blur_prob: float = 0.0,
        blur_sigma: Span = (0.1, 2.0),
        solarize_prob: float = 0.0,
        gray_first: bool = False,
        rotate: float = 0.0,
        translate: float = 0.0,
        zoom: Span = (1.0, 1.0),
        interpolation: str = 'bilinear',
    ) -> None:
        check_numbers(COUNT, size=size)
        check_numbers(
            SHARE,
            flip=flip,
            jitter_prob=jitter_prob,
            gray_prob=gray_prob,
            blur_prob=blur_prob,
            solarize_prob=solarize_prob,
        )
        check_numbers(NOT_NEGATIVE, scale=scale, blur_sigma=blur_sigma, rotate=rotate, translate=translate)
        check_numbers(POSITIVE, ratio=ratio, zoom=zoom)
        check_given(NOT_NEGATIVE, jitter=jitter)
        check_limits(scale=scale, ratio=ratio, blur_sigma=blur_sigma, zoom=zoom)
        if jitter and (len(jitter) != len(_JITTER) or jitter[-1] > _MOST_HUE):
            raise ValueError(
                f'jitter={jitter!r}: give the strengths of {", ".join(_JITTER)}, that of the hue at most {_MOST_HUE}.'
            )
        _check_interpolation(interpolation)
        self.size, self.scale = size, scale
        self.log_ratio = (math.log(ratio[0]), math.log(ratio[1]))
        self.flip, self.jitter_prob, self.gray_prob = flip, jitter_prob, gray_prob
        self.jitter = _jitter_spans(jitter) if jitter else []
        self.blur_prob, self.blur_sigma = blur_prob, blur_sigma
        self.solarize_prob, self.gray_first = solarize_prob, gray_first
        self.rotate, self.translate, self.zoom = rotate, translate, (zoom[0], zoom[1])
        self.interpolation = interpolation

    def __call__(self, image: Tensor) -> Tensor:
        """Draw a view.

        Args:
            image: uint8 or uint16, shape ``(C, H, W)``.

        Returns:
            Same dtype, shape ``(C, size, size)``.
        """
        return self.apply(image, self.draw(*image.shape[-2:]))

    def with_box(self, image: Tensor) -> tuple[Tensor, list[float]]:
        """Draw a view, and return the box that it shows.

        Args:
            image: uint8 or uint16, shape ``(C, H, W)``.

        Returns:
            The view, and the :func:`corners` of its crop.
        """
        draw = self.draw(*image.shape[-2:])
        return self.apply(image, draw), corners(draw, *image.shape[-2:])

    def draw(self, height: int, width: int) -> ViewDraw:
        """Draw the random parameters of a view.

        Args:
            height: Height of the image, in pixels.
            width: Width of the image, in pixels.

        Returns:
            Parameters for :meth:`apply`. Every call takes the same number of random numbers.
        """
        more = _AFFINE_NUMBERS if self.translate or self.zoom != (1, 1) else bool(self.rotate)
        numbers = torch.rand(_RANDOM_NUMBERS + more, dtype=torch.float32).tolist()
        uniform, own = iter(numbers), numbers[_RANDOM_NUMBERS:] + [0.5] * _AFFINE_NUMBERS
        side = 2 * round(self.translate * self.size)
        return ViewDraw(
            flip=next(uniform) < self.flip,
            gray=next(uniform) < self.gray_prob,
            solarize=next(uniform) < self.solarize_prob,
            sigma=_between(self.blur_sigma, next(uniform)) * (next(uniform) < self.blur_prob),
            jitter=self._draw_jitter(uniform) if next(uniform) < self.jitter_prob else [],
            box=self._draw_box(height, width, uniform),
            gray_first=self.gray_first,
            angle=self.rotate * (2 * own[0] - 1),
            shift=(round(side * (own[1] - 0.5)), round(side * (own[2] - 0.5))),
            zoom=_between(self.zoom, own[3]),
        )

    def _draw_jitter(self, uniform: Iterator[float]) -> list[tuple[str, float]]:
        factors = [(name, _between(span, next(uniform))) for name, span in self.jitter]
        return sorted(factors, key=lambda _: next(uniform))

    def _draw_box(self, height: int, width: int, uniform: Iterator[float]) -> Box:
        down, right = next(uniform), next(uniform)
        for _ in range(_TRIES):
            area = _between(self.scale, next(uniform)) * height * width
            ratio = math.exp(_between(self.log_ratio, next(uniform)))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                return Box(*self._place((height, width), (h, w), (down, right)), h, w)
        # The image is too elongated: take its middle, as much of it as the ratio allows.
        narrowest, widest = map(math.exp, self.log_ratio)
        w, h = min(width, round(height * widest)), min(height, round(width / narrowest))
        return Box((height - h) // 2, (width - w) // 2, h, w)

    def _place(self, image: tuple[int, int], crop: tuple[int, int], shares: Span) -> tuple[int, int]:
        """Top and left of a crop anywhere in the image: shares from 0 to 1 of the way it can move."""
        (height, width), (h, w), (down, right) = image, crop, shares
        return int(down * (height - h + 1)), int(right * (width - w + 1))

    def apply(self, image: Tensor, draw: ViewDraw) -> Tensor:
        """Make a view from its random parameters.

        Args:
            image: uint8 or uint16, shape ``(C, H, W)``.
            draw: From :meth:`draw`, for an image of this height and width.

        Returns:
            Same dtype, shape ``(C, size, size)``; ``(C, T, size, size)`` of a clip.
        """
        if image.dim() == 4:
            return each_frame(image, lambda frame: self.apply(frame, draw))
        top, left, height, width = draw.box
        view = resize(image[:, top : top + height, left : left + width], self.size, self.size, self.interpolation)
        if draw.flip:
            view = mirrored(view)
        if draw.angle or draw.shift != (0, 0) or draw.zoom != 1:
            view = rotate(view, draw.angle, draw.shift, draw.zoom)
        if draw.jitter or draw.gray or draw.sigma or draw.solarize:
            view = _change(view, draw)
        return view.contiguous()

    def check_channels(self, channels: int) -> None:
        """Warn once per process about what is skipped for images that do not have three channels."""
        if channels != 3 and (self.gray_prob or any(name in _COLOUR for name, _ in self.jitter)):
            _warn_once()


@TRANSFORMS.register_module()
class RandomCrop:
    """One random view at the scale of the image: resize, pad, crop a square, flip, in this order.

    By default, padding mirrors the image at its border. Black padding, as in the recipes for CIFAR, shows where the
    border of the image was, and so gives away how it was turned.

    Args:
        size: Side of the view in pixels, at least 1.
        resize: Length of the shorter side after resizing, in pixels, at least 1; None to leave the image as it is.
        padding: Pixels added on every side, at least 0.
        padding_mode: ``'reflect'``, or ``'constant'`` for black pixels.
        flip: Probability of a horizontal flip, 0 to 1.
        interpolation: ``'bilinear'`` or ``'bicubic'``, with antialiasing as in Pillow.

    Raises:
        ValueError: Unknown ``padding_mode``.
    """

    def __init__(
        self,
        size: int,
        resize: int | None = None,
        padding: int = 0,
        padding_mode: Literal['reflect', 'constant'] = 'reflect',
        flip: float = 0.5,
        interpolation: str = 'bilinear',
    ) -> None:
        check_numbers(COUNT, size=size)
        check_given(COUNT, resize=resize)
        check_numbers(INDEX, padding=padding)
        check_numbers(SHARE, flip=flip)
        if padding_mode not in ('reflect', 'constant'):
            raise ValueError(f"padding_mode={padding_mode!r}: set it to 'reflect' or 'constant'.")
        self.size, self.resize, self.padding, self.padding_mode = size, resize, padding, padding_mode
        _check_interpolation(interpolation)
        self.flip, self.interpolation = flip, interpolation

    def __call__(self, image: Tensor) -> Tensor:
        """Draw a view.

        Args:
            image: uint8 or uint16, shape ``(C, H, W)``.

        Returns:
            Same dtype, shape ``(C, size, size)``.

        Raises:
            ValueError: The image is smaller than the crop.
        """
        shares = torch.rand(3, dtype=torch.float32).tolist()
        return each_frame(image, lambda frame: self._apply(frame, *shares))

    def _apply(self, image: Tensor, down: float, right: float, flipped: float) -> Tensor:
        if self.resize:
            image = resize_shorter_side(image, self.resize, self.interpolation)
        margin = (self.padding, self.padding)
        pixels = np.pad(image.numpy(), ((0, 0), margin, margin), mode=self.padding_mode)
        height, width = pixels.shape[1:]
        if min(height, width) < self.size:
            raise ValueError(
                f'An image has {height} x {width} pixels, too few for a crop of {self.size}: set resize={self.size} in '
                'RandomCrop, or more.'
            )
        top, left = int(down * (height - self.size + 1)), int(right * (width - self.size + 1))
        view = torch.from_numpy(pixels[:, top : top + self.size, left : left + self.size])
        return (mirrored(view) if flipped < self.flip else view).contiguous()


@TRANSFORMS.register_module()
class CentreView(View):
    """A :class:`View` whose crops have their centres in a box around the middle of the image.

    Centres follow a beta distribution over the box. With ``alpha`` below 1, most of them lie near its edges, so two
    crops of an image show different parts of what stands in the middle.

    Args:
        size: Side of the view in pixels, at least 1.
        centre: Top, left, bottom and right edge of the box, as shares of the image's sides.
        alpha: Both parameters of the beta distribution; above 0, 1 for a uniform one.
        settings: Further arguments of :class:`View`.

    Raises:
        ValueError: The box is not inside the image.

    Source: ContrastiveCrop (Peng et al., CVPR 2022), with a box that never changes, as in Hallucinator's code.
    """

    def __init__(
        self,
        size: int,
        centre: tuple[float, float, float, float] = (0.25, 0.25, 0.75, 0.75),
        alpha: float = 0.1,
        **settings: Any,
    ) -> None:
        check_numbers(COUNT, size=size)
        check_numbers(POSITIVE, alpha=alpha)
        super().__init__(size, **settings)
        top, left, bottom, right = centre
        if not (0 <= top <= bottom <= 1 and 0 <= left <= right <= 1):
            raise ValueError(f'centre={centre} of CentreView: give top, left, bottom and right as shares from 0 to 1.')
        self.edges, self.alpha = ((top, bottom), (left, right)), alpha

    def _place(self, image: tuple[int, int], crop: tuple[int, int], shares: Span) -> tuple[int, int]:
        """Top and left of a crop whose centre lies in the box, as far as the crop fits into the image."""
        from scipy.special import betaincinv  # here, since it takes half a second

        top, left = (
            _beta_start(length, part, edges, float(betaincinv(self.alpha, self.alpha, share)))
            for length, part, edges, share in zip(image, crop, self.edges, shares)
        )
        return top, left


def _beta_start(length: int, part: int, edges: Span, share: float) -> int:
    first, last = (min(max(int(length * edge) - part // 2, 0), length - part) for edge in edges)
    return first + int((last - first) * share)


@TRANSFORMS.register_module()
class PatchGrid(View):
    """Patches of one random view, from the cells of a grid, each shifted at random.

    Args:
        size: Side of the view that is cut, in pixels, at least 1.
        patch: Side of a patch in pixels, at least 1.
        jitter: Largest shift of a patch down and to the right, in pixels, at least 0.
        grid: Number of cells in a row, and of rows, at least 1.
        count: Number of patches, from different cells at random, at least 1.
        settings: Further arguments of :class:`View`.

    Raises:
        ValueError: The patches do not fit into the view, or the grid has fewer cells.

    Source: OBoW, section 3.5 (Gidaris et al., CVPR 2021); valeoai/obow, ``CropImagePatches``.
    """

    def __init__(
        self, size: int = 256, patch: int = 96, jitter: int = 24, grid: int = 3, count: int = 5, **settings: Any
    ) -> None:
        check_numbers(COUNT, size=size, patch=patch, grid=grid, count=count)
        check_numbers(INDEX, jitter=jitter)
        super().__init__(size, **settings)
        if patch + jitter > size or count > grid**2:
            raise ValueError(
                f'{count} patches of {patch} pixels, shifted by up to {jitter}, from {grid} x {grid} cells of a '
                f'view of {size}: set count to {grid**2} or less, and patch + jitter to {size} or less.'
            )
        self.patch, self.shift, self.grid, self.count = patch, jitter, grid, count
        self.stride = (size - patch - jitter) // max(grid - 1, 1)

    def __call__(self, image: Tensor) -> list[Tensor]:
        """Draw patches.

        Args:
            image: uint8 or uint16, shape ``(C, H, W)``.

        Returns:
            ``count`` tensors of the same dtype, ``(C, patch, patch)`` each.
        """
        view = super().__call__(image)
        shifts = torch.randint(self.shift + 1, (self.grid**2, 2)).tolist()
        cells = torch.randperm(self.grid**2)[: self.count].tolist()
        return [view[:, y : y + self.patch, x : x + self.patch].contiguous() for y, x in self.corners(shifts, cells)]

    def corners(self, shifts: Sequence[Sequence[int]], cells: Sequence[int]) -> list[tuple[int, int]]:
        """Top and left of patches: the shifts of all cells, row by row, and the numbers of the chosen cells."""
        starts = [(self.stride * (cell // self.grid), self.stride * (cell % self.grid)) for cell in cells]
        return [(y + shifts[cell][0], x + shifts[cell][1]) for (y, x), cell in zip(starts, cells)]


@TRANSFORMS.register_module()
class PaddedView:
    """Fixed view of a whole image for evaluation: black borders make it square, then it is resized.

    Args:
        size: Side of the view in pixels, at least 1.

    Source: ConVIRT, appendix (Zhang et al., MLHC 2022).
    """

    def __init__(self, size: int) -> None:
        check_numbers(COUNT, size=size)
        self.size = size

    def __call__(self, image: Tensor) -> list[Tensor]:
        """Make the view.

        Args:
            image: uint8 or uint16, shape ``(C, H, W)``.

        Returns:
            One tensor of the same dtype, shape ``(C, size, size)``.
        """
        height, width = image.shape[1:]
        down, right = max(width - height, 0), max(height - width, 0)
        margins = ((0, 0), (down // 2, down - down // 2), (right // 2, right - right // 2))
        return [resize(torch.from_numpy(np.pad(image.numpy(), margins)), self.size, self.size).contiguous()]


@TRANSFORMS.register_module()
class ViewsByEpoch:
    """Views that change after some epochs, such as a plain crop that is followed by a :class:`CentreView`.

    Args:
        until: First epoch of the later views, at least 0.
        views: The views before that and from then on, or their configs.

    Attributes:
        epoch: Number of the epoch; set by the data set for each draw.
    """

    def __init__(self, until: int, views: Sequence[Callable[[Tensor], Any] | dict]) -> None:
        check_numbers(INDEX, until=until)
        self.until, self.epoch = until, 0
        self.views = [TRANSFORMS.build(view) if isinstance(view, dict) else view for view in views]

    def __call__(self, image: Tensor) -> Any:
        """Make the views of this epoch; see :class:`MultiView`."""
        return self.views[self.epoch >= self.until](image)

    def check_channels(self, channels: int) -> None:
        """Call :meth:`View.check_channels` for both kinds, where they have it."""
        for view in self.views:
            if hasattr(view, 'check_channels'):
                view.check_channels(channels)


@TRANSFORMS.register_module()
class MultiView:
    """Several views of every image, which is decoded once; multi-crop if their sizes differ.

    Args:
        counts: Number of views of each kind, at least 1; of a kind that gives several at a time, such as
            :class:`PatchGrid`, how often it is drawn.
        views: The kinds of views, or their configs.
        boxes: Whether to return the box that each view shows, for methods that compare positions (PixPro); the kinds
            must be :class:`View` without rotation, shift and zoom.

    Raises:
        ValueError: ``counts`` and ``views`` differ in length, or ``boxes`` is set for a kind that has none.

    Source: SwAV, section 3.2 (Caron et al., NeurIPS 2020).
    """

    def __init__(
        self, counts: Sequence[int], views: Sequence[Callable[[Tensor], Tensor] | dict], boxes: bool = False
    ) -> None:
        check_numbers(COUNT, counts=counts)
        if len(counts) != len(views):
            raise ValueError(
                f'{len(counts)} counts for {len(views)} kinds of views: give MultiView one count per kind.'
            )
        kinds = [TRANSFORMS.build(view) if isinstance(view, dict) else view for view in views]
        self.views: list[Any] = [view for view, count in zip(kinds, counts) for _ in range(count)]
        self.boxes = boxes
        if boxes and not all(isinstance(view, View) and _stays(view) for view in kinds):
            raise ValueError(
                'A view that is rotated, shifted or zoomed, or not of type View, has no box: set boxes=False '
                'in MultiView.'
            )

    def __call__(self, image: Tensor) -> list[Tensor] | dict:
        """Draw all views of a ``(C, H, W)`` image.

        Returns:
            One tensor each, in the order of ``counts``; with boxes a dictionary of these (``inputs``) and ``boxes``,
            float32, shape ``(V, 4)``, from :func:`corners`.
        """
        if not self.boxes:
            made = [view(image) for view in self.views]
            return [view for some in made for view in ([some] if isinstance(some, Tensor) else some)]
        views, boxes = zip(*(view.with_box(image) for view in self.views))
        return {'inputs': list(views), 'boxes': torch.tensor(boxes, dtype=torch.float32)}

    def check_channels(self, channels: int) -> None:
        """Call :meth:`View.check_channels` for every kind that has it."""
        for view in self.views:
            if hasattr(view, 'check_channels'):
                view.check_channels(channels)


def _stays(view: View) -> bool:
    return not (view.rotate or view.translate) and view.zoom == (1, 1)


@TRANSFORMS.register_module()
class EvalView:
    """Fixed view for evaluation: resize the image, then crop its middle.

    Args:
        resize: Length of the shorter side after resizing, in pixels, at least 1.
        crop: Side of the square from the middle, in pixels, at least 1; at most ``resize``.
        interpolation: ``'bilinear'`` or ``'bicubic'``, with antialiasing as in Pillow.
        flip: Probability of a horizontal flip, for a teacher's view in training, 0 to 1.

    Raises:
        ValueError: ``crop`` is larger than ``resize``.
    """

    def __init__(self, resize: int, crop: int, interpolation: str = 'bilinear', flip: float = 0.0) -> None:
        check_numbers(COUNT, resize=resize, crop=crop)
        check_numbers(SHARE, flip=flip)
        if crop > resize:
            raise ValueError(f'A crop of {crop} does not fit into a side of {resize}: set resize={crop} or more.')
        _check_interpolation(interpolation)
        self.resize, self.crop, self.interpolation, self.flip = resize, crop, interpolation, flip

    def __call__(self, image: Tensor) -> list[Tensor]:
        """Make the view.

        Args:
            image: uint8 or uint16, shape ``(C, H, W)``.

        Returns:
            One tensor of the same dtype, shape ``(C, crop, crop)``.
        """
        view = each_frame(image, self._crop)
        flipped = self.flip and float(torch.rand(())) < self.flip
        return [(mirrored(view) if flipped else view).contiguous()]

    def _crop(self, image: Tensor) -> Tensor:
        view = resize_shorter_side(image, self.resize, self.interpolation)
        height, width = view.shape[1:]
        top, left = round((height - self.crop) / 2), round((width - self.crop) / 2)
        return view[:, top : top + self.crop, left : left + self.crop]


def each_frame(image: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a function of images to an image, or to each frame of a clip.

    Args:
        image: Shape ``(C, H, W)``, or ``(C, T, H, W)`` for a clip.
        change: Gives images of one size; it must draw nothing at random.

    Returns:
        Shape ``(C, H', W')`` or ``(C, T, H', W')``.
    """
    return change(image) if image.dim() == 3 else torch.stack([change(frame) for frame in image.unbind(1)], dim=1)


def corners(draw: ViewDraw, height: int, width: int) -> list[float]:
    """Box that a view shows of its image: x0, y0, x1, y1, from 0 at the first to 1 at the last row or column.

    Args:
        draw: Random parameters of the view.
        height: Height of the image, in pixels.
        width: Width of the image, in pixels.

    Returns:
        Four numbers; x0 > x1 if the view is flipped.

    Source: zdaxie/PixPro.
    """
    top, left, tall, wide = draw.box
    rows, columns = max(height - 1, 1), max(width - 1, 1)
    x0, y0, x1, y1 = left / columns, top / rows, (left + wide - 1) / columns, (top + tall - 1) / rows
    return [x1, y0, x0, y1] if draw.flip else [x0, y0, x1, y1]


def resize_shorter_side(image: Tensor, side: int, interpolation: str = 'bilinear') -> Tensor:
    """Resize an image so that its shorter side has ``side`` pixels.

    Args:
        image: uint8 or uint16, shape ``(C, H, W)``.
        side: Length of the shorter side.
        interpolation: ``'bilinear'`` or ``'bicubic'``.

    Returns:
        Same dtype, shape ``(C, H', W')``.
    """
    height, width = image.shape[1:]
    shorter = min(height, width)
    return resize(image, side * height // shorter, side * width // shorter, interpolation)


def resize(image: Tensor, height: int, width: int, interpolation: str = 'bilinear') -> Tensor:
    """Resize with antialiasing, as Pillow does, within one grey level.

    Args:
        image: uint8 or uint16, shape ``(C, H, W)``.
        height: New height.
        width: New width.
        interpolation: ``'bilinear'`` or ``'bicubic'``.

    Returns:
        Same dtype, shape ``(C, height, width)``; the image itself if it has that size.
    """
    if image.shape[1:] == (height, width):
        return image
    if image.dtype == torch.uint8:  # torch has fast code for bytes, interleaved ones too
        return interpolate(image[None], (height, width), mode=interpolation, antialias=True)[0]
    resized = interpolate(image[None].float(), (height, width), mode=interpolation, antialias=True)[0]
    return resized.round_().clamp_(0, torch.iinfo(image.dtype).max).to(image.dtype)


def mirrored(view: Tensor) -> Tensor:
    """Swap left and right of a uint8 or uint16 ``(C, H, W)`` tensor."""
    # Older torch cannot flip uint16, but it can flip the same bits as int16.
    bits = torch.int16 if view.dtype == torch.uint16 else view.dtype
    return view.view(bits).flip(-1).view(view.dtype)


def rotate(image: Tensor, angle: float, shift: Span = (0.0, 0.0), zoom: float = 1.0) -> Tensor:
    """Rotate and enlarge an image around its middle, then shift it, without interpolation; the outside is 0.

    Args:
        image: uint8 or uint16, shape ``(C, H, W)``.
        angle: In degrees, counter-clockwise.
        shift: To the right and down, in pixels.
        zoom: Factor of the size.

    Returns:
        Same dtype and shape.
    """
    height, width = image.shape[1:]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, zoom)
    matrix[:, 2] += shift
    planes = [cv2.warpAffine(plane, matrix, (width, height), flags=cv2.INTER_NEAREST) for plane in image.numpy()]
    return torch.from_numpy(np.stack(planes))


_COLOUR: dict[str, Callable[[px.Pixels, float, float], px.Pixels]] = {
    'saturation': px.adjust_saturation,
    'hue': lambda pixels, shift, _: px.shift_hue(pixels, shift),
}
_JITTER = {'brightness': px.adjust_brightness, 'contrast': px.adjust_contrast, **_COLOUR}


def _change(view: Tensor, draw: ViewDraw) -> Tensor:
    """Apply the changes that follow flip and rotation, and round once at the end."""
    top = torch.iinfo(view.dtype).max
    pixels = view.numpy().astype(np.float32, order='C')
    if draw.gray and draw.gray_first and len(pixels) == 3:
        pixels = px.luminance(pixels)
    for name, factor in draw.jitter:
        if len(pixels) == 3 or name not in _COLOUR:
            pixels = _JITTER[name](pixels, factor, top)
    if draw.gray and len(pixels) == 3:
        pixels = px.luminance(pixels)  # one plane is blurred instead of three equal ones, and copied at the end
    if draw.sigma:
        pixels = px.gaussian_blur(pixels, draw.sigma)
    if draw.solarize:
        pixels = px.solarize(pixels, top)
    changed = np.rint(pixels).astype(np.uint8 if top == 255 else np.uint16)
    return torch.from_numpy(changed).expand(len(view), -1, -1)


def _check_interpolation(interpolation: str) -> None:
    if interpolation not in _INTERPOLATIONS:
        raise ValueError(f'interpolation={interpolation!r}: set it to {" or ".join(map(repr, _INTERPOLATIONS))}.')


def _jitter_spans(strengths: Sequence[float]) -> list[tuple[str, Span]]:
    """Return the factor range of each operation whose strength is not 0."""
    *factors, hue = strengths
    spans = [(max(0.0, 1 - strength), 1 + strength) for strength in factors] + [(-hue, hue)]
    return [(name, span) for name, span, strength in zip(_JITTER, spans, strengths) if strength]


def _between(span: Span, share: float) -> float:
    return span[0] + (span[1] - span[0]) * share


@lru_cache(maxsize=1)
def _warn_once() -> None:
    skipped = 'Images do not have three channels: gray, saturation and hue are skipped in their views.'
    print_log(skipped, logger='current', level=logging.WARNING)
