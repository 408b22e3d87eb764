"""MoCo against the order of operations of the reference, and on several processes against one."""

import pytest
import torch
from torch import nn

from mmssl.datasets import Batch
from mmssl.functional import Shuffle
from mmssl.models import MoCo
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Passing, Smooth
from tests.parity import UNEQUAL, check


def test_four_steps_equal_the_reference():
    case = golden('baselines/moco_four_steps.npz')
    linear = nn.Linear(7, 5, bias=False)
    linear.weight.data.copy_(case['W0'])
    model = MoCo(Passing(), linear, dict(length=12, dim=5), momentum=float(case['m']), temperature=float(case['T']))
    model.queue.rows.copy_(case['queue0'].T)
    settings = {'momentum': float(case['mom']), 'weight_decay': float(case['wd'])}
    optimizer = torch.optim.SGD(linear.parameters(), lr=float(case['lr']), **settings)
    key_weight = model.teacher.networks[1].weight
    for step in range(4):
        views = [case[f's{step}_{name}'][..., None, None] for name in ('xq', 'xk')]
        _close(key_weight, case[f's{step}_Wk'])  # theirs moves before the forward pass, ours after the step before
        loss = model.loss(views, Batch(sample_idx=torch.arange(4), draw=torch.arange(4)))['loss']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.teacher.commit()
        model.queue.commit()
        _close(loss, case[f's{step}_loss'])
        _close(linear.weight, case[f's{step}_W'])
        _close(model.queue.rows.T, case[f's{step}_queue'])
        assert int(model.queue.head) == int(case[f's{step}_ptr'])


def _close(actual, expected):
    torch.testing.assert_close(actual.detach(), expected, rtol=1e-5, atol=2e-6)


def _small():
    return MoCo(Smooth(), nn.Linear(8, 6), dict(length=20, dim=6), momentum=0.9)


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes):
    check(ranks, _small, sizes)


def _shuffled(sizes):
    rank = torch.distributed.get_rank()
    rows = torch.arange(sum(sizes)).split(sizes)[rank]
    shuffle = Shuffle(0, rows + 100)
    return rows, shuffle(rows), shuffle.back(shuffle(rows))


@pytest.mark.parametrize('sizes', [[8, 8], [5, 3, 4]])
def test_a_shuffle_moves_rows_to_other_ranks_and_back(ranks, sizes):
    results = ranks(len(sizes), _shuffled, sizes)
    assert all(torch.equal(rows, back) for rows, _, back in results)
    moved = torch.cat([there for _, there, _ in results])
    assert sorted(moved.tolist()) == list(range(sum(sizes)))
    assert any(set(rows.tolist()) != set(there.tolist()) for rows, there, _ in results)


def test_the_teacher_starts_from_the_weights_that_training_starts_from():
    model = MoCo(Smooth(), nn.Linear(8, 6), dict(length=20, dim=6))
    nn.init.constant_(model.neck.weight, 3.0)
    model.allocate(100)
    assert (model.teacher.networks[1].weight == 3).all()


def test_keys_carry_no_gradient_and_every_student_weight_learns():
    model = MoCo(Smooth(), nn.Linear(8, 6), dict(length=20, dim=6))
    draws = torch.arange(4)
    model.loss([torch.randn(4, 3, 8, 8) for _ in range(2)], Batch(sample_idx=draws, draw=draws))['loss'].backward()
    assert all(parameter.grad is None for parameter in model.teacher.parameters())
    students = [*model.backbone.parameters(), *model.neck.parameters()]
    assert all(parameter.grad.abs().sum() > 0 for parameter in students)


def test_a_queue_longer_than_the_data_is_refused_with_the_length_that_works():
    with pytest.raises(ValueError, match=r'65536 rows.*50000 images.*50000 or less'):
        MoCo(Smooth(), nn.Linear(8, 6), dict(length=65536, dim=6)).allocate(50000)


RESUME = {'moco': 'model.update(queue=dict(length=64, dim=64))'}

MUTATIONS = [
    Mutation(
        'unequal batches count alike',
        'mmssl/models/algorithms/base.py',
        'return length * len(lengths) / sum(lengths)',
        'return 1.0',
    ),
    Mutation(
        'keys stay on their rank',
        'mmssl/functional/shuffle.py',
        'world_size(group) == 1',
        'True',
    ),
    Mutation(
        'queries stand in the queue',
        'mmssl/models/algorithms/contrastive.py',
        '        self.stage(queries, keys)\n',
        '        self.stage(queries, queries)\n',
    ),
    Mutation(
        'the teacher starts from other weights',
        'mmssl/models/memories/ema_teacher.py',
        'network.load_state_dict(student.state_dict())',
        'pass',
    ),
    Mutation(
        'keys are queued as long as they are',
        'mmssl/models/algorithms/moco.py',
        'self.queue.stage(unit(part))',
        'self.queue.stage(part)',
    ),
    Mutation(
        'the teacher of MoCo does not follow',
        'mmssl/models/algorithms/moco.py',
        '            self.queue.stage(unit(part))\n        self.teacher.stage()\n',
        '            self.queue.stage(unit(part))\n',
    ),
]
