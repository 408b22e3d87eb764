"""Reinforcement learning in the world of sprites: what an agent sees, PPO for 200 steps, and how it is measured."""

import json
import sys
from importlib import import_module

import numpy as np
import pytest
import torch
from torch import nn

import mmssl.dependencies
from mmssl.environments import FrozenSlots, SpriteWorld, gym_environment, pictures, pooling, states, success_rate
from tests.evaluation.test_slots import _small
from tests.helpers.mutation import Mutation
from tests.training import ROOT


class Expert(nn.Module):
    """A policy that knows the way."""

    def __init__(self, worlds):
        super().__init__()
        self.worlds = worlds

    def set_training_mode(self, mode):
        assert mode is False

    def _predict(self, observations, deterministic):
        assert deterministic
        by_state = {world.state().tobytes(): world for world in self.worlds}
        return torch.tensor([by_state[row.numpy().tobytes()].expert() for row in observations])


def test_the_success_rate_counts_solved_episodes():
    worlds = [SpriteWorld('object_comparison') for _ in range(3)]
    assert success_rate(Expert(worlds), worlds, states, 7) == 1.0
    late = [SpriteWorld('object_comparison', max_steps=2) for _ in range(3)]
    rate = success_rate(Expert(late), late, states, 20)
    assert 0 < rate < 1


def test_slots_are_those_of_the_images_and_stay_as_they_are():
    model, worlds = _small().eval(), [SpriteWorld('goal') for _ in range(2)]
    worlds[1].reset(3)
    observe = FrozenSlots(model, 5)
    found = observe(worlds)
    assert found.shape == (2, 5, 8) and found.dtype == np.float32
    images = torch.stack([torch.from_numpy(world.image()).permute(2, 0, 1) for world in worlds])
    preprocessor = model.data_preprocessor
    with torch.no_grad():
        expected = model.slots((images - preprocessor.mean) / preprocessor.std)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_what_an_agent_sees_has_its_pooling():
    worlds = [SpriteWorld('goal')] * 2
    assert pictures(worlds).shape == (2, 3, 32, 32) and pictures(worlds).max() <= 1
    for observe in (states, pictures):
        rows = observe(worlds)
        assert pooling('transformer', rows.shape[1:])(torch.from_numpy(rows)).shape == (2, 128)
    assert pooling('mlp', (4, 11))(torch.from_numpy(states(worlds))).shape == (2, 128)
    with pytest.raises(ValueError, match="no pooling 'mean': choose one of transformer, mlp"):
        pooling('mean', (4, 11))


def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setattr(mmssl.dependencies, 'find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r"needs gymnasium, .*: type  pip install 'mmssl\[rl\]'"):
        gym_environment(SpriteWorld('goal'))


def test_the_environment_is_gymnasiums():
    pytest.importorskip('gymnasium')
    from gymnasium.utils.env_checker import check_env

    environment = gym_environment(SpriteWorld('goal', max_steps=4), states)
    check_env(environment, skip_render_check=True)
    first, info = environment.reset(seed=3)
    again, _ = environment.reset(seed=3)
    other, _ = environment.reset()
    assert np.array_equal(first, again) and not np.array_equal(first, other) and info == {'solved': False}
    how = (False, False)
    while not any(how):
        how = environment.step(0)[2:4]
    assert how in {(True, False), (False, True)}


@pytest.mark.parametrize('seen', ['state', 'cnn'])
def test_ppo_learns_for_200_steps(seen, tmp_path, monkeypatch):
    """The command as a user types it, on the smallest scale; slots come from a checkpoint in the slow test below."""
    pytest.importorskip('stable_baselines3')
    monkeypatch.syspath_prepend(ROOT / 'tools/benchmarks')
    tool = import_module('slots_rl')
    out = tmp_path / 'out.json'
    options = ['--representations', seen, '--steps', '200', '--seeds', '0', '--episodes', '4', '--out', str(out)]
    tool.main(options)
    (row,) = json.loads(out.read_text())['runs']
    assert row['representation'] == seen and 0 <= row['seen'] <= 1 and 0 <= row['unseen'] <= 1
    with pytest.raises(SystemExit, match='slots: give --checkpoint'):
        tool.main(['--representations', 'slots'])
    del sys.modules['slots_rl']


def test_ppo_on_slots_changes_the_policy_alone():
    library = pytest.importorskip('stable_baselines3')
    from mmssl.environments import train_ppo

    model = _small()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    agent = train_ppo(lambda: SpriteWorld('object_comparison'), FrozenSlots(model), 'mlp', 64)
    assert isinstance(agent, library.PPO) and agent.num_timesteps >= 64
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


MUTATIONS = [
    Mutation(
        'failed episodes count as solved',
        'mmssl/environments/reinforcement.py',
        'solved += sum(world.solved for world in playing)',
        'solved += sum(world.solved or world.steps > 1 for world in playing)',
    ),
    Mutation(
        'every episode of an environment is the first one',
        'mmssl/environments/reinforcement.py',
        'hash_seed(run, self.episodes)',
        'hash_seed(run)',
    ),
]
