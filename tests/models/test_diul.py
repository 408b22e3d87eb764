"""DIUL: a queue per domain as in BrAD, the mixture over domains, and what both become with one domain."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmssl.datasets import ArraySource, Batch, DomainBalancedSampler, DrawSampler
from mmssl.functional import domain_mixture, unit
from mmssl.models import DIUL, DomainQueue, MLPNeck, MoCo
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Passing, Smooth
from tests.parity import UNEQUAL, check
from tests.small import small_runner


def _batch(domains: list[int] | Tensor, samples: list[int] | Tensor | None = None) -> Batch:
    samples = torch.arange(len(domains)) if samples is None else torch.as_tensor(samples)
    return Batch(samples, torch.arange(len(domains)), extras={'domain': torch.as_tensor(domains)})


def _small(domains: int = 3, length: int = 7, **settings: object) -> DIUL:
    return DIUL(Smooth(), nn.Linear(8, 6), dict(length=length, dim=6, num_domains=domains), momentum=0.9, **settings)


def _predicting() -> DIUL:
    return _small(domain_weights='predicted')


def _commit(model: nn.Module) -> None:
    for memory in model.memories().values():
        memory.commit()


def test_four_steps_with_a_queue_per_domain_equal_the_reference():
    case = golden('darling/per_domain_queue_brad.npz')
    linear = nn.Linear(8, 5)
    linear.weight.data.copy_(case['W_q'])
    linear.bias.data.copy_(case['b_q'])
    settings = {'momentum': float(case['m']), 'temperature': float(case['T'])}
    model = DIUL(Passing(), linear, dict(length=12, dim=5, num_domains=3), **settings)
    model.queue.rows.copy_(case['queue0'].transpose(1, 2))
    model.queue.indices.fill_(10**6)  # theirs starts full of random rows, which count
    for step in range(4):
        views = [case[f's{step}_{name}'][..., None, None] for name in ('xq', 'xk')]
        loss = model.loss(views, _batch(case[f's{step}_domain'], case[f's{step}_index']))['loss']
        _commit(model)
        torch.testing.assert_close(loss.detach(), case[f's{step}_loss'], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(model.queue.rows.transpose(1, 2), case[f's{step}_queue'], rtol=1e-5, atol=1e-6)
        written = model.queue.indices.where(model.queue.indices < 10**6, -1)
        assert torch.equal(written, case[f's{step}_queue_idx'].long())
        assert model.queue.heads.tolist() == [int(case[f's{step}_ptr'])] * 3


@pytest.mark.parametrize('make', [_small, _predicting])
@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, make, sizes):
    state = check(ranks, make, sizes)
    assert (state['queue.indices'] >= 0).all() and state['queue.heads'].unique().numel() > 1


def _steps(model: nn.Module, domains: list[Tensor], number: int = 4) -> list[Tensor]:
    """Losses and gradients of some steps of SGD on images that are all different."""
    generator, found = torch.Generator().manual_seed(0), []
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    for step in range(number):
        views = [torch.randn(6, 3, 8, 8, generator=generator) for _ in range(2)]
        loss = model.loss(views, _batch(domains[step], torch.arange(6) + 6 * step))['loss']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        _commit(model)
        found += [loss.detach(), model.backbone.conv.weight.grad.clone()]
    return found


def _equal(one: list[Tensor], other: list[Tensor]) -> None:
    for left, right in zip(one, other, strict=True):
        torch.testing.assert_close(left, right)


def test_one_domain_is_ordinary_moco():
    torch.manual_seed(0)
    model, moco = _small(domains=1), MoCo(Smooth(), nn.Linear(8, 6), dict(length=7, dim=6), momentum=0.9)
    for part in ('backbone', 'neck'):
        getattr(moco, part).load_state_dict(getattr(model, part).state_dict())
    for method in (model, moco):
        method.allocate(100)
    moco.queue.rows.copy_(unit(torch.randn(7, 6)))
    model.queue.rows[0].copy_(moco.queue.rows)
    model.queue.indices.fill_(10**6)
    _equal(_steps(model, [torch.zeros(6, dtype=torch.long)] * 4), _steps(moco, [torch.zeros(6, dtype=torch.long)] * 4))
    torch.testing.assert_close(model.queue.rows[0], moco.queue.rows)


def test_the_numbers_of_the_domains_do_not_matter():
    domains = [torch.tensor([0, 1, 2, 2, 1, 0]), torch.tensor([1, 1, 2, 0, 0, 2])] * 2
    found = []
    for order in (torch.tensor([0, 1, 2]), torch.tensor([2, 0, 1])):
        torch.manual_seed(0)
        model = _small()
        model.allocate(100)
        found.append(_steps(model, [order[numbers] for numbers in domains]))
    _equal(*found)


def test_with_labels_as_weights_only_keys_of_the_own_domain_are_negatives():
    model = _small(domains=2)
    views = [torch.randn(4, 3, 8, 8) for _ in range(2)]
    model.loss(views, _batch([0, 0, 1, 1]))
    _commit(model)
    query = views[0][:1], views[1][:1]
    losses = []
    for turned in (None, 1, 0):
        if turned is not None:
            model.queue.rows[turned] *= -1
        losses.append(model.loss(query, _batch([0], [9]))['loss'].item())
    assert losses[0] == losses[1] and abs(losses[2] - losses[0]) > 1e-3


def test_the_loss_is_zero_until_there_are_keys_and_an_earlier_key_of_the_image_is_no_negative():
    model, views = _small(), [torch.randn(2, 3, 8, 8) for _ in range(2)]
    losses = []
    for samples in ([0, 1], [0, 1], [2, 3]):
        losses.append(model.loss(views, _batch([0, 1], samples))['loss'].item())
        _commit(model)
    assert losses[0] == losses[1] == 0 and losses[2] > 0.1


def test_predicted_weights_are_those_of_the_classifier_and_teach_the_network_nothing():
    model, views = _predicting(), [torch.randn(6, 3, 8, 8) for _ in range(2)]
    batch = _batch([0, 1, 2, 2, 1, 0])
    model.loss(views, batch)
    _commit(model)
    batch.sample_idx += 100
    losses = model.loss(views, batch)
    with torch.no_grad():
        features = model.extract_feat(views[0])
        scores = model.domain_head(features)
        keys = unit(model.teacher.networks[1](model.teacher.networks[0](views[1])[-1].mean(dim=(2, 3))))
        usable, weights = model.queue.usable(batch.sample_idx), scores.softmax(dim=1)
        expected = domain_mixture(unit(model.neck(features)), keys, model.queue.rows, usable, weights, 0.2)
    torch.testing.assert_close(losses['loss'].detach(), expected)
    expected = nn.functional.cross_entropy(scores, batch.extras['domain'])
    torch.testing.assert_close(losses['loss_domain'].detach(), expected)
    losses['loss'].backward(retain_graph=True)
    assert model.domain_head.weight.grad is None
    model.zero_grad()
    losses['loss_domain'].backward()
    assert model.backbone.conv.weight.grad is None and model.domain_head.weight.grad.any()


def test_features_that_are_all_the_same_give_the_value_of_chance():
    model = DIUL(Passing(8), nn.Linear(8, 6), dict(length=10, dim=6, num_domains=2))
    model.queue.rows.copy_(unit(torch.ones(2, 10, 6)))
    model.queue.indices.fill_(10**6)
    model.neck.weight.data.zero_()
    model.neck.bias.data.fill_(1)
    model.allocate(100)
    views = [torch.randn(6, 8, 1, 1) for _ in range(2)]
    loss = model.loss(views, _batch([0, 1] * 3))['loss'].item()
    assert loss == pytest.approx(model.chance_loss(6), rel=1e-5)
    assert model.chance_loss(6) == pytest.approx(math.log(11)) and _predicting().chance_loss(6) is None


@pytest.mark.parametrize(
    ('extras', 'message'),
    [
        ({}, r'DIUL needs the domain of every image, but they have none: give a DomainFolder'),
        ({'domain': ['photo'] * 4}, r'DIUL needs the domain of every image'),
        (
            {'domain': torch.tensor([0, 1, 3, 2])},
            r'of domain 3, but there are queues for domains 0 to 2: set .*num_dom',
        ),
        ({'domain': torch.tensor([0, -1, 1, 2])}, r'of domain -1, but there are queues'),
    ],
)
def test_images_without_a_domain_that_has_a_queue_are_refused(extras, message):
    with pytest.raises(ValueError, match=message):
        _small().loss([torch.randn(4, 3, 8, 8)] * 2, Batch(torch.arange(4), torch.arange(4), extras=extras))


def test_unknown_weights_are_refused():
    with pytest.raises(ValueError, match=r"domain_weights='onehot' of DIUL: set it to 'label' or 'predicted'"):
        _small(domain_weights='onehot')


def _run(folder: Path, domains: list[int], sampler: type = DomainBalancedSampler, **queue: int) -> None:
    """Start a training of two epochs on 40 images."""
    np.save(folder / 'domains.npy', np.array(domains))
    neck = {'type': MLPNeck, 'in_channels': 32, 'hidden_channels': 16, 'out_channels': 8}
    backbone = {'type': 'ResNet', 'depth': 10, 'stem': 'small', 'base_channels': 4}
    queue = {'type': DomainQueue, 'length': 10, 'dim': 8, 'num_domains': 2, **queue}
    runner = small_runner(
        folder,
        model={'_delete_': True, 'type': DIUL, 'backbone': backbone, 'neck': neck, 'queue': queue},
        train_dataloader__dataset__source={
            '_delete_': True,
            'type': ArraySource,
            'images': str(folder / 'images.npy'),
            'domain_labels': str(folder / 'domains.npy'),
        },
        train_dataloader__sampler__type=sampler,
    )
    runner.train()


def test_a_run_with_equal_shares_fills_the_queues_of_all_domains(tmp_path):
    _run(tmp_path, [0] * 12 + [1] * 28)
    state = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)
    assert (state['state_dict']['queue.indices'] >= 0).all()
    assert len(state['message_hub']['log_scalars']['train/loss']['values']) == 10


@pytest.mark.parametrize(
    ('domains', 'queue', 'message'),
    [
        ([0] * 40, {}, r'balances two domains or more, each with images, but there are 0: 40 images'),
        ([0, 1, 2] * 13 + [0], {}, r'3 domains \(0, 1, 2\) cannot have equal shares of 8 images: .* 6 or 9'),
        ([0, 1, 2, 3] * 10, {}, r'queues for 2 domains, but the images have 4 \(0, 1, 2, 3\)'),
        ([0] * 35 + [1] * 5, {}, r"10 rows per domain, but '1' has 5 images"),
        ([0, 1] * 20, {'length': 3}, r'A batch has 4 images of each domain, but a queue holds 3 rows'),
        ([0, 1] * 20, {'length': 21}, r'2 queues of 21 rows, but the data set has 40 images'),
    ],
)
def test_domains_and_queues_that_do_not_fit_stop_the_run_before_its_first_step(tmp_path, domains, queue, message):
    with pytest.raises(ValueError, match=message):
        _run(tmp_path, domains, **queue)


def test_a_sampler_that_knows_no_domains_leaves_their_number_to_the_first_step(tmp_path):
    with pytest.raises(ValueError, match=r'An image is of domain 2, but there are queues for domains 0 to 1'):
        _run(tmp_path, [0, 1, 2, 2] * 10, sampler=DrawSampler)


RESUME = {
    'diul': """
