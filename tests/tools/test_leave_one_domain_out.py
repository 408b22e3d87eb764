"""The benchmark on unseen domains: its splits, the method with one queue, its table, and a whole run on tiny images."""

import sys
from argparse import Namespace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmssl.datasets import DomainBalancedSampler, DomainFolder, DomainSplit
from mmssl.evaluation import Features
from mmssl.models import DIUL, MoCo, Queue
from tests.helpers.mutation import Mutation
from tests.training import ROOT

CONFIG = str(ROOT / 'configs/diul/diul_resnet10_1xb126_cpu_3e_cifar10_domains.py')
DOMAINS = ('art', 'photo', 'sketch')


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / 'tools/benchmarks')
    yield import_module('leave_one_domain_out')
    del sys.modules['leave_one_domain_out']


@pytest.fixture(scope='module')
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three domains of different colours, in each of which brightness tells two classes apart; with train and test."""
    root, generator = tmp_path_factory.mktemp('domains'), np.random.default_rng(0)
    for part, count in (('train', 12), ('test', 5)):
        for channel, domain in enumerate(DOMAINS):
            for index in range(2 * count):
                pixels = generator.integers(0, 40, (32, 32, 3)) + 120 * (index % 2)
                pixels[..., channel] += 60
                path = root / part / domain / f'class{index % 2}' / f'{index}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(path)
    return root


def _args(images: Path, **more: object) -> Namespace:
    given = {'config': CONFIG, 'data': str(images), 'protocol': None, 'classes': None, 'targets': None}
    return Namespace(**given, cfg_options={'model.queue.length': 9}, **more)


def test_each_domain_is_left_out_once_or_only_the_wanted_ones_are(tool, images):
    args = _args(images)
    assert [split.targets for split in tool.chosen_splits(args)] == [('art',), ('photo',), ('sketch',)]
    args.targets = ['sketch']
    assert tool.chosen_splits(args) == [DomainSplit(('art', 'photo'), ('sketch',))]
    args.targets = ['sketches']
    with pytest.raises(ValueError, match='No split has sketches as its target: choose among art, photo, sketch'):
        tool.chosen_splits(args)
    args.protocol, args.targets = 'domainnet', ['real']
    assert tool.chosen_splits(args) == [(('clipart', 'infograph', 'quickdraw'), ('painting', 'real', 'sketch'))]


def test_a_training_sees_the_sources_alone_with_equal_shares(tool, images, tmp_path):
    split = DomainSplit(('art', 'sketch'), ('photo',))
    cfg = tool.run_config(_args(images), split, 'trained', 3, tmp_path)
    source = cfg.train_dataloader.dataset.source
    assert source.root == str(images / 'train') and source.domains == ['art', 'sketch']
    assert cfg.train_dataloader.sampler.type is DomainBalancedSampler and cfg.randomness.seed == 3
    assert cfg.model.type is DIUL and (cfg.model.queue.num_domains, cfg.model.queue.length) == (2, 9)


def test_one_queue_is_moco_with_as_many_keys_and_nothing_else_changed(tool, images, tmp_path):
    split = DomainSplit(('art', 'sketch'), ('photo',))
    ours, one = (tool.run_config(_args(images), split, name, 0, tmp_path) for name in ('trained', 'one-queue'))
    assert one.model.type is MoCo and one.model.queue == {'type': Queue, 'length': 18, 'dim': 64}
    for name in ('backbone', 'neck', 'momentum', 'temperature', 'data_preprocessor'):
        assert one.model[name] == ours.model[name]
    assert {key: value for key, value in one.items() if key != 'model'} == {
        key: value for key, value in ours.items() if key != 'model'
    }
    args = _args(images)
    args.config, args.cfg_options = str(ROOT / 'configs/simclr/simclr_resnet10_1xb256_cpu_2e_cifar10.py'), {}
    with pytest.raises(ValueError, match='needs a config with a queue per domain'):
        tool.run_config(args, split, 'one-queue', 0, tmp_path)


def test_the_table_averages_over_domains_and_over_their_images_seed_by_seed(tool):
    rows = [{'a': {'images': 1, 'k-NN': 10.0}, 'b': {'images': 3, 'k-NN': 30.0}}, {'a': {'images': 1, 'k-NN': 20.0}}]
    rows[1]['b'] = {'images': 3, 'k-NN': 40.0}
    assert tool.table({'untrained': rows[:1], 'trained': rows}, [('a', 'b')]).splitlines() == [
        '| unseen domain | features | k-NN (%) |',
        '|---|---|---|',
        '| a | untrained | 10.0 |',
        '| a | trained | 15.0 ± 7.1 |',
        '| b | untrained | 30.0 |',
        '| b | trained | 35.0 ± 7.1 |',
        '| average (a, b) | untrained | 20.0 |',
        '| average (a, b) | trained | 25.0 ± 7.1 |',
        '| overall (a, b) | untrained | 25.0 |',
        '| overall (a, b) | trained | 30.0 ± 7.1 |',
    ]


def test_targets_are_averaged_within_a_split_or_over_those_that_leave_one_out(tool):
    one = [DomainSplit(('a', 'b'), ('c',)), DomainSplit(('a', 'c'), ('b',))]
    assert tool.groups(one) == [('c', 'b')]
    assert tool.groups([DomainSplit(('a',), ('b', 'c')), DomainSplit(('b', 'c'), ('a',))]) == [('b', 'c')]


def _main(tool: ModuleType, monkeypatch: pytest.MonkeyPatch, images: Path, folder: Path, *more: str) -> None:
    options = ['--data', str(images), '--work-dir', str(folder), '--draws', '1', '--shares', '0.2', '--k', '5', *more]
    config = ['model.queue.length=12', 'train_dataloader.batch_size=8', 'train_cfg.max_epochs=1']
    config += ['train_dataloader.num_workers=0', 'evaluation.num_workers=0']
    monkeypatch.setattr(sys, 'argv', ['leave_one_domain_out.py', CONFIG, *options, '--cfg-options', *config])
    tool.main()


def test_labels_are_those_of_the_sources_and_the_test_images_those_of_the_unseen_domain(tool, images, monkeypatch):
    seen = []

    def features(model: None, cfg: None, source: DomainFolder) -> Features:
        seen.append((source.root.name, list(source.domains), len(source)))
        return Features(torch.randn(len(source), 3), source.labels, torch.arange(len(source)), source.classes)

    monkeypatch.setattr(tool, 'features_of', features)
    args = _args(images, labelled=None, k=3, shares=[0.5], draws=1)
    rows = tool.measure(None, None, args, DomainSplit(('art',), ('photo', 'sketch')))
    assert seen == [('train', ['art'], 24), ('test', ['photo'], 10), ('test', ['sketch'], 10)]
    assert list(rows) == ['photo', 'sketch'] and rows['photo']['images'] == 10
    assert list(rows['photo']) == ['images', 'k-NN', 'linear, 50 % of the labels', 'linear']


def test_baselines_are_measured_on_the_unseen_domain(tool, images, tmp_path, monkeypatch, capsys):
    _main(tool, monkeypatch, images, tmp_path, '--methods', 'pixels', 'untrained', '--seeds', '0', '--targets', 'photo')
    lines = capsys.readouterr().out.strip().splitlines()[-4:]
    assert lines[0] == '| unseen domain | features | k-NN (%) | linear, 20 % of the labels (%) | linear (%) |'
    assert lines[2].startswith('| photo | pixels | ') and lines[2].endswith(' | 100.0 | 100.0 |')
    found = Config.fromfile(tmp_path / Path(CONFIG).stem / 'untrained_photo_0.json')
    assert found.sources == ['art', 'sketch'] and found.rows.photo.images == 10


@pytest.mark.slow
def test_a_benchmark_that_was_interrupted_continues_and_refuses_other_options(
    tool, images, tmp_path, monkeypatch, capsys
):
    common = (tool, monkeypatch, images, tmp_path, '--methods', 'one-queue', 'trained', '--targets', 'art', 'photo')
    _main(*common, '--seeds', '0')
    folder = tmp_path / Path(CONFIG).stem
    written = (folder / 'trained_art_0.json').stat().st_mtime_ns
    _main(*common, '--seeds', '0', '1')
    assert (folder / 'trained_art_0.json').stat().st_mtime_ns == written
    assert (folder / 'one-queue_photo_1.json').exists()
    report = (folder / 'table.md').read_text()
    assert report in capsys.readouterr().out and '| average (art, photo) | one-queue |' in report
    with pytest.raises(SystemExit, match='was measured with other options'):
        _main(*common, '--seeds', '0', '--labelled', '20')


MUTATIONS = [
    Mutation(
        'classifiers see labels of the unseen domain',
        'tools/benchmarks/leave_one_domain_out.py',
        'labelled = DomainFolder(train_root, split.sources, args.classes)',
        'labelled = DomainFolder(train_root, None, args.classes)',
    ),
    Mutation(
        'the benchmark trains on the unseen domain too',
        'tools/benchmarks/leave_one_domain_out.py',
        'source_config(args, roots(args.data)[0], split.sources)',
        'source_config(args, roots(args.data)[0], split.sources + split.targets)',
    ),
]
