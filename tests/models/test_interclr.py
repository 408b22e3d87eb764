"""InterCLR's second branch against the reference, its negatives, and several processes against one."""

from functools import partial

import pytest
import torch
from torch import nn

from mmssl.datasets import Batch
from mmssl.functional import cluster_members, contrast, row_scores, unit
from mmssl.models import InterCLR, InterImage, MoCo, SimCLR
from mmssl.registry import MODELS
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Smooth
from tests.parity import SAMPLES, UNEQUAL, assert_sane_clusters, check, prepare

CASE = golden('interclr/contrast_inter.npz')
BATCH = Batch(sample_idx=CASE['idx'], draw=torch.arange(6))


def _head(**settings):
    defaults = {'num_negatives': 6, 'pool_size': 10, 'temperature': 0.2, 'negatives': 'hard'}
    head = InterImage({'num_clusters': 5, 'dim': 8, 'min_cluster': 0}, **{**defaults, **settings}).double()
    head.clusters.allocate(40)
    head.clusters.rows, head.clusters.labels = CASE['bank'].clone(), CASE['labels'].clone()
    head.clusters.counts = CASE['labels'].bincount(minlength=5)
    return head


def _negatives(head, queries=None, draws=BATCH.draw):
    memory = head.clusters
    members = cluster_members(memory.labels, memory.labels[CASE['idx']], 5)
    batch = Batch(sample_idx=CASE['idx'], draw=draws)
    return head.negative_scores(unit(CASE['q']) if queries is None else queries, members, batch)


@pytest.mark.parametrize(
    'variant, settings',
    [
        ('hard_cos-0.5', {}),
        ('hard_cos0.35', {'margin': 0.35}),
        ('hard_nomargin', {'margin': 0.0}),
        ('hard_arc0.5', {'margin': 0.5, 'margin_kind': 'arc'}),
        ('hard_arc-0.5', {'margin': -0.5, 'margin_kind': 'arc'}),
    ],
)
def test_loss_and_gradient_equal_the_reference(variant, settings):
    head, raw = _head(**settings), CASE['q'].clone().requires_grad_()
    queries = unit(raw)
    positive = row_scores(queries, head.clusters.rows, CASE['pos_idx'][:, None])[:, 0]
    scores, chosen = _negatives(head, queries)
    assert torch.equal(chosen, CASE['hard_neg_idx'])
    loss = contrast(head.boundary(positive, head.margin), scores, head.temperature)
    loss.backward()
    torch.testing.assert_close(loss.detach(), CASE[f'{variant}__loss'], rtol=0, atol=1e-8)
    torch.testing.assert_close(raw.grad, CASE[f'{variant}__grad_q'], rtol=0, atol=1e-7)


def test_the_positive_is_a_member_of_the_query_s_cluster(monkeypatch):
    seen = []

    def watched(queries, rows, chosen):
        seen.append(chosen)
        return row_scores(queries, rows, chosen)

    monkeypatch.setattr('mmssl.models.additions.inter_image.row_scores', watched)
    _head().inter_loss(unit(CASE['q']), BATCH)
    assert torch.equal(CASE['labels'][seen[0][:, 0]], CASE['labels'][CASE['idx']])


@pytest.mark.parametrize('kind', ['random', 'semieasy', 'semihard', 'hard'])
def test_negatives_are_never_of_the_query_s_cluster_and_their_scores_are_products(kind):
    head = _head(negatives=kind)
    scores, chosen = _negatives(head)
    assert (CASE['labels'][chosen] != CASE['labels'][CASE['idx']][:, None]).all()
    products = (unit(CASE['q']) @ CASE['bank'].T).gather(1, chosen)
    torch.testing.assert_close(scores, products, rtol=0, atol=1e-12)


def test_semi_hard_negatives_come_from_the_reference_s_pool_and_are_all_of_it_where_it_is_as_large():
    _, chosen = _negatives(_head(negatives='semihard'))
    for row, pool in zip(chosen.tolist(), CASE['semihard_pool_top10'].tolist()):
        assert set(row) <= set(pool)
    _, everything = _negatives(_head(negatives='semihard', num_negatives=10))
    for row, pool, own in zip(everything, CASE['semihard_pool_top10'], CASE['labels'][CASE['idx']]):
        assert set(row.tolist()) == set(pool[CASE['labels'][pool] != own].tolist())


def test_semi_easy_negatives_are_the_least_similar():
    _, chosen = _negatives(_head(negatives='semieasy'))
    order = (unit(CASE['q']) @ CASE['bank'].T).argsort(dim=1)[:, :10]
    assert all(set(row) <= set(pool) for row, pool in zip(chosen.tolist(), order.tolist()))


def test_draws_decide_what_is_drawn():
    head = _head(negatives='semihard')
    one, again, other = (_negatives(head, draws=torch.arange(6) + first)[1] for first in (0, 0, 100))
    assert torch.equal(one, again) and not torch.equal(one, other)


@pytest.mark.parametrize('kind', ['random', 'semieasy', 'semihard', 'hard'])
def test_a_pool_of_the_own_cluster_alone_is_refused(kind):
    head = _head(negatives=kind)
    head.clusters.labels = torch.zeros(40, dtype=torch.long)
    head.clusters.counts = head.clusters.labels.bincount(minlength=5)
    with pytest.raises(ValueError, match=rf'All {kind} negatives of image.*40 of 40 images: set num_clusters higher\.'):
        head.inter_loss(unit(CASE['q']), BATCH)


