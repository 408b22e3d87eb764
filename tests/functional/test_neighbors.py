"""Neighbour graphs and banks against the reference code."""

import pytest
import torch

from mmssl.functional import bank_scores, contains, propagate_neighbors, reached_set, unit, without_self
from tests.conftest import golden
from tests.helpers.mutation import Mutation

CASES = golden('invp/propagate.json')


@pytest.mark.parametrize('case', CASES, ids=lambda case: f'k{case["k"]}_l{case["l"]}_{len(case["neigh"])}')
def test_propagation_equals_the_reference_and_reaches_the_set_of_the_paper(case):
    neighbors, everyone = torch.tensor(case['neigh']), torch.arange(len(case['neigh']))
    reached = propagate_neighbors(neighbors, everyone, case['l'])
    assert reached.tolist() == case['ref_concat']
    keep = reached_set(reached, everyone)
    for row, kept, expected in zip(reached, keep, case['bfs_sets']):
        assert sorted(row[kept].tolist()) == sorted(expected)


def test_a_sample_among_its_neighbours_gives_way_to_the_next_one():
    rows = torch.tensor([[3, 1, 2], [5, 6, 7], [4, 8, 9]])
    assert without_self(rows, torch.tensor([1, 0, 9])).tolist() == [[3, 2], [5, 6], [4, 8]]


def test_contains_tells_which_values_stand_in_the_row():
    rows, values = torch.tensor([[4, 2, 2], [9, 1, 0]]), torch.tensor([[2, 3, 4, 5], [0, 1, 8, 10]])
    assert contains(rows, values).tolist() == [[True, False, True, False], [True, True, False, False]]


@pytest.mark.parametrize('count', [0, 7, 50])
def test_bank_scores_are_those_of_the_whole_product_with_its_gradient(count):
    torch.manual_seed(0)
    bank, also = unit(torch.randn(50, 6).double()), torch.randint(50, (70, 9))
    query = torch.randn(70, 6).double().requires_grad_()
    plain = query.detach().clone().requires_grad_()
    nearest, rows, others = bank_scores(query, bank, count, also)
    scores = plain @ bank.T
    expected, expected_rows = scores.topk(count, dim=1)
    torch.testing.assert_close(nearest, expected)
    torch.testing.assert_close(others, scores.gather(1, also))
    assert torch.equal(rows, expected_rows)
    ((nearest**2).sum() + (others**3).sum()).backward()
    ((expected**2).sum() + (scores.gather(1, also) ** 3).sum()).backward()
    torch.testing.assert_close(query.grad, plain.grad)


def test_a_bfloat16_bank_gives_float32_scores_in_descending_order_and_nearly_the_same_rows():
    torch.manual_seed(0)
    bank, query = unit(torch.randn(2000, 64)), unit(torch.randn(40, 64))
    exact = bank_scores(query, bank, 100, torch.zeros(40, 1, dtype=torch.long))[1]
    rounded = bank.bfloat16()
    nearest, rows, _ = bank_scores(query, rounded, 100, torch.zeros(40, 1, dtype=torch.long))
    assert nearest.dtype == torch.float32 and (nearest.diff(dim=1) <= 0).all()
    torch.testing.assert_close(nearest, (query @ rounded.float().T).gather(1, rows))
    found = sum(len(set(a) & set(b)) for a, b in zip(exact.tolist(), rows.tolist())) / exact.numel()
    assert found > 0.95


def test_the_gradient_through_a_bfloat16_bank_is_that_through_its_rounded_rows():
    torch.manual_seed(0)
    bank, also = unit(torch.randn(60, 16)).bfloat16(), torch.randint(60, (5, 3))
    query = unit(torch.randn(5, 16)).requires_grad_()
    plain = query.detach().clone().requires_grad_()
    nearest, rows, others = bank_scores(query, bank, 7, also)
    (nearest.square().sum() + others.sum()).backward()
    scores = plain @ bank.float().T
    (scores.gather(1, rows).square().sum() + scores.gather(1, also).sum()).backward()
    # Backward rounds the weights of the rows, and their sum: by 2 ** -9 of each, no more.
    weights = torch.cat([2 * scores.gather(1, rows), torch.ones(5, 3)], dim=1).abs()
    mixed = weights[:, None] @ bank.float()[torch.cat([rows, also], dim=1)].abs()
    assert ((query.grad - plain.grad).abs() <= 2**-8 * mixed[:, 0]).all()


def test_bank_scores_are_those_of_float32_under_autocast():
    bank, query, also = unit(torch.randn(200, 64)), unit(torch.randn(5, 64)), torch.zeros(5, 1, dtype=torch.long)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        rounded = bank_scores(query, bank, 3, also)[0]
    torch.testing.assert_close(rounded, bank_scores(query, bank, 3, also)[0], rtol=0, atol=0)


MUTATIONS = [
    Mutation(
        'neighbours of neighbours are not followed',
        'mmssl/functional/neighbors.py',
        'neighbors[levels[-1]]',
        'neighbors[levels[0]]',
    ),
    Mutation(
        'a sample reaches itself',
        'mmssl/functional/neighbors.py',
        ' & (reached != indices[:, None])',
        '',
    ),
    Mutation(
        'a sample is its own neighbour',
        'mmssl/functional/neighbors.py',
        'torch.where(rows == indices[:, None], rows[:, -1:], rows)[:, :-1]',
        'rows[:, :-1]',
    ),
    Mutation(
        'the bank mixes its rows with wrong weights',
        'mmssl/functional/neighbors.py',
        'weights = gradient.to(bank.dtype)',
        'weights = gradient.abs().to(bank.dtype)',
    ),
    Mutation(
        'weights of the rows of a bank are rounded to a byte',
        'mmssl/functional/neighbors.py',
        'weights = gradient.to(bank.dtype)',
        'weights = gradient.to(torch.float8_e4m3fn).to(bank.dtype)',
        'tests/functional/test_neighbors.py -k bfloat16_bank',
    ),
]
