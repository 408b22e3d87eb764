"""PixPro's pairs of pixels, propagation and losses, against the released code."""

import pytest
import torch
from torch.nn.functional import normalize

from mmssl.functional import (
    dense_contrast,
    match_pixels,
    pixel_contrast,
    pixel_positive_mask,
    pixel_to_propagation,
    propagate_pixels,
)
from tests.conftest import golden
from tests.helpers.mutation import Mutation

SAFE = [case for case in golden('pixpro/pos_mask.json') if case['rounding_safe']]


def test_pairs_of_pixels_equal_the_reference():
    assert len(SAFE) > 80
    for case in SAFE:
        one, other = (torch.tensor([case[name]], dtype=torch.float32) for name in ('coord_q', 'coord_k'))
        mask = pixel_positive_mask(one, other, (case['H'], case['W']), case['pos_ratio'])[0]
        assert mask.nonzero().tolist() == sorted(case['pos_pairs_q_k']), case['name']


def test_pairs_do_not_depend_on_which_view_is_first_and_flipping_both_changes_their_columns():
    boxes = torch.rand(6, 4, generator=torch.Generator().manual_seed(0))
    boxes = torch.cat([boxes[:, :2], boxes[:, :2] + 0.5], dim=1)
    one, other = boxes[:3], boxes[3:] * 0.9
    mask = pixel_positive_mask(one, other, (4, 5), 0.7)
    assert mask.any() and torch.equal(pixel_positive_mask(other, one, (4, 5), 0.7), mask.transpose(1, 2))
    flipped = pixel_positive_mask(one[:, [2, 1, 0, 3]], other[:, [2, 1, 0, 3]], (4, 5), 0.7)
    assert torch.equal(flipped.view(3, 4, 5, 4, 5), mask.view(3, 4, 5, 4, 5).flip(2, 4))


def test_boxes_are_not_rounded_to_half_precision_under_autocast():
    case = SAFE[1]
    one, other = (torch.tensor([case[name]], dtype=torch.float32) for name in ('coord_q', 'coord_k'))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mask = pixel_positive_mask(one, other, (case['H'], case['W']), case['pos_ratio'])
    assert torch.equal(mask, pixel_positive_mask(one, other, (case['H'], case['W']), case['pos_ratio']))


def test_loss_and_gradient_equal_the_reference():
    case = golden('pixpro/regression_loss.npz')
    queries = case['q'].clone().requires_grad_()
    mask = pixel_positive_mask(case['coord_q'], case['coord_k'], (7, 7), float(case['pos_ratio']))
    loss = pixel_to_propagation(queries, case['k'], mask)
    loss.backward()
    torch.testing.assert_close(loss.detach(), case['loss'], rtol=0, atol=1e-8)
    expected = case['grad_q']  # of unit pixels: normalising them once more takes the radial part out
    expected = expected - (expected * case['q']).sum(dim=1, keepdim=True) * case['q']
    torch.testing.assert_close(queries.grad, expected, rtol=0, atol=1e-8)
    each = [pixel_to_propagation(*(part[i : i + 1] for part in (case['q'], case['k'], mask))) for i in range(4)]
    torch.testing.assert_close(torch.stack(each).abs(), case['per_image'].abs() * float(each[0] / case['per_image'][0]))


@pytest.mark.parametrize('tag, sharpness', [('l0_p2', 2), ('l1_p2', 2), ('l1_p1', 1), ('l1_p0.5', 0.5)])
def test_propagation_equals_the_reference(tag, sharpness):
    case = {key.removeprefix(f'{tag}__'): value for key, value in golden('pixpro/ppm.npz').items() if tag in key}
    features = case['x'].clone().requires_grad_()
    values = torch.nn.functional.conv2d(features, case['w'], case['b']) if 'w' in case else features
    mixed = propagate_pixels(features, values, sharpness)
    (normalize(mixed, dim=1) ** 3).sum().backward()
    torch.testing.assert_close(mixed.detach(), case['y_unnormalised'], rtol=0, atol=1e-12)
    torch.testing.assert_close(features.grad, case['grad_x_of_sum_y_l2_cubed'], rtol=0, atol=1e-12)


def _maps():
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(3, 6, 4, 4, generator=generator, dtype=torch.float64) for _ in range(2))


def test_contrast_equals_the_formula_written_out_for_every_pixel():
    queries, keys = _maps()
    mask = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(1)) < 0.1
    mask[0, 3], mask[2] = False, False
    images = []
    for query, key, pairs in zip(queries, keys, mask):
        losses = []
        for pixel in range(16):
            cosines = torch.cosine_similarity(query.flatten(1)[:, pixel, None], key.flatten(1), dim=0)
            shares = (cosines / 0.3).exp() / (cosines / 0.3).exp().sum()
            losses += [-shares[pairs[pixel]].sum().log()] if pairs[pixel].any() else []
        images.append(sum(losses) / len(losses) if losses else torch.zeros(()))
    torch.testing.assert_close(pixel_contrast(queries, keys, mask, 0.3), sum(images) / 3)


@pytest.mark.parametrize('loss', [pixel_to_propagation, pixel_contrast])
def test_images_without_a_common_place_add_nothing_and_have_finite_gradients(loss):
    queries, keys = (part.requires_grad_() for part in _maps())
    value = loss(queries, keys, torch.zeros(3, 16, 16, dtype=torch.bool))
    value.backward()
    assert value == 0 and not queries.grad.any() and queries.grad.isfinite().all()


def test_agreeing_pixels_reach_the_lower_bound():
    queries, _ = _maps()
    mask = torch.eye(16, dtype=torch.bool).expand(3, -1, -1)
    assert float(pixel_to_propagation(queries, queries, mask)) == pytest.approx(-2, abs=1e-6)


def test_densecl_s_matches_loss_and_gradient_equal_the_reference():
    case = golden('baselines/densecl_dense_loss.npz')
    square = {key: value.unflatten(2, (3, 3)) for key, value in case.items() if value.dim() == 3}
    places = match_pixels(square['q_backbone'], square['k_backbone'])
    assert torch.equal(places, case['match'])
    pixels = square['q_grid'].clone().requires_grad_()
    loss = dense_contrast(pixels, square['k_grid'], places, case['queue2'].T, float(case['T']))
    loss.backward()
    torch.testing.assert_close(loss.detach(), case['loss'])
    unit_pixels = square['q_grid']  # of unit pixels, as above
    expected = square['grad_q_grid']
    expected = expected - (expected * unit_pixels).sum(dim=1, keepdim=True) * unit_pixels
    torch.testing.assert_close(pixels.grad, expected, rtol=1e-4, atol=1e-6)


MUTATIONS = [
    Mutation(
        'positive pairs at the threshold',
        'mmssl/functional/pixels.py',
        '[:, None, None] < threshold',
        '[:, None, None] <= 1.01 * threshold',
    ),
    Mutation(
        'similarities below 0 count',
        'mmssl/functional/pixels.py',
        '(pixels.transpose(1, 2) @ pixels).clamp_min(0)',
        '(pixels.transpose(1, 2) @ pixels)',
    ),
    Mutation(
        'values are not normalised',
        'mmssl/functional/pixels.py',
        'mixed = normalize(values, dim=1).flatten(2)',
        'mixed = values.flatten(2)',
    ),
]
