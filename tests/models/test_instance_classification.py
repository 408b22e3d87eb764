"""Instance classification against the reference code of PIC, the formula, and on several processes."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize

from mmssl.datasets import Batch
from mmssl.models import InstanceClassification
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Smooth
from tests.parity import SAMPLES, UNEQUAL, check


class MeanThenLinear(nn.Module):
    """The encoder of the golden file: the mean over the image, then a linear layer."""

    def __init__(self, case):
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.linear.load_state_dict({'weight': case['enc_w'], 'bias': case['enc_b']})

    def forward(self, images):
        return (self.linear(images.mean(dim=(2, 3)))[..., None, None],)


def test_three_steps_of_large_and_small_views_equal_the_reference():
    case = golden('pic/pic_three_steps.npz')
    rules = {'momentum': float(case['mom']), 'weight_decay': float(case['wd'])}
    table = {'dim': 4, 'start': 'random', **rules}
    model = InstanceClassification(MeanThenLinear(case), nn.Identity(), table, float(case['T']), large_views=1)
    model.allocate(int(case['N']))
    model.table.rows.copy_(case['W'])
    optimizer = torch.optim.SGD(model.parameters(), lr=float(case['lr']), **rules)
    for step in range(int(case['steps'])):
        views = [*case[f's{step}_large'].unbind(1), *case[f's{step}_small'].unbind(1)]
        model.table.begin_step(float(case['lr']), 1.0)
        optimizer.zero_grad()
        loss = model.loss(views, Batch(sample_idx=case[f's{step}_idx'], draw=case[f's{step}_idx']))['loss']
        loss.backward()
        gradient = model.table.trained_rows().grad.clone()
        optimizer.step()
        model.table.commit()
        weight = model.backbone.linear.weight
        close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-6)
        close(loss.detach(), case[f's{step}_loss'])
        close(gradient, case[f's{step}_grad_W'])
        close(weight.grad, case[f's{step}_grad_enc_w'])
        close(model.table.rows, case[f's{step}_W'])
        close(weight.detach(), case[f's{step}_enc_w'])


def _model(**settings):
    table = {'dim': 6, 'start': 'features', 'momentum': 0.9, 'weight_decay': 0.01, **settings.pop('table', {})}
    return InstanceClassification(Smooth(), nn.Linear(8, 6), table, **settings)


FORMS = {
    'smoothed': {'table': {'num_hard': 4}, 'smoothing': 0.2},
    'plain': {'table': {'start': 'random'}},
    'small views': {'large_views': 1, 'table': {'num_hard': 3}, 'smoothing': 0.1},
}


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('sizes', UNEQUAL, ids=str)
def test_processes_compute_what_one_computes(form, sizes, ranks):
    state = check(ranks, partial(_model, **FORMS[form]), sizes)
    assert state['table.rows'].shape == (SAMPLES, 6)
    assert state['table.velocity'].abs().sum() > 0


def _loss(model, views, samples):
    return model.loss(views, Batch(sample_idx=samples, draw=samples))['loss']


def test_the_smoothed_loss_is_that_of_dense_targets():
    torch.manual_seed(0)
    model = _model(**FORMS['smoothed']).double()
    model.allocate(SAMPLES)
    model.table.prepare([torch.randn(SAMPLES, 6, dtype=torch.float64)], 0)
    views, samples = [torch.randn(5, 3, 8, 8, dtype=torch.float64) for _ in range(2)], torch.tensor([3, 0, 29, 3, 7])
    targets = 0.8 * nn.functional.one_hot(samples, SAMPLES).double()
    targets.scatter_add_(1, model.table.hard[samples].long(), torch.full((5, 4), 0.05, dtype=torch.float64))
    rows = normalize(model.table.rows, dim=1)
    logits = [normalize(model.embed(view), dim=1) @ rows.T / model.temperature for view in views]
    expected = sum(cross_entropy(part, targets) for part in logits) / 2
    torch.testing.assert_close(_loss(model, views, samples), expected, rtol=1e-10, atol=0)


def test_small_views_send_the_table_no_gradient():
    model = _model(large_views=1, table={'start': 'random'})
    model.allocate(SAMPLES)
    views, samples = [torch.randn(4, 3, 8, 8) for _ in range(3)], torch.arange(4)
    _loss(model, views, samples).backward()
    with_small = model.table.trained_rows().grad
    model.table.discard()
    _loss(model, views[:1], samples).backward()
    torch.testing.assert_close(with_small, model.table.trained_rows().grad / 3)


@pytest.mark.parametrize('smoothing, num_hard', [(0.2, 0), (0.0, 5), (1.0, 5)])
def test_smoothing_and_hard_classes_go_together(smoothing, num_hard):
    with pytest.raises(ValueError, match='set model.smoothing above 0'):
        _model(table={'num_hard': num_hard}, smoothing=smoothing)


RESUME = {'pic': "train_dataloader['sampler'].update(window=112, stride=32)"}

MUTATIONS = [
    Mutation(
        'small views train the class table',
        'mmssl/models/algorithms/instance_classification.py',
        'batch.sample_idx, rows.detach())',
        'batch.sample_idx, rows)',
    ),
]
