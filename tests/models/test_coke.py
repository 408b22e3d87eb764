"""CoKe: its clusters against the reference code, its losses against the formulas, several processes against one."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize

from mmssl.datasets import Batch
from mmssl.functional import slot_weights
from mmssl.models import CoKe, ConstrainedClusters
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Passing, Smooth
from tests.parity import UNEQUAL, check


def _memories(case, **settings):
    """One memory a head, starting from the reference's centroids."""
    memories = []
    for head, number in enumerate(case['K'].tolist()):
        rules = {'ratio': float(case['ratio']), 'dual_rate': float(case['dual_lr']), **settings}
        memory = ConstrainedClusters(number, int(case['dim']), **rules)
        memory.allocate(int(case['n']))
        memory.current.copy_(case[f'init_center_{head}'].T)
        memory.targets.copy_(memory.current)
        memories.append(memory)
    return memories


def _dense(labels, num_clusters):
    classes, weights = labels
    return torch.zeros(len(classes), num_clusters).scatter_add(1, classes, weights)


@pytest.mark.parametrize('form', ['single', 'double'])
def test_clusters_equal_the_reference_after_every_step_and_epoch(form):
    case = golden(f'coke/{form}_view_state_machine.npz')
    soft = {}
    if form == 'single':
        soft = dict(soft_from=int(case['stage']), num_slots=int(case['ls']), soft_temperature=float(case['label_t']))
    memories = _memories(case, **soft)
    epoch = -1
    for step in range(int(case['steps'])):
        if int(case[f's{step}_epoch']) != epoch:
            epoch = int(case[f's{step}_epoch'])
            _begin(memories, epoch, case)
        _step(memories, case, step)
    _begin(memories, epoch + 1, case)
    if form == 'single':
        _compare_slots(memories, case)


def _begin(memories, epoch, case):
    for head, memory in enumerate(memories):
        memory.begin_epoch(epoch)
        if epoch:
            torch.testing.assert_close(memory.targets, case[f'e{epoch - 1}_h{head}_pre_center'].T, rtol=0, atol=1e-6)
            torch.testing.assert_close(memory.current, case[f'e{epoch - 1}_h{head}_cur_center'].T, rtol=0, atol=1e-6)


def _step(memories, case, step):
    sample_idx, features = case[f's{step}_target'], case[f's{step}_feats']
    for head, memory in enumerate(memories):
        key = f's{step}_h{head}'
        found = _dense(memory.read(sample_idx, features), len(memory.counts))
        wanted = case[f'{key}_train_label']
        if wanted.ndim == 1:
            wanted = nn.functional.one_hot(wanted, len(memory.counts)).float()
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
        memory.stage(sample_idx, features)
        memory.commit()
        assert torch.equal(memory.labels[sample_idx].long(), case[f'{key}_new_label'])
        torch.testing.assert_close(memory.current, case[f'{key}_cur_center'].T, rtol=0, atol=1e-6)
        torch.testing.assert_close(memory.targets, case[f'{key}_pre_center'].T, rtol=0, atol=1e-6)
        torch.testing.assert_close(memory.duals, case[f'{key}_dual'], rtol=0, atol=1e-5)
        assert torch.equal(memory.counts, case[f'{key}_counter'])


def _compare_slots(memories, case):
    for head, memory in enumerate(memories):
        # Which of several free slots is taken does not matter: the averages of all classes are compared.
        found = _dense((memory.slots.long().clamp_min(0), memory.values), len(memory.counts))
        wanted = _dense((case['final_assign_labels'][head], case['final_label_val'][head]), len(memory.counts))
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_an_epoch_that_goes_on_changes_nothing():
    memory = ConstrainedClusters(4, 6)
    memory.allocate(40)
    memory.begin_epoch(0)
    memory.stage(torch.arange(8), normalize(torch.randn(8, 6), dim=1))
    memory.commit()
    before = {name: value.clone() for name, value in memory.state_dict().items()}
    memory.begin_epoch(0)
    assert all(torch.equal(value, before[name]) for name, value in memory.state_dict().items())
    memory.begin_epoch(1)
    assert torch.equal(memory.targets, before['current'])
    assert memory.counts.sum() == 0
    assert torch.equal(memory.duals, before['duals'])  # prices are never forgotten


