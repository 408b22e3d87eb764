"""Checkpoints: whole or not there, never unpickled, and strict where they are resumed."""

import argparse
import io
import os
import random
import resource
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer

from mmssl.checkpoint import (
    CheckpointError,
    LeftOut,
    latest_checkpoint,
    ordered_checkpoints,
    read_checkpoint,
    write_checkpoint,
)
from mmssl.engine import Runner
from mmssl.functional import bit_sum
from tests.helpers.mutation import Mutation
from tests.small import small_config, small_runner
from tests.training import ROOT

sys.path.insert(0, str(ROOT / 'tools/benchmarks/reliability'))  # as Python does for a script that stands there

import checkpoints


def test_a_checkpoint_stands_before_the_old_one_goes(tmp_path, monkeypatch):
    write_checkpoint({'n': 1}, tmp_path / 'epoch_1.pth')

    def fail(*_):
        raise OSError('disk full')

    monkeypatch.setattr('torch.save', fail)
    with pytest.raises(CheckpointError, match=r'cannot be written \(disk full\): it takes 3 MB, and \d+ MB are free'):
        write_checkpoint({'n': torch.zeros(700_000)}, tmp_path / 'epoch_1.pth')
    assert read_checkpoint(tmp_path / 'epoch_1.pth') == {'n': 1}
    assert [path.name for path in tmp_path.iterdir()] == ['epoch_1.pth']


def at(epoch, **more):
    """A checkpoint at the end of an epoch."""
    return {'meta': {'progress': {'epoch': epoch, 'samples_seen': 0}}, **more}


def test_the_position_in_the_run_decides_which_checkpoint_is_the_newest(tmp_path):
    for epoch, name, day in ((9, 'epoch_9', 1), (10, 'iter_500', 3), (8, 'epoch_8', 2)):
        write_checkpoint(at(epoch), tmp_path / f'{name}.pth')
        os.utime(tmp_path / f'{name}.pth', (day, day))
    write_checkpoint({'n': 1}, tmp_path / 'epoch_99.pth')  # does not say how far it is
    assert [path.stem for path in ordered_checkpoints(tmp_path)] == ['iter_500', 'epoch_9', 'epoch_8', 'epoch_99']
    assert latest_checkpoint(tmp_path)[0].name == 'iter_500.pth'


def test_a_run_does_not_start_anew_where_no_checkpoint_can_be_read(tmp_path):
    for number in (1, 2):
        (tmp_path / f'epoch_{number}.pth').write_bytes(b'nothing')
    with pytest.raises(CheckpointError, match='has 2 checkpoints, but none can be read .* move them away to start'):
        small_runner(tmp_path, resume=True).train()


TENSORS = {
    'weight': torch.arange(600, dtype=torch.float32).view(20, 30), 'half': torch.ones(33, dtype=torch.float16),
    'flags': torch.tensor([True, False, True]), 'one': torch.tensor(7), 'nothing': torch.zeros(0, 3),
    'cut': torch.arange(40, dtype=torch.int16)[3:], 'turned': torch.arange(6.0).view(2, 3).T,
}  # fmt: skip