for part in (evaluation['gallery'], evaluation['query'], train_dataloader['dataset']):
    part['source'].pop('domains')
del part
model['queue'].update(length=16, num_domains=2)
model.update(domain_weights='predicted')
"""
}

MUTATIONS = [
    Mutation(
        'keys are queued under the domain of another image',
        'mmssl/models/algorithms/diul.py',
        'self.queue.stage(keys, domains, batch.sample_idx)',
        'self.queue.stage(keys, domains.flip(0), batch.sample_idx)',
    ),
    Mutation(
        'queries stand in the queues of the domains',
        'mmssl/models/algorithms/diul.py',
        'self.queue.stage(keys, domains, batch.sample_idx)',
        'self.queue.stage(queries, domains, batch.sample_idx)',
    ),
    Mutation(
        'the weights of the domains are trained by the contrast',
        'mmssl/models/algorithms/diul.py',
        'scores.detach().softmax(dim=1)',
        'scores.softmax(dim=1)',
    ),
    Mutation(
        'the classifier of domains teaches the backbone',
        'mmssl/models/algorithms/diul.py',
        'self.weigh(features.detach(), domains)',
        'self.weigh(features, domains)',
    ),
    Mutation(
        'the teacher of DIUL does not follow',
        'mmssl/models/algorithms/diul.py',
        '        self.teacher.stage()\n',
        '',
    ),
    Mutation(
        'a domain without a queue is not noticed',
        'mmssl/models/algorithms/diul.py',
        'if lowest < 0 or highest >= self.queue.num_domains:',
        'if False:',
    ),
    Mutation(
        'a queue is not told which domains there are',
        'mmssl/datasets/samplers.py',
        'memory.check_domains(self.counts, self._per_batch)',
        'pass',
    ),
]
