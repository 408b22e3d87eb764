"""The softmax over a table in pieces and in shards, against reference code, plain PyTorch and one process."""

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from mmssl.functional import shard_of, table, table_cross_entropy
from tests.conftest import golden
from tests.helpers.mutation import Mutation


@pytest.fixture(autouse=True, params=[1 << 21, 30], ids=['one piece', 'pieces'])
def pieces(request, monkeypatch):
    """Every test runs with the table in one piece, and with it in pieces of a few rows."""
    monkeypatch.setattr(table, '_LOGITS', request.param)


def plain(features, rows, targets, temperature):
    """The same with full logits."""
    return cross_entropy(features @ normalize(rows, dim=1).T / temperature, targets)


def case_of(num=6, classes=11, dim=5, dtype=torch.float64):
    """Features that need not be unit for the maths, rows of any length, and classes that occur twice."""
    generator = torch.Generator().manual_seed(0)
    features = normalize(torch.randn(num, dim, generator=generator, dtype=dtype), dim=1).requires_grad_()
    rows = (2 * torch.randn(classes, dim, generator=generator, dtype=dtype)).requires_grad_()
    return features, rows, torch.randint(classes, (num,), generator=generator)


def test_shards_are_cut_as_the_reference_cuts_them():
    for case in golden('one_million_way/shard_partition.json')['rows']:
        found = [shard_of(case['classes'], rank, case['world']) for rank in range(case['world'])]
        assert [start for start, _ in found][:8] == case['start']
        assert [size for _, size in found][:8] == case['size']
        assert sum(size for _, size in found) == case['classes']


def test_loss_and_gradients_are_those_of_full_logits():
    features, rows, targets = case_of()
    expected = torch.autograd.grad(plain(features, rows, targets, 0.1), (features, rows))
    loss = table_cross_entropy(features, rows, targets, 0.1)
    torch.testing.assert_close(loss, plain(features, rows, targets, 0.1), rtol=1e-12, atol=0)
    for found, wanted in zip(torch.autograd.grad(3 * loss, (features, rows)), expected):
        torch.testing.assert_close(found, 3 * wanted, rtol=1e-10, atol=1e-12)


def test_gradients_are_those_of_finite_differences():
    features, rows, targets = case_of(3, 7, 3)
    soft = torch.tensor([[1, 2], [0, 6], [4, 4]]), torch.tensor([[0.1, 0.3], [0.2, 0.0], [0.1, 0.1]]).double()
    for given in (None, soft):
        torch.autograd.gradcheck(lambda x, w, y=given: table_cross_entropy(x, w, targets, 0.2, y), (features, rows))


@pytest.mark.parametrize('temperature', [1.0, 0.01, 1e-3])
def test_no_temperature_overflows(temperature):
    features, rows, targets = case_of(dtype=torch.float32)
    loss = table_cross_entropy(features, rows, targets, temperature)
    torch.testing.assert_close(loss, plain(features, rows, targets, temperature), rtol=1e-5, atol=1e-5)
    assert all(torch.isfinite(found).all() for found in torch.autograd.grad(loss, (features, rows)))