def test_a_damaged_tensor_is_named_with_a_whole_checkpoint_beside_it(tmp_path):
    for epoch in (1, 2):
        write_checkpoint(at(epoch, state_dict=TENSORS), tmp_path / f'epoch_{epoch}.pth')
    path = tmp_path / 'epoch_2.pth'
    content = bytearray(path.read_bytes())
    content[content.index(TENSORS['weight'].numpy().tobytes()) + 1000] ^= 4
    path.write_bytes(content)
    words = r'epoch_2.pth is damaged: 1 tensor, first state_dict.weight, .*; epoch_1.pth beside it is whole\.'
    with pytest.raises(CheckpointError, match=words):
        read_checkpoint(path)
    assert latest_checkpoint(tmp_path)[0].name == 'epoch_1.pth'
    (tmp_path / 'epoch_1.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match=r'not as written \(checksum\)\.'):
        read_checkpoint(path)


def test_no_flipped_bit_gives_other_content(tmp_path):
    path, generator = tmp_path / 'epoch_1.pth', random.Random(0)
    written = at(1, state_dict=TENSORS, lr=0.1)
    write_checkpoint(written, path)
    whole, refused = path.read_bytes(), 0
    for _ in range(200):
        content, place = bytearray(whole), generator.randrange(8 * len(whole))
        content[place // 8] ^= 1 << place % 8
        path.write_bytes(content)
        try:
            read = read_checkpoint(path)
        except CheckpointError:
            refused += 1
            continue
        state = read.pop('state_dict')
        assert read == {name: value for name, value in written.items() if name != 'state_dict'}, place
        assert all(torch.equal(state[name], value) for name, value in TENSORS.items()), place
    assert refused > 100  # the rest are bits of padding and of what nobody reads


def test_the_sum_of_a_tensors_bits_is_that_of_its_values_wherever_it_lies():
    values = torch.randint(-(2**62), 2**62, (1000,))
    assert bit_sum(values) == values.sum() and bit_sum(values[1:]) == values[1:].sum()
    octets = torch.arange(1, 12, dtype=torch.uint8)
    expected = int.from_bytes(bytes(range(1, 9)), 'little') + 9 + 10 + 11
    assert bit_sum(octets) == expected == bit_sum(torch.cat([octets[:1], octets])[1:])


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
    with pytest.raises(CheckpointError, match='has 1 checkpoint, but none can be read'):
        latest_checkpoint(tmp_path)


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


def test_what_a_kill_left_before_the_deletion_is_deleted_by_the_next_write(tmp_path, monkeypatch):
    keep = {'default_hooks__checkpoint__max_keep_ckpts': 1}
    deleted = []
    monkeypatch.setattr('mmssl.engine.hooks.checkpoint_hook.delete_checkpoint', deleted.append)
    small_runner(tmp_path, train_cfg__max_epochs=2, **keep).train()
    assert [path.name for path in deleted] == ['epoch_1.pth'] and (tmp_path / 'epoch_1.pth').is_file()
    monkeypatch.undo()
    small_runner(tmp_path, train_cfg__max_epochs=3, resume=True, **keep).train()
    assert [path.name for path in tmp_path.glob('epoch_*.pth')] == ['epoch_3.pth']


def test_a_full_disk_is_said_before_the_training(tmp_path, monkeypatch):
    runner = small_runner(tmp_path)
    monkeypatch.setattr('shutil.disk_usage', lambda _: SimpleNamespace(free=1000))
    with pytest.raises(CheckpointError, match=r'A checkpoint takes about 1 MB, but 1 MB are free in .*: make room'):
        runner.train()


def test_a_file_is_no_work_directory(tmp_path):
    (tmp_path / 'file').write_text('')
    config = small_config(tmp_path / 'data')
    for name in ('file', 'file/below'):
        config.work_dir = str(tmp_path / name)
        with pytest.raises(ValueError, match='cannot be the work directory .a file has this name.: give another'):
            Runner.from_cfg(config)


def test_a_run_that_starts_anew_beside_an_earlier_one_says_so(tmp_path, capsys):
    small_runner(tmp_path, train_cfg__max_epochs=1).train()
    assert 'of an earlier run' not in capsys.readouterr().out
    small_runner(tmp_path, train_cfg__max_epochs=1).train()
    assert 'has 1 checkpoint of an earlier run, and this one starts anew: --resume' in capsys.readouterr().out


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    class Poison(Hook):
        priority = 'LOW'

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.iter == 9:
                runner.algorithm.neck.layers[0].weight.data[0, 0] = float('nan')

    runner = small_runner(tmp_path)
    runner.register_hook(Poison())
    with pytest.raises(FloatingPointError, match='iteration 10: 1 tensor of the model, first neck.layers.lin'):
        runner.train()
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_1.pth']


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
        'damaged tensors are loaded',
        'mmssl/checkpoint.py',
        'if compare and isinstance(sums, dict):',
        'if False:',
    ),
    Mutation(
        'a damaged index is loaded',
        'mmssl/checkpoint.py',
        "if entry.filename.endswith('/data.pkl') and entry.CRC:",
        'if False:',
    ),
    Mutation(
        'the newest file counts as the newest checkpoint',
        'mmssl/checkpoint.py',
        'key=lambda path: (*position(path), path.stat().st_mtime_ns)',
        'key=lambda path: path.stat().st_mtime_ns',
    ),
    Mutation(
        'weights that are not finite are saved',
        'mmssl/engine/runner.py',
        'names = nonfinite_weights(self.algorithm)',
        'names = []',
    ),
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
