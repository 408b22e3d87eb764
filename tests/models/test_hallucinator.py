"""Hallucinator: golden vectors of the authors' code, invariants, hosts, world sizes, centre-biased crops."""

from functools import partial

import pytest
import torch
from torch import nn

from mmssl.datasets import Batch
from mmssl.functional import extrapolate, nt_xent, unit
from mmssl.models import BYOL, Hallucinator, InterImage, MoCo, SimCLR, SimSiam
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Passing, Smooth
from tests.parity import SAMPLES, UNEQUAL, check

BATCH = Batch(torch.arange(8), torch.arange(8) + 40)
LOSS_SCALE = 0.07  # of the authors' NT-Xent: the loss is multiplied by the temperature over this


def _generator(case, dim, prefix=''):
    addition = Hallucinator(dim)
    for place in (1, 2, 3):
        layer = getattr(addition.generator.layers, f'linear{place}')
        for name in ('weight', 'bias'):
            separator = '_' if f'{prefix}fc{place}_{name}' in case else '.'
            getattr(layer, name).data = case[f'{prefix}fc{place}{separator}{name}'].clone()
    return addition


def test_the_generator_and_its_gradients_are_those_of_the_authors_code():
    case = golden('hallucinator/generator.npz')
    addition, rows = _generator(case, 6), case['x'].clone().requires_grad_()
    out = torch.cat([rows, addition.generate(rows, case['k'], float(case['ratio']))])
    torch.testing.assert_close(out, case['out'], rtol=0, atol=1e-6)
    out.backward(case['upstream'])
    layers = addition.generator.layers
    torch.testing.assert_close(rows.grad, case['grad_x'], rtol=0, atol=1e-6)
    torch.testing.assert_close(layers.linear1.weight.grad, case['grad_fc1_weight'], rtol=0, atol=1e-6)
    torch.testing.assert_close(layers.linear3.bias.grad, case['grad_fc3_bias'], rtol=0, atol=1e-6)


