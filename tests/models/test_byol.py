"""BYOL against both reference implementations, and on several processes against one."""

import pytest
import torch
from torch import nn

from mmssl.datasets import Batch
from mmssl.functional import schedules
from mmssl.models import BYOL, Addition, InterImage, MLPNeck
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Smooth
from tests.parity import UNEQUAL, assert_sane_clusters, check

ANY = Batch(sample_idx=torch.arange(4), draw=torch.arange(4))


class Stem(nn.Module):
    """The backbone of mmselfsup's and SimSiam's vectors."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, stride=2, padding=1)

    def forward(self, images):
        return (self.conv(images).relu(),)


class Linear(nn.Module):
    """A linear layer on vectors that are shaped as images of one pixel."""

    def __init__(self, weight, bias):
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())

    def forward(self, images):
        return (nn.functional.linear(images.flatten(1), self.weight, self.bias).tanh()[..., None, None],)


def _linear(weight):
    layer = nn.Linear(*weight.T.shape, bias=False)
    layer.weight.data.copy_(weight)
    return layer


def _close(actual, expected, tolerance):
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(actual.detach(), expected.double(), rtol=0, atol=tolerance * scale)


def test_three_steps_equal_deepminds_code():
    case = golden('byol/byol_deepmind_three_steps.npz')
    start = {key: value.double() for key, value in case.items() if key.startswith('init_')}
    model = BYOL(
        Linear(start['init_online:encoder.weight'], start['init_online:encoder.bias']),
        _linear(start['init_online:projector.weight']),
        _linear(start['init_online:predictor.weight']),
    ).double()
    for name, parameter in zip(('encoder.weight', 'encoder.bias', 'projector.weight'), model.teacher.parameters()):
        parameter.data.copy_(start[f'init_target:{name}'])
    for step in range(3):
        views = [case[f's{step}_view{number}'][..., None, None] for number in (1, 2)]
        loss = model.loss(views, ANY)['loss']
        _close(loss, case[f's{step}_loss'], 1e-9)
        loss.backward()
        rate = float(case[f's{step}_lr'])
        assert rate == pytest.approx(schedules.warmup_cosine(step, 20, 0.4 * 128 / 256, 0.0, 2))
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= rate * parameter.grad
                    parameter.grad = None
        model.teacher.momentum = schedules.cosine(step, 20, 0.9, 1.0)
        assert model.teacher.momentum == pytest.approx(float(case[f's{step}_tau']))
        model.teacher.commit()
        students = [*model.backbone.parameters(), *model.neck.parameters(), *model.predictor.parameters()]
        for name, parameter in zip(
            ('encoder.weight', 'encoder.bias', 'projector.weight', 'predictor.weight'), students
        ):
            _close(parameter, case[f's{step}_online:{name}'], 1e-9)
        for name, parameter in zip(('encoder.weight', 'encoder.bias', 'projector.weight'), model.teacher.parameters()):
            _close(parameter, case[f's{step}_target:{name}'], 1e-9)
    for row in case['schedule']:
        assert schedules.cosine(row['step'], 1000, 0.996, 1.0) == pytest.approx(row['tau'], abs=1e-12)
        assert schedules.warmup_cosine(row['step'], 1000, 3.2, 0.0, 10) == pytest.approx(row['lr'], abs=1e-9)


_LAYERS = {'fc0': 'linear1', 'bn0': 'norm1', 'fc1': 'linear2'}


def _ours(name):
    """Our name of a parameter of mmselfsup's model."""
    for theirs, ours in {**_LAYERS, 'neck.': 'neck.layers.', 'predictor.': 'predictor.layers.'}.items():
        name = name.replace(theirs, ours)
    return name


