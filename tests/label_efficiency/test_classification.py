import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmssl.commands import label_efficiency
from mmssl.label_efficiency import Classification, Origin, find_layout, plain_recipe
from mmssl.label_efficiency.curves import do
from tests.helpers.commands import run_command
from tests.training import ROOT

TOOL = ROOT / 'tools/benchmarks/label_efficiency.py'
SMALL = ['--base-channels', '4', '--size', '16', '--steps', '2', '--batch-size', '8', '--rates', '0.001', '0.003']


def class_folders(root: Path, train: int = 12, test: int = 4) -> Path:
    """Two classes, told apart by their brightness; the second has one image more."""
    for part, count in (('train', train), ('test', test)):
        for number, name in enumerate(('dark', 'light')):
            (root / part / name).mkdir(parents=True)
            for place in range(count + number):
                noise = np.random.default_rng(place).integers(0, 60, (16, 16, 3)) + 120 * number
                Image.fromarray(noise.astype(np.uint8)).save(root / part / name / f'{place}.png')
    return root


@pytest.fixture
def task(tmp_path) -> Classification:
    layout = find_layout(class_folders(tmp_path / 'data'))
    return Classification(layout, plain_recipe((1, 1, 1, 1), 4), size=16, steps=2, batch_size=8, rates=(0.001,))


def run(*words: object) -> subprocess.CompletedProcess:
    """The command."""
    return run_command(TOOL, *words)


def test_labelled_images_are_nested_and_balanced(task):
    few, more = (task.drawn(count, seed=3) for count in (2, 5))
    assert set(few.tolist()) < set(more.tolist())
    assert task.labels[few].bincount().tolist() == [2, 2]
    assert task.labels[more].bincount().tolist() == [5, 5]
    assert task.drawn(None, 3).tolist() == list(range(25))


def test_each_seed_draws_other_images(task):
    assert task.drawn(5, 0).tolist() != task.drawn(5, 1).tolist()


def test_counts_are_the_numbers_of_images_that_are_drawn(task):
    for labels in (2, 5, 12, 100, None):
        assert task.count(labels) == len(task.drawn(labels, 0))
    assert task.count(5) == 10
    assert task.count(100) == 25


@pytest.mark.parametrize('seed', range(5))
def test_the_halves_for_the_rate_share_no_image_and_are_balanced(task, seed):
    first, second = task.halves(10, seed)
    assert sorted([*first.tolist(), *second.tolist()]) == task.drawn(10, seed).tolist()
    assert len({*first.tolist(), *second.tolist()}) == 20
    assert task.labels[first].bincount().tolist() == task.labels[second].bincount().tolist() == [5, 5]


def test_the_rate_is_chosen_without_the_test_images(task):
    shutil.rmtree(task.layout.root / 'test')
    assert 0 <= task.held_out(Origin(), 4, 0, 0.001, 0, Path()) <= 100


def test_a_held_out_image_is_not_fitted(task, monkeypatch):
    fitted = []

    def fine_tune(classifier, images, labels, how):
        fitted.append(images)
        classifier.start_layer(classifier.features(images), labels)

    monkeypatch.setattr('mmssl.label_efficiency.classification.fine_tune', fine_tune)
    task.held_out(Origin(), 4, 0, 0.001, fold=0, folder=Path())
    assert torch.equal(fitted[0], task._images.images[task.halves(4, 0)[1]])


def test_every_start_has_the_same_effort_which_grows_only_for_ten_passes(task):
    assert task.effort(2) == {'steps': 5, 'images_drawn': 40}  # 4 images, 10 times
    assert task.effort(None) == {'steps': 32, 'images_drawn': 256}  # 25 images, 10 times, in whole batches