def test_hard_class_smoothing_equals_the_formula():
    case = golden('one_million_way/hard_class_smoothing.npz')
    features, rows = case['X'].clone().requires_grad_(), case['W'].clone().requires_grad_()
    hard, alpha, labels = case['hard_classes'], float(case['alpha']), case['labels']
    soft = hard[labels], torch.full((len(labels), hard.shape[1]), alpha / hard.shape[1])
    loss = table_cross_entropy(normalize(features, dim=1), rows, labels, float(case['T']), soft)
    loss.backward()
    torch.testing.assert_close(loss, case['loss'], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(features.grad, case['grad_X'], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(rows.grad, case['grad_W'], rtol=1e-5, atol=1e-6)
    plain_loss = table_cross_entropy(normalize(features, dim=1), rows, labels, float(case['T']))
    torch.testing.assert_close(plain_loss, case['plain_ce'], rtol=1e-6, atol=1e-6)


def test_without_information_the_loss_is_the_logarithm_of_the_classes():
    features = torch.zeros(4, 8)
    loss = table_cross_entropy(features, torch.randn(1000, 8), torch.arange(4), 0.1)
    torch.testing.assert_close(loss, torch.tensor(1000.0).log())


def of_rank(features, rows, targets, temperature, sizes, soft=None):
    """This rank's part: loss, gradient of its features and of its shard, as DDP would leave them."""
    rank, world = torch.distributed.get_rank(), len(sizes)
    start, size = shard_of(len(rows), rank, world)
    own = features.split(sizes)[rank].detach().clone().requires_grad_()
    shard = rows[start : start + size].detach().clone().requires_grad_()
    part = tuple(tensor.split(sizes)[rank] for tensor in soft) if soft else None
    loss = table_cross_entropy(own, shard, targets.split(sizes)[rank], temperature, part)
    share = len(own) * world / sum(sizes)
    (loss * share).backward()
    return loss.detach() * share / world, own.grad, shard.grad


@pytest.mark.parametrize('world', [2, 3])
def test_ranks_give_the_gradients_of_the_reference(ranks, world):
    case = golden(f'one_million_way/sharded_softmax_world{world}.npz')
    raw = case['embeddings'].clone().requires_grad_()
    unit = normalize(raw, dim=1)
    sizes = [int(case['batch_per_rank'])] * world
    parts = ranks(world, of_rank, unit.detach(), case['weight'], case['labels'], float(case['temperature']), sizes)
    loss, features, rows = zip(*parts)
    unit.backward(torch.cat(features))
    torch.testing.assert_close(sum(loss), case['loss'], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(raw.grad, case['grad_embeddings_reference'], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(torch.cat(rows), case['grad_weight_reference'], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('sizes', [[6], [5, 3], [4, 1, 4]])
def test_unequal_ranks_and_uneven_shards_give_the_loss_and_gradients_of_one_process(ranks, sizes):
    features, rows, targets = case_of(sum(sizes))
    soft = torch.randint(len(rows), (sum(sizes), 3)), torch.rand(sum(sizes), 3).double() / 4
    expected = table_cross_entropy(features, rows, targets, 0.1, soft)
    wanted = torch.autograd.grad(expected, (features, rows))
    parts = ranks(len(sizes), of_rank, features.detach(), rows.detach(), targets, 0.1, sizes, soft)
    loss, found, shards = zip(*parts)
    torch.testing.assert_close(torch.stack(loss).sum(), expected.detach(), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(torch.cat(found) / len(sizes), wanted[0], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(torch.cat(shards), wanted[1], rtol=1e-10, atol=1e-12)


def test_bfloat16_products_are_close_and_sums_stay_exact():
    features, rows, targets = case_of(32, 5000, 64, torch.float32)
    exact = table_cross_entropy(features, rows, targets, 0.1)
    rough = table_cross_entropy(features, rows, targets, 0.1, bfloat16=True)
    assert 0 < (exact - rough).abs() < 0.01 * exact
    for found, wanted in zip(
        torch.autograd.grad(rough, (features, rows)), torch.autograd.grad(exact, (features, rows))
    ):
        assert found.dtype == torch.float32
        assert (found - wanted).norm() < 0.02 * wanted.norm()


def test_a_class_outside_of_the_table_is_refused():
    features, rows, _ = case_of()
    with pytest.raises(ValueError, match='Classes 0 to 11, but the table has 11 rows: classes are row indices, from 0'):
        table_cross_entropy(features, rows, torch.tensor([0, 1, 2, 3, 4, 11]), 0.1)


MUTATIONS = [
    Mutation(
        "a table's gradient is averaged once too little",
        'mmssl/functional/table.py',
        'piece.lengths * world_size(group)',
        'piece.lengths',
    ),
    Mutation(
        'rows of a table are not normalised in the gradient',
        'mmssl/functional/table.py',
        'rows_gradient - along * piece.rows',
        'rows_gradient',
    ),
    Mutation(
        'each rank counts its own classes only',
        'mmssl/functional/table.py',
        'sum_over_ranks((total - largest).exp(), group).log()',
        '(total - largest).exp().log()',
    ),
]
