"""An environment whose reward is read off its images, and PPO that starts with it."""

import json

import pytest
import torch

from mmssl.environments import SpriteWorld, gym_environment, record_demonstration, with_reward
from mmssl.evaluation import StepRewards
from mmssl.models import ResNet
from tests.helpers.mutation import Mutation
from tests.tools.test_perceptual_rewards import tool


def brightness(frames):
    """Stands in for a reward: the mean of each image."""
    values = torch.stack([frame.float().mean() for frame in frames]) / 255
    return StepRewards(values[:, None].expand(-1, 2), values)


def test_the_phases_of_a_demonstration_begin_when_the_target_moves():
    shown = record_demonstration(SpriteWorld('interaction'), 1)
    assert shown.phases.tolist() == sorted(shown.phases.tolist()) and shown.phases[0] == 0 and shown.phases[-1] == 1
    pushes = int(shown.phases.sum())
    assert shown.actions[-pushes:].tolist() == [1] * pushes  # to the right
    assert not record_demonstration(SpriteWorld('goal'), 1).phases.any()


def test_a_move_is_rewarded_by_the_gain_and_an_episode_by_its_last_image():
    pytest.importorskip('gymnasium')
    world = SpriteWorld('interaction')
    environment = with_reward(gym_environment(world), brightness)
    _, info = environment.reset(seed=3)
    first, total, ended = info['perceptual_reward'], 0.0, False
    assert first == pytest.approx(world.image().mean() / 255, abs=1e-5)
    while not ended:
        before = world.image().mean() / 255
        _, gain, ended, late, info = environment.step(world.expert())
        after = world.image().mean() / 255
        assert gain == pytest.approx(after - before, abs=1e-5)
        assert info['perceptual_reward'] == pytest.approx(after, abs=1e-5)
        total += gain
    assert info['solved'] and info['own_reward'] == 1.0 and not late
    assert total == pytest.approx(info['perceptual_reward'] - first, abs=1e-6)
    assert environment.reset(seed=3)[1]['perceptual_reward'] == first


def test_the_wrapped_environment_is_gymnasiums():
    pytest.importorskip('gymnasium')
    from gymnasium.utils.env_checker import check_env

    check_env(with_reward(gym_environment(SpriteWorld('goal', max_steps=4)), brightness), skip_render_check=True)


def test_ppo_learns_from_perceptual_rewards_for_200_steps(tmp_path):
    """The command as a user types it, on the smallest scale, with a checkpoint of random weights."""
    pytest.importorskip('stable_baselines3')
    torch.save(ResNet(10, stem='small', base_channels=4).state_dict(), tmp_path / 'backbone.pth')
    out = tmp_path / 'out.json'
    words = ['--size', '32', '--demonstrations', '3', '--steps', '200', '--seeds', '0', '--episodes', '2']
    tool('benchmarks/perceptual_rewards').main(
        ['ppo', str(tmp_path / 'backbone.pth'), '--rewards', 'perceptual', *words, '--out', str(out)]
    )
    (row,) = json.loads(out.read_text())['runs']
    assert row['reward'] == 'perceptual' and 0 <= row['solved'] <= 1


MUTATIONS = [
    Mutation(
        'a move is rewarded by the image and not by the gain',
        'mmssl/environments/rewards.py',
        'self.value - before, ended',
        'self.value, ended',
    ),
    Mutation(
        'an episode starts with the reward of the last one',
        'mmssl/environments/rewards.py',
        """            self.value = self._shown()
            return observation, {**info,""",
        """            return observation, {**info,""",
    ),
    Mutation(
        'the second phase begins with the first move',
        'mmssl/environments/sprite_world.py',
        'phases.append(int(world.objects[0] != target))',
        'phases.append(1)',
    ),
]
