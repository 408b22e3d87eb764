"""Environments, in which agents see images: a world of sprites, and reinforcement learning in it (extra ``rl``)."""

from mmssl.environments.reinforcement import (
    FrozenSlots,
    gym_environment,
    pictures,
    pooling,
    states,
    success_rate,
    train_ppo,
)
from mmssl.environments.rewards import with_reward
from mmssl.environments.sprite_world import (
    ACTIONS,
    STATE,
    TASKS,
    Demonstration,
    SpriteWorld,
    record_demonstration,
)

__all__ = [
    'ACTIONS',
    'STATE',
    'TASKS',
    'Demonstration',
    'FrozenSlots',
    'SpriteWorld',
    'gym_environment',
    'pictures',
    'pooling',
    'record_demonstration',
    'states',
    'success_rate',
    'train_ppo',
    'with_reward',
]