class _Encoder(nn.Module):
    """The stand-in of the golden file: a convolution whose map is averaged."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)

    def forward(self, images):
        return (self.conv(images),)


@pytest.mark.parametrize('duplicate', [True, False])
def test_three_steps_on_moco_are_those_of_the_authors_code(duplicate, monkeypatch):
    case = golden('hallucinator/moco_three_steps.npz')
    addition = _generator(case, 6, 'init_generator.')
    addition.duplicate_keys = duplicate
    neck = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 6))
    model = MoCo(_Encoder(), neck, {'length': 40, 'dim': 6}, momentum=0.99, temperature=0.2, additions=[addition])
    for name, part in (('conv', model.backbone.conv), ('fc.0', neck[0]), ('fc.2', neck[2])):
        part.weight.data, part.bias.data = (
            case[f'init_encoder_q.{name}.{kind}'].clone() for kind in ('weight', 'bias')
        )
    model.allocate(40)
    model.queue.rows.copy_(case['init_queue'].T)
    optimizer = torch.optim.SGD(
        [part for part in model.parameters() if part.requires_grad], lr=0.03, momentum=0.9, weight_decay=1e-4
    )
    for step in range(3 if duplicate else 1):  # afterwards the queues differ
        ratio = float(case[f's{step}_ratio'])
        monkeypatch.setattr(addition, 'ratios', lambda *_, ratio=ratio: [ratio])
        losses = model.loss([case[f's{step}_im_q'], case[f's{step}_im_k']], Batch(torch.arange(4), torch.arange(4)))
        torch.testing.assert_close(losses['loss'], case[f's{step}_loss'], rtol=5e-6, atol=0)
        optimizer.zero_grad()
        losses['loss'].backward()
        optimizer.step()
        for memory in model.memories().values():
            memory.commit()
        for found, name in (
            (neck[2].weight, 'fc_q'),
            (addition.generator.layers.linear3.weight, 'gen_fc3'),
        ):
            torch.testing.assert_close(found, case[f's{step}_{name}'], rtol=0, atol=5e-6)
        if duplicate:
            assert int(model.queue.head) == int(case[f's{step}_ptr'])
            rows = model.queue.rows[step * 8 : step * 8 + 8]
            theirs = case[f's{step}_queue'].T[step * 8 : step * 8 + 8]  # all keys, then all of them again
            torch.testing.assert_close(torch.cat([rows[::2], rows[1::2]]), theirs, rtol=0, atol=5e-6)
        else:
            assert int(model.queue.head) == 4


def test_the_plain_loss_of_the_authors_is_ours_scaled():
    case = golden('hallucinator/nt_xent.npz')
    temperature = float(case['T'])
    loss = nt_xent(unit(case['a']), unit(case['b']), temperature)
    torch.testing.assert_close(loss, case['loss_base_eq_T'], rtol=2e-6, atol=0)
    torch.testing.assert_close(loss * temperature / LOSS_SCALE, case['loss'], rtol=2e-6, atol=0)


@pytest.mark.parametrize('temperature, name', [(0.07, 'loss_T007'), (0.5, 'loss_T05')])
def test_a_step_on_simclr_is_that_of_the_authors_code(temperature, name, monkeypatch):
    case = golden('hallucinator/simclr.npz')
    addition = _generator(case, 6)
    encoder = nn.Linear(12, 6)
    encoder.load_state_dict({'weight': case['enc_weight'], 'bias': case['enc_bias']})
    model = SimCLR(Passing(), encoder, temperature, additions=[addition])
    monkeypatch.setattr(addition, 'ratios', lambda *_: [float(case['ratio'])])
    views = [view[..., None, None] for view in case['x'].chunk(2)]
    first, second = (model.embed(view) for view in views)
    out = torch.cat([first, addition.generate(first, second, float(case['ratio'])), second, second])
    torch.testing.assert_close(out, case['out'], rtol=0, atol=1e-6)
    loss = model.loss(views, Batch(torch.arange(4), torch.arange(4)))['loss'] * temperature / LOSS_SCALE
    torch.testing.assert_close(loss, case[name], rtol=5e-6, atol=0)
    if name == 'loss_T05':
        loss.backward()
        torch.testing.assert_close(encoder.weight.grad, case['grad_enc_weight_T05'], rtol=0, atol=2e-5)


def test_a_step_on_simsiam_is_that_of_the_authors_code(monkeypatch):
    case = golden('hallucinator/simsiam.npz')
    addition = _generator(case, 6)
    model = SimSiam(Passing(), nn.Identity(), nn.Identity(), additions=[addition])
    monkeypatch.setattr(addition, 'ratios', lambda *_: [float(case['ratio1']), float(case['ratio2'])])
    first, second = (case[name].clone().requires_grad_() for name in ('p1', 'p2'))
    monkeypatch.setattr(model, 'encode', lambda *_: (torch.cat([first, second]), torch.cat([case['z2'], case['z1']])))
    loss = model.loss([], Batch(torch.arange(3), torch.arange(3)))['loss']
    torch.testing.assert_close(loss, case['loss'], rtol=5e-6, atol=0)
    loss.backward()
    torch.testing.assert_close(first.grad, case['grad_p1'], rtol=0, atol=1e-6)
    torch.testing.assert_close(second.grad, case['grad_p2'], rtol=0, atol=1e-6)


HOSTS = {
    'MoCo': lambda *a: MoCo(Smooth(), nn.Linear(8, 6), {'length': 24, 'dim': 6}, additions=a),
    'MoCo, symmetric': lambda *a: MoCo(
        Smooth(), nn.Linear(8, 6), {'length': 24, 'dim': 6}, symmetric=True, additions=a
    ),
    'SimCLR': lambda *a: SimCLR(Smooth(), nn.Linear(8, 6), additions=a),
    'SimSiam': lambda *a: SimSiam(Smooth(), nn.Linear(8, 6), nn.Linear(6, 6), additions=a),
}


def _made(host, **settings):
    return HOSTS[host](Hallucinator(6, **settings))


def _losses(model):
    views = [torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    model.allocate(SAMPLES)
    return model.loss(views, BATCH)


def test_no_extrapolation_leaves_the_queries_and_a_last_layer_of_zeros_gives_its_bias():
    rows, addition = torch.randn(5, 6), Hallucinator(6)
    assert torch.equal(extrapolate(rows, torch.randn(5, 6), 0.0), rows)
    addition.generator.layers.linear3.weight.data.zero_()
    generated = addition.generate(rows, torch.randn(5, 6), 0.05)
    assert torch.equal(generated, addition.generator.layers.linear3.bias.expand(5, 6))


@pytest.mark.parametrize('host', HOSTS)
def test_host_and_generator_learn_and_nothing_of_it_is_in_the_teacher(host):
    model = _made(host)
    _losses(model)['loss'].backward()
    parts = [model.backbone.conv, *(layer for layer in model.additions[0].generator.layers if hasattr(layer, 'weight'))]
    assert all(part.weight.grad.abs().sum() > 0 for part in parts)
    assert not [name for name in model.state_dict() if 'teacher' in name and 'generator' in name]


@pytest.mark.parametrize('host', HOSTS)
def test_apart_is_the_same_where_the_batch_gives_no_negatives(host):
    losses = []
    for together in (True, False):
        torch.manual_seed(0)
        losses.append(float(_losses(_made(host, together=together))['loss'].detach()))
    assert (abs(losses[0] - losses[1]) < 1e-5) is (host != 'SimCLR')


@pytest.mark.parametrize('sizes', UNEQUAL)
@pytest.mark.parametrize('host', HOSTS)
def test_world_sizes_agree(host, sizes, ranks):
    check(ranks, partial(_made, host, duplicate_keys=True), sizes)


def test_the_ratio_is_uniform_and_follows_from_the_seed_and_the_draws_of_the_step():
    addition = Hallucinator(6, max_ratio=0.1)
    ratios = torch.tensor(
        [addition.ratios(Batch(torch.arange(2), torch.arange(2) + 2 * step), 1) for step in range(999)]
    )
    assert 0 <= float(ratios.min()) < 0.001 and 0.099 < float(ratios.max()) <= 0.1
    assert abs(float(ratios.mean()) - 0.05) < 0.003
    first, second = addition.ratios(BATCH, 2)
    assert first != second and [first, second] == addition.ratios(BATCH, 2)


def test_it_comes_before_additions_that_rename_the_loss():
    clusters = {'num_clusters': 5, 'dim': 6}
    inter = InterImage(clusters, num_negatives=4, pool_size=8)
    model = MoCo(Smooth(), nn.Linear(8, 6), {'length': 24, 'dim': 6}, additions=[inter, Hallucinator(6)])
    model.additions[0].forward = lambda host, losses, *_: {'loss_intra': losses['loss']}
    views = [torch.randn(8, 3, 8, 8) for _ in range(2)]
    with pytest.raises(ValueError, match='put it first in model.additions'):
        model.loss(views, BATCH)


def test_another_width_than_that_of_the_queries_is_refused():
    with pytest.raises(ValueError, match='Hallucinator with dim=7 on queries of width 6: set dim=6'):
        _losses(HOSTS['SimCLR'](Hallucinator(7)))


def test_methods_on_which_it_does_not_work_are_refused():
    with pytest.raises(ValueError, match='Hallucinator in model.additions of BYOL: it works on MoCo, SimCLR, SimSiam'):
        BYOL(Smooth(), nn.Linear(8, 6), nn.Linear(6, 6), additions=[Hallucinator(6)])


RESUME = {'hallucinator': "if 'queue' in model:\n    model.update(queue=dict(length=64, dim=64))"}

MUTATIONS = [
    Mutation(
        'queries move towards their partners',
        'mmssl/functional/hallucination.py',
        '* rows - ratio * partners\n',
        '* rows + ratio * partners\n',
    ),
    Mutation(
        'the generator sees the query alone',
        'mmssl/models/additions/hallucinator.py',
        'torch.cat([queries, extrapolate(queries, partners, ratio)], dim=1)',
        'torch.cat([queries, queries], dim=1)',
    ),
    Mutation(
        'on MoCo, queries move away from keys that are not normalised',
        'mmssl/models/algorithms/moco.py',
        'The unit keys, ``(B, D)``."""\n        return unit(keys)',
        'The unit keys, ``(B, D)``."""\n        return keys',
    ),
    Mutation(
        'on SimSiam, queries move away from the embeddings of the other view',
        'mmssl/models/algorithms/simsiam.py',
        'return torch.cat(queries.chunk(2)[::-1])',
        'return keys',
    ),
    Mutation(
        'a queue gets each key once whatever the config says',
        'mmssl/models/additions/hallucinator.py',
        'return keys.repeat_interleave(2, dim=0) if self.duplicate_keys else keys',
        'return keys',
    ),
    Mutation(
        'both directions have one ratio',
        'mmssl/models/additions/hallucinator.py',
        'for _ in range(count)]',
        '] * count',
    ),
]
