"""Scenes with reports, and what a ConVIRT that was trained on them knows of sentences."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmssl.datasets import PairList, split_sentences
from mmssl.engine import Runner
from tests.training import ROOT

Call = Callable[..., str]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Call:
    """Calls a script of tools/ as its command line does; gives what it says, also of what it refuses."""

    def run(tool: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
        try:
            runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')
        except SystemExit as end:
            return str(end.code)
        return capsys.readouterr().out

    return run


def test_scenes_are_pairs_of_twelve_classes_the_same_for_the_same_seed(call, tmp_path):
    said = call('dataset_tools/make_scenes.py', tmp_path / 'one', '--train', 60, '--test', 20)
    assert said.startswith('60 and 20 scenes with reports are in')
    call('dataset_tools/make_scenes.py', tmp_path / 'two', '--train', 60, '--test', 20)
    call('dataset_tools/make_scenes.py', tmp_path / 'other', '--train', 60, '--test', 20, '--seed', 1)
    one, two, other = (PairList(tmp_path / name / 'train.csv', tmp_path / name) for name in ('one', 'two', 'other'))
    assert one.fingerprint == two.fingerprint != other.fingerprint
    assert (one.load(5) == two.load(5)).all() and one.load(5).shape == (3, 32, 32)
    test = PairList(tmp_path / 'one/test.csv', tmp_path / 'one')
    assert not {one.name(index) for index in range(60)} & {test.name(index) for index in range(20)}
    for index in range(60):
        text = one.extras(index)['text']
        assert len(split_sentences(text)) == 4 and text.lower().startswith(('a ', 'there is a ', 'the scene shows a '))
        assert one.classes[one.labels[index]] in text
    prompts = json.loads((tmp_path / 'one/prompts.json').read_text())
    assert len(prompts) == 12 and set(one.classes) <= set(prompts)


def test_the_object_has_the_colour_and_the_corner_of_its_report(tmp_path):
    scenes = runpy.run_path(str(ROOT / 'tools/dataset_tools/make_scenes.py'))
    for colour, corner, (top, left) in (('red', 'upper left', (9, 9)), ('blue', 'lower right', (22, 22))):
        drawn = scenes['draw'](scenes['Scene'](colour, 'square', corner), np.random.default_rng(0)).astype(float)
        inside = drawn[top - 2 : top + 3, left - 2 : left + 3].mean(axis=(0, 1))
        assert np.abs(inside - scenes['COLOURS'][colour]).max() < 25


def _train(folder: Path, scenes: Path) -> Path:
    """Two epochs of the CPU config on few scenes; gives the checkpoint."""
    cfg = Config.fromfile(ROOT / 'configs/convirt/convirt_resnet10_1xb32_cpu_12e_scenes.py')
    for section, part in ((cfg.train_dataloader.dataset, 'train'), (cfg.evaluation.gallery, 'train')):
        section.source.update(file=str(scenes / f'{part}.csv'), root=str(scenes))
    cfg.evaluation.query.source.update(file=str(scenes / 'test.csv'), root=str(scenes))
    cfg.train_dataloader.num_workers = cfg.evaluation.num_workers = 0
    cfg.merge_from_dict({
        'model.backbone.base_channels': 8, 'model.neck.in_channels': 64, 'train_cfg.max_epochs': 2,
        'work_dir': str(folder), 'experiment_name': folder.name, 'log_level': 'WARNING',
        'default_hooks.checkpoint.interval': 1,
    })  # fmt: skip
    Runner.from_cfg(cfg).train()
    return folder / 'epoch_2.pth'


def test_a_trained_checkpoint_is_measured_beside_the_untrained_network(call, tmp_path):
    scenes = tmp_path / 'scenes'
    call('dataset_tools/make_scenes.py', scenes, '--train', 128, '--test', 40)
    checkpoint = _train(tmp_path / 'run', scenes)
    words = [checkpoint, '--prompts', scenes / 'prompts.json', '--k', 5, '--out', tmp_path / 'found.json']
    printed = call('benchmarks/image_text.py', *words)
    for name in ('image to image P@5', 'text to image P@5', 'zero-shot'):
        assert name in printed, printed
    found = json.loads((tmp_path / 'found.json').read_text())['results']
    assert [entry['name'] for entry in found] == ['untrained', 'trained'] and len(found[1]['measures']) == 3
    (scenes / 'empty.json').write_text('{}')
    said = call('benchmarks/image_text.py', checkpoint, '--prompts', scenes / 'empty.json')
    assert said.startswith("There is no sentence about the class 'blue circle'")
