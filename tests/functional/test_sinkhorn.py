"""Codes: those of the reference, balanced, and the same on several processes."""

import pytest
import torch

from mmssl.functional import sinkhorn
from tests.conftest import golden
from tests.helpers.mutation import Mutation

SINGLE = golden('swav/sinkhorn_single.npz')


@pytest.mark.parametrize('case', range(6))
def test_codes_equal_the_reference(case):
    settings = SINGLE[f'c{case}_cfg']
    codes = sinkhorn(SINGLE[f'c{case}_scores'], settings['epsilon'], settings['iters'])
    torch.testing.assert_close(codes, SINGLE[f'c{case}_codes'], rtol=0, atol=1e-12)


@pytest.mark.parametrize('iterations', [1, 2, 3, 50])
def test_codes_of_the_hand_checked_matrix(iterations):
    case = golden('swav/sinkhorn_hand_2x2.json')
    codes = sinkhorn(torch.tensor(case['scores'], dtype=torch.float64), case['epsilon'], iterations)
    expected = torch.tensor(case['codes_by_iters'][str(iterations)], dtype=torch.float64)
    torch.testing.assert_close(codes, expected, rtol=0, atol=1e-12)


def _codes_of_rank(scores, epsilon, sizes):
    rank = torch.distributed.get_rank()
    return sinkhorn(scores.split(sizes)[rank], epsilon)


def test_two_ranks_give_the_reference_codes_and_not_those_of_mmselfsup(ranks):
    case = golden('swav/sinkhorn_2ranks.npz')
    codes = torch.cat(ranks(2, _codes_of_rank, case['scores_all'], 0.05, [6, 6]))
    torch.testing.assert_close(codes, case['codes_reference'], rtol=0, atol=1e-12)
    assert (codes - case['codes_mmselfsup_buggy']).abs().max() > 0.1


@pytest.mark.parametrize('sizes', [[12], [7, 5], [12, 0], [3, 4, 5], [1, 11, 0]])
def test_ranks_with_unequal_batches_give_the_codes_of_one_process(ranks, sizes):
    scores = golden('swav/sinkhorn_2ranks.npz')['scores_all']
    codes = torch.cat(ranks(len(sizes), _codes_of_rank, scores, 0.05, sizes))
    torch.testing.assert_close(codes, sinkhorn(scores), rtol=0, atol=1e-12)


def test_rows_sum_to_one_and_prototypes_share_the_mass_equally():
    scores = torch.randn(64, 8, dtype=torch.float64).tanh()
    codes = sinkhorn(scores, iterations=200)
    torch.testing.assert_close(codes.sum(dim=1), torch.ones(64, dtype=torch.float64))
    torch.testing.assert_close(codes.sum(dim=0), torch.full((8,), 8.0, dtype=torch.float64), rtol=1e-6, atol=1e-6)


def test_order_of_samples_and_a_constant_change_nothing():
    scores = torch.randn(16, 5, dtype=torch.float64)
    order = torch.randperm(16)
    torch.testing.assert_close(sinkhorn(scores[order] + 3), sinkhorn(scores)[order])


@pytest.mark.parametrize('scale', [1.0, 100.0])
def test_codes_stay_finite_in_float32_for_small_epsilon_and_large_scores(scale):
    codes = sinkhorn(torch.randn(32, 10) * scale, epsilon=0.01)
    assert torch.isfinite(codes).all()
    torch.testing.assert_close(codes.sum(dim=1), torch.ones(32))


def test_half_precision_scores_are_computed_in_float32():
    scores = torch.randn(16, 5).tanh()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        codes = sinkhorn(scores.bfloat16())
    assert codes.dtype == torch.float32
    torch.testing.assert_close(codes, sinkhorn(scores.bfloat16().float()))


def test_codes_have_no_gradient():
    assert not sinkhorn(torch.randn(4, 3, requires_grad=True)).requires_grad


MUTATIONS = [
    Mutation(
        'row sums are not reduced over the ranks',
        'mmssl/functional/sinkhorn.py',
        'mass = sum_over_ranks(codes.sum(dim=0), group)',
        'mass = codes.sum(dim=0)',
    ),
    Mutation(
        'the first row sums are not reduced over the ranks',
        'mmssl/functional/sinkhorn.py',
        'sum_over_ranks((logits - largest).exp().sum(dim=0), group).log()',
        '(logits - largest).exp().sum(dim=0).log()',
    ),
    Mutation(
        'a pair of scalings too many',
        'mmssl/functional/sinkhorn.py',
        'range(iterations - 1)',
        'range(iterations)',
    ),
    Mutation(
        'codes carry gradient',
        'mmssl/functional/sinkhorn.py',
        '@torch.no_grad()\n',
        '',
        'tests/functional/test_sinkhorn.py tests/models/test_swav.py',
    ),
    Mutation(
        'half precision is cast back after the product',
        'mmssl/functional/precision.py',
        'return function(*map(_to_float32, args)',
        'return function(*args',
    ),
]
