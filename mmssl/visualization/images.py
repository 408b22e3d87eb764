"""Convert tensors to images for display."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

_LONGEST = 160  # pixels: a report stays a few MB
_STRIP = 8  # an image so many times wider than high is shown in lines


def to_image(tensor: Tensor) -> Image.Image:
    """Convert a tensor to a plain image of at most 160 x 160 pixels; a strip of text is broken into lines.

    Args:
        tensor: uint8 or uint16, shape ``(C, H, W)``. Of a clip ``(C, T, H, W)``, four evenly spaced frames are shown in
            two rows, or the middle one if there are fewer. A feature sequence, floats ``(C, T, 1, 1)``, is a gray map:
            channels from top to bottom, time to the right. Of two channels, only the first is shown; of four and more,
            the first three. 16-bit values are scaled to the range between the minimum and the maximum.

    Returns:
        Image of mode ``'L'`` or ``'RGB'``.
    """
    if tensor.is_floating_point():
        tensor = _scaled(tensor.flatten(1)[None])
    tensor = _sheet(tensor) if tensor.dim() == 4 else tensor
    if tensor.dtype == torch.uint16:
        tensor = _scaled(tensor.float())
    tensor = _in_lines(tensor) if tensor.shape[2] >= _STRIP * tensor.shape[1] else tensor
    planes = tensor[:3] if len(tensor) >= 3 else tensor[:1]
    pixels = np.ascontiguousarray(planes.permute(1, 2, 0).numpy())
    image = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)
    image.thumbnail((_LONGEST, _LONGEST))
    return image


def _scaled(values: Tensor) -> Tensor:
    """Bytes between the minimum and the maximum; values that hardly differ stay dark."""
    low, high = values.min(), values.max()
    return ((values - low) / (high - low).clamp_min(1) * 255).round().byte()


def _sheet(clip: Tensor) -> Tensor:
    """Four frames of a clip as one image, ``(C, 2 H, 2 W)``."""
    length = clip.shape[1]
    if length < 4:
        return clip[:, length // 2]
    one, two, three, four = (clip[:, place * (length - 1) // 3] for place in range(4))
    return torch.cat([torch.cat([one, two], dim=2), torch.cat([three, four], dim=2)], dim=1)


def _in_lines(strip: Tensor) -> Tensor:
    """Break a strip into lines of 160 pixels, no white ones at the end: ``(C, H, W)`` to ``(C, lines * H, 160)``."""
    lines = nn.functional.pad(strip, (0, -strip.shape[2] % _LONGEST), value=255).split(_LONGEST, dim=2)
    written = [place for place, line in enumerate(lines) if bool((line < 255).any())]
    return torch.cat(lines[: max(written, default=0) + 1], dim=1)