def test_untrained_networks_differ_by_seed_alone(task):
    weights = [task._network(Origin(), seed)[0].conv1.weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_different_classes_in_the_two_parts_are_refused(tmp_path):
    root = class_folders(tmp_path / 'data')
    (root / 'test' / 'light').rename(root / 'test' / 'pale')
    with pytest.raises(ValueError, match='light, pale are in only one of them'):
        Classification(find_layout(root), plain_recipe((1, 1, 1, 1), 4))


def test_a_part_without_class_folders_is_refused(tmp_path):
    root = class_folders(tmp_path / 'data')
    shutil.rmtree(root / 'train' / 'light')
    with pytest.raises(ValueError, match='train has no class folders'):
        Classification(find_layout(root), plain_recipe((1, 1, 1, 1), 4))


def test_the_command_measures_resumes_and_prints_its_json_again(tmp_path):
    data, work = class_folders(tmp_path / 'data'), tmp_path / 'work'
    words = [data, '--work-dir', work, '--labels', '2', '5', '--rate-at', '4', '--seeds', '0', *SMALL]
    first = run(*words)
    assert first.returncode == 0, first.stderr
    assert {path.name for path in work.iterdir()} >= {'results.json', 'table.md', 'table.txt', 'curves.svg'}
    before = {path.name: path.stat().st_mtime_ns for path in (work / 'pieces').iterdir()}
    assert len(before) == 6
    lost = work / 'pieces/untrained_5_seed0.json'
    content = json.loads(lost.read_text())
    lost.unlink()
    second = run(*words)
    assert '6 pieces, 5 of them done' in second.stdout
    changed = {path.name for path in (work / 'pieces').iterdir() if path.stat().st_mtime_ns != before[path.name]}
    assert changed == {'untrained_5_seed0.json'}
    again = json.loads(lost.read_text())
    assert again['values'] == content['values']
    table = (work / 'table.md').read_text()
    printed = run(work / 'results.json', '--work-dir', tmp_path / 'other')
    assert printed.returncode == 0, printed.stderr
    assert (tmp_path / 'other/table.md').read_text() == table


@pytest.mark.parametrize(
    'words, sentence',
    [
        (['nowhere'], 'No folder nowhere: give the folder'),
        (['nowhere.json'], 'No file nowhere.json: give the results.json'),
        ([str(ROOT / 'docs')], 'has no training part and test part with labels: it needs train/ and test/'),
        (['x', '--labels', '1'], '1: give 2 or more labelled images, or the word all'),
        (['x', '--pretrain', '0'], '0: give minutes above 0, such as 20, or 60:1'),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(words, sentence):
    done = run(*words)
    assert done.returncode
    assert sentence in done.stderr
    assert 'Traceback' not in done.stderr


def test_an_unreadable_image_is_left_out_with_its_label(tmp_path):
    root = class_folders(tmp_path / 'data')
    whole = Classification(find_layout(root), plain_recipe((1, 1, 1, 1), 4), size=16)
    broken = sorted((root / 'train').rglob('*.png'))[0]
    broken.write_bytes(broken.read_bytes()[:40])
    task = Classification(find_layout(root), plain_recipe((1, 1, 1, 1), 4), size=16)
    assert len(task.labels) == len(task._images.images) == len(whole.labels) - 1
    assert torch.equal(task._images.images, whole._images.images[1:])


def test_weights_that_do_not_exist_are_refused_before_anything_is_measured(tmp_path):
    done = run(
        class_folders(tmp_path / 'data'), '--work-dir', tmp_path / 'work', '--weights', tmp_path / 'no.pth', *SMALL
    )
    assert 'No checkpoint at' in done.stderr
    assert 'Traceback' not in done.stderr
    assert not (tmp_path / 'work').exists()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_without_a_traceback_and_says_how_to_go_on(tmp_path, number):
    words = [
        class_folders(tmp_path / 'data'),
        '--work-dir',
        tmp_path / 'work',
        '--rate-at',
        '4',
        *SMALL,
        '--steps',
        '3000',
    ]
    command = [sys.executable, '-u', TOOL, *map(str, words)]
    pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True}
    # a suite that runs in the background ignores SIGINT, and so would its child
    process = subprocess.Popen(
        command, cwd=ROOT, **pipes, preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    )
    for line in process.stdout:
        if 'pieces, 0 of them done' in line:
            break
    time.sleep(0.5)
    process.send_signal(number)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert 'Stopped: 0 of' in out
    assert 'Type the same command again to continue.' in out
    assert 'Traceback' not in errors


def test_ctrl_c_writes_the_tables_of_what_is_done(tmp_path, monkeypatch, capsys):
    parser = argparse.ArgumentParser()
    label_efficiency.add_arguments(parser)
    words = [
        class_folders(tmp_path / 'data'),
        '--work-dir',
        tmp_path / 'work',
        '--labels',
        2,
        4,
        '--rate-at',
        4,
        *SMALL,
    ]
    args = parser.parse_args([*map(str, words), '--seeds', '0', '--rates', '0.001'])
    done = do

    def stopped(piece):
        if '4 labels' in piece.title:
            raise KeyboardInterrupt
        return done(piece)

    monkeypatch.setattr('mmssl.label_efficiency.curves.do', stopped)
    with pytest.raises(SystemExit) as ended:
        label_efficiency.run(args)
    assert ended.value.code == 130
    written, last = capsys.readouterr().out, (tmp_path / 'work/table.txt').read_text()
    assert '2 (4 images)' in last and last in written and 'Stopped: 1 of 2 pieces are done' in written
    assert len(json.loads((tmp_path / 'work/results.json').read_text())['pieces']) == 1


def test_checkpoints_of_an_interrupted_pretraining_are_not_taken_for_those_of_the_next(tmp_path, monkeypatch):
    stale = tmp_path / 'pretraining' / 'epoch_9.pth'
    stale.parent.mkdir()
    stale.touch()
    monkeypatch.setattr('mmssl.apis.train_from_folder', lambda *_, work_dir, **__: None)
    assert label_efficiency._pretrain('classification', tmp_path, 1.0, stale.parent, 0) == stale.parent
    assert not stale.exists()