@pytest.mark.parametrize(
    'settings, message',
    [
        ({'negatives': 'semihard', 'pool_size': 128000}, r'pool of 128000.*50000 images.*pool_size to 5000'),
        ({'negatives': 'semieasy', 'pool_size': 100, 'num_negatives': 101}, r'101 negatives out of a pool of 100'),
        ({'negatives': 'random', 'num_negatives': 60000}, r'60000 negatives.*50000 images.*25000 or less'),
        ({'negatives': 'hard', 'num_negatives': 60000}, r'60000 negatives.*50000 images'),
    ],
)
def test_more_negatives_than_samples_are_refused_with_numbers_that_work(settings, message):
    with pytest.raises(ValueError, match=message):
        _head(**settings).check(50000)


def test_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match=r"negatives='easy'.*semihard"):
        _head(negatives='easy')
    with pytest.raises(ValueError, match=r"margin_kind='angle'.*'arc'"):
        _head(margin_kind='angle')


def _inter(negatives='semihard', online=True):
    clusters = {
        'num_clusters': 3,
        'dim': 6,
        'momentum': 0.0,
        'min_cluster': 4,
        'centroid_interval': 2,
        'online': online,
    }
    return InterImage(clusters, num_negatives=5, negatives=negatives, pool_size=28)


def _moco(negatives='semihard', online=True):
    inter, neck = _inter(negatives, online), nn.Linear(8, 6)
    return MoCo(Smooth(), neck, {'length': 20, 'dim': 6}, momentum=0.9, additions=[inter])


def _simclr():
    return SimCLR(Smooth(), nn.Linear(8, 6), additions=[_inter()])


@pytest.mark.parametrize('sizes', UNEQUAL)
@pytest.mark.parametrize('negatives', ['random', 'semieasy', 'semihard', 'hard'])
def test_several_processes_compute_what_one_computes(ranks, sizes, negatives):
    state = check(ranks, partial(_moco, negatives), sizes)
    assert_sane_clusters(state, 'additions.0.clusters')
    assert len(state['additions.0.clusters.labels'].unique()) == 3


@pytest.mark.parametrize('sizes', UNEQUAL[1:3])
def test_several_processes_compute_what_one_computes_on_simclr_and_offline(ranks, sizes):
    assert_sane_clusters(check(ranks, _simclr, sizes), 'additions.0.clusters')
    check(ranks, partial(_moco, online=False), sizes)


def test_the_weight_is_shared_between_the_branches_and_0_leaves_the_second_out():
    torch.manual_seed(0)
    model, views = _moco(), [torch.randn(8, 3, 8, 8) for _ in range(2)]
    model.allocate(SAMPLES)
    prepare(model)
    batch = Batch(sample_idx=torch.arange(8), draw=torch.arange(8))
    losses = {weight: _with_weight(model, weight, views, batch) for weight in (0.0, 0.25, 1.0)}
    assert 'loss_inter' not in losses[0.0]
    torch.testing.assert_close(losses[0.25]['loss_intra'], 0.75 * losses[0.0]['loss_intra'])
    torch.testing.assert_close(losses[0.25]['loss_inter'], 0.25 * losses[1.0]['loss_inter'])
    assert losses[1.0]['loss_intra'] == 0


def _with_weight(model, weight, views, batch):
    model.additions[0].weight = weight
    losses = model.loss(views, batch)
    for memory in model.memories().values():
        memory.discard()
    return losses


def test_keys_and_not_queries_feed_the_clusters_and_labels_are_read_before():
    model = _moco()
    model.allocate(SAMPLES)
    prepare(model)
    batch = Batch(sample_idx=torch.arange(8), draw=torch.arange(8))
    clusters = model.additions[0].clusters
    before = clusters.rows.clone()
    model.loss([torch.randn(8, 3, 8, 8) for _ in range(2)], batch)
    assert torch.equal(clusters.rows, before)
    staged, queued = clusters._staged[0][1], model.queue._staged[0][0]
    assert torch.equal(staged, queued) and not staged.requires_grad


@pytest.mark.parametrize('name, host', [('InterCLR', 'MoCo'), ('InterCLRSimCLR', 'SimCLR')])
def test_the_old_names_say_what_to_write(name, host):
    old = {'type': name, 'inter_weight': 0.25, 'inter': {'num_negatives': 5}}
    with pytest.raises(ValueError, match=rf'{name} is {host} with an addition.*type={host}, additions=\['):
        MODELS.build(old)
    with pytest.raises(ValueError, match='write model=dict'):
        MODELS.build({**old, 'type': InterCLR})


RESUME = {
    'interclr': """
if 'queue' in model:
    model.update(queue=dict(length=64, dim=64))
model['additions'][0].update(num_negatives=20, pool_size=80)
model['additions'][0]['clusters'].update(num_clusters=6, min_cluster=8, centroid_interval=2)
"""
}

MUTATIONS = [
    Mutation(
        'negatives depend on the place in the pool',
        'mmssl/models/additions/inter_image.py',
        'hash_places(seed, batch.draw[some], pool)',
        'hash_places(seed, batch.draw[some], pool.argsort(dim=1).argsort(dim=1) * 0 + torch.arange(pool.shape[1]))',
    ),
    Mutation(
        'queries feed the clusters',
        'mmssl/models/additions/inter_image.py',
        'stage(batch.sample_idx, unit(keys))',
        'stage(batch.sample_idx, unit(queries))',
    ),
]
