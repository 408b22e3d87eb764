"""Un-Mix: golden vectors of the authors' code, invariants, hosts, world sizes."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from mmssl.datasets import Batch
from mmssl.functional import Mixture, draw_mixture, info_nce, mix, region_mixture, unit
from mmssl.models import BYOL, MoCo, MoCoV3, Prototypes, SimCLR, SimSiam, UnMix, UnMixSwAV
from tests.conftest import GOLDEN, golden
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Passing, Smooth
from tests.parity import SAMPLES, UNEQUAL, check

BOXES = json.loads((GOLDEN / 'unmix/region_boxes.json').read_text())
STEPS = 6
BATCH = Batch(torch.arange(8), torch.arange(8) + 40)


@pytest.mark.parametrize('row', BOXES['rows'], ids=lambda row: f'{row["seed"]}-{row["size"][2]}')
def test_boxes_and_shares_are_those_of_the_authors_code(row):
    generator = np.random.RandomState(row['seed'])
    generator.rand(1)
    share = generator.beta(1, 1)
    height, width = row['size'][2:]
    mixture = region_mixture(share, (generator.randint(height), generator.randint(width)), height, width)
    assert list(mixture.box) == row['box']
    assert mixture.share == pytest.approx(row['lam_adjusted'], abs=1e-12)


@pytest.mark.parametrize('row', BOXES['forced'], ids=lambda row: f'{row["lam"]}')
def test_boxes_of_extreme_shares_are_those_of_the_authors_code(row):
    assert list(region_mixture(row['lam'], (row['cx'], row['cy']), 32, 32).box) == row['box']


def test_the_terms_of_a_step_are_those_of_the_authors_code():
    case = golden('unmix/moco_terms.npz')
    queries, mixed, keys = (unit(case[name].double()) for name in ('q_raw', 'q_mixed_raw', 'k'))
    loss = partial(info_nce, negatives=case['queue'].double().T, temperature=float(case['T']))
    parts = [loss(queries, keys), loss(mixed, keys), loss(mixed.flip(0), keys)]
    wanted = torch.stack([case[name] for name in ('loss', 'loss_mixed', 'loss_mixed_flip')])
    torch.testing.assert_close(torch.stack(parts).float(), wanted, rtol=2e-6, atol=0)
    torch.testing.assert_close(loss(mixed, keys.flip(0)), parts[2])  # what we compute


class _Flat(nn.Module):
    """A backbone whose one map is the image itself, in vectors of 1 x 1."""

    def forward(self, images):
        return (images.flatten(1)[..., None, None],)


@pytest.mark.parametrize('name', ['asymmetric', 'symmetric'])
def test_six_steps_on_moco_are_those_of_the_authors_code(name, monkeypatch):
    case = dict(np.load(GOLDEN / f'unmix/moco_{name}.npz'))  # some of its arrays are words
    kinds = [str(case.pop(f's{step}_kind')) for step in range(STEPS)]
    case = {key: torch.from_numpy(np.array(value)) for key, value in case.items()}
    linear = nn.Linear(108, 5)
    linear.load_state_dict({'weight': case['init_w'], 'bias': case['init_b']})
    model = MoCo(
        _Flat(),
        linear,
        {'length': 24, 'dim': 5},
        momentum=float(case['m']),
        temperature=float(case['T']),
        symmetric=name == 'symmetric',
        additions=[UnMix()],
    )
    model.allocate(24)
    model.queue.rows.copy_(case['queue0'].T)
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.06, momentum=0.9, weight_decay=5e-4)
    size = 4 * model.directions
    for step in range(STEPS):
        of = {key.removeprefix(f's{step}_'): value for key, value in case.items() if key.startswith(f's{step}_')}
        mixture = Mixture(float(of['lam']), tuple(of['box'].tolist()) if kinds[step] == 'region' else None)
        monkeypatch.setattr('mmssl.models.additions.unmix.draw_mixture', lambda *_, mixture=mixture: mixture)
        torch.testing.assert_close(mix(of['im1'], of['im1'].flip(0), mixture), of['mixed'], rtol=0, atol=1e-6)
        losses = model.loss([of['im1'], of['im2']], Batch(torch.arange(4), torch.arange(4)))
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.testing.assert_close(sum(losses.values()), of['loss'], rtol=5e-4, atol=0)
        torch.testing.assert_close(linear.weight.grad, of['grad_w'], rtol=0, atol=5e-4)
        # The authors' teacher moves before it encodes the keys, ours after the step: the same from the second step on.
        optimizer.step()
        torch.testing.assert_close(linear.weight, of['w'], rtol=0, atol=5e-4)
        for memory in model.memories().values():
            memory.commit()
        written = torch.arange(step * size, (step + 1) * size) % 24
        rows = model.queue.rows[written].chunk(model.directions)
        torch.testing.assert_close(torch.cat(rows[::-1]), of['queue'].T[written], rtol=0, atol=5e-4)
        assert int(model.queue.head) == int(of['ptr'])


@pytest.mark.parametrize('case', [0, 1])
def test_a_step_on_swav_is_that_of_the_authors_code(case):
    found = golden('unmix/swav_terms.npz')
    of = {key.removeprefix(f'c{case}_'): value for key, value in found.items() if key.startswith(f'c{case}_')}
    cfg = of['cfg']
    queue = {'length': cfg['queue']} if cfg['queue'] else None
    prototypes = Prototypes(cfg['d'], cfg['k'])
    model = UnMixSwAV(Passing(), nn.Identity(), prototypes, epsilon=cfg['eps'], queue=queue).double()
    prototypes.weight.data.copy_(of['prototypes'])
    for place, memory in enumerate(model.queues):
        memory.rows.copy_(of['queue_before'][place].flip(0))  # theirs has the newest first
        memory.filled.fill_(cfg['queue'])
    stage = model.stage

    def written_at_once(embeddings):
        stage(embeddings)
        for memory in model.queues:
            memory.commit()

    model.stage = written_at_once
    views = [of[name].clone().requires_grad_() for name in ('view1', 'view2', 'mixed')]
    images = [view[..., None, None] for view in views]
    model.unmix.mixed = lambda *_: (images[2], Mixture(cfg['lam']))
    losses = model.loss(images[:2], BATCH)
    torch.testing.assert_close(losses['loss'], of['loss_original'], rtol=0, atol=1e-9)
    parts = cfg['lam'] * of['loss_mixed'] + (1 - cfg['lam']) * of['loss_mixed_reversed']
    torch.testing.assert_close(losses['loss_mixed'], parts, rtol=0, atol=1e-9)
    (losses['loss'] + losses['loss_mixed']).backward()
    torch.testing.assert_close(prototypes.weight.grad, of['grad_prototypes'], rtol=0, atol=1e-8)
    for view, name in zip(views, ('view1', 'view2', 'mixed')):
        wanted = of[f'grad_{name}']  # of unit rows: normalising them once more takes the radial part out
        wanted = wanted - (wanted * view.detach()).sum(dim=1, keepdim=True) * view.detach()
        torch.testing.assert_close(view.grad, wanted, rtol=0, atol=1e-8)
    for place, memory in enumerate(model.queues):
        after = of['queue_after'][place]
        found, wanted = (rows[rows[:, 0].argsort(stable=True)] for rows in (memory.rows, after))
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)


def test_a_mixture_stays_in_the_image_and_its_share_is_what_is_left_of_the_first_image():
    for seed in range(200):
        mixture = draw_mixture(seed, 12, 20, global_prob=0.5)
        assert 0 <= mixture.share <= 1
        mixed = mix(torch.ones(1, 1, 12, 20, dtype=torch.float64), torch.zeros(1, 1, 12, 20), mixture)
        assert float(mixed.mean()) == pytest.approx(mixture.share, abs=1e-12)
        if mixture.box:
            top, left, bottom, right = mixture.box
            assert 0 <= top <= bottom <= 12 and 0 <= left <= right <= 20
            assert set(mixed.flatten().tolist()) <= {0.0, 1.0}


def test_half_of_the_mixtures_are_global_and_shares_are_uniform_or_as_alpha_says():
    drawn = [draw_mixture(seed, 8, 8) for seed in range(2000)]
    shares = torch.tensor([mixture.share for mixture in drawn if mixture.box is None])
    assert 900 < len(shares) < 1100
    assert abs(float(shares.mean()) - 0.5) < 0.03 and abs(float(shares.std()) - 12**-0.5) < 0.03
    strict = torch.tensor([draw_mixture(seed, 8, 8, global_prob=1, alpha=50.0).share for seed in range(500)])
    assert float(strict.std()) < 0.06
    assert all(draw_mixture(seed, 8, 8, global_prob=0).box for seed in range(50))


HOSTS = {
    'MoCo': lambda *a: MoCo(Smooth(), nn.Linear(8, 6), {'length': 24, 'dim': 6}, additions=a),
    'MoCo, symmetric': lambda *a: MoCo(
        Smooth(), nn.Linear(8, 6), {'length': 24, 'dim': 6}, symmetric=True, additions=a
    ),
    'SimCLR': lambda *a: SimCLR(Smooth(), nn.Linear(8, 6), additions=a),
    'BYOL': lambda *a: BYOL(Smooth(), nn.Linear(8, 6), nn.Linear(6, 6), additions=a),
    'SimSiam': lambda *a: SimSiam(Smooth(), nn.Linear(8, 6), nn.Linear(6, 6), additions=a),
}


def _made(host, *additions):
    torch.manual_seed(0)
    model = HOSTS[host](*additions).double()
    model.allocate(SAMPLES)
    return model


def _views():
    return [torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(seed)).double() for seed in (1, 2)]


@pytest.mark.parametrize('host', HOSTS)
def test_a_mixture_of_the_first_image_alone_costs_what_the_host_costs(host, monkeypatch):
    monkeypatch.setattr('mmssl.models.additions.unmix.draw_mixture', lambda *_: Mixture(1.0))
    model = _made(host, UnMix())
    losses = model.loss(_views(), BATCH)
    direction = [model.contrast(model.query(_views()[0]), part) for part in _keys(model)]
    torch.testing.assert_close(losses['loss_mixed'], torch.stack(direction).sum())
    if model.directions == 1:
        torch.testing.assert_close(losses['loss_mixed'], losses['loss'])


def _keys(model):
    return model.encode(_views(), BATCH)[1].chunk(model.directions)


@pytest.mark.parametrize('host', HOSTS)
def test_every_host_learns_from_mixtures_and_its_own_loss_and_keys_stay(host):
    alone, model = _made(host), _made(host, UnMix())
    own, losses = alone.loss(_views(), BATCH), model.loss(_views(), BATCH)
    torch.testing.assert_close(losses['loss'], own['loss'])
    losses['loss_mixed'].backward()
    assert model.backbone.conv.weight.grad.abs().sum() > 0
    for name, memory in model.memories().items():
        memory.commit()
        alone.memories()[name].commit()
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value)


@pytest.mark.parametrize('sizes', UNEQUAL)
@pytest.mark.parametrize('host', HOSTS)
def test_world_sizes_agree(host, sizes, ranks):
    check(ranks, partial(_unmixed, host), sizes)


def _unmixed(host):
    return HOSTS[host](UnMix())


@pytest.mark.parametrize('sizes', [[6, 6], [4, 4, 4], [5, 4, 3]])
def test_world_sizes_agree_on_swav(sizes, ranks):
    check(ranks, _unmixed_swav, sizes)


def _unmixed_swav():
    return UnMixSwAV(Smooth(), nn.Linear(8, 6), Prototypes(6, 5), queue={'length': 24})


def test_a_step_has_one_share_that_follows_from_the_seed_and_its_draws():
    addition, images = UnMix(), torch.randn(4, 3, 8, 8)
    first = addition.mixed(images, Batch(torch.arange(4), torch.arange(4) + 8))[1]
    assert first == addition.mixed(images, Batch(torch.arange(4), torch.arange(4).flip(0) + 8))[1]
    assert first != addition.mixed(images, Batch(torch.arange(4), torch.arange(4) + 12))[1]
    addition.seed = 1
    assert first != addition.mixed(images, Batch(torch.arange(4), torch.arange(4) + 8))[1]


def test_a_batch_of_one_image_is_refused():
    for host in ('MoCo', 'BYOL'):
        model = _made(host, UnMix())
        with pytest.raises(ValueError, match='UnMix on a batch of 1 image.*set the batch size to 2 or more'):
            model.loss([view[:1] for view in _views()], Batch(torch.arange(1), torch.arange(1)))


def test_methods_on_which_it_does_not_work_are_refused():
    with pytest.raises(ValueError, match='UnMix in model.additions of MoCoV3: it works on MoCo, SimCLR, BYOL, SimSiam'):
        MoCoV3(Smooth(), nn.Linear(8, 6), nn.Linear(6, 6), additions=[UnMix()])


def test_a_host_of_the_user_takes_every_addition():
    class Mine(SimCLR):
        pass

    assert Mine(Smooth(), nn.Linear(8, 6), additions=[UnMix()]).additions


RESUME = {'unmix': "if 'queue' in model:\n    model.update(queue=dict(length=64, dim=64))"}

MUTATIONS = [
    Mutation(
        'the share of a clipped box is the drawn one',
        'mmssl/functional/mixture.py',
        'Mixture(1 - area / (height * width), (',
        'Mixture(share, (',
    ),
    Mutation(
        'mixtures weigh the partner by the share',
        'mmssl/functional/mixture.py',
        'mixture.share * images',
        '(1 - mixture.share) * images',
    ),
    Mutation(
        'a box is replaced by the same image', 'mmssl/functional/mixture.py', '= partners[..., top', '= images[..., top'
    ),
    Mutation(
        'both terms of a mixture take the keys of the first image',
        'mmssl/models/additions/unmix.py',
        'host.contrast(rows, reversed_batch(part))',
        'host.contrast(rows, part)',
    ),
    Mutation(
        'images are mixed with those of one process only',
        'mmssl/models/additions/unmix.py',
        'mix(images, reversed_batch(images), mixture)',
        'mix(images, images.flip(0), mixture)',
        'tests/models/test_unmix.py -k world_sizes',
    ),
    Mutation(
        'every process draws a share of its own',
        'mmssl/models/additions/base.py',
        'int(gather(batch.draw).min())',
        'int(batch.draw.min())',
        'tests/models/test_unmix.py -k world_sizes',
    ),
    Mutation(
        'an addition is taken by any method',
        'mmssl/models/algorithms/contrastive.py',
        'if addition.hosts and',
        'if False and',
    ),
    Mutation(
        'the mixture of SwAV gets the code of one order only',
        'mmssl/models/algorithms/unmix_swav.py',
        '(1 - share, reversed_batch(rows))',
        '(1 - share, rows)',
        'tests/models/test_unmix.py -k authors_code',
    ),
    Mutation(
        'the symmetric form contrasts a view with its own key',
        'mmssl/models/algorithms/moco.py',
        'in reversed(inputs[-self.directions :])',
        'in inputs[-self.directions :]',
    ),
]
