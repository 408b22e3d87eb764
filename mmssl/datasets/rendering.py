"""Render text as a strip of patches."""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

PATCH = 16  # pixels: height of a strip, and side of a patch
SENTENCE_PATCHES = 64
_MARGIN = 2  # white pixels before a text, and at least as many after it
_SIZE = 8 * 120 / 72  # pixels: 8 points at 120 dots per inch
_BASELINE = 12  # row of the strip; below it is room for descenders
_BESIDE = 32  # pixels beside the advance of a text that its ink may reach


class RenderedText(NamedTuple):
    """A strip of rendered text.

    Attributes:
        image: Black on white, uint8, shape ``(1, 16, 16 * patches)``. A black patch follows the text.
        patches: Number of patches before the last black one.
        cut: Whether the end of the text did not fit.
    """

    image: Tensor
    patches: int
    cut: bool


def render_text(text: str, patches: int = SENTENCE_PATCHES, font: str | Path | None = None) -> RenderedText:
    """Render one text, followed by a black patch.

    Args:
        text: The text; line breaks and repeated blanks count as one blank.
        patches: Number of patches of the strip, at least 2.
        font: A TrueType font; by default DejaVu Sans, which comes with Matplotlib.

    Raises:
        ValueError: The text is empty, the strip is too short, or the font cannot be read.

    Source: Pixel-Linguist and PIXEL, ``pygame_renderer.py``: 8 points at 120 dots per inch.
    """
    return _render([text], patches, font, ends=(True,))


def render_pair(texts: Sequence[str], patches: int = SENTENCE_PATCHES, font: str | Path | None = None) -> RenderedText:
    """Render texts in a row, each followed by a black patch; otherwise like :func:`render_text`."""
    return _render(texts, patches, font, ends=(True,) * len(texts))


def render_words(words: Sequence[str], patches: int = SENTENCE_PATCHES, font: str | Path | None = None) -> RenderedText:
    """Render words in a row, each from the start of a patch, and one black patch after the last.

    Otherwise like :func:`render_text`.
    """
    return _render(words, patches, font, ends=(*(False for _ in words[1:]), True))


def end_of_text(start: int, width: int, patches: int) -> int:
    """Column of the black patch after a text.

    Args:
        start: Column of the text's first patch, a multiple of 16.
        width: Width of the text in pixels.
        patches: Number of patches of the strip.

    Returns:
        A multiple of 16, at most that of the last patch.
    """
    end = start + _MARGIN + width + _MARGIN
    return min(-(-end // PATCH) * PATCH, PATCH * (patches - 1))


def _render(texts: Sequence[str], patches: int, font: str | Path | None, ends: Sequence[bool]) -> RenderedText:
    if patches < 2:
        raise ValueError(f'A strip of {patches} patches: a text and its black patch need 2 or more.')
    strip = np.full((PATCH, PATCH * patches), 255, np.uint8)
    last, start, cut = PATCH * (patches - 1), 0, False
    black = []
    for text, is_end in zip(texts, ends, strict=True):
        if start >= last:  # nothing more fits
            cut = True
            break
        ink = _ink(text, patches, font)
        first = start + _MARGIN
        stop = min(first + ink.shape[1], last)
        strip[:, first:stop] -= ink[:, : stop - first]
        cut |= first + ink.shape[1] > last
        start = end_of_text(start, ink.shape[1], patches)
        if is_end:
            black.append(start)
            start += PATCH
    black = black if black and not cut else [*black, last]
    for column in black:
        strip[:, column : column + PATCH] = 0
    return RenderedText(torch.from_numpy(strip)[None], black[-1] // PATCH, cut)


def _ink(text: str, patches: int, font: str | Path | None) -> np.ndarray:
    """Ink of a text from its first to its last column with any, uint8, 255 for black, shape ``(16, width)``."""
    text = ' '.join(text.split())[: PATCH * patches]  # what is longer cannot fit
    if not text:
        raise ValueError('The text is empty: give one with at least one character.')
    face = _font(str(font) if font else None)
    canvas = Image.new('L', (int(face.getlength(text)) + 2 * _BESIDE, PATCH))
    ImageDraw.Draw(canvas).text((_BESIDE, _BASELINE), text, fill=255, font=face, anchor='ls')
    box = canvas.getbbox()
    left, right = (box[0], box[2]) if box else (0, 1)  # a character without ink
    return np.asarray(canvas)[:, left:right]


@cache
def _font(path: str | None) -> ImageFont.FreeTypeFont:
    if path is None:
        matplotlib = find_spec('matplotlib')  # an import would take a quarter of a second
        assert matplotlib is not None and matplotlib.origin is not None
        path = str(Path(matplotlib.origin).parent / 'mpl-data/fonts/ttf/DejaVuSans.ttf')
    try:
        # Pillow's own layout puts glyphs where the reference does, and is on every machine, as Raqm's is not.
        return ImageFont.truetype(path, _SIZE, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        raise ValueError(f'{path} cannot be read as a font ({error}): give the path of a .ttf or .otf file.') from error
