"""Bytes of a batch to normalised floats."""

import pytest
import torch

from mmssl.models import DataPreprocessor
from tests.helpers.mutation import Mutation


@pytest.mark.parametrize('dtype', [torch.uint8, torch.uint16])
def test_each_channel_is_normalised_by_its_own_numbers(dtype):
    view = torch.randint(255, (2, 3, 4, 5)).to(dtype)
    model = DataPreprocessor([10.0, 20.0, 30.0], [2.0, 4.0, 5.0])
    found = model({'inputs': [view], 'sample_idx': torch.arange(2), 'draw': torch.arange(2) + 7})
    expected = torch.stack(
        [(view[:, 0].float() - 10) / 2, (view[:, 1].float() - 20) / 4, (view[:, 2].float() - 30) / 5]
    )
    torch.testing.assert_close(found['inputs'][0], expected.transpose(0, 1))
    assert found['inputs'][0].is_contiguous(memory_format=torch.channels_last)
    assert found['batch'].draw.tolist() == [7, 8]


def test_another_number_of_channels_is_refused_with_what_to_set():
    batch = {
        'inputs': [torch.zeros(2, 1, 4, 4, dtype=torch.uint8)],
        'sample_idx': torch.arange(2),
        'draw': torch.arange(2),
    }
    with pytest.raises(ValueError, match=r'1 channels.*has 3.*mean and std for 1'):
        DataPreprocessor()(batch)


MUTATIONS = [
    Mutation(
        'images are multiplied by the deviation',
        'mmssl/models/data_preprocessor.py',
        '- mean) / std',
        '- mean) * std',
    ),
    Mutation(
        'images are not laid out as the weights are',
        'mmssl/models/data_preprocessor.py',
        'torch.channels_last if view.dim() == 4 else torch.contiguous_format',
        'torch.contiguous_format',
    ),
    Mutation(
        'images of one channel are broadcast',
        'mmssl/models/data_preprocessor.py',
        'if view.shape[1] != channels:',
        'if view.shape[1] not in (1, channels):',
    ),
]
