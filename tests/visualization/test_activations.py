"""Activation maps of convolutional networks and transformers."""

import pytest
import torch
from PIL import Image
from torch import nn

from mmssl.models import DataPreprocessor, TimmBackbone
from mmssl.visualization import image_sections
from mmssl.visualization.activations import activation_maps, attention_maps, heated, last_map
from tests.evaluation.stand_ins import Encoder, encoder, fixed


class Tokens(nn.Module):
    """A transformer's features: class tokens, then patches whose length is their place."""

    num_prefix_tokens = 1

    def __init__(self, patches: int) -> None:
        super().__init__()
        self.patches = patches

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        tokens = torch.arange(-1, self.patches).clamp_min(0).float()
        return (tokens[None, :, None].expand(len(images), -1, 4),)


def test_a_map_is_the_length_of_the_vectors_from_weakest_to_strongest():
    model, data = encoder(), fixed(4)
    maps = activation_maps(model, [data[place] for place in range(4)])
    assert maps.shape == (4, 2, 2) and model.training
    assert maps.amin(dim=(1, 2)).tolist() == [0] * 4 and maps.amax(dim=(1, 2)).tolist() == pytest.approx([1] * 4)


def test_tokens_of_a_transformer_are_laid_out_without_the_class_token():
    found = last_map(Tokens(9), torch.zeros(2, 3, 6, 6))
    assert found.shape == (2, 4, 3, 3) and found[0, 0].tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_tokens_that_fill_no_square_are_refused():
    with pytest.raises(ValueError, match='tokens .B, N, C. of square images'):
        last_map(Tokens(8), torch.zeros(2, 3, 6, 6))


def test_a_strong_place_is_brighter_and_the_image_keeps_its_size():
    strength = torch.tensor([[0.0, 1.0]])
    image = heated(Image.new('L', (20, 10), 128), strength)
    assert image.size == (20, 10)
    assert sum(image.getpixel((18, 5))) > sum(image.getpixel((1, 5))) + 200


def transformer(name: str) -> nn.Module:
    options = {'img_size': 16, 'patch_size': 4, 'embed_dim': 24, 'depth': 2, 'num_heads': 3}
    backbone = TimmBackbone(name, **options)
    return Encoder(backbone, DataPreprocessor(mean=[128.0] * 3, std=[64.0] * 3))


def attention_by_hand(block: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    query, key, _ = block.qkv(tokens).unflatten(2, (3, block.num_heads, -1)).permute(2, 0, 3, 1, 4)
    return (query @ key.mT / query.shape[-1] ** 0.5).softmax(dim=-1).mean(dim=1)


@pytest.mark.parametrize('name', ['vit_tiny_patch16_224', 'vit_base_patch16_gap_224'])
def test_attention_is_that_of_the_class_token_or_of_all_patches(name):
    model, data, seen = transformer(name), fixed(4), []
    block = model.backbone.model.blocks[-1].attn
    handle = block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    fused = block.fused_attn
    maps = attention_maps(model, [data[place] for place in range(4)])
    handle.remove()
    assert maps.shape == (4, 4, 4) and model.training and block.fused_attn == fused
    weights = attention_by_hand(block, seen[0])
    wanted = weights[:, 0, 1:] if 'gap' not in name else weights.mean(dim=1)
    low, high = wanted.amin(dim=1, keepdim=True), wanted.amax(dim=1, keepdim=True)
    torch.testing.assert_close(maps.flatten(1), (wanted - low) / (high - low), rtol=1e-3, atol=1e-4)


def test_a_convolutional_network_has_no_attention():
    data = fixed(1)
    with pytest.raises(ValueError, match='The backbone has no attention: attention maps are for transformers'):
        attention_maps(encoder(), [data[0]])


def test_the_section_of_a_transformer_shows_both(monkeypatch):
    titles = [tile.alt for tile in _tiles(monkeypatch, transformer('vit_tiny_patch16_224'))]
    assert sum(title.startswith('attention over') for title in titles) == 3
    assert sum(title.startswith('activation over') for title in titles) == 3
    assert not any(tile.alt.startswith('attention') for tile in _tiles(monkeypatch, encoder()))


def _tiles(monkeypatch: pytest.MonkeyPatch, model: nn.Module) -> list:
    shown = []
    monkeypatch.setattr(image_sections, 'sheet', lambda rows, columns: shown.extend(rows[0]) or '')
    image_sections.activation_section(model, fixed(6), count=3)
    return shown
