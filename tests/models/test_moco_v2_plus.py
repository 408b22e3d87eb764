"""MoCo v2+: both directions with the queue of their keys, and on several processes what one computes."""

import math

import pytest
import torch
from torch import nn

from mmssl.datasets import Batch
from mmssl.functional import info_nce, unit
from mmssl.models import Addition, MoCoV2Plus
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Passing, Smooth
from tests.parity import UNEQUAL, check

ANY = Batch(sample_idx=torch.arange(4), draw=torch.arange(4))


def _small(**settings):
    return MoCoV2Plus(Smooth(), nn.Linear(8, 6), dict(length=20, dim=6), momentum=0.9, **settings)


def _passing():
    return MoCoV2Plus(Passing(), nn.Identity(), dict(length=12, dim=5), momentum=0.9, temperature=0.3)


def test_the_loss_is_the_mean_of_both_directions_each_with_the_queue_of_the_other_view():
    model = _passing()
    views = [torch.randn(4, 5, 1, 1) for _ in range(2)]
    first, second = (unit(view[..., 0, 0]) for view in views)
    expected = info_nce(first, second, model.queue.rows, 0.3) + info_nce(second, first, model.first_queue.rows, 0.3)
    torch.testing.assert_close(model.loss(views, ANY)['loss'], expected / 2)
    assert not torch.equal(model.queue.rows, model.first_queue.rows)
    model.queue.commit(), model.first_queue.commit()
    assert torch.equal(model.queue.rows[:4], second) and torch.equal(model.first_queue.rows[:4], first)
    assert int(model.queue.head) == int(model.first_queue.head) == 4


def test_at_chance_the_loss_is_that_of_one_direction():
    model = _passing()
    assert model.chance_loss(4) == pytest.approx(math.log(13))
    assert _small(additions=[Addition()]).chance_loss(4) is None


def test_views_that_are_swapped_with_their_queues_give_the_same_loss():
    model = _small()
    views = [torch.randn(4, 3, 8, 8) for _ in range(2)]
    there = model.loss(views, ANY)['loss']
    model.queue, model.first_queue = model.first_queue, model.queue
    torch.testing.assert_close(model.loss(views[::-1], ANY)['loss'], there)


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes):
    check(ranks, _small, sizes)


def test_keys_carry_no_gradient_and_every_student_weight_learns():
    model = _small()
    model.loss([torch.randn(4, 3, 8, 8) for _ in range(2)], ANY)['loss'].backward()
    assert all(parameter.grad is None for parameter in model.teacher.parameters())
    students = [*model.backbone.parameters(), *model.neck.parameters()]
    assert all(parameter.grad.abs().sum() > 0 for parameter in students)


def test_the_teacher_follows_the_student_after_a_step():
    model = _small()
    before = [parameter.clone() for parameter in model.teacher.parameters()]
    model.loss([torch.randn(4, 3, 8, 8) for _ in range(2)], ANY)
    with torch.no_grad():
        for parameter in [*model.backbone.parameters(), *model.neck.parameters()]:
            parameter.add_(1)
    for memory in model.memories().values():
        memory.commit()
    for old, new in zip(before, model.teacher.parameters(), strict=True):
        torch.testing.assert_close(new, old + 0.1)  # 0.9 of the old, 0.1 of the student, which started equal


def test_an_addition_gets_both_directions_with_every_image_twice():
    seen = {}

    class Look(Addition):
        def forward(self, host, losses, inputs, queries, keys, batch):
            seen.update(queries=queries, keys=keys, samples=batch.sample_idx.tolist())
            return losses

    _small(additions=[Look()]).loss([torch.randn(4, 3, 8, 8) for _ in range(2)], ANY)
    assert seen['samples'] == [0, 1, 2, 3] * 2 and len(seen['queries']) == len(seen['keys']) == 8


def test_a_queue_longer_than_the_data_is_refused_with_the_length_that_works():
    with pytest.raises(ValueError, match=r'A queue of 20 rows.*10 images.*10 or less'):
        _small().allocate(10)


MUTATIONS = [
    Mutation(
        'the queues of MoCo v2+ are swapped',
        'mmssl/models/algorithms/moco_v2_plus.py',
        '(self.queue, self.first_queue)',
        '(self.first_queue, self.queue)',
    ),
    Mutation(
        'the directions of MoCo v2+ are added',
        'mmssl/models/algorithms/moco_v2_plus.py',
        'torch.stack(losses).mean()',
        'torch.stack(losses).sum()',
    ),
    Mutation(
        'the teacher of MoCo v2+ does not follow',
        'mmssl/models/algorithms/moco_v2_plus.py',
        '        self.first_queue.stage(first)\n        self.teacher.stage()\n',
        '        self.first_queue.stage(first)\n',
    ),
]
