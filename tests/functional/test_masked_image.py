"""Masks and pixel losses of masked images against the reference code."""

import pytest
import torch

from mmssl.functional import choose_patches, masked_pixel_loss, patchify, sincos_positions
from tests.conftest import golden
from tests.helpers.mutation import Mutation

CASE = golden('baselines/mae.npz')


def test_the_chosen_patches_equal_the_reference():
    chosen = choose_patches(CASE['noise'], CASE['kept'].shape[1])
    tokens = CASE['tokens']
    assert torch.equal(tokens.gather(1, chosen.seen[..., None].expand(-1, -1, tokens.shape[2])), CASE['kept'])
    assert torch.equal(chosen.restore, CASE['ids_restore'])
    assert torch.equal(chosen.masked.float(), CASE['mask'])


def test_patches_equal_the_reference():
    assert torch.equal(patchify(CASE['img'], int(CASE['patch'])), CASE['patches'])


def test_patches_of_an_image_that_is_wider_than_high_go_row_by_row():
    images = torch.arange(2 * 4 * 6).reshape(1, 2, 4, 6)
    patches = patchify(images, 2)
    assert patches.shape == (1, 6, 8)
    assert patches[0, 1].reshape(2, 2, 2).permute(2, 0, 1).tolist() == images[0, :, :2, 2:4].tolist()
    assert patches[0, 3].reshape(2, 2, 2).permute(2, 0, 1).tolist() == images[0, :, 2:, :2].tolist()


@pytest.mark.parametrize('kind, normalise', [('norm', True), ('plain', False)])
def test_the_loss_equals_the_reference_with_its_gradient(kind, normalise):
    predictions = CASE['pred'].clone().requires_grad_()
    loss = masked_pixel_loss(predictions, CASE['patches'], CASE['mask'].bool(), normalise)
    loss.backward()
    torch.testing.assert_close(loss.detach(), CASE[f'loss_{kind}'], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(predictions.grad, CASE[f'grad_{kind}'], rtol=1e-5, atol=1e-7)


def test_a_perfect_prediction_of_normalised_pixels_costs_nothing():
    assert masked_pixel_loss(CASE['target_norm'], CASE['patches'], CASE['mask'].bool()) < 1e-10


def test_positions_differ_and_know_rows_from_columns():
    positions = sincos_positions(3, 5, 16)
    assert positions.shape == (15, 16) and len(positions.unique(dim=0)) == 15
    assert torch.equal(positions[1, :8], positions[2, :8]) and torch.equal(positions[1, 8:], positions[6, 8:])
    with pytest.raises(ValueError, match='multiple of 4'):
        sincos_positions(3, 3, 6)


MUTATIONS = [
    Mutation(
        'seen patches count in the loss',
        'mmssl/functional/masked_image.py',
        '(errors * masked).sum() / masked.sum()',
        'errors.mean()',
    ),
    Mutation(
        'pixels of a patch go column by column',
        'mmssl/functional/masked_image.py',
        'permute(0, 2, 3, 4, 5, 1)',
        'permute(0, 2, 3, 5, 4, 1)',
    ),
]