def test_clusters_keep_their_least_size():
    torch.manual_seed(0)
    centres = normalize(torch.randn(3, 8), dim=1)  # three crowds for ten clusters
    crowd = torch.randint(3, (2000,))
    features = normalize(centres[crowd] + 0.2 * torch.randn(2000, 8), dim=1)
    sizes = {}
    for ratio in (0.0, 0.4):
        memory = ConstrainedClusters(10, 8, ratio)
        memory.allocate(2000)
        for epoch in range(4):
            memory.begin_epoch(epoch)
            for part in torch.arange(2000).split(100):
                memory.stage(part, features[part])
                memory.commit()
        sizes[ratio] = memory.counts.min() / memory.counts.mean()
    assert sizes[0.4] > 0.3 > sizes[0.0]
    assert torch.equal(memory.counts, torch.bincount(memory.labels, minlength=10).float())


def test_soft_labels_are_probabilities_of_few_classes():
    case = golden('coke/single_view_state_machine.npz')
    weights = slot_weights(case['final_label_val'].flatten(0, 1), 0.5)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(len(weights)))
    assert torch.equal(weights > 0, case['final_label_val'].flatten(0, 1) > 0)
    assert torch.equal(slot_weights(torch.zeros(2, 3), 0.5), torch.zeros(2, 3))


def _model(**settings):
    settings = {'num_clusters': [3, 4], 'clusters': {'dim': 6}, **settings}
    return CoKe(Passing(), nn.Identity(), nn.Linear(6, 6), **settings)


def _prepared(model, size=8, epoch=1):
    """In the second epoch, with a label for all samples but the last one."""
    torch.manual_seed(0)
    model.allocate(40)
    for clusters in model.clusters:
        clusters.labels.copy_(torch.randint(len(clusters.counts), (40,)))
        clusters.labels[size - 1] = -1
        clusters.begin_epoch(epoch)
    return Batch(sample_idx=torch.arange(size), draw=torch.arange(size))


def _scores(model, view, clusters):
    projection = view[:, :, 0, 0]
    rows = [normalize(model.predictor(projection), dim=1), normalize(projection, dim=1)]
    return [part @ clusters.targets.T / model.temperature for part in rows]


def _hard(logits, labels):
    return cross_entropy(logits, labels, ignore_index=-1, reduction='sum') / len(labels)


def test_one_view_learns_its_labels_through_the_predictor():
    for weight in (1.0, 0.25):
        model = _model(large_views=1, temperature=0.1, predictor_weight=weight)
        batch, view = _prepared(model), torch.randn(8, 6, 1, 1)
        expected = 0
        for clusters in model.clusters:
            predicted, projected = _scores(model, view, clusters)
            labels = clusters.labels[:8].long()
            expected += (weight * _hard(predicted, labels) + (1 - weight) * _hard(projected, labels)) / 2
        torch.testing.assert_close(model.loss([view], batch)['loss'], expected)


@pytest.mark.parametrize('small', [0, 3])
def test_two_views_learn_labels_and_each_others_probabilities(small):
    model = _model(label_weight=0.3, large_weight=0.6)
    batch, views = _prepared(model), [torch.randn(8, 6, 1, 1) for _ in range(2 + small)]
    expected = 0
    for clusters in model.clusters:
        labels, scores = clusters.labels[:8].long(), [_scores(model, view, clusters) for view in views]
        taught = [pair[1].softmax(dim=1) for pair in scores[:2]]
        large = sum(
            0.3 * _hard(logits, labels) + 0.7 * cross_entropy(logits, taught[1 - v])
            for v in (0, 1)
            for logits in scores[v]
        )
        loss = 0.5 / 2 * large
        if small:
            others = sum(
                0.6 * _hard(logits, labels)
                + 0.7 * (cross_entropy(logits, taught[0]) + cross_entropy(logits, taught[1]))
                for pair in scores[2:]
                for logits in pair
            )
            loss = 0.6 * loss + 0.4 * 0.5 / (2 * small) * others
        expected += loss / 2
    torch.testing.assert_close(model.loss(views, batch)['loss'], expected)


