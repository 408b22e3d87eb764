"""Activation maps of convolutional networks and transformers."""

import pytest
import torch
from PIL import Image
from torch import nn

from mmssl.visualization.activations import activation_maps, heated, last_map
from tests.evaluation.stand_ins import encoder, fixed


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
    with pytest.raises(ValueError, match='tokens .B, N, C. of square pictures'):
        last_map(Tokens(8), torch.zeros(2, 3, 6, 6))


def test_a_strong_place_is_brighter_and_the_picture_keeps_its_size():
    strength = torch.tensor([[0.0, 1.0]])
    picture = heated(Image.new('L', (20, 10), 128), strength)
    assert picture.size == (20, 10)
    assert sum(picture.getpixel((18, 5))) > sum(picture.getpixel((1, 5))) + 200
