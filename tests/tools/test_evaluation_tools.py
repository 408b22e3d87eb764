"""The evaluation tools by the commands a user types, on images that raw brightness tells apart."""

import json
import runpy
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmssl.datasets.sources import build_source
from mmssl.evaluation import FAST_PROBE, Measure, Result, read_results, write_results
from mmssl.models import ResNet
from tests.helpers.commands import run_command
from tests.training import ROOT, environment

LINEAR = 'benchmarks.classification.swav_linear_resnet10_1xb256_cpu_100e_cifar10'
SWAV = 'swav.swav_resnet10_1xb128_cpu_2e_cifar10'


def run(script: str, *arguments: object, fails: bool = False) -> str:
    """Output of a tool, its errors too where it is expected to fail."""
    if script.endswith('.sh'):
        words, env = ['bash', str(ROOT / script), *map(str, arguments)], environment(PYTHON=sys.executable)
        found = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    else:
        found = run_command(ROOT / script, *arguments)
    assert bool(found.returncode) == fails, found.stdout[-2000:] + found.stderr[-4000:]
    return found.stderr if fails else found.stdout


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of three brightnesses, a checkpoint, and configs that know both."""
    folder = tmp_path_factory.mktemp('tools')
    generator = np.random.default_rng(0)
    for index in range(60):
        path = folder / 'images' / f'class{index % 3}' / f'{index}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 60, (32, 32, 3)) + 90 * (index % 3)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    torch.manual_seed(1)
    weights = ResNet(10, stem='small', base_channels=16).state_dict()
    torch.save(
        {'meta': {}, 'state_dict': {f'backbone.{key}': value for key, value in weights.items()}}, folder / 'c.pth'
    )
    for name, base in (('linear', LINEAR), ('swav', SWAV)):
        (folder / f'{name}.py').write_text(
            f'from mmengine.config import read_base\n'
            f'with read_base():\n    from mmssl.configs.{base} import *\n'
            f"train_dataloader['dataset']['source'].update(root={str(folder / 'images')!r})\n"
            f"for part in ('gallery', 'query'):\n"
            f"    evaluation[part]['source'].update(root={str(folder / 'images')!r})\n"
            f'del part\n'
            f'train_dataloader.update(num_workers=0, persistent_workers=False, batch_size=10)\n'
            f'evaluation.update(num_workers=0)\ntrain_cfg.update(max_epochs=3)\n'
        )
    return folder


def test_test_py_prints_a_table_and_writes_the_same_numbers(folder, tmp_path):
    text = run('tools/test.py', folder / 'swav.py', folder / 'c.pth', '--work-dir', tmp_path)
    found = json.loads((tmp_path / 'evaluation.json').read_text())
    result = read_results(tmp_path / 'evaluation.json')[-1]
    assert found['checkpoint'] == str(folder / 'c.pth')
    assert set(found['results'][-1]['measures'][0]) >= {'name', 'value', 'spread', 'unit', 'protocol'}
    assert result.measure('linear').protocol.startswith(f'linear: {FAST_PROBE}')
    assert [measure.name for measure in result.measures[:3]] == ['k-NN k=10', 'k-NN k=20', 'linear']
    assert result.measure('linear').text in text
    assert FAST_PROBE in text
    assert result.measure('other view found').value >= 0


@pytest.mark.slow
def test_two_processes_measure_what_one_does_and_the_baselines_stand_beside_it(folder, tmp_path):
    run('tools/test.py', folder / 'swav.py', folder / 'c.pth', '--work-dir', tmp_path / '1', '--baselines')
    run('tools/dist_test.sh', folder / 'swav.py', folder / 'c.pth', 2, '--work-dir', tmp_path / '2', '--baselines')
    one, two = (read_results(tmp_path / name / 'evaluation.json') for name in '12')
    assert [result.name for result in two] == ['raw pixels', 'untrained', 'c.pth']
    for first, second in zip(one, two):
        for measure, other in zip(first.measures, second.measures):
            assert measure.name == other.name
            assert measure.value == pytest.approx(other.value, rel=0 if measure.labels else 1e-4)


def test_a_checkpoint_of_another_network_is_refused_in_a_sentence(folder, tmp_path):
    torch.save(ResNet(10).state_dict(), tmp_path / 'wide.pth')
    text = run('tools/test.py', folder / 'swav.py', tmp_path / 'wide.pth', '--work-dir', tmp_path, fails=True)
    assert 'all are needed' in text.splitlines()[-1]
    assert 'Traceback' not in text


def test_the_papers_protocol_trains_a_classifier_for_the_classes_of_the_data(folder, tmp_path):
    script = 'tools/benchmarks/classification/linear.py'
    text = run(script, folder / 'linear.py', '--checkpoint', folder / 'c.pth', '--work-dir', tmp_path)
    found = json.loads((tmp_path / 'linear.json').read_text())
    (result,) = read_results(tmp_path / 'linear.json')
    top1, best = result.measure('top-1'), result.measure('top-1, best epoch')
    assert top1.protocol.startswith('SwAV linear')
    assert top1.protocol in text
    assert found['epochs'] == 3
    assert best.value >= top1.value > 40
    assert f'top-1 {top1.text} %, top-5 {result.measure("top-5").text} %; best epoch {best.text} %' in text
    state_dict = torch.load(tmp_path / 'epoch_3.pth', weights_only=True)['state_dict']
    assert state_dict['classifier.weight'].shape == (3, 128)
    given = torch.load(folder / 'c.pth', weights_only=True)['state_dict']
    assert all(torch.equal(state_dict[key], tensor) for key, tensor in given.items())


@pytest.mark.slow
def test_the_papers_protocol_runs_on_two_processes(folder, tmp_path):
    script = 'tools/benchmarks/classification/dist_linear.sh'
    run(script, folder / 'linear.py', 2, folder / 'c.pth', '--work-dir', tmp_path)
    assert json.loads((tmp_path / 'linear.json').read_text())['epochs'] == 3


@pytest.mark.slow
def test_the_comparison_names_both_protocols_and_their_times(folder, tmp_path):
    script = 'tools/benchmarks/classification/compare_linear.py'
    run(script, folder / 'linear.py', '--checkpoint', folder / 'c.pth', '--work-dir', tmp_path)
    fast, paper = read_results(tmp_path / 'compare_linear.json')
    assert fast.measure('top-1').protocol.startswith(FAST_PROBE)
    assert paper.measure('top-1').protocol.startswith('SwAV linear')
    assert '10 augmented views' in fast.measure('top-1').protocol
    assert paper.seconds['all'] > 0


@pytest.mark.slow
def test_a_protocol_that_a_signal_ends_reports_no_accuracy(folder, tmp_path):
    script = ROOT / 'tools/benchmarks/classification/linear.py'
    options = ('--work-dir', str(tmp_path), '--cfg-options', 'train_cfg.max_epochs=5000')
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder / 'linear.py'), *options],
        cwd=ROOT, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    while process.poll() is None and not any(
        'linear_top1' in p.read_text() for p in tmp_path.glob('*/vis_data/s*.json')
    ):
        time.sleep(0.5)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert 'nothing was measured: continue with --resume' in errors
    assert not (tmp_path / 'linear.json').exists()


def test_knn_py_gives_each_number_of_neighbours_and_refuses_too_many(folder, tmp_path):
    script = 'tools/benchmarks/classification/knn.py'
    run(script, folder / 'swav.py', folder / 'c.pth', '--k', 1, 5, '--chunk', 7, '--work-dir', tmp_path)
    (found,) = read_results(tmp_path / 'knn.json')
    assert [measure.name for measure in found.measures] == ['k-NN k=1', 'k-NN k=5']
    assert found.measure('k-NN k=1').value == 100  # gallery and query are the same images here
    text = run(script, folder / 'swav.py', folder / 'c.pth', '--work-dir', tmp_path, fails=True)
    assert 'gallery has 60 images' in text.splitlines()[-1]


@pytest.mark.parametrize('target', ['torchvision', 'timm'])
def test_export_backbone_py_shows_that_the_export_loads(target, folder, tmp_path):
    script = 'tools/model_converters/export_backbone.py'
    if target == 'timm':
        text = run(script, folder / 'c.pth', tmp_path / 'out.pth', '--target', 'timm', fails=True)
        assert "export it with target 'torchvision'" in text
        return
    text = run(script, folder / 'c.pth', tmp_path / 'out.safetensors')
    assert 'keys matched; largest difference between the features of the same image: 0' in text
    exec(text[text.index('import ') :], names := {})
    assert names['network'].layer1[0].conv1.weight.shape == (16, 16, 3, 3)


def test_the_table_of_a_benchmark_is_over_seeds_of_files_of_today_and_earlier(tmp_path):
    tool = runpy.run_path(str(ROOT / 'tools/benchmarks/learning.py'))
    measures = (Measure('k-NN k=20', 40.0, short='k-NN (k=20)'), Measure('linear', 50.0, short='linear'))
    write_results(tmp_path / '0.json', [Result('mmssl', measures, seconds={'training': 100.0})], seed=0)
    earlier = {
        'name': 'mmssl', 'seed': 1, 'seconds': 50.0, 'label_free': {'deviation': 0.5},
        'knn': {'protocol': 'k-NN: cosine', 'top1': {'10': 30.0, '20': 42.0}}, 'linear': {'protocol': '', 'top1': 54.0},
    }  # fmt: skip
    (tmp_path / '1.json').write_text(json.dumps(earlier))
    results = [result for seed in '01' for result in read_results(tmp_path / f'{seed}.json')]
    assert tool['table'](results).splitlines() == [
        '| features | k-NN (k=20) | linear | training, s |',
        '|---|---|---|---|',
        '| mmssl | 41.0 ± 1.4 | 52.0 ± 2.8 | 75 |',
    ]


def test_a_learning_rate_is_chosen_on_training_images_that_no_run_trained_on(tmp_path):
    tool = runpy.run_path(str(ROOT / 'tools/benchmarks/learning.py'))
    images = dict(type='ArraySource', images=str(tmp_path / 'images.npy'))
    np.save(tmp_path / 'images.npy', np.zeros((2010, 1, 1, 3), np.uint8))
    cfg = Config(
        dict(
            train_dataloader=dict(dataset=dict(source=images)),
            evaluation=dict(gallery=dict(source=None), query=dict(source='test images')),
            optim_wrapper=dict(optimizer=dict(lr=1.0)),
            train_cfg=dict(max_epochs=5),
        )
    )
    kept = tool['held_out'](cfg, 1000)
    assert kept.train_cfg.max_epochs == 2
    trained, gallery, query = (
        set(build_source(part.source).indices.tolist())
        for part in (kept.train_dataloader.dataset, kept.evaluation.gallery, kept.evaluation.query)
    )
    assert len(query) == 2000 and gallery == trained == set(range(2010)) - query

    def measured(cfg, name):
        knn, linear = {0.1: (30.0, 40.0), 0.2: (32.0, 39.0), 0.4: (33.0, 36.0)}[cfg.optim_wrapper.optimizer.lr]
        return Result(name, (Measure('k', knn, short='k-NN'), Measure('linear', linear, short='linear')))

    tool['choose_rate'].__globals__['measure'] = measured
    assert tool['choose_rate'](kept, 'mmssl', [0.1, 0.2, 0.4], 0, tmp_path) == 0.2
    assert tool['choose_rate'](kept, 'mmssl', [0.8], 0, tmp_path) == 0.8  # which was never measured


def test_a_peer_that_is_not_installed_is_named_with_the_command_that_installs_it(tmp_path):
    (tmp_path / 'lightly.py').write_text('raise ModuleNotFoundError("No module named \'lightly\'")')
    config = ROOT / 'configs/simclr/simclr_resnet10_1xb256_cpu_2e_cifar10.py'
    found = subprocess.run(
        [sys.executable, ROOT / 'tools/benchmarks/learning.py', config, '--peer', 'lightly', '--work-dir', tmp_path],
        env=environment(PYTHONPATH=f'{tmp_path}:{ROOT}'), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 1
    assert found.stderr.splitlines()[-1].startswith("lightly is not installed (No module named 'lightly'): type pip")
