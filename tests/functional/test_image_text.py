"""Images and texts: golden vectors of the contrast and the pooling, and what must hold for any."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mmssl.functional import bidirectional_contrast, cross_modal_losses, masked_max, unit
from tests.conftest import golden
from tests.helpers.mutation import Mutation

LOSS, POOL = golden('convirt/loss.npz'), golden('convirt/text_pool.npz')


def _case(vectors: dict, number: int) -> dict:
    prefix = f'c{number}_'
    return {key.removeprefix(prefix): value for key, value in vectors.items() if key.startswith(prefix)}


def _close(one: Tensor, other: Tensor, tolerance: float = 1e-9) -> None:
    assert (one - other).abs().max() <= tolerance * max(1, float(other.abs().max()))


@pytest.mark.parametrize('number', range(int(LOSS['n_cases'])))
def test_the_loss_its_rows_and_gradients_equal_the_equations_of_the_paper(number):
    case = _case(LOSS, number)
    v, u = case['v'].requires_grad_(), case['u'].requires_grad_()
    tau, lam = float(case['tau']), float(case['lam'])
    images, texts = unit(v), unit(u)
    _close((images @ texts.T).detach(), case['similarity'])
    to_texts, to_images = cross_modal_losses(images, texts, tau)
    _close(to_texts.detach(), case['loss_v_to_u'])
    _close(to_images.detach(), case['loss_u_to_v'])
    loss = bidirectional_contrast(images, texts, tau, lam)
    loss.backward()
    _close(loss.detach(), case['loss'])
    _close(v.grad, case['grad_v'], 1e-8)
    _close(u.grad, case['grad_u'], 1e-8)
    if len(v) == 1:  # no negatives: every loss is 0
        return
    for name in ('unnormalised', 'nt_xent_with_same_modality_negatives'):
        assert abs(loss.item() - case[f'must_not_match_{name}'].item()) > 1e-6
    if lam != 0.5:
        assert abs(loss.item() - case['must_not_match_lambda_swapped'].item()) > 1e-6


@pytest.mark.parametrize('number', range(int(POOL['n_cases'])))
def test_the_pooled_text_and_its_gradient_equal_the_reference(number):
    case = _case(POOL, number)
    hidden = case['hidden'].requires_grad_()
    pooled = masked_max(hidden, case['mask'].bool())
    pooled.sum().backward()
    _close(pooled.detach(), case['pooled'])
    _close(hidden.grad, case['grad_of_sum'], 1e-8)


def test_the_pooled_text_is_none_of_those_that_must_not_match():
    cases = [_case(POOL, number) for number in range(int(POOL['n_cases']))]
    for name in [key for key in cases[0] if key.startswith('must_not_match')]:
        apart = [(masked_max(case['hidden'], case['mask'].bool()) - case[name]).abs().max() for case in cases]
        assert max(apart) > 1e-3, name


def _pairs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(unit(torch.randn(5, 4, generator=generator, dtype=torch.float64)) for _ in range(2))


def test_with_all_weight_on_one_direction_it_is_plain_cross_entropy_over_rows():
    images, texts = _pairs()
    expected = cross_entropy(images @ texts.T / 0.2, torch.arange(5))
    torch.testing.assert_close(bidirectional_contrast(images, texts, 0.2, 1.0), expected)


def test_swapping_images_and_texts_with_the_other_weight_leaves_the_loss():
    images, texts = _pairs()
    one, other = bidirectional_contrast(images, texts, 0.1, 0.75), bidirectional_contrast(texts, images, 0.1, 0.25)
    torch.testing.assert_close(one, other)
    assert one != bidirectional_contrast(texts, images, 0.1, 0.75)


def test_padding_never_counts_whatever_it_holds():
    hidden, mask = torch.full((1, 3, 2), -5.0), torch.tensor([[True, False, True]])
    hidden[:, 1] = 7
    assert torch.equal(masked_max(hidden, mask), torch.full((1, 2), -5.0))
    assert torch.equal(masked_max(hidden.bfloat16(), mask), torch.full((1, 2), -5.0))


MUTATIONS = [
    Mutation(
        'the weight of ConVIRT is that of the other direction',
        'mmssl/functional/image_text.py',
        'weight * there + (1 - weight) * back',
        'weight * back + (1 - weight) * there',
    ),
    Mutation(
        'texts are compared with texts',
        'mmssl/functional/image_text.py',
        'texts @ all_images.T',
        'texts @ all_texts.T',
    ),
    Mutation(
        'each rank of ConVIRT takes the first pairs for its own',
        'mmssl/functional/image_text.py',
        'own = before + torch.arange',
        'own = torch.arange',
        'tests/models/test_convirt.py',
    ),
    Mutation(
        'padding is pooled',
        'mmssl/functional/image_text.py',
        'hidden.masked_fill(~mask[:, :, None], torch.finfo(hidden.dtype).min)',
        'hidden',
    ),
    Mutation(
        'padding counts as zero',
        'mmssl/functional/image_text.py',
        'torch.finfo(hidden.dtype).min)',
        '0)',
    ),
]
