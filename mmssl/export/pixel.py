"""Convert checkpoints of PIXEL and Pixel-Linguist as transformers writes them."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mmssl.checkpoint import CheckpointError
from mmssl.weights import read_file, write_weights

_LAYER = re.compile(r'(?:vit\.)?encoder\.layer\.(\d+)\.(.+)\.(weight|bias)$')
_IN_LAYER = {
    'attention.output.dense': 'attn.proj',
    'intermediate.dense': 'mlp.fc1',
    'output.dense': 'mlp.fc2',
    'layernorm_before': 'norm1',
    'layernorm_after': 'norm2',
}
_OTHER = {
    'embeddings.cls_token': 'cls_token',
    'embeddings.position_embeddings': 'pos_embed',
    'embeddings.patch_embeddings.projection.weight': 'patch_embed.proj.weight',
    'embeddings.patch_embeddings.projection.bias': 'patch_embed.proj.bias',
    'layernorm.weight': 'norm.weight',
    'layernorm.bias': 'norm.bias',
}
_PARTS = ('query', 'key', 'value')


def pixel_encoder(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of PIXEL's encoder under timm's keys.

    Args:
        tensors: A state dict of PIXEL or Pixel-Linguist; keys start with ``vit.`` or without it.

    Returns:
        The encoder's tensors, for ``model`` of a :class:`~mmssl.models.TextViT`; all others are left out.

    Raises:
        CheckpointError: There is no such encoder.
    """
    found: dict[str, Tensor] = {}
    attention: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        match = _LAYER.fullmatch(key)
        if match is None:
            if (name := key.removeprefix('vit.')) in _OTHER:
                found[_OTHER[name]] = tensor
            continue
        number, place, kind = match.groups()
        if place in _IN_LAYER:
            found[f'blocks.{number}.{_IN_LAYER[place]}.{kind}'] = tensor
        elif (part := place.rpartition('.')[2]) in _PARTS:
            attention.setdefault(f'blocks.{number}.attn.qkv.{kind}', {})[part] = tensor
    for key, parts in attention.items():
        found[key] = torch.cat([parts[part] for part in _PARTS])
    if 'cls_token' not in found or not attention:
        raise CheckpointError(
            'The file has no encoder of PIXEL (keys such as vit.encoder.layer.0.layernorm_before.weight): give a '
            'checkpoint of PIXEL or Pixel-Linguist.'
        )
    return found


def convert_pixel(source: str | Path, target: str | Path, patches: int) -> Path:
    """Write the encoder of a checkpoint of PIXEL as weights for a :class:`~mmssl.models.TextViT`.

    Args:
        source: The checkpoint (``pytorch_model.bin`` or ``.safetensors``); never unpickled.
        target: File to write, ``.pth`` or ``.safetensors``.
        patches: Patches of a strip; the positions of further ones are left out, nothing is interpolated.

    Returns:
        The target.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        CheckpointError: It holds no encoder of PIXEL, or fewer positions.
    """
    found = pixel_encoder(read_file(source).tensors)
    positions = found['pos_embed']
    if positions.shape[1] < patches + 1:
        raise CheckpointError(
            f'{source} has positions for {positions.shape[1] - 1} patches: set --patches to that or less.'
        )
    found['pos_embed'] = positions[:, : patches + 1].clone()
    write_weights({f'model.{key}': tensor for key, tensor in found.items()}, target)
    return Path(target)
