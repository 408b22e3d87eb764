"""Rewards of frames: a network, what was fitted to its features, and the file that keeps it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from mmssl.checkpoint import read_checkpoint, write_checkpoint
from mmssl.datasets import UniformFrames, VideoFolder
from mmssl.evaluation import fit_reward
from mmssl.models import ResNet
from mmssl.probe import FrameReward, ProbedNetwork, compared_networks, frame_features, load_frame_reward, read_videos
from tests.helpers.mutation import Mutation


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """Weights of a small network at random."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('weights') / 'backbone.pth'
    torch.save(ResNet(10, stem='small', base_channels=4).state_dict(), path)
    return path


@pytest.fixture(scope='module')
def network(checkpoint):
    return compared_networks([checkpoint], None, 16, True, grid=2)[0].network.eval()


def frames_of(seed, lengths=(4, 5, 6)):
    """A video of three steps, of which each has its colour: uint8, ``(T, 3, 16, 24)``."""
    generator = np.random.default_rng(seed)
    steps = np.repeat(np.arange(3), lengths)
    frames = np.array([(200, 40, 40), (40, 200, 40), (40, 40, 200)])[steps][:, :, None, None]
    return torch.from_numpy((frames + generator.integers(0, 30, (len(steps), 3, 16, 24))).astype(np.uint8))


@pytest.fixture(scope='module')
def reward(network):
    return FrameReward(network, fit_reward([frame_features(network, frames_of(seed)) for seed in range(3)], 3, 3))


def test_features_are_those_of_the_middle_square_whatever_the_batch_size(network):
    frames = frames_of(0)
    rows = frame_features(network, frames)
    assert rows.shape == (15, sum(network.layers.values())) and rows.dtype == torch.float32
    torch.testing.assert_close(frame_features(network, iter(frames), batch_size=4), rows)
    square = frames[:1, :, :, 4:20].float()
    expected = network.extract_feat((square - network.data_preprocessor.mean) / network.data_preprocessor.std)
    torch.testing.assert_close(rows[:1], expected.detach())
    gray = frames[:2, :1]
    torch.testing.assert_close(frame_features(network, gray), frame_features(network, gray.expand(-1, 3, -1, -1)))


def test_a_network_in_training_stays_so_and_is_used_as_in_evaluation(network):
    expected = frame_features(network, frames_of(0))
    network.train()
    assert torch.equal(frame_features(network, frames_of(0)), expected) and network.backbone.training
    network.eval()


def test_a_network_on_clips_is_refused():
    clips = ProbedNetwork.__new__(ProbedNetwork)
    torch.nn.Module.__init__(clips)
    clips.name, clips.frames = 'r3d', UniformFrames(4)
    with pytest.raises(ValueError, match='r3d takes clips, but features of single frames are needed'):
        frame_features(clips, frames_of(0))


def test_a_reward_is_read_as_it_was_written(reward, checkpoint, tmp_path):
    reward.save(tmp_path / 'reward.pth')
    again = load_frame_reward(tmp_path / 'reward.pth', checkpoint)
    expected, found = reward(frames_of(9)), again(frames_of(9))
    assert torch.equal(found.steps, expected.steps) and torch.equal(found.reward, expected.reward)
    assert found.steps.argmax(dim=1).tolist() == [0] * 4 + [1] * 5 + [2] * 6
    assert torch.load(tmp_path / 'reward.pth', weights_only=True)['grid'] == 2


def test_a_reward_of_another_network_is_refused(reward, tmp_path):
    torch.manual_seed(1)
    other = tmp_path / 'other.pth'
    torch.save(ResNet(10, stem='small', base_channels=4).state_dict(), other)
    reward.save(tmp_path / 'reward.pth')
    with pytest.raises(ValueError, match=r'reward\.pth was fitted on another network than that of .*other\.pth'):
        load_frame_reward(tmp_path / 'reward.pth', other)


