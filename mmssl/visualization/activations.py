"""Where in a picture a backbone finds something."""

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mmssl.datasets import collate
from mmssl.evaluation import eval_mode


@torch.no_grad()
def activation_maps(model: nn.Module, samples: Sequence[dict]) -> Tensor:
    """The length of the last feature vector at each place of the first view.

    Args:
        model: A :class:`~mmssl.models.BaseAlgorithm`; runs in eval mode. Of a transformer, patches are places, and
            class tokens are left out. (Its attention is not drawn: timm's fused attention does not give it away.)
        samples: Of a data set, all of one size.

    Returns:
        0 (weakest in the picture) to 1 (strongest), shape ``(B, H', W')``.

    Raises:
        ValueError: The features are neither a map nor a square of tokens.
    """
    with eval_mode(model):
        data = model.data_preprocessor(collate(list(samples)), training=False)
        strength = last_map(model.backbone, data['inputs'][0]).float().norm(dim=1).cpu()
    low, high = strength.amin(dim=(1, 2), keepdim=True), strength.amax(dim=(1, 2), keepdim=True)
    return (strength - low) / (high - low).clamp_min(1e-12)


def last_map(backbone: nn.Module, images: Tensor) -> Tensor:
    """The last feature map ``(B, C, H', W')``; tokens of a transformer are laid out as the patches they stand for.

    Raises:
        ValueError: The features are neither.
    """
    features = backbone(images)[-1]
    if features.dim() == 4:
        return features
    prefix = getattr(getattr(backbone, 'model', backbone), 'num_prefix_tokens', 0)
    side = math.isqrt(features.shape[1] - prefix) if features.dim() == 3 else 0
    if side == 0 or side * side != features.shape[1] - prefix:
        raise ValueError(
            f'The backbone gives features of shape {tuple(features.shape)}: activation maps need a map (B, C, H, W), '
            'or tokens (B, N, C) of square pictures.'
        )
    return features[:, prefix:].transpose(1, 2).unflatten(2, (side, side))


def heated(picture: Image.Image, strength: Tensor) -> Image.Image:
    """A picture under the colours of its activation.

    Args:
        picture: Any mode.
        strength: 0 to 1, shape ``(H', W')``.
    """
    small = Image.fromarray((strength.numpy() * 255).round().astype(np.uint8))
    values = np.asarray(small.resize(picture.size, Image.Resampling.BICUBIC)) / 255
    colours = matplotlib.colormaps['inferno'](values)[..., :3]
    gray = np.asarray(picture.convert('L'))[..., None] / 255
    return Image.fromarray(((0.35 * gray + 0.65 * colours) * 255).round().astype(np.uint8))
