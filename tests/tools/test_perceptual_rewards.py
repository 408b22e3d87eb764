"""The tools of perceptual rewards, as a user types them."""

import json
import re
from importlib.util import module_from_spec, spec_from_file_location

import numpy as np
import pytest
import torch

from mmssl.models import ResNet
from tests.training import ROOT
from tests.visualization.test_report import Page


def tool(path):
    """Load a tool by its path below ``tools``."""
    spec = spec_from_file_location(path.rpartition('/')[2], ROOT / 'tools' / f'{path}.py')
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    torch.save(ResNet(10, stem='small', base_channels=4).state_dict(), tmp_path / 'backbone.pth')
    return str(tmp_path / 'backbone.pth')


def test_a_reward_is_fitted_to_demonstrations_and_draws_the_curves_of_videos(checkpoint, tmp_path, capsys):
    shown, others, reward = tmp_path / 'shown', tmp_path / 'others', str(tmp_path / 'reward.pth')
    record = tool('dataset_tools/sprite_demonstrations').main
    record([str(shown), '--count', '4'])
    record([str(others), '--count', '2', '--first', '500'])
    progress = json.loads((shown / 'progress.json').read_text())
    assert [len(values) for values in progress.values()] == [len(np.load(shown / name)) for name in progress]
    assert len(progress) == 4 and min(map(len, progress.values())) >= 6
    np.save(shown / 'one_frame.npy', np.zeros((1, 32, 32, 3), np.uint8))
    main = tool('analysis_tools/perceptual_reward').main
    main(
        [
            'fit',
            checkpoint,
            str(shown),
            '--steps',
            '2',
            '--min-size',
            '2',
            '--size',
            '32',
            '--grid',
            '2',
            '--out',
            reward,
        ]
    )
    said = capsys.readouterr().out
    assert len(re.findall(r'interaction_\d+\.npy: \d+ frames, steps begin at 0, \d+', said)) == 4
    assert '1 of 5 videos left out:' in said and 'one_frame.npy is too short: 1 frame, but 4 are needed' in said
    main(['score', checkpoint, reward, str(others), str(shown / 'one_frame.npy'), '--out', str(tmp_path / 'r.html')])
    assert len(re.findall(r'reward \d\.\d+ at first, \d\.\d+ at most', capsys.readouterr().out)) == 3
    videos = json.loads((tmp_path / 'r.json').read_text())['videos']
    rewards = next(iter(videos.values()))
    np.testing.assert_allclose(rewards['reward'], np.array(rewards['steps'])[:, 1], rtol=1e-5)
    page = Page((tmp_path / 'r.html').read_text())
    assert [heading.rpartition('/')[2] for heading in page.headings[:3]] == [name.rpartition('/')[2] for name in videos]
    assert sum('frame' in image.get('alt', '') for image in page.images) > 8


@pytest.mark.parametrize(
    'words, sentence',
    [
        (['--steps', '1'], '--steps 1 --min-size 5 --grid 4: give at least 2 steps'),
        (['--steps', '2'], 'None of 1 videos can be used, the first because: .*one.npy is too short: 1 frame, but 10'),
        (['--config', 'none.py'], 'No config none.py'),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(words, sentence, checkpoint, tmp_path):
    np.save(tmp_path / 'one.npy', np.zeros((1, 32, 32, 3), np.uint8))
    with pytest.raises(SystemExit, match=sentence):
        tool('analysis_tools/perceptual_reward').main(['fit', checkpoint, str(tmp_path / 'one.npy'), *words])


def test_planted_steps_are_found_better_than_at_random_with_features_at_random(tmp_path):
    """The miniature of the specification: 11 demonstrations of 48 x 48 pixels in three steps."""
    out = tmp_path / 'out.json'
    tool('benchmarks/perceptual_rewards').main(['planted', '--others', '6', '--out', str(out)])
    random, found = (
        {one['name']: one['value'] for one in row['measures']} for row in json.loads(out.read_text())['results']
    )
    assert found['steps found'] > random['steps found'] + 0.08
    assert found['steps recognised'] > random['steps recognised'] + 0.08
    assert found['reward and progress'] > 0.7


def test_networks_are_compared_on_sprites_and_drawn(checkpoint, tmp_path, capsys):
    report, out = tmp_path / 'report.html', tmp_path / 'out.json'
    words = ['--demonstrations', '3', '--others', '3', '--size', '32', '--grid', '2', '--task', 'goal']
    tool('benchmarks/perceptual_rewards').main(
        ['sprites', checkpoint, *words, '--report', str(report), '--out', str(out)]
    )
    results = json.loads(out.read_text())['results']
    assert [row['name'] for row in results] == ['ordered random', 'untrained', 'backbone.pth']
    assert all(-1 <= one['value'] <= 1 for row in results for one in row['measures'])
    assert 'reward and progress' in capsys.readouterr().out
    page = Page(report.read_text())
    assert page.headings[0] == 'backbone.pth, video 0' and 'untrained, video 1' in page.headings
