"""Averaged checkpoints, against the reference and by the tool."""

import pytest
import torch

from mmssl.checkpoint import CheckpointError
from mmssl.weights import average_weights, read_file, write_weights
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.tools.test_evaluation_tools import run

CASE = golden('pixel_linguist/weight_average.npz')
TOOL = 'tools/model_converters/average_weights.py'


def _members(tmp_path):
    paths = [tmp_path / f'{number}.{"pth" if number % 2 else "safetensors"}' for number in range(4)]
    for number, path in enumerate(paths):
        write_weights({key[3:]: value for key, value in CASE.items() if key.startswith(f'm{number}:')}, path)
    return paths


def test_the_average_equals_the_reference(tmp_path):
    found = average_weights(_members(tmp_path)).tensors
    expected = {key[8:]: value for key, value in CASE.items() if key.startswith('average:')}
    assert found.keys() == expected.keys()
    for key, value in found.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, expected[key].float(), rtol=0, atol=1e-7)


def test_sums_are_taken_in_float64_and_counters_are_the_last(tmp_path):
    for number, value in enumerate((1.0, 1e8, -1e8)):
        tensors = {'weight': torch.tensor([value]), 'steps': torch.tensor(number)}
        write_weights(tensors, tmp_path / f'{number}.pth')
    found = average_weights([tmp_path / f'{number}.pth' for number in range(3)]).tensors
    assert found['weight'].item() == torch.tensor(1 / 3).item() and found['steps'].item() == 2


def test_other_networks_and_single_files_are_refused(tmp_path):
    paths = _members(tmp_path)
    write_weights({'0.weight': torch.zeros(4, 3), '0.bias': torch.zeros(5)}, tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match='other.pth and .*differ in 0.bias, 1.*: give files of the same network'):
        average_weights([paths[0], tmp_path / 'other.pth'])
    with pytest.raises(CheckpointError, match='1 files to average: give two or more'):
        average_weights(paths[:1])


def test_the_tool_keeps_the_config_of_the_first(tmp_path):
    config = {'model': {'type': 'mmssl.SimCLR'}}
    for number in range(2):
        content = {'meta': {'config': config}, 'state_dict': {'weight': torch.full((2,), float(number))}}
        torch.save(content, tmp_path / f'{number}.pth')
    files = [str(tmp_path / f'{number}.pth') for number in range(2)]
    assert 'the mean of 2 checkpoints, 1 tensors' in run(TOOL, *files, '--out', str(tmp_path / 'new/mean.pth'))
    file = read_file(tmp_path / 'new/mean.pth')
    assert file.config == config and file.tensors['weight'].tolist() == [0.5, 0.5] and file.progress is None
    assert 'give two or more' in run(TOOL, files[0], '--out', str(tmp_path / 'mean.pth'), fails=True)


MUTATIONS = [
    Mutation('the sum is not divided', 'mmssl/weights.py', '(total / len(paths)).to(', 'total.to('),
    Mutation('sums are taken in the dtype of the files', 'mmssl/weights.py', 'key: tensor.double()', 'key: tensor'),
]
