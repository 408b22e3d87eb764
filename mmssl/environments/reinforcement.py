"""Reinforcement learning in the world of sprites: PPO on the true state, slots, or images (extra ``rl``)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmssl.dependencies import require
from mmssl.environments.sprite_world import ACTIONS, SpriteWorld
from mmssl.functional import hash_seed
from mmssl.models import MLPPool, TransformerPool
from mmssl.models.modes import eval_mode

POOLS = ('transformer', 'mlp')
_PPO = {'n_steps': 512, 'batch_size': 32, 'learning_rate': 3e-4, 'gamma': 0.99, 'clip_range': 0.2, 'ent_coef': 0.01}
_WORLDS = 4  # worlds that learn at the same time, with n_steps each
_HELD_OUT = 1 << 40  # seeds of episodes that only measure

Observe = Callable[[list[SpriteWorld]], np.ndarray]


def states(worlds: list[SpriteWorld]) -> np.ndarray:
    """True states, float32, ``(B, n + 1, STATE)``."""
    return np.stack([world.state() for world in worlds])


def pictures(worlds: list[SpriteWorld]) -> np.ndarray:
    """Images from 0 to 1 for a CNN that learns with the policy, float32, ``(B, 3, side, side)``."""
    return np.stack([world.image().transpose(2, 0, 1) for world in worlds]).astype(np.float32) / 255


class FrozenSlots:
    """Slots of what the agent sees, from a network that does not learn; call it with worlds.

    Args:
        model: A method with slots.
        num_slots: Number of slots; that of the training by default.
    """

    def __init__(self, model: nn.Module, num_slots: int | None = None) -> None:
        self.model = model.requires_grad_(False)
        if num_slots is not None:
            self.model.slot_encoder.num_slots = num_slots

    @torch.no_grad()
    def __call__(self, worlds: list[SpriteWorld]) -> np.ndarray:
        """Slots, float32, ``(B, K, D)``."""
        images = torch.stack([torch.from_numpy(world.image()).permute(2, 0, 1) for world in worlds])
        numbers = torch.zeros(len(images), dtype=torch.long)
        with eval_mode(self.model):
            data = self.model.data_preprocessor({'inputs': [images], 'sample_idx': numbers, 'draw': numbers})
            return self.model.slots(data['inputs'][0])[0].float().cpu().numpy()


class _SmallCNN(nn.Module):
    """Convolutions that halve the sides three times, and a linear layer; it learns with the policy."""

    def __init__(self, side: int, channels: int = 128) -> None:
        super().__init__()
        self.out_channels = channels
        layers: list[nn.Module] = []
        for wide_in, wide_out in ((3, 32), (32, 64), (64, 64)):
            layers += [nn.Conv2d(wide_in, wide_out, 3, stride=2, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(channels), nn.ReLU())
        self.layers(torch.zeros(1, 3, side, side))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


def pooling(kind: str, shape: tuple[int, ...], depth: int = 1) -> nn.Module:
    """Network from an observation to one vector for the policy.

    Args:
        kind: ``'transformer'`` or ``'mlp'`` for sets of rows, ``(K, D)``; images ``(3, side, side)`` get a CNN.
        shape: Shape of an observation.
        depth: Blocks of the transformer.

    Raises:
        ValueError: There is no such pooling.
    """
    if len(shape) == 3:
        return _SmallCNN(shape[1])
    if kind not in POOLS:
        raise ValueError(f'There is no pooling {kind!r}: choose one of {", ".join(POOLS)}.')
    return TransformerPool(shape[1], depth=depth) if kind == 'transformer' else MLPPool(shape[1], shape[0])


def gym_environment(world: SpriteWorld, observe: Observe = states, seed: int = 0) -> Any:
    """The world as a ``gymnasium.Env`` with four discrete actions.

    Args:
        world: The world.
        observe: From a list of worlds to their observations, of which there is one here.
        seed: Of the run; each episode that is reset without a seed of its own follows from it and the episode's number.

    Returns:
        The environment; ``info`` has ``solved``.

    Raises:
        ImportError: gymnasium is missing; the message names the extra.
    """
    gymnasium = require('gymnasium')
    base: Any = gymnasium.Env
    shape, run = observe([world])[0].shape, seed

    class SpriteEnvironment(base):
        """A world of sprites."""

        metadata = {'render_modes': ['rgb_array']}
        render_mode = 'rgb_array'
        action_space = gymnasium.spaces.Discrete(len(ACTIONS))
        observation_space = gymnasium.spaces.Box(-np.inf, np.inf, shape, np.float32)
        episodes = 0

        def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
            super().reset(seed=seed)
            number = hash_seed(run, self.episodes) % _HELD_OUT if seed is None else seed
            self.episodes += 1
            world.reset(number)
            return observe([world])[0], {'solved': False}

        def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
            reward, ended, late = world.step(int(action))
            return observe([world])[0], reward, ended, late and not ended, {'solved': world.solved}

        def render(self) -> np.ndarray:
            return world.image()

    return SpriteEnvironment()


def train_ppo(
    make_world: Callable[[], SpriteWorld],
    observe: Observe,
    pool: str,
    steps: int,
    seed: int = 0,
    depth: int = 1,
    wrap: Callable[[Any], Any] = lambda environment: environment,
) -> Any:
    """Train a policy by PPO, with OCRL's settings, on the CPU.

    Args:
        make_world: Makes one of the worlds.
        observe: What the policy sees of them.
        pool: Kind of :func:`pooling`.
        steps: Moves of all worlds together; rounded up to whole roll-outs.
        seed: Of the run.
        depth: Blocks of the pooling transformer.
        wrap: Function from each environment to the one that the policy learns in, for another reward.

    Returns:
        The trained ``stable_baselines3.PPO``.

    Raises:
        ImportError: stable-baselines3 is missing; the message names the extra.
    """
    library = require('stable_baselines3')
    base: Any = library.common.torch_layers.BaseFeaturesExtractor

    class Pooled(base):
        """The pooling as stable-baselines3 wants it."""

        def __init__(self, space: Any) -> None:
            network = pooling(pool, space.shape, depth)
            super().__init__(space, network.out_channels)
            self.network = network

        def forward(self, observations: Tensor) -> Tensor:
            return self.network(observations)

    def environment(place: int) -> Any:
        return wrap(gym_environment(make_world(), observe, hash_seed(seed, place)))

    environments = library.common.vec_env.DummyVecEnv([partial(environment, place) for place in range(_WORLDS)])
    settings = {**_PPO, 'n_steps': min(_PPO['n_steps'], max(8, steps // 32 * 8))}  # whole mini-batches
    network = {'features_extractor_class': Pooled, 'normalize_images': False}
    agent = library.PPO('MlpPolicy', environments, policy_kwargs=network, seed=seed, device='cpu', **settings)
    return agent.learn(steps)


@torch.no_grad()
def success_rate(policy: nn.Module, worlds: list[SpriteWorld], observe: Observe, episodes: int) -> float:
    """Share of episodes that a policy solves with its most probable actions; none of them was seen in training.

    The number of sprites may differ from that of the training, unless the pooling is an MLP.

    Args:
        policy: ``policy`` of what :func:`train_ppo` returns.
        worlds: Worlds that are played side by side.
        observe: What the policy sees.
        episodes: Number of episodes.

    Returns:
        From 0 to 1.
    """
    solved, seeds = 0, iter(range(_HELD_OUT, _HELD_OUT + episodes))
    policy.set_training_mode(False)
    for first in range(0, episodes, len(worlds)):
        playing = worlds[: episodes - first]
        for world, seed in zip(playing, seeds):
            world.reset(seed)
        while playing:
            actions = policy._predict(torch.from_numpy(observe(playing)), deterministic=True).tolist()
            ended = [world.step(action)[1:] for world, action in zip(playing, actions)]
            solved += sum(world.solved for world in playing)
            playing = [world for world, how in zip(playing, ended) if not any(how)]
    return solved / episodes
