"""Additions on contrastive hosts: what they see, what they may change, and where they must not appear."""

import pytest
import torch
from torch import nn

from mmssl.datasets import Batch
from mmssl.engine.hooks.schedule_hook import ScheduleHook
from mmssl.export import export_backbone
from mmssl.functional import unit
from mmssl.models import Addition, MoCo, Queue, ResNet, SimCLR
from mmssl.registry import MODELS
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Smooth
from tests.parity import SAMPLES


class Second(Addition):
    """A test's addition: the host's loss again, of queries through a layer, and a queue of its own."""

    def __init__(self, weight=0.5, copies=1):
        super().__init__()
        self.weight, self.copies = weight, copies
        self.layer, self.queue = nn.Linear(6, 6), Queue(10, 6)

    def forward(self, host, losses, inputs, queries, keys, batch):
        assert len(inputs) == 2 and len(batch.sample_idx) == len(queries)
        self.queue.stage(keys)
        return {**losses, 'loss_second': self.weight * host.contrast(self.layer(queries), keys)}

    def staged(self, keys):
        return keys.repeat(self.copies, 1)

    def check(self, num_samples):
        if num_samples < 20:
            raise ValueError(f'{num_samples} samples for Second: give 20 or more.')


def _moco(*additions):
    torch.manual_seed(0)
    model = MoCo(Smooth(), nn.Linear(8, 6), {'length': 20, 'dim': 6}, additions=additions)
    model.allocate(SAMPLES)
    return model


def _simclr(*additions):
    torch.manual_seed(0)
    return SimCLR(Smooth(), nn.Linear(8, 6), additions=additions)


