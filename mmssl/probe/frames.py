"""Features of the images of a video, and of its sound, by any network."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import torch
from mmengine.device import get_device
from torch import Tensor

from mmssl.datasets import FeatureSequence, UnreadableImageError, Video, log_mel, read_sound
from mmssl.datasets.images import as_channels
from mmssl.functional import unit
from mmssl.models.modes import eval_mode
from mmssl.probe.networks import ProbedNetwork, untrained_network
from mmssl.probe.probe import plain_view
from mmssl.probe.trained import load_trained

_AT_ONCE = 32  # frames per pass


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


def frame_features(network: ProbedNetwork, frames: Iterable[Tensor]) -> Tensor:
    """Features of frames, each of length 1, so that no network has larger ones than another.

    Args:
        network: From :func:`frame_network`.
        frames: uint8 or uint16, shape ``(C, H, W)`` each.

    Returns:
        float32 on the CPU, shape ``(T, D)``.
    """
    view = plain_view(network.size)
    views = (view(as_channels(frame, network.channels))[0] for frame in frames)
    rows = []
    with eval_mode(network), torch.no_grad():
        while some := list(islice(views, _AT_ONCE)):
            numbers = torch.arange(len(some))
            batch = {'inputs': [torch.stack(some)], 'sample_idx': numbers, 'draw': numbers}
            inputs = network.data_preprocessor(batch)['inputs'][0].to(get_device())
            rows.append(network.extract_feat(inputs).float().cpu())
    return unit(torch.cat(rows))


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
    visual = frame_features(network, chosen.frames())
    heard = read_sound(video.path) if sound else None
    audio = None if heard is None or not len(heard) else log_mel(heard, len(visual), rate)
    return FeatureSequence(visual, audio)
