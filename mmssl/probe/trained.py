"""Load a trained network from a checkpoint or work directory."""

import copy
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from torch import nn

from mmssl.checkpoint import CheckpointError
from mmssl.datasets import UniformFrames
from mmssl.export import architecture_of, empty_backbone
from mmssl.models import DataPreprocessor, build_backbone
from mmssl.registry import MODELS, registered_config
from mmssl.weights import Match, WeightsFile, backbone_weights, check_finite, load_backbone, read_file, resnet_prefix


@dataclass(frozen=True)
class Recipe:
    """How to build and feed the backbone of a file, without its weights.

    Attributes:
        build: Builds the backbone, with random weights from torch's generator.
        mean: Mean of each channel, in the units of the images.
        std: Standard deviation of each channel.
        source: Where mean and std come from, in words.
        size: Side in pixels of the images in its config's evaluation section, else of the largest training view; None
            if no config says so.
        frames: Frames of a clip, for a network on clips whose config says so; None for one on images.
    """

    build: Callable[[], nn.Module]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str = field(compare=False)
    size: int | None = field(default=None, compare=False)
    frames: UniformFrames | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Trained:
    """A file of weights, and what is known about their training.

    Attributes:
        file: The file, as it was read.
        given: Config given by the user; None to rely on the file.
    """

    file: WeightsFile
    given: Config | None = None

    @cached_property
    def config(self) -> Config:
        """Config of the training: the given one, else the file's own, which may name registered components only.

        Raises:
            ValueError: There is none, or the file's own config names something else.
        """
        if self.given is not None:
            return self.given
        if self.file.config is None:
            raise CheckpointError(
                f'{self.file.path} holds no config of mmssl as plain data: give the one of its training (--config, or '
                'config= in Python).'
            )
        return Config(copy.deepcopy(registered_config(self.file.config, self.file.path)))

    @cached_property
    def recipe(self) -> Recipe:
        """How to build and feed the backbone.

        A given config decides. Without one, a ResNet is built from the shapes of its weights, and any other network
        from the file's own config. Normalisation and size are those recorded in the file, else those in the ``.json``
        that an export wrote beside it, else ImageNet's normalisation.

        Raises:
            ValueError: The weights are not a ResNet's and there is no config, or the normalisation is unknown.
        """
        channels = None
        if self.given is not None or (self._holds_another_network and self.file.config is not None):
            build = partial(_backbone_of, self.config)
        else:
            architecture = architecture_of(backbone_weights(self.file))
            build, channels = partial(empty_backbone, architecture), architecture.in_channels
        known = (self.file.config or _described(self.file.path)) if self.given is None else self.given.to_dict()
        mean, std, source = self._normalisation(known)
        if channels not in (None, len(mean)):
            raise CheckpointError(
                f'{self.file.path} takes images of {channels} channels, and the normalisation has {len(mean)} '
                f'({source}): give the config of its training as --config.'
            )
        return Recipe(build, mean, std, source, _size_in(known), _frames_in(known))

    @property
    def _holds_another_network(self) -> bool:
        return resnet_prefix(self.file.tensors) is None

    def _normalisation(self, config: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...], str]:
        stated = _entry(config, 'model', 'data_preprocessor')
        if self.given is not None:
            stated, source = dict(stated or {}), f'those of {self.given.filename or "the config"}'
        elif _is_normalisation(stated):
            source = 'recorded in the checkpoint' if self.file.config else 'recorded in the .json beside it'
        else:
            stated, source = {}, "ImageNet's, since the checkpoint records none"
        plain = DataPreprocessor(**{key: stated[key] for key in ('mean', 'std') if key in stated})
        mean, std = (tuple(round(value, 4) for value in part.flatten().tolist()) for part in (plain.mean, plain.std))
        return mean, std, source

    def fill(self, backbone: nn.Module) -> Match:
        """Load the weights into an existing backbone, every key of it.

        Raises:
            ValueError: They do not fit.
        """
        return load_backbone(self.file, backbone)

    def algorithm(self) -> nn.Module:
        """Build the whole algorithm, in eval mode on the CPU.

        A checkpoint of a training fills everything, including the memories (but not rows that were divided among
        several processes). Any other file fills only the backbone.

        Raises:
            ValueError: There is no config, or the weights do not fit it.
        """
        model = self._built()
        if self.file.progress:
            model.allocate(self.file.progress['num_samples'])
            _fill(model, self.file)
        else:
            self.fill(model.backbone)
        return model.eval()

    def _built(self) -> nn.Module:
        if self.given is not None:
            return MODELS.build(self.given.model)
        config = self.config
        try:
            return MODELS.build(config.model)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f'The model of the config in {self.file.path} cannot be built ({error}): give the config of its '
                'training (--config).'
            ) from error


