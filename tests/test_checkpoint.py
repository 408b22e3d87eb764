"""Checkpoints: whole or not there, never unpickled, and strict where they are resumed."""

import argparse
import io
import resource
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from mmssl.checkpoint import CheckpointError, LeftOut, latest_checkpoint, read_checkpoint, write_checkpoint
from tests.helpers.mutation import Mutation
from tests.small import small_runner
from tests.training import ROOT

sys.path.insert(0, str(ROOT / 'tools/benchmarks/reliability'))  # as Python does for a script that stands there

import checkpoints


def test_a_checkpoint_stands_before_the_old_one_goes(tmp_path, monkeypatch):
    write_checkpoint({'n': 1}, tmp_path / 'epoch_1.pth')

    def fail(*_):
        raise OSError('disk full')

    monkeypatch.setattr('torch.save', fail)
    with pytest.raises(OSError, match='disk full'):
        write_checkpoint({'n': 2}, tmp_path / 'epoch_1.pth')
    assert read_checkpoint(tmp_path / 'epoch_1.pth') == {'n': 1}


def test_the_newest_readable_checkpoint_is_found_and_broken_ones_are_passed_over(tmp_path):
    assert latest_checkpoint(tmp_path / 'nowhere') is None
    for number in (1, 2):
        write_checkpoint({'n': number}, tmp_path / f'epoch_{number}.pth')
    whole = (tmp_path / 'epoch_2.pth').read_bytes()
    (tmp_path / 'epoch_3.pth').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'iter_9.pth').write_bytes(b'')
    path, checkpoint = latest_checkpoint(tmp_path)
    assert path.name == 'epoch_2.pth' and checkpoint == {'n': 2}


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        ([1], 'holds a list, not a dict'),
        ({'part': 'two'}, 'does not say how many parts it has'),
        ({'part': {'parts': '2'}}, 'does not say how many parts it has'),
        ({'part': {'parts': 2, 'progress': 1}}, 'a part of another checkpoint'),
    ],
)
def test_a_file_of_another_kind_is_passed_over_in_a_work_directory(content, words, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr('mmssl.checkpoint.print_log', lambda text, **_: said.append(text))
    write_checkpoint({'n': 1}, tmp_path / 'epoch_1.pth')
    torch.save(content, tmp_path / 'epoch_2.pth')
    torch.save([1], tmp_path / 'epoch_2.pth.1of2')
    assert latest_checkpoint(tmp_path)[0].name == 'epoch_1.pth'
    assert words in said[0]


def test_a_file_that_needs_unpickling_is_refused_and_not_run(tmp_path):
    torch.save({'state_dict': argparse.Namespace(a=1)}, tmp_path / 'foreign.pth')
    with pytest.raises(ValueError, match='unpickling.*not read'):
        read_checkpoint(tmp_path / 'foreign.pth')


def test_what_other_programs_save_beside_their_tensors_is_left_out_without_being_built(tmp_path):
    history = HistoryBuffer()
    history.update(1.0)
    beside = {'opt': argparse.Namespace(lr=0.1), 'best': np.float64(0.5), 'array': np.ones(3), 'history': history}
    for zipped in (True, False):
        path = tmp_path / f'{zipped}.pth'
        torch.save({'model': {'a': torch.ones(2)}, **beside}, path, _use_new_zipfile_serialization=zipped)
        read = read_checkpoint(path, tensors_only=True)
        assert read['model']['a'].tolist() == [1, 1]
        assert {type(read[name]) for name in beside} == {LeftOut}


def zip_bomb(path: Path) -> None:
    """A file of 100 KB whose tensors have 100 MB."""
    stored = io.BytesIO()
    torch.save({'weight': torch.zeros(4)}, stored)
    with zipfile.ZipFile(stored) as old, zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name.endswith('data/0'):
                with new.open(name, 'w', force_zip64=True) as entry:
                    for _ in range(100):
                        entry.write(bytes(1_000_000))
            else:
                new.writestr(name, old.read(name))


def itself() -> list[Any]:
    held: list[Any] = []
    held.append(held)
    return held


def doubled(times: int) -> list[Any]:
    held: list[Any] = [0]
    for _ in range(times):
        held = [held, held]
    return held


def with_attributes() -> OrderedDict:
    weights = OrderedDict(a=torch.ones(1))
    weights.__dict__['get'] = 1
    return weights


def saving(content: Any) -> Callable[[Path], None]:
    return lambda path: torch.save(content, path)


@pytest.mark.parametrize(
    ('write', 'words'),
    [
        (zip_bomb, r'bytes and would take 100,\d{3},\d{3} in memory'),
        (saving({'a': torch.zeros(1).expand(10**12)}), 'would take 4,000,000,000,000 in memory'),
        (saving([torch.zeros(10**6)] * 1000), 'would take 4,000,000,000 in memory'),
        (saving(itself()), 'more than [0-9,]+ entries within each other'),
        (saving(doubled(40)), 'more than [0-9,]+ entries within each other'),
        (saving({'a': torch.ones(1).to_sparse()}), 'sparse, quantized or empty'),
        (saving({'a': torch.ones(1, device='meta')}), 'sparse, quantized or empty'),
        (saving(with_attributes()), 'dictionary with attributes'),
        (lambda path: path.write_text('<!DOCTYPE html>'), 'starts with .*DOCTYPE.*so it is no checkpoint'),
        (
            lambda path: path.write_text('version https://git-lfs.github.com/spec/v1'),
            'pointer of Git LFS.*git lfs pull',
        ),
        (lambda path: path.write_bytes(b''), 'so it is no checkpoint'),
        (lambda path: path.write_bytes(b'\x08' + bytes(7) + b'{}      '), 'ends in .safetensors'),
        (lambda path: path.write_bytes(b'\x80\x02h\x65.'), r'cannot be read as a checkpoint \(101\)'),
        (lambda path: path.write_bytes(b'PK\x03\x04' + bytes(99)), 'cannot be read as a checkpoint'),
        (
            lambda path: path.write_bytes(b'\x80\x02\xf0.'),
            r'cannot be read as a checkpoint \(Unsupported operand 240\)',
        ),
        (lambda path: path.mkdir(), 'is not a file'),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_a_file_that_is_no_checkpoint_is_refused_in_one_sentence_and_little_memory(write, words, tmp_path):
    write(tmp_path / 'epoch_1.pth')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match=words) as refused:
        read_checkpoint(tmp_path / 'epoch_1.pth')
    assert '\n' not in str(refused.value) and len(str(refused.value)) < 400
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # KB
    assert latest_checkpoint(tmp_path) is None


@pytest.mark.parametrize('number', [30, pytest.param(300, marks=pytest.mark.slow)])
def test_mutated_checkpoints_run_nothing_and_end_in_sentences(number):
    outcomes = list(checkpoints.campaign(range(number)))
    assert not [outcome for outcome in outcomes if outcome.fault]
    assert 0 < sum(outcome.read for outcome in outcomes) < number


def test_the_campaign_of_mutated_checkpoints_notices_code_that_runs(monkeypatch):
    def unpickled(path: Path) -> None:
        try:
            torch.load(path, weights_only=False)
        except Exception as error:
            raise CheckpointError('Some sentence that says what is wrong.') from error

    monkeypatch.setattr(checkpoints, 'USES', {'resume': lambda path: latest_checkpoint(path.parent), 'test': unpickled})
    faults = {outcome.fault for outcome in checkpoints.campaign(range(60))}
    assert 'it wrote the marker' in faults


def test_an_unknown_object_beside_the_tensors_is_refused_too(tmp_path):
    torch.save({'model': {'a': torch.ones(2)}, 'path': tmp_path}, tmp_path / 'foreign.pth')
    with pytest.raises(ValueError, match='unpickling.*not read'):
        read_checkpoint(tmp_path / 'foreign.pth', tensors_only=True)


def test_a_checkpoint_of_a_training_holds_tensors_and_plain_values_only(tmp_path):
    small_runner(tmp_path).train()
    checkpoint = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)
    assert checkpoint['meta']['progress'] == {'epoch': 2, 'samples_seen': 0, 'num_samples': 40, 'global_batch_size': 8}
    assert len(checkpoint['message_hub']['log_scalars']['train/loss']['values']) == 10
    assert 'queues.0.rows' in checkpoint['state_dict'] and 'backbone.conv1.weight' in checkpoint['state_dict']


def test_only_so_many_checkpoints_are_kept_and_those_of_other_runs_stay(tmp_path):
    (tmp_path / 'epoch_77.pth').write_bytes(b'of another run')
    small_runner(tmp_path, train_cfg__max_epochs=4, default_hooks__checkpoint__max_keep_ckpts=2).train()
    assert sorted(path.name for path in tmp_path.glob('epoch_*.pth')) == ['epoch_3.pth', 'epoch_4.pth', 'epoch_77.pth']
    assert (tmp_path / 'last_checkpoint').read_text().endswith('epoch_4.pth')


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('trained')
    small_runner(folder).train()
    return str(folder / 'epoch_1.pth')


@pytest.mark.parametrize(
    'change, words',
    [
        (
            {'model__prototypes__num_prototypes': 5},
            r'1 of another shape.*prototypes.weight \(4, 8\) instead of \(5, 8\)',
        ),
        ({'model__backbone__depth': 18}, r'keys missing.*backbone.layer1.1'),
        ({'randomness__seed': 1}, r'seed 0, but it is now 1: set randomness.seed=0'),
        ({'train_dataloader__batch_size': 4}, r'global batch size 8, but it is now 4'),
        ({'num_samples': 48}, r'num samples 40, but it is now 48'),
    ],
)
def test_a_run_is_not_resumed_from_a_checkpoint_that_does_not_match(tmp_path, trained, change, words):
    with pytest.raises(ValueError, match=words):
        small_runner(tmp_path, resume=True, load_from=trained, **change).train()


def test_weights_are_loaded_without_the_rest(tmp_path, trained):
    runner = small_runner(tmp_path, load_from=trained, randomness__seed=5, train_cfg__max_epochs=1)
    runner.train()
    assert runner.epoch == 1 and runner.iter == 5


def test_resuming_without_a_checkpoint_starts_from_the_beginning(tmp_path):
    runner = small_runner(tmp_path, resume=True)
    runner.train()
    assert runner.iter == 10


@pytest.mark.parametrize(
    'change, words',
    [
        ({'model__prototypes__num_prototypes': 41}, r'41 prototypes.*40 images.*to 4 or less'),
        ({'model__queue__length': 41}, r'queue of 41 rows.*40 images.*40 or less'),
        ({'train_dataloader__batch_size': 64}, r'40 samples.*batch_size=40 or less'),
        ({'optim_wrapper__accumulative_counts': 6}, r'accumulative_counts is 6.*5 batches: set it to 5 or less'),
        ({'model__data_preprocessor__mean': [1.0], 'model__data_preprocessor__std': [1.0]}, r'3 channels.*mean has 1'),
    ],
)
def test_what_cannot_work_is_refused_with_what_would(tmp_path, change, words):
    with pytest.raises(ValueError, match=words):
        small_runner(tmp_path, **change).train()


def test_accumulated_steps_leave_out_the_rest_of_an_epoch(tmp_path):
    runner = small_runner(tmp_path, optim_wrapper__accumulative_counts=2)
    runner.train()
    assert runner.iter == 8 and runner.steps == 4


MUTATIONS = [
    Mutation(
        'the old checkpoint is not kept until the new one is whole',
        'mmssl/files.py',
        "draft = path.with_name(temporary or f'.{path.name}.{secrets.token_hex(4)}.tmp')",
        'draft = path',
    ),
    Mutation(
        'a checkpoint may unpack to any size',
        'mmssl/checkpoint.py',
        'if size > max(_RATIO * path.stat().st_size, _SMALL):',
        'if False:',
        'tests/test_checkpoint.py -k no_checkpoint',
    ),
    Mutation(
        'only some errors of a damaged checkpoint are sentences',
        'mmssl/checkpoint.py',
        '    except Exception as error:  # of any kind, where the file is damaged',
        '    except RuntimeError as error:',
        'tests/test_checkpoint.py -k no_checkpoint',
    ),
]
