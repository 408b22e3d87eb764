"""PIXEL as transformers saves it becomes the encoder of a TextViT."""

import pytest
import torch

from mmssl.checkpoint import CheckpointError
from mmssl.export import convert_pixel, read_weights
from mmssl.weights import load_backbone
from tests.conftest import golden
from tests.models.test_pixel import backbone
from tests.tools.test_evaluation_tools import run

CASE = golden('pixel_linguist/pixel_mae.npz')
WEIGHTS = {key[2:]: value for key, value in CASE.items() if key.startswith('w:')}


def test_a_shorter_strip_takes_the_start_of_the_positions_and_every_key_is_filled(tmp_path):
    pytest.importorskip('timm')
    torch.save(WEIGHTS, tmp_path / 'pytorch_model.bin')
    said = run(
        'tools/model_converters/convert_pixel.py',
        str(tmp_path / 'pytorch_model.bin'), str(tmp_path / 'ours.pth'), '--patches', '7',
    )  # fmt: skip
    assert 'the encoder of PIXEL, 7 patches' in said
    found = read_weights(tmp_path / 'ours.pth')
    assert torch.equal(found['model.pos_embed'], WEIGHTS['vit.embeddings.position_embeddings'][:, :8])
    network = backbone({**CASE['cfg'], 'len': 7})
    match = load_backbone(tmp_path / 'ours.pth', network)
    assert match.matched == match.total == len(network.state_dict())


def test_other_files_and_longer_strips_are_refused(tmp_path):
    torch.save(WEIGHTS, tmp_path / 'theirs.pth')
    with pytest.raises(CheckpointError, match='has positions for 9 patches: set --patches to that or less'):
        convert_pixel(tmp_path / 'theirs.pth', tmp_path / 'ours.pth', 10)
    torch.save({'weight': torch.zeros(2)}, tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match='no encoder of PIXEL .* give a checkpoint of PIXEL or Pixel-Linguist'):
        convert_pixel(tmp_path / 'other.pth', tmp_path / 'ours.pth', 4)