def test_three_steps_equal_mmselfsup():
    case = golden('byol/byol_mmselfsup_three_steps.npz')
    cfg = case['cfg']
    sizes = {'hidden_channels': cfg['hidden'], 'out_channels': cfg['out'], 'last_bias': False}
    model = BYOL(Stem(cfg['conv']), MLPNeck(cfg['conv'], **sizes), MLPNeck(cfg['out'], **sizes)).double()
    start = {_ours(name[5:]): value for name, value in case.items() if name.startswith('init:')}
    missing = model.load_state_dict(start, strict=False)
    assert not missing.unexpected_keys
    assert all(name.startswith(('teacher', 'data_preprocessor')) for name in missing.missing_keys)
    model.allocate(4)
    students = [parameter for name, parameter in model.named_parameters() if not name.startswith('teacher')]
    optimizer = torch.optim.SGD(students, cfg['lr'], momentum=0.9, weight_decay=cfg['wd'])
    for step in range(3):
        _compare_teacher(model, case, step)
        loss = model.loss([case[f's{step}_view{number}'] for number in (1, 2)], ANY)['loss']
        _close(loss - 4, case[f's{step}_loss'], 1e-9)  # theirs is without the constant
        optimizer.zero_grad()
        loss.backward()
        for name, parameter in model.named_parameters():
            if not name.startswith('teacher'):
                theirs = next(key for key in case if key.startswith(f's{step}_grad:') and _ours(key[8:]) == name)
                _close(parameter.grad, case[theirs], 1e-8)
        optimizer.step()
        model.teacher.momentum = schedules.cosine(step + 1, cfg['max_iters'], cfg['base_momentum'], 1.0)
        model.teacher.commit()
        for key, value in case.items():
            if key.startswith(f's{step}_online:') and value.is_floating_point():
                _close(model.state_dict()[_ours(key[10:])], value, 1e-8)


def _compare_teacher(model, case, step):
    """Theirs moves before the forward pass, ours after the step before."""
    names = {'backbone': 'teacher.networks.0', 'neck': 'teacher.networks.1'}
    for key, value in case.items():
        if key.startswith(f's{step}_target:'):
            part, _, rest = _ours(key[10:]).partition('.')
            _close(model.state_dict()[f'{names[part]}.{rest}'], value, 1e-8)
    if step:
        assert model.teacher.momentum == pytest.approx(float(case[f's{step}_momentum']))


def _small(**settings):
    return BYOL(Smooth(), nn.Linear(8, 6), nn.Linear(6, 6), momentum=0.9, **settings)


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes):
    check(ranks, _small, sizes)


def _with_clusters():
    clusters = {'num_clusters': 4, 'dim': 6, 'min_cluster': 2}
    return _small(additions=[InterImage(clusters, num_negatives=3, pool_size=6, negatives='random')])


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_an_addition_with_a_memory_gets_both_directions_on_several_processes(ranks, sizes):
    assert_sane_clusters(check(ranks, _with_clusters, sizes), 'additions.0.clusters')


def test_the_teacher_gets_no_gradient_and_every_student_weight_learns():
    model = _small()
    model.loss([torch.randn(4, 3, 8, 8) for _ in range(2)], ANY)['loss'].backward()
    assert all(parameter.grad is None for parameter in model.teacher.parameters())
    students = [*model.backbone.parameters(), *model.neck.parameters(), *model.predictor.parameters()]
    assert all(parameter.grad.abs().sum() > 0 for parameter in students)


def test_a_direction_costs_0_for_a_perfect_prediction_and_4_for_its_opposite():
    rows = torch.randn(6, 5)
    assert float(_small().contrast(rows, 2 * rows)) == pytest.approx(0, abs=1e-5)
    assert float(_small().contrast(rows, -rows)) == pytest.approx(4)


def test_an_addition_gets_both_directions_with_every_image_twice():
    seen = {}

    class Look(Addition):
        def forward(self, host, losses, inputs, queries, keys, batch):
            seen.update(queries=queries, keys=keys, batch=batch, again=host.query(inputs[1]))
            return losses

    model = _small(additions=[Look()])
    views = [torch.randn(4, 3, 8, 8) for _ in range(2)]
    batch = Batch(torch.arange(4) + 7, torch.arange(4), extras={'boxes': torch.rand(4, 2), 'text': list('abcd')})
    model.loss(views, batch)
    assert seen['batch'].sample_idx.tolist() == [7, 8, 9, 10] * 2
    assert seen['batch'].extras['text'] == list('abcd') * 2 and seen['batch'].extras['boxes'].shape == (8, 2)
    torch.testing.assert_close(seen['queries'][4:], seen['again'])
    torch.testing.assert_close(seen['keys'][:4], model.encode_keys(views[1]))


MUTATIONS = [
    Mutation(
        'BYOL predicts its own view',
        'mmssl/models/algorithms/byol.py',
        'torch.cat([second, first])',
        'torch.cat([first, second])',
    ),
    Mutation(
        'the teacher of BYOL does not follow',
        'mmssl/models/algorithms/byol.py',
        '        self.teacher.stage()\n',
        '        pass\n',
    ),
    Mutation(
        'additions of BYOL see each image once',
        'mmssl/models/algorithms/contrastive.py',
        'batch.repeated(self.directions)',
        'batch',
    ),
]
