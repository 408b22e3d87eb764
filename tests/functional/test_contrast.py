"""Contrastive losses against the reference code, and on several processes against one."""

import pytest
import torch

from mmssl.functional import batch_contrast, contrast, gather_with_gradient, info_nce, noise_contrastive, nt_xent, unit
from tests.conftest import golden
from tests.helpers.mutation import Mutation


def _close(actual, expected, **tolerance):
    torch.testing.assert_close(actual.detach(), expected, **{'rtol': 1e-6, 'atol': 1e-6, **tolerance})


def test_contrast_equals_the_reference_head():
    case = golden('baselines/contrastive_head.npz')
    positive, negatives = (case[name].clone().requires_grad_() for name in ('pos', 'neg'))
    loss = contrast(positive[:, 0], negatives, float(case['T']))
    loss.backward()
    _close(loss, case['loss'])
    _close(positive.grad, case['grad_pos'])
    _close(negatives.grad, case['grad_neg'])


def test_info_nce_is_the_contrast_of_cosines():
    query, positive, negatives = (unit(torch.randn(size, 5)) for size in (4, 4, 7))
    expected = contrast((query * positive).sum(dim=1), query @ negatives.T, 0.2)
    torch.testing.assert_close(info_nce(query, positive, negatives, 0.2), expected)


def test_nt_xent_equals_the_reference_with_its_gradient():
    case = golden('baselines/simclr_loss.npz')
    first, second = (case[name].double().requires_grad_() for name in ('view1', 'view2'))
    loss = nt_xent(unit(first), unit(second), float(case['T']))
    loss.backward()
    _close(loss.float(), case['loss'])
    _close(first.grad.float(), case['grad_view1'])
    _close(second.grad.float(), case['grad_view2'])


@pytest.mark.parametrize('temperature', [0.2, 1.0])
def test_the_contrast_with_the_batch_equals_the_reference_with_its_gradient(temperature):
    case = golden('baselines/moco_v3.npz')
    predictions, keys = case['pred'].clone().requires_grad_(), case['momentum_out'].clone().requires_grad_()
    loss = batch_contrast(unit(predictions), unit(keys), temperature)
    _close(loss, case[f'ce_T{temperature}'])
    (2 * temperature * loss).backward()
    _close(predictions.grad, case[f'grad_2T_T{temperature}'])
    assert keys.grad is None


def test_noise_contrastive_estimation_equals_the_reference():
    case = golden('baselines/npid_nce_criterion.npz')
    loss = noise_contrastive(case['prob'][:, 0], case['prob'][:, 1:], int(case['n']))
    _close(loss, case['loss'][0])


def _gathered_loss(views, sizes):
    first, second = (view.split(sizes)[torch.distributed.get_rank()].clone().requires_grad_() for view in views)
    # DDP averages the gradients over the ranks; a rank's mean counts by its share of the batch
    loss = nt_xent(first, second, 0.1) * len(first) * len(sizes) / sum(sizes)
    loss.backward()
    return loss.detach() / len(sizes), first.grad / len(sizes), second.grad / len(sizes)


@pytest.mark.parametrize('sizes', [[4, 4], [5, 3], [3, 3, 2]])
def test_several_ranks_give_the_loss_and_the_whole_gradient_of_one(ranks, sizes):
    torch.manual_seed(0)
    views = [unit(torch.randn(8, 6, dtype=torch.float64)) for _ in range(2)]
    first, second = (view.clone().requires_grad_() for view in views)
    loss = nt_xent(first, second, 0.1)
    loss.backward()
    losses, *gradients = zip(*ranks(len(sizes), _gathered_loss, views, sizes))
    _close(sum(losses), loss.detach(), rtol=0, atol=1e-12)
    for gradient, whole in zip(gradients, (first.grad, second.grad)):
        _close(torch.cat(gradient), whole, rtol=0, atol=1e-12)


def _place(sizes):
    rows = torch.arange(sum(sizes)).view(-1, 1).split(sizes)[torch.distributed.get_rank()]
    return gather_with_gradient(rows.double())


def test_gathered_rows_stand_in_the_order_of_one_process(ranks):
    for rank, (rows, before) in enumerate(ranks(3, _place, [2, 0, 3])):
        assert rows.flatten().tolist() == [0, 1, 2, 3, 4] and before == [0, 2, 2][rank]


@pytest.mark.parametrize('loss', [lambda a, b: nt_xent(a, b, 0.1), lambda a, b: info_nce(a, b, b, 0.1)])
def test_a_loss_is_that_of_float32_under_autocast(loss):
    rows = [unit(torch.randn(16, 32)) for _ in range(2)]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        rounded = loss(*rows)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, loss(*rows), rtol=0, atol=0)


MUTATIONS = [
    Mutation(
        'views of other ranks get no gradient',
        'mmssl/functional/collectives.py',
        'sum_over_ranks(gradient, context.group).split',
        'gradient.split',
    ),
    Mutation(
        'a view is its own negative',
        'mmssl/functional/contrast.py',
        'logits.scatter(1, itself[:, None], -torch.inf)',
        'logits',
    ),
]
