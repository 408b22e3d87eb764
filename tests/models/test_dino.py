"""DINO against the authors' code and the child's view, and on several processes against one."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmssl.datasets import Batch
from mmssl.engine import CosineWeightDecay, WarmupCosineLR
from mmssl.engine.hooks import ClipEachGradientHook, GradientDropHook
from mmssl.engine.optimizers import OptimWrapper
from mmssl.functional import schedules, self_distillation
from mmssl.models import DINO, Centre, DINOHead
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.models.test_byol import _close
from tests.models.test_swav import Smooth
from tests.parity import UNEQUAL, check

HEAD = {
    'last_layer.weight_g': 'last.parametrizations.weight.original0',
    'last_layer.weight_v': 'last.parametrizations.weight.original1',
}
ANY = Batch(sample_idx=torch.arange(3), draw=torch.arange(3))


def _head_name(name, layers, batch_norm):
    """Our name of a parameter of the authors' head."""
    if name in HEAD:
        return HEAD[name]
    *_, place, kind = (
        f'0.{name}'.split('.')[-2:] if name.startswith('mlp.') and layers > 1 else ('0', '0', name.rpartition('.')[2])
    )
    per_layer = 3 if batch_norm else 2
    number, rest = divmod(int(place), per_layer)
    return f'layers.{"norm" if rest == 1 else "linear"}{number + 1}.{kind}'


@pytest.mark.parametrize('place', range(4))
def test_the_head_equals_the_authors_with_its_gradients(place):
    case = {
        key[len(f'c{place}_') :]: value
        for key, value in golden('child_view/dino_head.npz').items()
        if key.startswith(f'c{place}_')
    }
    layers, batch_norm = int(case['layers']), bool(case['bn'])
    embedding, count = case['w:last_layer.weight_v'].shape[1], case['w:last_layer.weight_v'].shape[0]
    head = DINOHead(5, count, 6, embedding, layers, batch_norm, learned_gain=not bool(case['gain_fixed'])).double()
    torch.testing.assert_close(head.last.parametrizations.weight.original0.detach(), case['gain_at_init'].double())

    def ours(name):
        return _head_name(name, layers, batch_norm)

    state = {ours(key[2:]): value for key, value in case.items() if key.startswith('w:')}
    head.load_state_dict(state)
    features = case['x'].double().requires_grad_()
    scores = head(features)
    _close(scores, case['y'], 1e-9)
    scores.backward(case['upstream'].double())
    _close(features.grad, case['grad_x'], 1e-8)
    gradients = {name: parameter.grad for name, parameter in head.named_parameters() if parameter.grad is not None}
    expected = {ours(key[5:]): value for key, value in case.items() if key.startswith('grad:')}
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        _close(gradient, expected[name], 1e-8)


@pytest.mark.parametrize('epoch', [0, 1, 5])
def test_the_loss_equals_the_authors_with_its_gradient(epoch):
    case = golden('baselines/dino_loss.npz')
    centre = Centre(7).double()
    for before in [number for number in (0, 1, 5) if number < epoch]:
        centre.stage(case[f'e{before}_teacher'].double())
        centre.commit()
    student = case[f'e{epoch}_student'].double().requires_grad_()
    teacher = case[f'e{epoch}_teacher'].double()
    temperature = float(case[f'e{epoch}_teacher_temp'])
    loss = self_distillation(student.chunk(4), teacher.chunk(2), centre.value, 0.1, temperature)
    loss.backward()
    _close(loss, case[f'e{epoch}_loss'], 5e-6)
    _close(student.grad, case[f'e{epoch}_grad'], 5e-6)
    centre.stage(teacher)
    centre.commit()
    _close(centre.value, case[f'e{epoch}_center_after'][0], 5e-6)


class Encoder(nn.Module):
    """The backbone of the state machines."""

    def __init__(self, cfg):
        super().__init__()
        self.conv, self.lin = nn.Conv2d(3, cfg['conv'], 3, 2, 1), nn.Linear(cfg['conv'], cfg['feat'])

    def forward(self, images):
        return (self.lin(self.conv(images).relu().mean(dim=(2, 3)))[..., None, None],)


def _ours(name):
    part, _, rest = name.partition('.')
    return f'backbone.{rest}' if part == 'backbone' else f'head.{_head_name(rest, 3, False)}'


