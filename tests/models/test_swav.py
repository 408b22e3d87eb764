"""SwAV against the reference code, and on several processes against one."""

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmssl.models import MLPNeck, Prototypes, ResNet, SwAV
from tests.conftest import golden
from tests.helpers.mutation import Mutation


class Passing(nn.Module):
    """A backbone that gives back its input."""

    def __init__(self, out_channels=None):
        super().__init__()
        self.out_channels = out_channels

    def forward(self, images):
        return (images,)


class Smooth(nn.Module):
    """A small backbone without batch norm."""

    out_channels = 8

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, images):
        return (self.conv(images).tanh(),)


def _reference_model(weights, **settings):
    model = SwAV(Passing(), nn.Identity(), Prototypes(weights.shape[1], len(weights)), **settings).double()
    model.prototypes.weight.data.copy_(weights)
    return model


def _newest_batch_first(queue, batch):
    oldest_first = queue.rows.roll(-int(queue.head), dims=0)
    return oldest_first.view(-1, batch, queue.rows.shape[1]).flip(0).flatten(0, 1)


def test_four_steps_with_queue_equal_the_reference():
    case = golden('swav/loss_with_queue.npz')
    model = _reference_model(case['W0'], queue={'length': 8})
    for step in range(4):
        z = case[f's{step}_z'].clone().requires_grad_()
        assert model.queues[0].full == bool(case[f's{step}_use_queue'])
        loss = model.loss([view[..., None, None] for view in z.chunk(5)], batch=None)['loss']
        model.zero_grad()
        loss.backward()
        torch.testing.assert_close(loss.detach(), case[f's{step}_loss'], rtol=0, atol=1e-12)
        torch.testing.assert_close(model.prototypes.weight.detach(), case[f's{step}_W_used'], rtol=0, atol=1e-12)
        torch.testing.assert_close(model.prototypes.weight.grad, case[f's{step}_grad_W'], rtol=0, atol=1e-11)
        expected = case[f's{step}_grad_z']  # of unit rows: normalising them once more takes the radial part out
        expected = expected - (expected * z.detach()).sum(dim=1, keepdim=True) * z.detach()
        torch.testing.assert_close(z.grad, expected, rtol=0, atol=1e-11)
        with torch.no_grad():
            model.prototypes.weight -= 0.5 * model.prototypes.weight.grad
        for place, queue in enumerate(model.queues):
            queue.commit()
            torch.testing.assert_close(
                _newest_batch_first(queue, 4), case[f's{step}_queue_after'][place], rtol=0, atol=1e-12
            )


def _train(views, steps, queue_length):
    """Steps of SGD on this rank's part of each batch; what every rank must then agree on."""
    torch.manual_seed(0)
    rank, ranks = (
        (torch.distributed.get_rank(), torch.distributed.get_world_size())
        if torch.distributed.is_initialized()
        else (0, 1)
    )
    model = SwAV(Smooth(), nn.Linear(8, 6), Prototypes(6, 5), queue={'length': queue_length}).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    wrapped = DistributedDataParallel(model, broadcast_buffers=False) if ranks > 1 else model
    losses, codes = [], []
    for step in range(steps):
        mine = [view[step].chunk(ranks)[rank] for view in views]
        optimizer.zero_grad()
        loss = wrapped(mine, mode='loss')['loss']
        loss.backward()
        with torch.no_grad():
            codes.append(model.assign(model.prototypes(model.embed_views(mine)[0]), 0))
        gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
        optimizer.step()
        for queue in model.queues:
            queue.commit()
        losses.append(loss.detach())
    return {
        'losses': torch.stack(losses),
        'codes': torch.stack(codes),
        'gradients': gradients,
        'state': model.state_dict(),
    }


