"""Convert RotNet checkpoints of other projects, with the head that predicts the rotation."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from mmssl.checkpoint import CheckpointError
from mmssl.export.backbone import rebuilt_backbone
from mmssl.models.algorithms.rotnet import RotNet
from mmssl.models.backbones.alexnet import AlexNet
from mmssl.models.backbones.nin import NIN
from mmssl.weights import WeightsFile, read_file, shown_keys, strip_prefix, write_weights

_HEAD = 'head.fc_cls.'  # of mmselfsup
_SWAP = [0, 3, 2, 1]  # between clockwise and counter-clockwise labels
_BLOCKS = '_feature_blocks.'  # of the authors' networks
_ALEXNET = {'0': 'conv1', '2': 'conv2', '4': 'conv3', '5': 'conv4', '6': 'conv5', '8': 'fc'}
_CONVOLUTION = re.compile(r'\d+\.Block(\d+)_ConvB(\d)\.layers\.(Conv|BatchNorm)\.(\w+)')


@dataclass(frozen=True)
class RotNetConversion:
    """Result of converting a checkpoint.

    Attributes:
        path: The file that was written.
        backbone: Class of the backbone.
        clockwise: Whether the labels were clockwise, so that 1 and 3 were swapped.
    """

    path: Path
    backbone: str
    clockwise: bool

    def __str__(self) -> str:
        labels = 'labels 1 and 3 swapped, which were clockwise' if self.clockwise else 'labels as they were'
        return f'{self.path}: RotNet on a {self.backbone} with its head; {labels}. load_from={self.path} loads it.'


def convert_rotnet(source: str | Path, target: str | Path, clockwise: bool | None = None) -> RotNetConversion:
    """Write a RotNet of mmselfsup or of the authors with the keys and labels of :class:`~mmssl.models.RotNet`.

    mmselfsup 1.x turned images clockwise, so its labels 1 and 3 are swapped; 0.x and the authors turned them
    counter-clockwise, as mmssl does.

    Args:
        source: The checkpoint; never unpickled, see :func:`~mmssl.weights.read_file`.
        target: File to write; in safetensors format if it ends in ``.safetensors``, else as ``.pth``.
        clockwise: Whether label 1 means a quarter turn clockwise. By default read from the file, which says which
            program wrote it.

    Returns:
        What was written.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: The file holds no RotNet, something of it is missing, or it does not say how its images were turned.
    """
    file = read_file(source)
    released = any(key.startswith(_BLOCKS) for key in file.tensors)
    model = _of_the_authors(file) if released else _of_mmselfsup(file)
    if clockwise is None:
        clockwise = not released and _is_clockwise(file)
    if clockwise:
        for parameter in model.head.parameters():
            parameter.data = parameter.data[_SWAP]
    write_weights(model.state_dict(), target)
    return RotNetConversion(Path(target), type(model.backbone).__name__, clockwise)


def _of_mmselfsup(file: WeightsFile) -> RotNet:
    """A ResNet, and one linear layer on its averaged features."""
    prefix = next((key.removesuffix('weight') for key in file.tensors if key.endswith(f'{_HEAD}weight')), None)
    head = strip_prefix(file.tensors, prefix) if prefix is not None else {}
    if 'bias' not in head or len(head['weight']) != 4:
        raise CheckpointError(
            f'{file.path} holds no head of RotNet ({_HEAD}weight with 4 rows, and its bias): give a checkpoint of '
            "mmselfsup's rotation_pred, or of the authors' code."
        )
    model = RotNet(rebuilt_backbone(file))
    _fill(model.head, head, file)
    return model


def _of_the_authors(file: WeightsFile) -> RotNet:
    """An AlexNet, or a NIN of any depth."""
    state = {_name(key): tensor for key, tensor in file.tensors.items()}
    blocks = {key.split('.')[1] for key in state if key.startswith('backbone.block')}
    first = state.get('backbone.block1.conv1.0.weight' if blocks else 'backbone.conv1.0.weight')
    channels = 3 if first is None else first.shape[1]
    model = RotNet(NIN(channels, max(len(blocks), 3)) if blocks else AlexNet(channels))
    _fill(model, state, file)
    return model


def _name(key: str) -> str:
    """Name of a tensor of the authors' AlexNet or NIN in a RotNet of mmssl."""
    key = key.removeprefix(_BLOCKS)
    if found := _CONVOLUTION.fullmatch(key):
        number, place, layer, parameter = found.groups()
        return f'backbone.block{number}.conv{place}.{int(layer == "BatchNorm")}.{parameter}'
    if found := re.fullmatch(r'(?:9\.0|\d+\.Classifier)\.(\w+)', key):
        return f'head.{found[1]}'
    number, _, rest = key.partition('.')
    return f'backbone.{_ALEXNET.get(number, number)}.{rest}'


def _fill(module: nn.Module, state: Mapping[str, Tensor], file: WeightsFile) -> None:
    """Load a state dict; only counters of batch norm may be missing."""
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise CheckpointError(f'{file.path} has other shapes than a RotNet: {error}') from error
    wrong = [key for key in (*missing, *unexpected) if not key.endswith('num_batches_tracked')]
    if wrong:
        raise CheckpointError(f'{file.path} lacks parts of a RotNet, or has others: {shown_keys(wrong)}.')


def _is_clockwise(file: WeightsFile) -> bool:
    """Whether mmselfsup 1.x wrote a file, by what it says about itself."""
    if 'mmengine_version' in file.meta:
        return True
    if 'mmcv_version' in file.meta:
        return False
    raise CheckpointError(
        f'{file.path} does not say which release wrote it: add --labels clockwise for mmselfsup 1.x, --labels '
        'counter-clockwise for 0.x (in Python, clockwise=True or False).'
    )