def _machine(cfg, case):
    model = DINO(
        Encoder(cfg),
        dict(
            type='DINOHead',
            in_channels=cfg['feat'],
            num_prototypes=cfg['out'],
            hidden_channels=cfg['hidden'],
            embedding_channels=cfg['bottleneck'],
            learned_gain=not cfg.get('norm_last_layer', True),
        ),
    ).double()
    start = {_ours(key[5:]): value.double() for key, value in case.items() if key.startswith('init:')}
    missing = model.load_state_dict(start, strict=False)
    assert not missing.unexpected_keys
    model.allocate(3)
    return model


@pytest.mark.parametrize('name', ['dino', 'child'])
def test_every_step_equals_the_authors_code(name):
    case = golden(f'child_view/{name}_state_machine.npz')
    cfg = case['cfg']
    model = _machine(cfg, case)
    settings = {'type': torch.optim.AdamW, 'lr': cfg['lr'] * cfg['bs'] / 256, 'weight_decay': cfg.get('wd', 0.0)}
    wrapper = {'type': OptimWrapper, 'optimizer': settings}
    wrapper = DefaultOptimWrapperConstructor(wrapper, {'flat_decay_mult': 0.0, 'bias_decay_mult': 0.0})(model)
    decay = settings['weight_decay']
    runner = SimpleNamespace(algorithm=model, optim_wrapper=wrapper, steps=0, epoch=0)
    if cfg.get('clip'):
        ClipEachGradientHook(cfg['clip']).before_train(runner)
    if cfg.get('freeze'):
        GradientDropHook('head.last', epochs=cfg['freeze']).before_train(runner)
    for step in range(sum(key.endswith('_loss') for key in case)):
        runner.epoch = step // cfg['iters']
        for group in wrapper.optimizer.param_groups:
            group['lr'] = float(case[f's{step}_lr'])
            group['weight_decay'] *= float(case[f's{step}_wd']) / decay if decay else 1.0
        decay = float(case[f's{step}_wd'])
        model.teacher_temperature, model.teacher.momentum = (
            float(case[f's{step}_teacher_temp']),
            float(case[f's{step}_momentum']),
        )
        crops = [case[f's{step}_crop{number}'].double() for number in range(2 + cfg['local'])]
        _close(model.centre.value, case[f's{step}_center_before'][0], 1e-9)
        loss = model.loss(crops, ANY)['loss']
        _close(loss, case[f's{step}_loss'], 1e-9)
        wrapper.zero_grad()
        loss.backward()
        for key, value in case.items():
            if key.startswith(f's{step}_grad:'):
                _close(model.get_parameter(_ours(key.partition(':')[2])).grad, value, 1e-8)
        wrapper.optimizer.step()
        model.centre.commit()
        model.teacher.commit()
        _close(model.centre.value, case[f's{step}_center_after'][0], 1e-9)
        state = model.state_dict()
        for key, value in case.items():
            ours = _ours(key.partition(':')[2]) if ':' in key else ''
            if key.startswith(f's{step}_student:'):
                _close(state[ours], value, 1e-8)
            if key.startswith(f's{step}_teacher:'):
                part, _, rest = ours.partition('.')
                _close(state[f'teacher.networks.{("backbone", "head").index(part)}.{rest}'], value, 1e-8)


def _two_ranks(case):
    rank = torch.distributed.get_rank()
    centre, found = Centre(6).double(), []
    for epoch in (0, 1):
        student = case[f'e{epoch}_student'][rank].double().requires_grad_()
        teacher = case[f'e{epoch}_teacher'][rank].double()
        loss = self_distillation(student.chunk(4), teacher.chunk(2), centre.value, 0.1, float(case[f'e{epoch}_temp']))
        loss.backward()
        centre.stage(teacher)
        centre.commit()
        found.append((loss.detach(), student.grad, centre.value.clone()))
    return found


def test_two_processes_equal_the_authors_code_on_two_processes(ranks):
    case = golden('child_view/dino_two_ranks.npz')
    assert int(case['crops']) == 4
    for rank, found in enumerate(ranks(2, _two_ranks, case)):
        for epoch, (loss, gradient, centre) in enumerate(found):
            _close(loss, case[f'e{epoch}_loss_by_rank'][rank], 1e-9)
            _close(gradient, case[f'e{epoch}_grad_by_rank'][rank], 1e-9)
            _close(centre, case[f'e{epoch}_center'][0], 1e-9)


def test_schedules_equal_the_authors_tables():
    tables = golden('child_view/schedules.json')
    for name, table in tables.items():
        if isinstance(table, dict) and 'values' in table and 'iters_per_epoch' in table:
            warmup, steps = table['warmup_epochs'] * table['iters_per_epoch'], len(table['values'])
            for step, value in enumerate(table['values']):
                found = schedules.warmup_cosine(step, steps, table['base'], table['final'], warmup, 0.0, True)
                assert found == pytest.approx(value, abs=1e-12), (name, step)


