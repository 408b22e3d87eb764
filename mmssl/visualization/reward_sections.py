"""Sections of a report that show rewards of videos."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from mmssl.evaluation import StepRewards
from mmssl.visualization.charts import Curve, lines_chart
from mmssl.visualization.html import Figure, Section, Tile, charts, sheet
from mmssl.visualization.images import to_image

_TEXT = 'The reward rises with the progress of the task: each later step counts twice as much, the first one nothing.'
_STEPS = 'Nearness of each frame to each step: 1 at the mean frame of the step in the demonstrations.'


def reward_section(
    name: str, rewards: StepRewards, frames: Mapping[int, Tensor], progress: Tensor | None = None
) -> Section:
    """Curves of the rewards of a video, and some of its frames.

    Args:
        name: Title.
        rewards: Of each frame.
        frames: Some frames by their numbers, uint8 or uint16, ``(C, H, W)`` each.
        progress: True progress of each frame, shape ``(T,)``, to be drawn beside the reward.

    Returns:
        The section.
    """
    places = np.arange(len(rewards.reward))
    lines = {'reward': Curve(places, rewards.reward.numpy())}
    if progress is not None:
        lines['true progress'] = Curve(places, progress.numpy())
    steps = {f'step {number}': Curve(places, column.numpy()) for number, column in enumerate(rewards.steps.T, start=1)}
    figures = [
        Figure(lines_chart(lines, f'reward of {name}', 'frame'), _TEXT),
        Figure(lines_chart(steps, f'steps of {name}', 'frame'), _STEPS),
    ]
    tiles = [Tile(to_image(frame), f'frame {place} of {name}', f'frame {place}') for place, frame in frames.items()]
    return Section(name, [charts(figures), sheet([tiles])])