def load_trained(path: str | Path, config: Config | None = None) -> Trained:
    """Read a file of weights once, with what is known about its training; the result builds networks.

    Args:
        path: A checkpoint of any project, a ``.safetensors`` file, or the work directory of a run, whose newest
            checkpoint is used.
        config: Config of its training, used instead of the one that the file holds as plain data.

    Returns:
        The file and its config. A config that older versions of mmssl saved as text is not read; a log line says so.

    Raises:
        FileNotFoundError: There is no such file, or the folder has no checkpoint.
        ValueError: The file cannot be read without executing its content, or holds no tensors.
    """
    file = read_file(path)
    if config is None and file.config_is_text:
        print_log(
            f'{file.path} holds its config as text, which is not read; only its weights are. Give the config of its '
            'training (--config) if more is needed.',
            logger='current',
            level=logging.WARNING,
        )
    return Trained(file, config)


def _described(path: Path) -> dict[str, Any]:
    """Normalisation and size in the description that an export wrote beside its weights, as parts of a config."""
    try:
        card = json.loads(path.with_suffix('.json').read_text())
    except (OSError, ValueError):
        return {}
    if not (isinstance(card, dict) and {'architecture', 'mean', 'std'} <= card.keys()):
        return {}
    views = {'size': card.get('size')}
    normalisation = {key: card[key] for key in ('mean', 'std')}
    return {'model': {'data_preprocessor': normalisation}, 'train_dataloader': {'dataset': {'views': views}}}


def _entry(config: Mapping[str, Any], *keys: str) -> Any:
    """Entry of a config at a path of keys; None if there is none."""
    found: Any = config
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _size_in(config: Mapping[str, Any]) -> int | None:
    views = _entry(config, 'train_dataloader', 'dataset', 'views')
    several = _entry(views, 'views') if isinstance(views, Mapping) and 'views' in views else [views]
    trained = [_entry(view, 'size') for view in several] if isinstance(several, list | tuple) else []
    sides = [side for side in trained if type(side) is int and side > 0]
    size = _entry(config, 'evaluation', 'gallery', 'views', 'crop')
    return size if type(size) is int and size > 0 else max(sides, default=None)


def _frames_in(config: Mapping[str, Any]) -> UniformFrames | None:
    """Frames of the clips that a network is evaluated on."""
    frames = _entry(config, 'evaluation', 'gallery', 'frames')
    numbers = [frames.get(name, 1) for name in ('length', 'stride')] if isinstance(frames, Mapping) else []
    return (
        UniformFrames(*numbers) if numbers and all(type(number) is int and number > 0 for number in numbers) else None
    )


def _is_normalisation(stated: Any) -> bool:
    """Whether plain data are a mean and a deviation with equally many channels, or one of the two."""
    if not isinstance(stated, Mapping):
        return False
    parts = [stated[key] for key in ('mean', 'std') if key in stated]
    numbers = [isinstance(part, list | tuple) and all(type(v) in (int, float) for v in part) for part in parts]
    return all(numbers) and len({len(part) for part in parts}) <= 1


def _backbone_of(config: Config) -> nn.Module:
    backbone = build_backbone(config.model.backbone)
    if hasattr(backbone, 'out_indices'):
        backbone.out_indices = (0, 1, 2, 3)
    return backbone


def _fill(model: nn.Module, file: WeightsFile) -> None:
    try:
        model.load_state_dict(file.tensors)
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise CheckpointError(
            f'{file.path} does not fit the config ({" ".join(lines[1:2]).strip()[:200]}): leave --config out, or give '
            'the config of that training.'
        ) from error
    check_finite(dict(model.named_parameters()), file.path)
