"""Maps of where in an image a backbone responds."""

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mmssl.datasets import collate
from mmssl.models.modes import eval_mode


@torch.no_grad()
def activation_maps(model: nn.Module, samples: Sequence[dict]) -> Tensor:
    """Length of the last feature vector at each position of the first view.

    Args:
        model: A :class:`~mmssl.models.BaseAlgorithm`; runs in eval mode. For a transformer, patches are the positions,
            and class tokens are left out.
        samples: Samples of a data set, all of one size.

    Returns:
        0 (weakest in the image) to 1 (strongest), shape ``(B, H', W')``.

    Raises:
        ValueError: The features are neither a map nor a square of tokens.
    """
    with eval_mode(model):
        data = model.data_preprocessor(collate(list(samples)), training=False)
        strength = last_map(model.backbone, data['inputs'][0]).float().norm(dim=1).cpu()
    return _stretched(strength)


@torch.no_grad()
def attention_maps(model: nn.Module, samples: Sequence[dict]) -> Tensor:
    """Attention of a transformer's last block in the first view, averaged over its heads.

    This is the attention of the class token (as in DINO, Caron et al., ICCV 2021, figure 1), or, without one, the mean
    over all patches.

    Args:
        model: A :class:`~mmssl.models.BaseAlgorithm` whose backbone has attention; runs in eval mode.
        samples: Samples of a data set, all square and of one size.

    Returns:
        0 (minimum in the image) to 1 (maximum), shape ``(B, H', W')``.

    Raises:
        ValueError: The backbone has no attention between all patches.
    """
    block, seen = attention_block(model.backbone), []
    if block is None:
        raise ValueError(
            'The backbone has no attention: attention maps are for transformers such as vit_tiny_patch16_224.'
        )
    fused, block.fused_attn = block.fused_attn, False  # fused attention never computes the weights explicitly
    handle = block.attn_drop.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        with eval_mode(model):
            data = model.data_preprocessor(collate(list(samples)), training=False)
            model.backbone(data['inputs'][0])
    finally:
        handle.remove()
        block.fused_attn = fused
    weights, network = seen[0].float().mean(dim=1).cpu(), getattr(model.backbone, 'model', model.backbone)
    prefix = getattr(network, 'num_prefix_tokens', 0)
    given = weights[:, 0] if getattr(network, 'has_class_token', False) else weights[:, prefix:].mean(dim=1)
    return _stretched(_square(given[:, prefix:, None])[:, 0])


def attention_block(backbone: nn.Module) -> nn.Module | None:
    """Last attention module of a timm transformer; None for other backbones."""
    blocks = [part for part in backbone.modules() if hasattr(part, 'attn_drop') and hasattr(part, 'fused_attn')]
    return blocks[-1] if blocks else None


def _stretched(strength: Tensor) -> Tensor:
    low, high = strength.amin(dim=(1, 2), keepdim=True), strength.amax(dim=(1, 2), keepdim=True)
    return (strength - low) / (high - low).clamp_min(1e-12)


def last_map(backbone: nn.Module, images: Tensor) -> Tensor:
    """Last feature map ``(B, C, H', W')``; a transformer's tokens are arranged like their patches.

    Raises:
        ValueError: The features are neither a map nor a square of tokens.
    """
    features = backbone(images)[-1]
    if features.dim() == 4:
        return features
    prefix = getattr(getattr(backbone, 'model', backbone), 'num_prefix_tokens', 0)
    return _square(features[:, prefix:] if features.dim() == 3 else features)


def _square(tokens: Tensor) -> Tensor:
    """Arrange tokens of patches ``(B, side * side, C)`` as a map ``(B, C, side, side)``."""
    side = math.isqrt(tokens.shape[1]) if tokens.dim() == 3 else 0
    if side == 0 or side * side != tokens.shape[1]:
        raise ValueError(
            f'The backbone gives features of shape {tuple(tokens.shape)}: a map over an image needs (B, C, H, W), or '
            'tokens (B, N, C) of square images.'
        )
    return tokens.transpose(1, 2).unflatten(2, (side, side))


def heated(image: Image.Image, strength: Tensor) -> Image.Image:
    """Overlay an image with the colours of its activation.

    Args:
        image: Image of any mode.
        strength: Activation from 0 to 1, shape ``(H', W')``.
    """
    small = Image.fromarray((strength.numpy() * 255).round().astype(np.uint8))
    values = np.asarray(small.resize(image.size, Image.Resampling.BICUBIC)) / 255
    colours = matplotlib.colormaps['inferno'](values)[..., :3]
    gray = np.asarray(image.convert('L'))[..., None] / 255
    return Image.fromarray(((0.35 * gray + 0.65 * colours) * 255).round().astype(np.uint8))
