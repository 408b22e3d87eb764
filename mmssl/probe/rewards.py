"""Perceptual rewards on the frames of videos: a network from a checkpoint, and what was fitted to its features."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from torch import Tensor

from mmssl.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from mmssl.datasets import UnreadableImageError, VideoSource
from mmssl.evaluation import PerceptualReward, StepRewards
from mmssl.probe.cache import weights_fingerprint
from mmssl.probe.frames import frame_features
from mmssl.probe.networks import ProbedNetwork, compared_networks

_KEY, _FIELDS = 'perceptual_reward', fields(PerceptualReward)
_LARGEST = 4096  # pixels, of the images that a network gets


class ReadVideos(NamedTuple):
    """Features of the videos that could be read.

    Attributes:
        names: Their names.
        rows: Features of their frames, shape ``(T, F)`` each.
        left_out: A sentence about each other video, with its name and what is wrong.
    """

    names: list[str]
    rows: list[Tensor]
    left_out: list[str]


def read_videos(network: ProbedNetwork, source: VideoSource, batch_size: int = 64) -> ReadVideos:
    """Features of all videos of a source.

    Args:
        network: As for :func:`frame_features`.
        source: Videos; those that are broken or have fewer than its ``minimum_frames`` are left out.
        batch_size: Frames per step.

    Returns:
        The features, and what was left out.

    Raises:
        ValueError: No video can be used.
    """
    found = ReadVideos([], [], [])
    for index in range(len(source)):
        try:
            rows = frame_features(network, source.video(index).frames(), batch_size)
        except UnreadableImageError as error:
            found.left_out.append(str(error))
        else:
            found.names.append(source.name(index))
            found.rows.append(rows)
    if not found.names:
        raise ValueError(f'None of {len(source)} videos can be used, the first because: {found.left_out[0]}')
    return found


@dataclass(frozen=True)
class FrameReward:
    """A perceptual reward with the network of its features; call it with frames.

    Attributes:
        network: Gives the features.
        reward: Fitted to them.
    """

    network: ProbedNetwork
    reward: PerceptualReward

    def __call__(self, frames: Iterable[Tensor]) -> StepRewards:
        """Reward frames, uint8 or uint16, ``(C, H, W)`` each."""
        return self.reward(frame_features(self.network, frames))

    def save(self, path: str | Path) -> None:
        """Write the reward, without the weights of the network, into a file that :func:`load_frame_reward` reads.

        Args:
            path: The file, ``.pth``; its folder must exist.
        """
        network = self.network
        view = {'network': weights_fingerprint(network), 'grid': network.grid, 'size': network.size}
        write_checkpoint({_KEY: {entry.name: getattr(self.reward, entry.name) for entry in _FIELDS}, **view}, path)


def load_frame_reward(path: str | Path, checkpoint: str | Path, config: Config | None = None) -> FrameReward:
    """Read a reward, and the network that it was fitted on.

    Args:
        path: From :meth:`FrameReward.save`.
        checkpoint: The checkpoint of the network.
        config: Config of its training, used instead of the one in the checkpoint.

    Returns:
        The reward, ready for frames.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds no reward, or one of another network.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'No reward {path}: give the file that the fit has written.')
    content = read_checkpoint(path)
    reward = _reward_in(content, path)
    network = compared_networks([checkpoint], config, content['size'], True, grid=content['grid'])[0].network
    if content.get('network') != weights_fingerprint(network):
        raise CheckpointError(f'{path} was fitted on another network than that of {checkpoint}: give its checkpoint.')
    return FrameReward(network, reward)


def _reward_in(content: Any, path: str | Path) -> PerceptualReward:
    known = content if isinstance(content, dict) else {}
    stated, numbers = known.get(_KEY), [known.get(name) for name in ('grid', 'size')]
    whole = all(type(number) is int and 0 < number <= _LARGEST for number in numbers)
    if not isinstance(stated, dict) or not whole:
        raise CheckpointError(f'{path} holds no perceptual reward: give the file that the fit has written.')
    parts = {entry.name: stated.get(entry.name) for entry in _FIELDS}
    if not all(isinstance(part, Tensor) for part in parts.values()) or not _fits(**parts):
        raise CheckpointError(f'{path} holds an incomplete perceptual reward: fit it again.')
    return PerceptualReward(**parts)


def _fits(mean: Tensor, chosen: Tensor, **others: Tensor) -> bool:
    """Whether the parts of a reward have the shapes and kinds that they need."""
    shapes = {'deviation': mean.shape, 'means': chosen.shape, 'scales': chosen.shape, 'reference': chosen.shape[:1]}
    return (
        (mean.dim(), chosen.dim(), others['min_size'].shape) == (1, 2, ())
        and chosen.dtype == others['min_size'].dtype == torch.long
        and chosen.numel() > 0
        and 0 <= int(chosen.min()) <= int(chosen.max()) < len(mean)
        and all(others[name].shape == shape for name, shape in shapes.items())
        and all(part.is_floating_point() for part in (mean, *(others[name] for name in shapes)))
    )