def test_what_is_no_reward_is_refused(reward, checkpoint, tmp_path):
    path = tmp_path / 'reward.pth'
    with pytest.raises(FileNotFoundError, match='No reward .*: give the file that the fit has written'):
        load_frame_reward(path, checkpoint)
    for content in ({'state_dict': {}}, [1], {'perceptual_reward': {}, 'grid': 'x', 'size': 16}):
        torch.save(content, path)
        with pytest.raises(ValueError, match='holds no perceptual reward'):
            load_frame_reward(path, checkpoint)
    torch.save(replace, path)
    with pytest.raises(ValueError, match='need unpickling'):
        load_frame_reward(path, checkpoint)


@pytest.mark.parametrize(
    'name, change',
    [
        ('mean', lambda mean: mean[:-1]),
        ('chosen', lambda chosen: chosen + 10**6),
        ('chosen', lambda chosen: chosen.float()),
        ('means', lambda means: means[:, :-1]),
        ('reference', lambda reference: reference.long()),
        ('min_size', lambda size: size[None]),
        ('scales', lambda scales: 3),
    ],
)
def test_a_reward_with_a_wrong_part_is_refused(name, change, reward, checkpoint, tmp_path):
    reward.save(tmp_path / 'reward.pth')
    content = read_checkpoint(tmp_path / 'reward.pth')
    content['perceptual_reward'][name] = change(content['perceptual_reward'][name])
    write_checkpoint(content, tmp_path / 'reward.pth')
    with pytest.raises(ValueError, match='holds an incomplete perceptual reward: fit it again'):
        load_frame_reward(tmp_path / 'reward.pth', checkpoint)


def write(folder, name, frames):
    folder.mkdir(exist_ok=True)
    np.save(folder / name, frames.permute(0, 2, 3, 1).numpy())


def test_broken_and_short_demonstrations_are_named_and_left_out(network, tmp_path):
    write(tmp_path, 'good.npy', frames_of(0))
    write(tmp_path, 'one_frame.npy', frames_of(0)[:1])
    write(tmp_path, 'short.npy', frames_of(0)[:5])
    (tmp_path / 'broken.npy').write_bytes(b'no array')
    (tmp_path / 'folder').mkdir()
    for place, frame in enumerate(frames_of(1)):
        Image.fromarray(frame.permute(1, 2, 0).numpy()).save(tmp_path / 'folder' / f'{place}.png')
    found = read_videos(network, VideoFolder(tmp_path, labels=False, minimum_frames=6))
    assert found.names == ['folder', 'good.npy'] and [len(rows) for rows in found.rows] == [15, 15]
    torch.testing.assert_close(found.rows[0], frame_features(network, frames_of(1)))
    broken, one, short = found.left_out
    assert 'broken.npy cannot be read' in broken
    assert 'one_frame.npy is too short: 1 frame, but 6 are needed' in one
    assert 'short.npy is too short: 5 frames, but 6 are needed' in short


def test_if_no_demonstration_can_be_used_the_sentence_says_why(network, tmp_path):
    write(tmp_path, 'one_frame.npy', frames_of(0)[:1])
    with pytest.raises(
        ValueError, match='None of 1 videos can be used, the first because: .*one_frame.npy is too short'
    ):
        read_videos(network, VideoFolder(tmp_path, labels=False, minimum_frames=6))


MUTATIONS = [
    Mutation(
        'a reward takes any network',
        'mmssl/probe/rewards.py',
        "if content.get('network') != weights_fingerprint(network):",
        "if not content.get('network'):",
    ),
    Mutation(
        'batch norm of rewards moves',
        'mmssl/probe/frames.py',
        'with eval_mode(network):',
        'with torch.no_grad():',
    ),
    Mutation(
        'the file of a reward may name features that are not there',
        'mmssl/probe/rewards.py',
        '<= int(chosen.max()) < len(mean)',
        '<= int(chosen.max())',
    ),
]