@pytest.mark.parametrize('world_size', [2, 3])
def test_several_processes_compute_what_one_computes_with_the_queue_in_use(ranks, world_size):
    torch.manual_seed(1)
    views = [torch.randn(5, 12, 3, size, size, dtype=torch.float64) for size in (8, 8, 5, 5)]
    one = ranks(1, _train, views, 5, 24)[0]
    several = ranks(world_size, _train, views, 5, 24)
    assert one['state']['queues.0.filled'] == 24
    torch.testing.assert_close(
        torch.stack([rank['losses'] for rank in several]).mean(dim=0), one['losses'], rtol=0, atol=1e-10
    )
    torch.testing.assert_close(torch.cat([rank['codes'] for rank in several], dim=1), one['codes'], rtol=0, atol=1e-10)
    for rank in several:
        for part in ('gradients', 'state'):
            for name, value in one[part].items():
                torch.testing.assert_close(
                    rank[part][name], value, rtol=0, atol=1e-10, msg=lambda text, name=name: f'{name}: {text}'
                )


def test_one_backbone_pass_a_resolution_and_views_keep_their_order():
    passes = []

    class Counting(Passing):
        def forward(self, images):
            passes.append(tuple(images.shape))
            return super().forward(images)

    model = SwAV(Counting(), nn.Identity(), Prototypes(4, 3))
    views = [torch.randn(2, 4, size, size) for size in (6, 6, 3, 3, 3)]
    embeddings = model.embed_views(views)
    assert passes == [(4, 4, 6, 6), (6, 4, 3, 3)]
    for view, embedding in zip(views, embeddings):
        torch.testing.assert_close(embedding, nn.functional.normalize(view.mean(dim=(2, 3)), dim=1))


def test_prototypes_are_unit_vectors_in_every_iteration():
    model = _reference_model(torch.randn(5, 4) * 3)
    model.loss([torch.randn(6, 4, 1, 1).double() for _ in range(2)], batch=None)
    torch.testing.assert_close(model.prototypes.weight.norm(dim=1), torch.ones(5).double())


def test_the_queue_counts_once_it_is_full_and_codes_are_those_of_the_batch():
    model = _reference_model(torch.randn(5, 4), queue={'length': 6})
    model.prototypes.normalise()
    scores = torch.randn(3, 5).double().tanh()
    alone = model.assign(scores, 0)
    model.queues[0].stage(torch.randn(6, 4))
    model.queues[0].commit()
    together = model.assign(scores, 0)
    assert together.shape == (3, 5) and not torch.allclose(alone, together)


def test_prototypes_more_than_samples_is_refused_with_a_number_that_works():
    model = SwAV(Passing(), nn.Identity(), Prototypes(4, 3000))
    with pytest.raises(ValueError, match=r'3000 prototypes.*1300 images.*130 or less'):
        model.allocate(1300)


def test_loss_is_close_in_bfloat16_autocast():
    torch.manual_seed(0)
    model = SwAV(ResNet(10, stem='small', base_channels=8), MLPNeck(64, 32, 16), Prototypes(16, 10))
    views = [torch.randn(8, 3, 16, 16) for _ in range(3)]
    exact = model.loss(views, batch=None)['loss']
    with torch.autocast('cpu', dtype=torch.bfloat16):
        rounded = model.loss(views, batch=None)['loss']
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0.03, atol=0)


RESUME = {'swav': 'model.update(queue=dict(length=32))'}

MUTATIONS = [
    Mutation(
        'prototypes are not normalised',
        'mmssl/models/algorithms/swav.py',
        '        self.prototypes.normalise()\n',
        '',
    ),
    Mutation(
        'embeddings are not normalised',
        'mmssl/models/algorithms/swav.py',
        'list(unit(self.neck(self.extract_views(inputs))).chunk(len(inputs)))',
        'list(self.neck(self.extract_views(inputs)).chunk(len(inputs)))',
    ),
    Mutation(
        'the queue is fed whole on each rank',
        'mmssl/models/algorithms/swav.py',
        '.rows[rank() :: world_size()]',
        '.rows',
    ),
    Mutation(
        'the queue is used before it is full',
        'mmssl/models/algorithms/swav.py',
        'if self.queues and self.queues[place].full:',
        'if self.queues:',
    ),
    Mutation(
        'the codes are those of the queue',
        'mmssl/models/algorithms/swav.py',
        '[: len(scores)]',
        '[-len(scores) :]',
    ),
]