def test_weight_decay_rises_where_there_is_any():
    optimizer = torch.optim.AdamW(
        [{'params': [nn.Parameter(torch.ones(1))], 'weight_decay': 0.0}, {'params': [nn.Parameter(torch.ones(1))]}],
        lr=1.0,
        weight_decay=0.04,
    )
    wrapper = OptimWrapper(optimizer=optimizer)
    rate, decay = WarmupCosineLR(wrapper, 10), CosineWeightDecay(wrapper, 10, end_factor=10)
    table = golden('child_view/schedules.json')['fb_wd']
    assert (table['base'], table['final']) == (0.04, 0.4)
    for step in range(10):
        assert [group['weight_decay'] for group in optimizer.param_groups] == pytest.approx(
            [0.0, schedules.cosine(step, 10, 0.04, 0.4)]
        )
        rate.step()
        decay.step()


def _small():
    head = DINOHead(8, 10, 7, 5)
    for parameter in head.layers.parameters():  # the small weights of the start would have gradients of 10,000
        nn.init.normal_(parameter, std=0.5)
    return DINO(Smooth(), head, momentum=0.9)


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes):
    check(ranks, _small, sizes, num_views=4)


def test_too_few_views_are_refused_with_what_to_set():
    with pytest.raises(ValueError, match='DINO got 1 views.*views.counts'):
        _small().loss([torch.randn(3, 3, 8, 8)], ANY)


def test_a_teacher_drops_nothing():
    model = DINO(nn.Sequential(nn.Dropout(0.5)), DINOHead(8, 10, 7, 5))
    assert model.teacher.networks[0][0].p == 0 and model.backbone[0].p == 0.5
    vit = dict(type='TimmBackbone', name='vit_tiny_patch16_224', img_size=32, depth=2, drop_path_rate=0.5)
    model, images = DINO(vit, DINOHead(192, 10, 7, 5)).train(), torch.randn(8, 3, 32, 32)
    torch.testing.assert_close(model.teach([images]), model.teach([images]))
    assert not torch.equal(model.extract_feat(images), model.extract_feat(images))


def test_what_is_frozen_keeps_its_bits_in_the_teacher():
    head = DINOHead(8, 10, 7, 5)
    gain = head.last.parametrizations.weight.original0
    nn.init.uniform_(gain)
    model = DINO(Smooth(), head, momentum=0.996)
    model.allocate(10)
    for _ in range(200):
        model.teacher.stage()
        model.teacher.commit()
    assert torch.equal(model.teacher.networks[1].last.parametrizations.weight.original0, gain)


def test_two_micro_batches_move_the_centre_as_one_batch():
    rows, centres = torch.randn(6, 4), [Centre(4), Centre(4)]
    centres[0].stage(rows)
    for part in rows.split([2, 4]):
        centres[1].stage(part)
    for centre in centres:
        centre.commit()
    torch.testing.assert_close(centres[0].value, centres[1].value)
    torch.testing.assert_close(centres[0].value, 0.1 * rows.mean(dim=0))


RESUME = {'dino': "custom_hooks[1].update(parameters='head.neck.last')"}

MUTATIONS = [
    Mutation(
        'a view is compared with itself',
        'mmssl/functional/self_distillation.py',
        '        if seen != taught\n',
        '',
    ),
    Mutation(
        'the centre is that of the own rank',
        'mmssl/models/memories/centre.py',
        'sums.sum(dim=0) / counts.sum()',
        'sums[0] / counts[0]',
    ),
    Mutation(
        'the teacher of DINO sees the small views too',
        'mmssl/models/algorithms/dino.py',
        'self.teach(inputs[: self.taught_views])',
        'self.teach(inputs[-self.taught_views :])',
    ),
    Mutation(
        'gradients are clipped together',
        'mmssl/engine/hooks/clip_each_gradient_hook.py',
        'clip_grad_norm_(parameter, self.max_norm)',
        "clip_grad_norm_(group['params'], 10 * self.max_norm)",
    ),
    Mutation(
        'prototypes have any length',
        'mmssl/models/heads/dino_head.py',
        'gain.requires_grad_(learned_gain)',
        'gain.requires_grad_(True)',
    ),
    Mutation(
        'a teacher drops what its student drops',
        'mmssl/models/memories/ema_teacher.py',
        'module.p = 0.0',
        'pass',
    ),
    Mutation(
        'a teacher skips blocks',
        'mmssl/models/memories/ema_teacher.py',
        'module.drop_prob = 0.0',
        'pass',
    ),
]