def test_clustered_is_the_plain_mean_of_the_large_views():
    model = _model()
    batch, views = _prepared(model), [torch.randn(8, 6, 1, 1) for _ in range(3)]
    model.loss(views, batch)
    mean = sum(normalize(view[:, :, 0, 0], dim=1) for view in views[:2]) / 2
    torch.testing.assert_close(model.clusters[0]._staged[0][1], mean)


def test_probabilities_of_the_other_view_teach_without_gradient():
    model = _model(label_weight=0.0)
    batch = _prepared(model)
    views = [torch.randn(8, 6, 1, 1, requires_grad=True) for _ in range(2)]
    scores = [_scores(model, view, model.clusters[0]) for view in views]
    model.classified(scores, model.clusters[0].read(batch.sample_idx, views[0][:, :, 0, 0])).backward()
    taught = scores[1][1].detach().softmax(dim=1)
    again = views[0].detach().clone().requires_grad_()
    sum(cross_entropy(part, taught) for part in _scores(model, again, model.clusters[0])).div(4).backward()
    torch.testing.assert_close(views[0].grad, again.grad)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match='50 clusters, but the data set has 40 images: set num_clusters to 2 or less'):
        _model(num_clusters=[50]).allocate(40)
    with pytest.raises(ValueError, match='Soft labels belong to one large view'):
        _model(clusters={'dim': 6, 'soft_from': 3})
    with pytest.raises(ValueError, match='large_views=1 got 2 views'):
        model = _model(large_views=1)
        model.loss([torch.randn(8, 6, 1, 1)] * 2, _prepared(model))
    with pytest.raises(ValueError, match='ratio=2: set it to a number from 0 to 1'):
        ConstrainedClusters(3, 4, ratio=2)


def _double():
    return CoKe(Smooth(), nn.Linear(8, 6), nn.Linear(6, 6), {'dim': 6}, [3, 4])


def _single():
    clusters = {'dim': 6, 'soft_from': 1, 'num_slots': 2}
    return CoKe(Smooth(), nn.Linear(8, 6), nn.Linear(6, 6), clusters, [3, 4], large_views=1, temperature=0.1)


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes):
    state = check(ranks, _double, sizes, num_views=2)
    assert int(state['clusters.0.started']) == 2 and float(state['clusters.0.duals'].max()) > 0
    check(ranks, _single, sizes, num_views=1)


RESUME = {'coke': 'model.update(num_clusters=[6, 9])'}

MUTATIONS = [
    Mutation(
        'labels are learned in the epoch that finds them',
        'mmssl/models/memories/constrained_clusters.py',
        'self.labels[sample_idx].long() if self.epoch else self.assign(features)',
        'self.assign(features)',
    ),
    Mutation(
        'prices are forgotten at the end of an epoch',
        'mmssl/models/memories/constrained_clusters.py',
        '        self.counts.zero_()\n',
        '        self.counts.zero_()\n        self.duals.zero_()\n',
    ),
    Mutation(
        'an epoch that is resumed begins anew',
        'mmssl/models/memories/constrained_clusters.py',
        'if epoch == ended:',
        'if False:',
    ),
    Mutation(
        "a view learns its own probabilities, not the other's",
        'mmssl/models/algorithms/coke.py',
        'taught[1 - view]',
        'taught[view]',
    ),
]
