"""Weights and losses of clusters, their members, and InterCLR's choices."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from mmssl.functional import (
    Members,
    arc_margin,
    class_weights,
    cluster_members,
    cosine_margin,
    draw_from_pool,
    draw_members,
    draw_others,
    hardest_others,
    hash_draws,
    hash_places,
    label_change,
    weighted_cross_entropy,
)
from tests.conftest import golden
from tests.helpers.mutation import Mutation


def test_class_weights_equal_the_reference():
    case = golden('odc/reweight.json')
    weights = class_weights(torch.tensor(case['hist']), case['pow'])
    torch.testing.assert_close(weights, torch.tensor(case['weight']), rtol=1e-6, atol=0)


def test_the_weighted_loss_is_the_reference_s_and_not_the_later_port_s():
    case = golden('odc/reweight.json')
    logits, labels = torch.tensor(case['logits'], dtype=torch.float64), torch.tensor(case['labels'])
    loss = weighted_cross_entropy(logits, labels, torch.tensor(case['weight'], dtype=torch.float64))
    assert float(loss) == pytest.approx(case['loss_weighted_mean_reference_0x'], abs=1e-12)
    assert abs(float(loss) - case['loss_mmcls_style_plain_mean_1x']) > 1


def test_the_weighted_loss_is_torch_s_on_one_process_and_ignores_the_scale():
    logits, labels, weights = torch.randn(9, 4), torch.arange(9) % 4, torch.tensor([0.1, 2.0, 3.0, 0.5])
    theirs = cross_entropy(logits, labels, weight=weights)
    torch.testing.assert_close(weighted_cross_entropy(logits, labels, weights), theirs)
    torch.testing.assert_close(weighted_cross_entropy(logits, labels, 7 * weights), theirs)


def _weighted_on_ranks(logits, labels, weights, sizes):
    rank = torch.distributed.get_rank()
    own = logits.split(sizes)[rank].requires_grad_()
    loss = weighted_cross_entropy(own, labels.split(sizes)[rank], weights) * sizes[rank] * len(sizes) / sum(sizes)
    loss.backward()
    return loss.detach(), own.grad / len(sizes)


@pytest.mark.parametrize('sizes', [[6, 6], [7, 2, 3]])
def test_the_weighted_loss_of_several_ranks_is_that_of_one(ranks, sizes):
    torch.manual_seed(0)
    logits = torch.randn(12, 5, dtype=torch.float64)
    labels, weights = torch.randint(5, (12,)), torch.rand(5, dtype=torch.float64)
    parts = ranks(len(sizes), _weighted_on_ranks, logits, labels, weights, sizes)
    whole = logits.clone().requires_grad_()
    expected = cross_entropy(whole, labels, weight=weights)
    expected.backward()
    torch.testing.assert_close(torch.stack([loss for loss, _ in parts]).mean(), expected.detach())
    torch.testing.assert_close(torch.cat([gradient for _, gradient in parts]), whole.grad)


def test_members_are_those_with_the_label_in_ascending_order():
    labels = torch.randint(6, (200,), generator=torch.Generator().manual_seed(0))
    wanted = torch.tensor([4, 0, 4, 3])
    members, counts = cluster_members(labels, wanted, 7)
    for row, count, label in zip(members.tolist(), counts.tolist(), wanted.tolist()):
        expected = (labels == label).nonzero()[:, 0].tolist()
        assert row[:count] == expected and row[count:] == [200] * (len(row) - count)


@pytest.mark.parametrize('kind, margin', [('cosine', -0.5), ('cosine', 0.35), ('arc', 0.5), ('arc', -0.5)])
def test_margins_equal_the_reference_curves(kind, margin):
    case = golden('interclr/margin_curves.json')
    name = next(name for name in case['phi'] if kind[:3] in name and name.endswith(str(margin)))
    cosines = torch.tensor(case['cosine'], dtype=torch.float64)
    ours = {'cosine': cosine_margin, 'arc': arc_margin}[kind](cosines, margin)
    torch.testing.assert_close(ours, torch.tensor(case['phi'][name], dtype=torch.float64), rtol=0, atol=2e-6)


def test_an_arc_margin_rises_with_the_cosine_and_has_gradients_at_its_ends():
    for margin in (0.5, -0.5):
        cosines = torch.linspace(-1, 1, 201, dtype=torch.float64, requires_grad=True)
        turned = arc_margin(cosines, margin)
        turned.sum().backward()
        assert (turned.diff() > 0).all() and cosines.grad.isfinite().all()


def _drawn(count=50000, members=(1, 4, 5)):
    table, counts = torch.tensor([[*members, 8, 8, 8, 8]]), torch.tensor([len(members)])
    return draw_others(Members(table, counts), 8, hash_draws(0, torch.arange(1), count))[0]


def test_others_are_all_equally_likely_and_never_of_the_own_cluster():
    shares = _drawn().bincount(minlength=8) / 50000
    assert shares[[1, 4, 5]].sum() == 0
    assert shares[[0, 2, 3, 6, 7]].sub(0.2).abs().max() < 0.01


@pytest.mark.parametrize('members', [(0, 1, 2), (5, 6, 7), (0, 3, 7)])
def test_others_are_found_where_the_cluster_stands_at_an_end(members):
    assert set(_drawn(500, members).tolist()) == set(range(8)) - set(members)


def test_one_member_is_drawn_and_each_is_as_likely():
    draws = torch.arange(6000)
    table, counts = torch.tensor([[3, 5, 9]]).expand(6000, 3), torch.full((6000,), 2)
    drawn = draw_members(Members(table, counts), draws, seed=1)
    assert set(drawn.tolist()) == {3, 5} and abs(float((drawn == 3).float().mean()) - 0.5) < 0.03


def test_a_draw_from_a_pool_has_no_sample_twice_and_none_of_the_own_cluster():
    pool = torch.stack([torch.randperm(100)[:40] for _ in range(5)])
    own = pool % 3 == 0
    drawn = draw_from_pool(pool, own, 20, hash_places(0, torch.arange(5), pool))
    for row, some, forbidden in zip(drawn, pool, own):
        assert len(row.unique()) == 20 and set(row.tolist()) <= set(some[~forbidden].tolist())


def test_a_draw_does_not_depend_on_the_order_of_the_pool():
    pool = torch.arange(10, 40)[None]
    shuffled = pool[:, torch.randperm(30)]
    draws = torch.tensor([7])
    one, other = (draw_from_pool(some, some % 2 == 0, 9, hash_places(0, draws, some)) for some in (pool, shuffled))
    assert torch.equal(one, other)


def test_too_few_others_are_repeated():
    pool, own = torch.tensor([[4, 5, 6, 7]]), torch.tensor([[True, False, True, False]])
    assert hardest_others(pool, own, 5).tolist() == [[5, 7, 5, 7, 5]]
    assert sorted(draw_from_pool(pool, own, 4, torch.tensor([[1, 2, 3, 4]]))[0].tolist()) == [5, 5, 7, 7]


def test_places_are_hashed_as_draws_are():
    draws = torch.tensor([3, 4])
    places = torch.tensor([[0, 2, 5]]).expand(2, 3)
    assert torch.equal(hash_places(9, draws, places), hash_draws(9, draws, 6)[:, [0, 2, 5]])


def test_a_change_of_labels_does_not_depend_on_their_numbers():
    before = torch.tensor([0, 0, 0, 1, 1, 4])
    assert float(label_change(before, torch.tensor([7, 7, 7, 2, 2, 0]))) == 0
    assert float(label_change(before, torch.tensor([7, 7, 2, 2, 2, 2]))) == pytest.approx(1 / 6)
    assert float(label_change(before, torch.arange(6))) == pytest.approx(0.5)


MUTATIONS = [
    Mutation(
        'large clusters weigh more',
        'mmssl/functional/clusters.py',
        '.float() ** -power',
        '.float() ** power',
    ),
    Mutation(
        'weights are averaged within a rank',
        'mmssl/functional/clusters.py',
        '/ mean_over_ranks(own)',
        '/ own.mean()',
    ),
    Mutation(
        'negatives of the own cluster',
        'mmssl/functional/inter_image.py',
        'numbers.masked_fill(own, _NEVER)',
        'numbers',
        'tests/functional/test_clusters.py tests/models/test_interclr.py',
    ),
    Mutation(
        'others are one off',
        'mmssl/functional/inter_image.py',
        'torch.searchsorted(before, place, right=True)',
        'torch.searchsorted(before, place)',
    ),
    Mutation(
        'the margin has the other sign',
        'mmssl/functional/inter_image.py',
        '    return cosines - margin\n',
        '    return cosines + margin\n',
        'tests/functional/test_clusters.py tests/models/test_interclr.py',
    ),
]
