"""Eval mode for a while."""

import pytest
from torch import nn

from mmssl.models.modes import eval_mode
from tests.helpers.mutation import Mutation


def test_every_part_gets_its_own_mode_back_also_after_an_error():
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm1d(3), nn.Dropout()))
    model[1].eval()
    with pytest.raises(RuntimeError, match='stop'), eval_mode(model):
        assert not any(module.training for module in model.modules())
        raise RuntimeError('stop')
    assert model.training and model[0].training
    assert not any(module.training for module in model[1].modules())


MUTATIONS = [
    Mutation(
        'frozen parts are put into training mode',
        'mmssl/models/modes.py',
        '            module.training = training',
        '            module.training = True',
    ),
    Mutation(
        'an error leaves a network in eval mode',
        'mmssl/models/modes.py',
        '    try:\n        yield\n    finally:\n',
        '    yield\n    if True:\n',
    ),
]
