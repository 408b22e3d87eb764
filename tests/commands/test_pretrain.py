"""``mmssl pretrain``: options, the parts of a folder, what is said at the end, and going on after an interruption."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import mmssl
from mmssl.apis import training
from mmssl.apis.training import METHODS, fit_to_time, folder_config
from mmssl.commands import main, pretrain
from mmssl.engine.hooks import KeepStatisticsHook
from mmssl.models import ResNet
from mmssl.registry import DATASETS, MODELS
from tests.helpers.mutation import Mutation
from tests.training import ROOT, environment


def _images(folder: Path, count: int, side: int = 40) -> Path:
    """Two classes that differ in colour."""
    generator = np.random.default_rng(0)
    for number in range(count):
        path = folder / 'ab'[number % 2] / f'{number}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        image = generator.integers(0, 128, (side, side, 3), dtype=np.uint8)
        image[..., number % 2] += 100
        Image.fromarray(image).save(path)
    return folder


@pytest.fixture
def folder(tmp_path):
    return _images(tmp_path / 'images', 40)


def test_the_methods_offered_are_those_that_have_a_config():
    assert tuple(METHODS) == pretrain._METHODS


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        (['--data', '.', '--work-dir', '..'], r'--work-dir .. holds the images, but it is for results'),
        (['--minutes', '0'], r'--minutes 0: give a time above 0'),
        (['--minutes', 'nan'], r'--minutes nan: give a time above 0'),
        (['--minutes', 'inf'], r'--minutes inf: give a time above 0'),
        (['--data', 'nowhere'], r'--data nowhere is no folder'),
        (['--work-dir', 'nowhere', '--resume'], r'there is no run in nowhere: leave out --resume'),
        (['--amp'], r'--amp, but there is no GPU: leave it out'),
    ],
)
def test_wrong_options_end_in_one_sentence(words, sentence):
    with pytest.raises(SystemExit, match=sentence):
        main(['pretrain', *words])


def test_a_file_that_is_no_video_and_a_missing_decoder_end_in_one_sentence(tmp_path, monkeypatch):
    (tmp_path / 'a.mp4').write_bytes(b'no video')
    words = ['pretrain', '--data', str(tmp_path / 'a.mp4'), '--work-dir', str(tmp_path / 'work')]
    monkeypatch.setitem(sys.modules, 'av', None)
    monkeypatch.setattr('mmssl.dependencies.find_spec', lambda name: None)
    with pytest.raises(SystemExit, match=r"needs av, which is not installed: type  pip install 'mmssl\[video\]'"):
        main(words)
    monkeypatch.undo()
    pytest.importorskip('av')
    with pytest.raises(SystemExit, match=r'None of the videos has frames that can be read.*a\.mp4 cannot be read'):
        main(words)


def test_train_and_test_are_parts_whose_classes_are_the_same(tmp_path):
    _images(tmp_path / 'train', 40)
    _images(tmp_path / 'test', 10)
    cfg = folder_config(tmp_path)
    assert cfg.train_dataloader.dataset.source.source.root == str(tmp_path / 'train')
    assert cfg.evaluation.gallery.source.num == 40
    assert cfg.evaluation.query.source.source.source.root == str(tmp_path / 'test')
    assert cfg.evaluation.query.source.source.source.classes == ['a', 'b']


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('purpose', ['detection', 'segmentation'])
def test_a_detector_or_segmenter_takes_the_network_of_every_method(method, purpose, folder):
    backbone = folder_config(folder, method, purpose).model.backbone
    assert backbone.depth >= 18 and backbone.get('stem', 'imagenet') == 'imagenet'


def test_the_network_is_that_of_the_weights(folder, tmp_path):
    network = ResNet(34, base_channels=8)
    torch.save(network.state_dict(), tmp_path / 'weights.pth')
    cfg = folder_config(folder, init=str(tmp_path / 'weights.pth'))
    assert (cfg.model.backbone.depth, cfg.model.backbone.base_channels) == (34, 8)
    assert cfg.model.neck.in_channels == 64
    assert cfg.model.backbone.init == str(tmp_path / 'weights.pth')


@pytest.mark.parametrize(
    ('content', 'share', 'hooks'),
    [({}, 0.01, [KeepStatisticsHook]), ({'meta': {'progress': {'num_samples': 9, 'epoch': 1}}}, 0.1, [])],
)
def test_weights_of_others_keep_their_statistics_and_move_less_than_those_of_a_run(
    content, share, hooks, folder, tmp_path
):
    torch.save({'state_dict': ResNet(18, base_channels=8).state_dict(), **content}, tmp_path / 'weights.pth')
    cfg, fresh = folder_config(folder, init=str(tmp_path / 'weights.pth')), folder_config(folder)
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(share * fresh.optim_wrapper.optimizer.lr)
    assert [hook['type'] for hook in cfg.get('custom_hooks', [])] == hooks


def test_weights_of_no_resnet_are_refused_with_what_to_type(folder, tmp_path):
    torch.save({'patch_embed.proj.weight': torch.zeros(8, 3, 4, 4)}, tmp_path / 'vit.pth')
    with pytest.raises(ValueError, match=r'holds no ResNet.*timm:convnext_tiny.*mmssl train CONFIG --init FILE'):
        folder_config(folder, init=str(tmp_path / 'vit.pth'))


def test_images_come_from_one_cache_for_training_and_measuring(folder, monkeypatch, tmp_path):
    monkeypatch.setenv('MMSSL_CACHE', str(tmp_path / 'cache'))
    cfg = folder_config(folder)
    assert len(list((tmp_path / 'cache/shrunk').glob('*.pixels'))) == 1
    shrunk = cfg.train_dataloader.dataset.source
    assert shrunk == cfg.evaluation.gallery.source.source == cfg.evaluation.query.source.source
    assert shrunk['size'] == 72  # one and a half views


def test_a_resnet_that_no_detector_takes_is_refused_before_anything_is_trained(folder, tmp_path):
    torch.save(ResNet(18, stem='small', base_channels=8).state_dict(), tmp_path / 'weights.pth')
    with pytest.raises(
        ValueError, match=r'is no ResNet that a detector or segmenter of OpenMMLab takes.*--for detection'
    ):
        folder_config(folder, purpose='detection', init=str(tmp_path / 'weights.pth'))


def test_weights_for_gray_images_are_converted_to_the_channels_of_the_images(folder, tmp_path):
    torch.save(ResNet(18, in_channels=1, base_channels=8).state_dict(), tmp_path / 'weights.pth')
    assert folder_config(folder, init=str(tmp_path / 'weights.pth')).model.backbone.in_channels == 3


def test_every_head_of_pixpro_gets_the_width_of_the_weights(folder, tmp_path):
    torch.save(ResNet(18, base_channels=8).state_dict(), tmp_path / 'weights.pth')
    model = folder_config(folder, 'pixpro', init=str(tmp_path / 'weights.pth')).model
    assert model.neck.in_channels == model.instance_neck.in_channels == 64


def test_the_queue_of_moco_is_no_longer_than_the_images(folder, monkeypatch):
    monkeypatch.setattr(training, '_seconds_per_step', lambda *_: 0.1)
    cfg = folder_config(folder, 'moco')
    fit_to_time(cfg, 1)
    assert cfg.model.queue.length == 40
    MODELS.build(cfg.model).allocate(40)


def test_the_network_is_measured_on_as_many_images_as_the_baselines_though_it_saw_fewer(folder, monkeypatch):
    monkeypatch.setattr(training, '_seconds_per_step', lambda *_: 2.0)
    cfg = folder_config(folder)
    assert fit_to_time(cfg, 0.001).images == 20
    assert len(DATASETS.build(pretrain._pairs(cfg))) == 40


def test_an_earlier_run_is_moved_aside(tmp_path, capsys):
    work = tmp_path / 'run'
    work.mkdir()
    (work / 'epoch_9.pth').touch()
    assert pretrain._make_room(work, 'torchvision:resnet18') == 'torchvision:resnet18'
    (moved,) = tmp_path.glob('run_*')
    assert (moved / 'epoch_9.pth').is_file() and not work.exists()
    assert f'The earlier run in {work} is now in {moved}' in capsys.readouterr().out
    assert pretrain._make_room(work, None) is None


@pytest.mark.parametrize('inside', ['', 'epoch_9.pth'])
def test_a_new_run_may_start_from_the_earlier_one_in_its_folder(tmp_path, monkeypatch, inside):
    monkeypatch.chdir(tmp_path)
    work = Path('run')
    work.mkdir()
    (work / 'epoch_9.pth').touch()
    start = Path(pretrain._make_room(work, str(work / inside)))
    (moved,) = tmp_path.glob('run_*')
    assert start == moved / inside and start.exists()


RUN = ['--minutes', '2']  # ends earlier: after four draws of each image


@pytest.fixture
def few_draws(monkeypatch):
    monkeypatch.setattr(training, '_MOST_DRAWS', 4)
    monkeypatch.setattr(pretrain, '_STARTED', time.monotonic())


@pytest.mark.slow
def test_a_run_says_first_whether_it_learned_and_last_where_the_report_is(folder, tmp_path, few_draws, capsys):
    work = tmp_path / 'run'
    main(['pretrain', '--data', str(folder), '--work-dir', str(work), '--for', 'detection', *RUN])
    text = capsys.readouterr().out
    after = text.partition('Measuring the pre-trained network ...')[2].strip().split('\n\n')
    assert after[0].strip().split()[0] in ('It', 'These')
    assert 'This rests on 40 images, 8 steps and 4 draws per image' in after[0]
    assert f'Report: {work / "report.html"}' in after[-1]
    assert f"checkpoint='{work / 'backbone.pth'}'" in text and 'mean [123.675, 116.28, 103.53]' in text
    report = (work / 'report.html').read_text()
    assert report.index(after[0].strip().splitlines()[0]) < report.index('<table')
    assert json.loads((work / 'backbone.json').read_text())['size'] == 48
    assert isinstance(mmssl.load(work).backbone, ResNet)


@pytest.mark.slow
def test_a_checkpoint_of_a_run_of_so_many_minutes_fills_the_whole_algorithm(folder, tmp_path, few_draws):
    model = mmssl.train_from_folder(folder, minutes=2, work_dir=tmp_path / 'run')
    again = mmssl.load(tmp_path / 'run')
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on_and_that_command_ends_the_run(number, folder, tmp_path):
    words = ['-m', 'mmssl', 'pretrain', '--data', str(folder), '--work-dir', str(tmp_path / 'run')]
    command = [sys.executable, *words]
    started = subprocess.Popen(
        [*command, '--minutes', '3'], cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True
    )
    while not list((tmp_path / 'run').glob('*.pth')):
        assert started.poll() is None, started.stderr.read()
        time.sleep(0.2)
    started.send_signal(number)
    said = started.communicate(timeout=60)[1]
    assert started.returncode == (130 if number == signal.SIGINT else 0)
    assert 'Traceback' not in said and f'Saved. Go on with: {command[0]} ' in said
    assert said.strip().endswith('--resume')
    again = subprocess.run(
        [*command, '--resume', '--minutes', '0.5'], cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    assert again.returncode == 0, again.stderr
    assert (tmp_path / 'run/report.html').is_file() and 'This rests on 40 images' in again.stdout


MUTATIONS = [
    Mutation(
        'a trained network is searched for among fewer images than the untrained one',
        'mmssl/commands/pretrain.py',
        "{**training, 'source': training.source.source}",
        'training',
        'tests/commands/test_pretrain.py -k as_many_images_as_the_baselines',
    ),
    Mutation(
        'one head of PixPro keeps the width of another network',
        'mmssl/apis/training.py',
        "part.get('in_channels') == before",
        "part.get('in_channels') == cfg.model.neck.in_channels",
        'tests/commands/test_pretrain.py -k every_head_of_pixpro',
    ),
]
