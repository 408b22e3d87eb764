import pytest
import torch
from torch import Tensor

from mmssl.functional import (
    activation,
    bidirectional_contrast,
    highlight_precision,
    k_point_loss,
    masked_sequence_loss,
    unit,
)
from tests.conftest import golden
from tests.helpers.mutation import Mutation

LOSSES = golden('rasl/losses.npz')
CASES = range(int(LOSSES['n_cases']))
KINDS = ('visual', 'audio')


def case(number: int) -> dict:
    start = f'c{number}_'
    return {name.removeprefix(start): value for name, value in LOSSES.items() if name.startswith(start)}


def close(found: Tensor, expected: Tensor, tolerance: float = 1e-9) -> None:
    assert (found - expected).abs().max() <= tolerance * max(1, expected.abs().max())


def losses(data: dict) -> dict[str, Tensor]:
    cfg = data['cfg']
    curves = {kind: activation(data[f'z_{kind}']) for kind in KINDS}
    rebuilt = {
        kind: masked_sequence_loss(
            data[f'z_{kind}'] @ data[f'decoder_{kind}'],
            data[kind].double(),
            data[f'mask_{kind}'].bool(),
            cfg['visible'],
        )
        for kind in KINDS
    }
    pooled = [unit(data[f'z_{kind}'].mean(dim=1)) for kind in KINDS]
    points = {kind: k_point_loss(curves[kind], cfg['k'], cfg['tau_k']) for kind in KINDS}
    parts = {
        'loss_fvs': rebuilt['visual'] + rebuilt['audio'],
        'loss_fvs_visual': rebuilt['visual'],
        'loss_scl': bidirectional_contrast(*pooled, cfg['tau']),
        'loss_k_point': points['visual'] + points['audio'],
        'loss_k_point_visual': points['visual'],
    }
    total = parts['loss_fvs'] + cfg['w_scl'] * parts['loss_scl'] + cfg['w_k'] * parts['loss_k_point']
    return {**parts, 'loss': total}


@pytest.mark.parametrize('number', CASES)
def test_losses_and_gradients_equal_the_golden_vectors(number):
    data = case(number)
    learned = [name for name in data if name.startswith(('z_', 'decoder_'))]
    for name in learned:
        data[name] = data[name].double().requires_grad_()
    found = losses(data)
    assert found.keys() == {name for name in data if name.startswith('loss')}
    for name, value in found.items():
        close(value, data[name])
    found['loss'].backward()
    for name in learned:
        close(data[name].grad, data[f'grad_{name}'], 1e-8)


@pytest.mark.parametrize('number', CASES)
def test_activations_equal_the_golden_vectors(number):
    data = case(number)
    for kind in KINDS:
        close(activation(data[f'z_{kind}']), data[f'activation_{kind}'])
    assert torch.equal(data['score'], data['activation_visual'])


@pytest.mark.parametrize('entry', golden('rasl/metrics.json'))
def test_average_precision_equals_the_golden_vectors(entry):
    scores, truth = torch.tensor([entry['score']]), torch.tensor([entry['truth']]).bool()
    assert highlight_precision(scores, truth).item() == pytest.approx(entry['average_precision'], abs=1e-12)
    assert highlight_precision(scores, truth, 5).item() == pytest.approx(entry['top5_average_precision'], abs=1e-12)


def test_of_equal_scores_the_earlier_comes_first():
    scores = torch.zeros(2, 4)
    truth = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 1]]).bool()
    assert highlight_precision(scores, truth).tolist() == [1, 0.25]
    assert highlight_precision(scores, torch.zeros(2, 4).bool()).tolist() == [0, 0]


def test_a_sequence_without_change_has_no_activation():
    flat = torch.ones(2, 5, 3, requires_grad=True)
    curve = activation(flat)
    assert not curve.any()
    k_point_loss(curve, 2, 0.5).backward()
    assert flat.grad.isfinite().all()


def test_k_points_of_the_whole_curve_lose_nothing_and_a_peak_lowers_the_loss():
    flat, peaked = torch.zeros(1, 8), torch.tensor([[3.0, 3, 0, 0, 0, 0, 0, 0]])
    assert k_point_loss(flat, 8, 0.5).item() == 0
    assert k_point_loss(flat, 2, 0.5).item() == pytest.approx(torch.tensor(4.0).log().item())
    assert k_point_loss(peaked, 2, 0.5) < k_point_loss(flat, 2, 0.5) / 10


def test_the_contrast_is_the_same_in_both_orders():
    first, second = unit(torch.randn(5, 4)), unit(torch.randn(5, 4))
    torch.testing.assert_close(bidirectional_contrast(first, second, 0.1), bidirectional_contrast(second, first, 0.1))


def test_half_precision_is_computed_in_float32():
    rows = unit(torch.randn(6, 8))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = bidirectional_contrast(rows, rows.roll(1, 0), 0.1)
    torch.testing.assert_close(found, bidirectional_contrast(rows, rows.roll(1, 0), 0.1))


MUTATIONS = [
    Mutation(
        'the activation keeps its mean',
        'mmssl/functional/highlights.py',
        'centred = scores - scores.mean',
        'centred = scores - 0 * scores.mean',
    ),
    Mutation(
        'the deviation of an activation is the unbiased one',
        'mmssl/functional/highlights.py',
        'correction=0',
        'correction=1',
    ),
    Mutation(
        'masked steps weigh as much as visible ones',
        'mmssl/functional/highlights.py',
        'masked.to(predictions.dtype) +',
        '0 +',
    ),
    Mutation(
        'only one direction is contrasted',
        'mmssl/functional/image_text.py',
        '(weight * there + (1 - weight) * back).mean()',
        'there.mean()',
    ),
    Mutation(
        'the lowest points stand out',
        'mmssl/functional/highlights.py',
        'logits.topk(k, dim=1)',
        'logits.topk(k, dim=1, largest=False)',
    ),
    Mutation(
        'average precision ignores the place',
        'mmssl/functional/highlights.py',
        'hits * hits.cumsum(dim=1) / places',
        'hits * hits.cumsum(dim=1)',
    ),
]
