"""From videos to features, and from these to a curve: the commands a user types, on videos of seconds."""

import csv
import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmssl.commands import main
from mmssl.datasets import open_video, read_sequence
from mmssl.engine import Runner
from mmssl.models import ResNet
from mmssl.probe import frame_network, video_sequence
from tests.helpers.sounding import write_sounding
from tests.training import ROOT

pytest.importorskip('av')
pytest.importorskip('kaldi_native_fbank')


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Videos, the weights of a small ResNet, and RASL as it starts, for sequences of these features."""
    folder = tmp_path_factory.mktemp('highlights')
    write_sounding(folder / 'videos/loud.mkv', seconds=6, loud=(3, 4))
    write_sounding(folder / 'videos/mute.mkv', seconds=6, loud=None)
    write_sounding(folder / 'videos/brief.mkv', seconds=1, loud=None)
    torch.manual_seed(0)
    torch.save(ResNet(10, stem='small', base_channels=8).state_dict(), folder / 'network.pth')
    cfg = Config.fromfile(ROOT / 'configs/rasl/rasl_transformer_1xb64_cpu_40e_events.py')
    for part in (cfg.train_dataloader.dataset, cfg.evaluation.gallery, cfg.evaluation.query, cfg.evaluation.pretext):
        part.channels, part.length, part.source.count = 64, 16, 32
        part.source.channels, part.source.bands = 64, 64
    cfg.model.data_preprocessor.update(mean=[0.0] * 64, std=[1.0] * 64)
    cfg.model.backbone.in_channels = cfg.model.audio_encoder.in_channels = 64
    cfg.model.k = 3
    cfg.train_dataloader.update(num_workers=0, batch_size=16, persistent_workers=False)
    cfg.evaluation.num_workers, cfg.train_cfg.max_epochs = 0, 1
    cfg.work_dir, cfg.log_level = str(folder / 'run'), 'ERROR'
    Runner.from_cfg(cfg).train()
    return folder


def highlights(folder: Path, video: str, *options: str) -> None:
    main([
        'highlights', str(folder / 'videos' / video), '--checkpoint', str(folder / 'run'),
        '--network', str(folder / 'network.pth'), '--work-dir', str(folder / 'out'), *options,
    ])  # fmt: skip


@pytest.mark.parametrize('video', ['loud.mkv', 'mute.mkv'])
def test_the_curve_of_a_video_is_printed_and_written_with_or_without_sound(video, folder, capsys):
    highlights(folder, video, '--rate', '4', '--top', '3')
    said = capsys.readouterr().out
    assert '24 steps at 4 per second' in said and said.count(' s  score ') == 3
    with (folder / 'out/curve.csv').open() as file:
        rows = list(csv.DictReader(file))
    scores = torch.tensor([float(row['score']) for row in rows])
    assert [float(row['seconds']) for row in rows[:3]] == [0, 0.25, 0.5] and len(rows) == 24
    assert scores.mean().abs() < 1e-3 and scores.std(correction=0) == pytest.approx(1, abs=1e-3)
    with Image.open(folder / 'out/curve.png') as picture:
        assert min(picture.size) > 300 and len(picture.convert('RGB').getcolors(1 << 20)) > 50


@pytest.mark.parametrize(
    'video, options, said',
    [
        ('brief.mkv', [], r'brief.mkv is too short: 2 steps at 2 per second, but 4 are needed.*a rate of 4'),
        ('none.mkv', [], r'none.mkv cannot be read'),
    ],
)
def test_what_cannot_be_scored_is_refused_in_a_sentence(video, options, said, folder):
    with pytest.raises(SystemExit, match=said):
        highlights(folder, video, *options)


def test_other_checkpoints_and_networks_are_refused_in_a_sentence(folder, tmp_path):
    wide = tmp_path / 'wide.pth'
    torch.save(ResNet(10, stem='small', base_channels=16).state_dict(), wide)
    with pytest.raises(SystemExit, match=r'wide.pth gives 128 features per frame, but .* trained with 64'):
        highlights(folder, 'loud.mkv', '--network', str(wide))


def test_features_of_frames_have_a_length_of_one(folder):
    network = frame_network(str(folder / 'network.pth'))
    found = video_sequence(open_video(folder / 'videos' / 'mute.mkv'), network, rate=4, sound=False).visual
    assert found.shape[1] == 64
    torch.testing.assert_close(found.norm(dim=1), torch.ones(len(found)))


@pytest.mark.parametrize('need_sound', [True, False])
def test_sequences_are_written_and_those_left_out_are_named(need_sound, folder, monkeypatch, capsys, tmp_path):
    words = [str(folder / 'videos'), str(tmp_path), '--network', str(folder / 'network.pth')]
    monkeypatch.setattr(
        sys, 'argv', ['feature_sequences.py', *words, '--rate', '4', '--minimum', '10', *['--need-sound'] * need_sound]
    )
    runpy.run_path(str(ROOT / 'tools/dataset_tools/feature_sequences.py'), run_name='__main__')
    said = capsys.readouterr().out
    assert 'Left out' in said and 'brief.mkv is too short: 4 steps' in said
    assert f'{2 - need_sound} of 3 videos' in said and f'{1 - need_sound} of them without a sound track' in said
    assert ('Left out: mute.mkv has no sound track' in said) == need_sound != (tmp_path / 'mute.npz').exists()
    loud = read_sequence(tmp_path / 'loud.npz')
    assert loud.visual.shape == (24, 64)
    if not need_sound:
        mute = read_sequence(tmp_path / 'mute.npz')
        assert mute.visual.shape == (24, 64) and mute.audio is None
    assert loud.audio.mean(dim=1).argsort()[-4:].sort().values.tolist() == [12, 13, 14, 15]


def test_curves_are_measured_per_video_on_a_published_layout(folder, monkeypatch, capsys, tmp_path):
    for name, labels in {'a': [1, -1, 1], 'b': [-1, -1, -1]}.items():
        write_sounding(tmp_path / f'dog/{name}/v.mkv', seconds=6, loud=None)
        (tmp_path / f'dog/{name}/match_label.json').write_text(json.dumps([[[0, 19], [20, 39], [40, 59]], labels]))
    words = [str(tmp_path), '--layout', 'youtube', '--checkpoint', str(folder / 'run'), '--rate', '4']
    monkeypatch.setattr(sys, 'argv', ['highlights.py', *words, '--network', str(folder / 'network.pth')])
    runpy.run_path(str(ROOT / 'tools/benchmarks/highlights.py'), run_name='__main__')
    said = capsys.readouterr().out
    assert 'Left out: dog/b/v.mkv has no highlight' in said
    assert said.count('1 videos  mAP ') == 2 and 'dog ' in said and 'all videos ' in said
