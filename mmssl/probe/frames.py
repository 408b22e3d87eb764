"""Features of the images of a video, and of its sound, by any network."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import torch
from mmengine.device import get_device
from torch import Tensor

from mmssl.datasets import EvalView, FeatureSequence, UnreadableImageError, Video, log_mel, read_sound
from mmssl.datasets.images import as_channels
from mmssl.functional import unit
from mmssl.models.modes import eval_mode
from mmssl.probe.networks import ProbedNetwork, untrained_network
from mmssl.probe.trained import load_trained


def frame_network(weights: str | Path) -> ProbedNetwork:
    """Load a network on images, to compute features of frames.

    Args:
        weights: A checkpoint or the work directory of a run; :func:`~mmssl.models.find_weights` finds those of a name.

    Returns:
        The network, on the device of the run.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The weights cannot be read, or take clips.
    """
    trained = load_trained(weights)
    if trained.recipe.frames is not None:
        raise ValueError(f'{weights} takes clips, but features of single frames are needed: give a network on images.')
    network = untrained_network(trained.recipe, Path(weights).name)
    trained.fill(network.backbone)
    return network.to(get_device())


@torch.no_grad()
def frame_features(network: ProbedNetwork, frames: Iterable[Tensor], batch_size: int = 32) -> Tensor:
    """Features of the middle square of each frame.

    Args:
        network: A network on images, best with all its stages and a grid, which tells where something is.
        frames: uint8 or uint16, ``(C, H, W)`` each, at least one; they are taken a few at a time.
        batch_size: Frames per step.

    Returns:
        float32 on the CPU, shape ``(T, F)``.

    Raises:
        ValueError: The network takes clips.
    """
    if network.frames is not None:
        raise ValueError(f'{network.name} takes clips, but features of single frames are needed: give one on images.')
    view, frames, rows = EvalView(network.size, network.size), iter(frames), []
    with eval_mode(network):
        while some := list(islice(frames, batch_size)):
            views = torch.stack([view(as_channels(frame, network.channels))[0] for frame in some])
            numbers = torch.arange(len(views))
            data = network.data_preprocessor({'inputs': [views], 'sample_idx': numbers, 'draw': numbers})
            rows.append(network.extract_feat(data['inputs'][0]).float().cpu())
    return torch.cat(rows)


def video_sequence(
    video: Video, network: ProbedNetwork, rate: float, minimum: int = 2, sound: bool = True
) -> FeatureSequence:
    """Features of a video at a fixed rate, and of its sound if it has a sound track.

    Args:
        video: The video, at its own rate.
        network: From :func:`frame_network`.
        rate: Steps per second.
        minimum: Steps that are needed.
        sound: Whether to read the sound.

    Raises:
        UnreadableImageError: The video cannot be read, or is shorter than ``minimum`` steps.
        ImportError: A package of the extra ``video`` is missing.
    """
    chosen = video.at_rate(rate)
    if len(chosen) < minimum:
        raise UnreadableImageError(
            f'{video.path} is too short: {len(chosen)} steps at {rate:g} per second, but {minimum} are needed: give a '
            f'longer video, or a rate of {minimum * rate / len(chosen):.2g}.'
        )
    visual = unit(frame_features(network, chosen.frames()))  # no network has larger features than another
    heard = read_sound(video.path) if sound else None
    audio = None if heard is None or not len(heard) else log_mel(heard, len(visual), rate)
    return FeatureSequence(visual, audio)
