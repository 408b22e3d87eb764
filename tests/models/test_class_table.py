"""The table of classes: its start, its own steps of SGD, and its rows on several processes."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize

from mmssl.evaluation import feature_batches
from mmssl.functional import gather, hardest_classes, look_up, rank, shard_of, table, world_size
from mmssl.models import ClassTable
from tests.conftest import golden
from tests.helpers.mutation import Mutation


def _table(num=11, dim=4, **settings):
    memory = ClassTable(dim, **{'start': 'random', **settings})
    memory.allocate(num)
    return memory


def _step(memory, gradient, scale=1.0, lr=0.1):
    memory.begin_step(lr, scale)
    (memory.trained_rows() * gradient * scale).sum().backward()
    memory.commit()


def test_its_steps_are_those_of_sgd_also_with_a_scaled_loss():
    memory = _table(momentum=0.9, weight_decay=0.01, lr_ratio=2.0)
    rows = nn.Parameter(memory.rows.clone())
    optimizer = torch.optim.SGD([rows], lr=0.2, momentum=0.9, weight_decay=0.01)
    for step, gradient in enumerate(torch.randn(4, 11, 4)):
        rows.grad = gradient.clone()
        optimizer.step()
        _step(memory, gradient, scale=2.0**step)
    torch.testing.assert_close(memory.rows, rows.detach())
    torch.testing.assert_close(memory.velocity, optimizer.state[rows]['momentum_buffer'])


def test_gradients_of_micro_batches_add_up_and_a_skipped_step_forgets_them():
    memory, whole = _table(), _table()
    parts = torch.randn(2, 11, 4)
    memory.begin_step(0.1, 1.0)
    for part in parts:
        (memory.trained_rows() * part).sum().backward()
    memory.commit()
    _step(whole, parts.sum(dim=0))
    torch.testing.assert_close(memory.rows, whole.rows)
    before = memory.rows.clone()
    (memory.trained_rows() * parts[0]).sum().backward()
    memory.discard()
    memory.commit()
    assert torch.equal(memory.rows, before)


def test_without_a_gradient_nothing_moves():
    memory = _table(weight_decay=0.5)
    before = memory.rows.clone()
    memory.begin_step(0.1, 1.0)
    memory.commit()
    assert torch.equal(memory.rows, before)


def test_a_state_dict_holds_no_rows_and_a_change_of_type_reaches_them():
    memory = _table(num_hard=3)
    assert set(memory.state_dict()) == {'prepared', 'refreshed'}
    assert {'rows', 'velocity', 'hard'} <= set(memory.state_names())
    assert memory.double().rows.dtype == torch.float64


class Passing(nn.Module):
    """The network of the golden file: what an algorithm is to ``feature_batches``."""

    def __init__(self, case):
        super().__init__()
        self.network = nn.Sequential(nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 5))
        self.network.load_state_dict({key[2:]: value for key, value in case.items() if key.startswith('p_')})

    def data_preprocessor(self, data, training):
        return data

    def extract_feat(self, images):
        return self.network(images)


def test_the_start_from_features_equals_the_reference(monkeypatch):
    case = golden('one_million_way/raw_feature_init.npz')
    model, size = Passing(case), int(case['batch'])
    ordered = [{'inputs': [case['x'][some]], 'sample_idx': some} for some in case['order'].split(size)]
    monkeypatch.setattr('mmssl.evaluation.features.DataLoader', lambda *_, **__: ordered)
    found = torch.empty(len(case['x']), 5)
    for features, samples, _ in feature_batches(model, range(len(case['x'])), size, move_statistics=True):
        found[samples] = features[:, 0]
    torch.testing.assert_close(found, case['raw_features'], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model.network[1].running_mean, case['running_mean'], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model.network[1].running_var, case['running_var'], rtol=1e-5, atol=1e-6)
    memory = _table(len(found), 5, start='features')
    memory.prepare(found.split(5), 0)
    torch.testing.assert_close(memory.rows, case['unit_features'], rtol=1e-5, atol=1e-6)
    assert not memory.wants_preparation(0)


@pytest.mark.parametrize('piece', [1 << 24, 7])
def test_the_hardest_classes_are_those_of_the_whole_matrix(piece, monkeypatch):
    monkeypatch.setattr(table, '_COSINES', piece)
    rows = torch.randn(23, 5)
    cosines = normalize(rows, dim=1) @ normalize(rows, dim=1).T
    expected = cosines.fill_diagonal_(-torch.inf).topk(6, dim=1).indices
    assert torch.equal(hardest_classes(rows, 6), expected)


def test_hard_classes_equal_the_reference():
    case = golden('one_million_way/hard_class_smoothing.npz')
    found = hardest_classes(case['W'], case['hard_classes'].shape[1])
    assert torch.equal(found.sort(dim=1).values, case['hard_classes'].sort(dim=1).values)
    memory = _table(*case['W'].shape, num_hard=found.shape[1])
    memory.rows.copy_(case['W'])
    memory.begin_epoch(0)
    classes, weights = memory.smoothed(case['labels'], float(case['alpha']))
    assert torch.equal(classes.sort(dim=1).values, case['hard_classes'][case['labels']].sort(dim=1).values)
    torch.testing.assert_close(weights.sum(dim=1), torch.full((len(classes),), float(case['alpha'])))


def test_hard_classes_are_found_once_an_epoch_and_after_the_start():
    memory = _table(9, 3, start='features', num_hard=2)
    memory.begin_epoch(0)
    assert int(memory.refreshed) == -1  # the rows have not been started
    features = torch.randn(9, 3)
    memory.prepare([features], 0)
    first = memory.hard.clone()
    assert torch.equal(first.long(), hardest_classes(features, 2))
    memory.rows.copy_(torch.randn(9, 3))
    memory.begin_epoch(0)  # a run that is resumed inside the epoch
    assert torch.equal(memory.hard, first)
    memory.begin_epoch(1)
    assert torch.equal(memory.hard.long(), hardest_classes(memory.rows, 2))


def _on_a_rank(num, dim):
    memory = _table(num, dim, num_hard=3).double()
    start = gather(memory.rows).clone()
    first, length = shard_of(num, rank(), world_size())
    assert memory.rows.shape == (length, dim) and memory.first == first
    features = torch.randn(num, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    memory.prepare(features.split(400), 0)
    classes, _ = memory.smoothed(torch.tensor([num - 1, 0, 3 * rank()]), 0.5)
    looked_up = look_up(memory.rows, torch.tensor([3 * rank(), num - 1])[: 1 + rank()])
    return start, gather(memory.rows), gather(memory.hard), classes, looked_up


@pytest.mark.parametrize('world', [2, 3])
def test_processes_hold_the_rows_of_one(world, ranks):
    num = 4100  # more than one block of first rows
    start, rows, hard, classes, _ = ranks(1, _on_a_rank, num, 5)[0]
    for place, found in enumerate(ranks(world, _on_a_rank, num, 5)):
        for one, several in zip((start, rows, hard), found):
            assert torch.equal(one, several)
        assert torch.equal(found[3][:2], classes[:2])
        assert torch.equal(found[3][2], hard[3 * place].long())
        assert torch.equal(found[4], rows[[3 * place, num - 1][: 1 + place]])


def test_a_table_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="'features' or 'random'"):
        ClassTable(4, start='zeros')
    with pytest.raises(ValueError, match='num_hard of the table to 10 or less'):
        _table(11, num_hard=11)


def test_rows_started_from_features_know_every_sample():
    features = torch.randn(300, 16)
    memory = _table(300, 16, start='features')
    memory.prepare([features], 0)
    logits = normalize(features, dim=1) @ normalize(memory.rows, dim=1).T
    assert (logits.argmax(dim=1) == torch.arange(300)).all()
    assert cross_entropy(logits / 0.01, torch.arange(300)) < 0.1


MUTATIONS = [
    Mutation(
        'the gradient of the class table keeps the scale of mixed precision',
        'mmssl/models/memories/class_table.py',
        'self._trained.grad.div_(self.loss_scale)',
        'self._trained.grad',
    ),
    Mutation(
        'a class is among its own hard classes',
        'mmssl/functional/table.py',
        'found[torch.arange(len(some)), some] = -torch.inf',
        'pass',
    ),
    Mutation(
        'the first rows of the class table depend on the rank',
        'mmssl/models/memories/class_table.py',
        'hash_seed(self.seed, Stream.TABLE_START, block)',
        'hash_seed(self.seed, Stream.TABLE_START, rank())',
    ),
    Mutation(
        'the pass that starts the class table leaves the statistics of batch norm',
        'mmssl/evaluation/features.py',
        '            module.train()',
        '            pass',
    ),
]
