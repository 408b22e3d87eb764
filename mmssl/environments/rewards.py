"""A reward that an agent reads off its images, in the place of the environment's own."""

from typing import Any

import numpy as np
import torch

from mmssl.dependencies import require
from mmssl.probe import FrameReward


def with_reward(environment: Any, reward: FrameReward) -> Any:
    """Replace the rewards of an environment by the gain in a perceptual reward.

    A move is rewarded by the reward of the image after it minus that of the image before. So an episode earns what
    its last image is worth more than its first, and waiting in front of a good image earns nothing. The sum over an
    episode differs from the paper, which adds up the rewards themselves over episodes of fixed length.

    Args:
        environment: A ``gymnasium.Env`` whose ``render`` gives an image, uint8, ``(H, W, 3)``.
        reward: From :func:`~mmssl.probe.load_frame_reward`.

    Returns:
        A ``gymnasium.Wrapper``; ``info`` has the environment's own reward as ``own_reward``, and the perceptual one of
        the image as ``perceptual_reward``.

    Raises:
        ImportError: gymnasium is missing; the message names the extra.
    """
    gymnasium = require('gymnasium')

    base: Any = gymnasium.Wrapper

    class RewardedByImages(base):
        """An environment with a perceptual reward."""

        value = 0.0

        def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
            observation, info = self.env.reset(seed=seed, options=options)
            self.value = self._shown()
            return observation, {**info, 'perceptual_reward': self.value}

        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
            observation, own, ended, late, info = self.env.step(action)
            before, self.value = self.value, self._shown()
            info = {**info, 'own_reward': own, 'perceptual_reward': self.value}
            return observation, self.value - before, ended, late, info

        def _shown(self) -> float:
            image = torch.from_numpy(np.ascontiguousarray(self.env.render()))
            return float(reward([image.permute(2, 0, 1)]).reward[0])

    return RewardedByImages(environment)
