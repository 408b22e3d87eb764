"""SwAV's loss against the reference, with gradients, and by hand."""

import math

import torch
from torch.nn.functional import normalize

from mmssl.functional import sinkhorn, swapped_prediction
from tests.conftest import golden
from tests.helpers.mutation import Mutation


def test_loss_and_gradients_of_two_crops_equal_the_reference():
    case = golden('swav/loss_2crop.npz')
    z = case['z'].clone().requires_grad_()
    prototypes = normalize(case['W0'], dim=1).requires_grad_()
    scores = [(view @ prototypes.T) for view in z.chunk(2)]
    loss = swapped_prediction(scores, [sinkhorn(score) for score in scores], (0, 1))
    loss.backward()
    torch.testing.assert_close(loss.detach(), case['loss'], rtol=0, atol=1e-12)
    torch.testing.assert_close(z.grad, case['grad_z'], rtol=0, atol=1e-12)
    torch.testing.assert_close(prototypes.grad, case['grad_W'], rtol=0, atol=1e-12)


def test_loss_without_information_is_the_logarithm_of_the_prototypes():
    scores, codes = [torch.zeros(4, 50)] * 3, [torch.full((4, 50), 1 / 50)]
    torch.testing.assert_close(swapped_prediction(scores, codes, (0,)), torch.tensor(math.log(50)))


def test_a_view_is_not_predicted_from_itself():
    codes = torch.eye(3)
    right, wrong = codes * 100, codes.flip(0) * 100
    assert swapped_prediction([wrong, right], [codes], (0,)) < 1e-6
    assert swapped_prediction([right, wrong], [codes], (0,)) > 1


def test_loss_is_computed_in_float32_under_autocast():
    scores = [torch.randn(8, 5).requires_grad_() for _ in range(2)]
    codes = [sinkhorn(score) for score in scores]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = swapped_prediction([score.bfloat16() for score in scores], codes, (0, 1))
    expected = swapped_prediction([score.bfloat16().float() for score in scores], codes, (0, 1))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected)


MUTATIONS = [
    Mutation(
        'a view is predicted from itself',
        'mmssl/functional/swapped_prediction.py',
        'if view != assigned]',
        'if view >= 0]',
    ),
]
