"""The four rotations of an image by quarter turns."""

import torch
from torch import Tensor


def four_rotations(images: Tensor) -> Tensor:
    """Turn every image by 0, 90, 180 and 270 degrees, counter-clockwise.

    Args:
        images: Square, shape ``(B, C, S, S)``.

    Returns:
        Shape ``(B, 4, C, S, S)``: entry ``k`` of an image is the image after ``k`` quarter turns.

    Raises:
        ValueError: The images are not square, so that a quarter turn would change their shape.

    Source: RotNet, section 3.1 (Gidaris et al., ICLR 2018).
    """
    height, width = images.shape[-2:]
    if height != width:
        raise ValueError(
            f'Views of {height} x {width} pixels: a quarter turn makes them {width} x {height}, and one batch cannot '
            f'hold both. Give square views, such as dict(type=View, size={min(height, width)}).'
        )
    return torch.stack([quarter_turns(images, turns) for turns in range(4)], dim=1)


def quarter_turns(images: Tensor, turns: int) -> Tensor:
    """Turn images by quarters, counter-clockwise; pixels are moved, none is interpolated.

    Args:
        images: Shape ``(..., H, W)``.
        turns: Number of quarter turns, 0 to 3.

    Returns:
        Shape ``(..., H, W)``, or ``(..., W, H)`` after 1 or 3 turns; as ``numpy.rot90``.

    Source: gidariss/FeatureLearningRotNet, ``dataloader.py``.
    """
    if turns >= 2:
        images = images.flip(-2, -1)
    return images.transpose(-2, -1).flip(-2) if turns % 2 else images