def _losses(model):
    views = [torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    return model.loss(views, Batch(sample_idx=torch.arange(8), draw=torch.arange(8)))


@pytest.mark.parametrize('make', [_moco, _simclr])
def test_additions_are_called_in_order_on_the_losses_so_far_and_leave_the_host_s_alone(make):
    class Doubled(Addition):
        def forward(self, host, losses, inputs, queries, keys, batch):
            return {name: 2 * value for name, value in losses.items()}

    second = Second()
    alone = _losses(make())['loss']
    losses = _losses(make(second, Doubled()))
    assert set(losses) == {'loss', 'loss_second'}
    torch.testing.assert_close(losses['loss'], 2 * alone)
    other = _losses(make(Doubled(), second))
    torch.testing.assert_close(other['loss_second'], losses['loss_second'] / 2)


@pytest.mark.parametrize('make', [_moco, _simclr])
def test_rows_are_not_normalised_and_contrast_normalises_them(make):
    seen = []

    class Watching(Addition):
        def forward(self, host, losses, inputs, queries, keys, batch):
            seen.extend((queries, keys))
            torch.testing.assert_close(host.contrast(queries, keys), losses['loss'])
            torch.testing.assert_close(host.contrast(3 * queries, unit(keys)), losses['loss'])
            return losses

    _losses(make(Watching()))
    assert all((rows.norm(dim=1) - 1).abs().min() > 1e-3 for rows in seen)


def test_an_addition_may_change_what_the_host_stages():
    model = _moco(Second(copies=2))
    _losses(model)
    ((queued,),) = model.queue._staged
    ((own,),) = model.additions[0].queue._staged
    assert len(queued) == 16 and len(own) == 8
    torch.testing.assert_close(queued, unit(own).repeat(2, 1))


def test_the_host_stages_the_queries_of_the_batch_and_the_keys_that_the_additions_left():
    staged = []

    class Host(SimCLR):
        def stage(self, queries, keys):
            staged.extend((queries, keys))

    torch.manual_seed(0)
    model = Host(Smooth(), nn.Linear(8, 6), additions=[Second(copies=2)])
    views = [torch.randn(8, 3, 8, 8) for _ in range(2)]
    model.loss(views, Batch(sample_idx=torch.arange(8), draw=torch.arange(8)))
    queries, keys = model.encode(views, Batch(sample_idx=torch.arange(8), draw=torch.arange(8)))
    torch.testing.assert_close(staged, [queries, keys.repeat(2, 1)])


@pytest.mark.parametrize('make', [_moco, _simclr])
def test_the_loss_that_is_logged_is_the_sum_that_is_minimised(make):
    losses = _losses(make(Second()))
    total, logged = make(Second()).parse_losses({**losses, 'accuracy': torch.tensor(3.0)})
    torch.testing.assert_close(total, losses['loss'] + losses['loss_second'])
    assert total > losses['loss'] and torch.equal(logged['loss'], total)
    assert torch.equal(logged['loss_own'], losses['loss'])
    assert list(logged) == ['loss', 'loss_second', 'accuracy', 'loss_own']


def test_a_single_loss_and_parts_with_names_of_their_own_are_logged_as_they_are():
    model, one, two = _simclr(), torch.tensor(1.0), torch.tensor(2.0)
    assert model.parse_losses({'loss': one}) == (1, {'loss': 1})
    assert model.parse_losses({'loss_intra': one, 'loss_inter': two})[1] == {
        'loss': 3, 'loss_intra': 1, 'loss_inter': 2
    }  # fmt: skip


def test_parameters_of_an_addition_learn_its_memories_are_known_and_a_schedule_reaches_its_weight():
    model = _moco(MODELS.build({'type': Second, 'weight': 0.25}))
    sum(_losses(model).values()).backward()
    assert model.additions[0].layer.weight.grad.abs().sum() > 0
    assert 'additions.0.queue' in model.memories()
    hook = ScheduleHook('additions.0.weight', 0.0, 1.0)
    hook.before_train(type('Runner', (), {'algorithm': model}))
    with pytest.raises(ValueError, match="no 'share'.*'weight'"):
        ScheduleHook('additions.0.share', 0.0, 1.0).before_train(type('Runner', (), {'algorithm': model}))


def test_a_step_that_is_skipped_leaves_no_trace_in_the_memories_of_an_addition():
    model = _moco(Second())
    before = {name: value.clone() for name, value in model.state_dict().items() if 'queue' in name}
    _losses(model)
    for memory in model.memories().values():
        memory.discard()
        memory.commit()
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


def test_nothing_of_an_addition_is_in_the_teacher_or_in_an_export(tmp_path):
    model = MoCo(
        ResNet(10, stem='small', base_channels=4), nn.Linear(32, 6), {'length': 20, 'dim': 6}, additions=[Second()]
    )
    plain = {name for name in model.state_dict() if not name.startswith('additions.0.')}
    teacher = {name.removeprefix('teacher.networks.') for name in plain if name.startswith('teacher.')}
    student = {f'0.{name}' for name in model.backbone.state_dict()} | {f'1.{name}' for name in model.neck.state_dict()}
    assert teacher == student
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'run.pth')
    export_backbone(tmp_path / 'run.pth', tmp_path / 'plain.pth', 'torchvision')
    assert torch.load(tmp_path / 'plain.pth', weights_only=True).keys() == model.backbone.state_dict().keys()


def test_an_addition_refuses_data_before_the_memories_are_made():
    with pytest.raises(ValueError, match='12 samples for Second'):
        MoCo(Smooth(), nn.Linear(8, 6), {'length': 20, 'dim': 6}, additions=[Second()]).allocate(12)


MUTATIONS = [
    Mutation(
        'additions see the losses of the host alone',
        'mmssl/models/algorithms/contrastive.py',
        'losses = addition(self, losses, inputs',
        "losses = addition(self, {'loss': losses['loss']}, inputs",
    ),
    Mutation(
        'the host stages its own keys whatever an addition says',
        'mmssl/models/algorithms/contrastive.py',
        'keys = addition.staged(keys)',
        'addition.staged(keys)',
    ),
    Mutation(
        "the host's own part is logged as the sum",
        'mmssl/models/algorithms/base.py',
        "return total, {**logged, 'loss': total}",
        'return total, logged',
    ),
    Mutation(
        'additions refuse nothing',
        'mmssl/models/algorithms/contrastive.py',
        'addition.check(num_samples)',
        'pass',
    ),
]
