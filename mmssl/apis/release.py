"""What is published about a checkpoint: its tensors, what their files say, and the entry of the index."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from mmssl.evaluation import Result, untrained
from mmssl.models.modes import eval_mode
from mmssl.probe import Recipe, Trained, untrained_network
from mmssl.version import __version__
from mmssl.weights import CONFIG_KEY, safetensors_bytes

_BACKBONE = 'backbone.'
_READ_FILES = ('init', 'init_cfg', 'pretrained', 'checkpoint')  # where a network started; its weights are in the file
_METRICS = {'k-NN': 'k-NN Top 1 Accuracy', 'linear': 'Linear Top 1 Accuracy'}


@dataclass(frozen=True)
class Terms:
    """What no checkpoint can say about a release.

    Attributes:
        licence: Licence of the weights, such as ``'Apache-2.0'``.
        data_licence: Licence of the training images.
        data: Name of the training images; '' for that of the recipe.
        author: Who publishes the weights.
        command: Command of the training; '' for that of the recipe.
        limits: What the weights are not good for; added to the card.
    """

    licence: str
    data_licence: str
    data: str = ''
    author: str = ''
    command: str = ''
    limits: str = ''

    def check(self) -> None:
        """Refuse terms without licences.

        Raises:
            ValueError: One is missing.
        """
        for option, value in (('--licence', self.licence), ('--data-licence', self.data_licence)):
            if not value.strip():
                whose = 'weights' if option == '--licence' else 'training images'
                raise ValueError(f'No licence of the {whose}: add {option} NAME, such as Apache-2.0, MIT or CC-BY-4.0.')


@dataclass(frozen=True)
class Release:
    """Everything that is published about a checkpoint.

    Attributes:
        name: Name of the entry.
        trained: The checkpoint.
        terms: What it cannot say.
        data: Name of the training images.
        command: Command of the training.
        results: Figures of raw pixels, the untrained network and, last, the checkpoint; empty if none were measured.
        measured_by: Command that measured them.
        half: Whether the kernels and matrices are stored in half precision.
    """

    name: str
    trained: Trained
    terms: Terms
    data: str
    command: str
    results: tuple[Result, ...] = ()
    measured_by: str = ''
    half: bool = False

    @cached_property
    def config(self) -> dict[str, Any]:
        """Parts of the config that build and feed the network, without paths."""
        config = self.trained.config.to_dict()
        views = config.get('evaluation', {}).get('gallery', {}).get('views')
        found = {'model': _without_files(config['model'])}
        return found | ({'evaluation': {'gallery': {'views': views}}} if views else {})

    @cached_property
    def recipe(self) -> Recipe:
        """How the backbone is built and fed."""
        return self.trained.recipe

    @cached_property
    def backbone(self) -> dict[str, Tensor]:
        """Tensors of the backbone under its own keys, as they are stored."""
        tensors = self.trained.file.tensors
        own = {key.removeprefix(_BACKBONE): tensor for key, tensor in tensors.items() if key.startswith(_BACKBONE)}
        return self._stored(own)

    @cached_property
    def heads(self) -> dict[str, Tensor]:
        """The rest of the algorithm, as it is stored; without rows per image, whose number depends on the data."""
        state = untrained(Config(self.config)).state_dict()
        return self._stored({
            key: tensor
            for key, tensor in self.trained.file.tensors.items()
            if not key.startswith(_BACKBONE) and key in state and state[key].shape == tensor.shape
        })  # fmt: skip

    @property
    def left_out(self) -> tuple[str, ...]:
        """Keys of the checkpoint that are not published."""
        tensors = self.trained.file.tensors
        return tuple(key for key in tensors if not key.startswith(_BACKBONE) and key not in self.heads)

    @property
    def metadata(self) -> dict[str, str]:
        """What the header of both files says."""
        model, recipe = self.config['model'], self.recipe
        return {
            'format': 'pt',
            'name': self.name,
            'licence': self.terms.licence,
            'architecture': json.dumps(model['backbone']),
            'mean': json.dumps(recipe.mean),
            'std': json.dumps(recipe.std),
            'input_size': json.dumps(recipe.size),
            'mmssl_version': __version__,
            CONFIG_KEY: json.dumps(self.config),
        }

    @cached_property
    def files(self) -> dict[str, bytes]:
        """Content of the backbone's file and of that of the heads, by name, which holds the start of the hash."""
        found = {}
        for part, tensors in (('', self.backbone), ('_heads', self.heads)):
            if tensors:
                content = safetensors_bytes(tensors, self.metadata)
                found[f'{self.name}{part}-{sha256(content).hexdigest()[:8]}.safetensors'] = content
        return found

    @cached_property
    def difference(self) -> float:
        """Maximum difference of the stored network's features from the checkpoint's, relative to the largest feature.

        Measured on 32 images of noise that is normalised already.
        """
        network = untrained_network(self.recipe, self.name)
        noise = torch.randn(32, len(self.recipe.mean), network.size, network.size, generator=torch.manual_seed(0))
        with torch.no_grad(), eval_mode(network):
            self.trained.fill(network.backbone)
            original = network.extract_feat(noise)
            network.backbone.load_state_dict(self.backbone)
            stored = network.extract_feat(noise)
        return ((stored - original).abs().max() / original.abs().max()).item()

    def _stored(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if not self.half:
            return dict(tensors)
        return {key: tensor.half() if tensor.dim() > 1 else tensor for key, tensor in tensors.items()}

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Accuracies by network, the checkpoint's last; without labels, the measures that need none."""
        return {
            result.name: {
                _METRICS.get(measure.short.partition(' ')[0], measure.title): round(measure.value, 1)
                for measure in result.headline()
            }
            for result in self.results
        }

    @property
    def entry(self) -> dict[str, Any]:
        """The entry of the index, in the form of the metafiles next to the configs."""
        progress, names = self.trained.file.progress or {}, list(self.files)
        hashes = [f'sha256:{sha256(content).hexdigest()}' for content in self.files.values()]
        *baselines, own = self.metrics.items() if self.results else [('', {})]
        task = 'Classification of frozen features' if any(r.labelled for r in self.results) else 'Frozen features'
        return {
            'Name': self.name,
            'In Collection': _class_name(self.config['model']),
            'Metadata': {
                'Epochs': _epochs(progress),
                'Batch Size': progress['global_batch_size'],
                'Training Data': self.data,
                'Training Data Licence': self.terms.data_licence,
                'Images': progress['num_samples'],
                'Training Command': self.command,
                **({'Measured By': self.measured_by, 'Baselines': dict(baselines)} if self.results else {}),
            },
            **({'Results': [{'Task': task, 'Dataset': self.data, 'Metrics': own[1]}]} if own[1] else {}),
            'Weights': names[0],
            'Checksum': hashes[0],
            **({'Heads': names[1], 'Heads Checksum': hashes[1]} if len(names) > 1 else {}),
            'Licence': self.terms.licence,
            'Author': self.terms.author,
            'Card': f'{self.name}.md',
        }


def _without_files(value: Any) -> Any:
    """A config's value without the files that its network started from."""
    if isinstance(value, dict):
        return {key: _without_files(inside) for key, inside in value.items() if key not in _READ_FILES}
    return [_without_files(inside) for inside in value] if isinstance(value, list | tuple) else value


def _epochs(progress: Mapping[str, int]) -> int | float:
    begun = progress['samples_seen'] / progress['num_samples']
    return round(progress['epoch'] + begun, 2) if begun else progress['epoch']


def _class_name(settings: Mapping[str, Any]) -> str:
    return str(settings['type']).rpartition('.')[2]
