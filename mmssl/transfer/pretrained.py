"""Load pre-trained weights into a detector or a segmenter, every key of them."""

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from mmssl.export import map_pyramid_keys, pyramid_weights
from mmssl.weights import Match, backbone_weights, load_backbone, read_weights, strip_prefix


def load_pretrained(model: nn.Module, checkpoint: str | Path) -> list[str]:
    """Load the weights that a detector or segmenter shares with a pre-trained checkpoint.

    These are the backbone; the last stage, if a detector has it in its ``shared_head`` (the C4 form); and the feature
    pyramid, if one was trained.

    Args:
        model: Model of MMDetection or MMSegmentation with a ``backbone``.
        checkpoint: Checkpoint of mmssl, or an exported file.

    Returns:
        A sentence about each part that was loaded.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A key of one of these parts is missing in the file or has another shape, the file has blocks that
            the model lacks, or its pyramid does not fit the detector's.
    """
    weights = read_weights(checkpoint)
    backbone = backbone_weights(weights)
    match = _fill('backbone', model.backbone, backbone, checkpoint)
    backbone = strip_prefix(backbone, match.prefix)
    report = [_sentence('backbone', match, checkpoint)]
    blocks = {key for key in backbone if re.match(r'layer\d+\.', key)} - match.state_dict.keys()
    shared = getattr(getattr(model, 'roi_head', None), 'shared_head', None)
    if shared is not None:
        stage = f'layer{shared.stage + 1}'
        part = _fill(f'shared head ({stage})', getattr(shared, stage), strip_prefix(backbone, f'{stage}.'), checkpoint)
        blocks -= {f'{stage}.{key}' for key in part.state_dict}
        report.append(_sentence(f'shared head ({stage})', part, checkpoint))
    blocks = {key for key in blocks if not key.endswith('num_batches_tracked')}
    if blocks:
        raise ValueError(
            f'{checkpoint} is from a larger network: the model has no place for {len(blocks)} of its keys, such as '
            f'{min(blocks)}. Give a checkpoint of this depth, or the config of the depth that was pre-trained.'
        )
    if pyramid := _pyramid(weights):
        report.append(_fill_pyramid(getattr(model, 'neck', None), pyramid, checkpoint))
    return report


def _fill(name: str, network: nn.Module, weights: Mapping[str, Tensor], checkpoint: str | Path) -> Match:
    try:
        return load_backbone(weights, network, whole=False)
    except ValueError as error:
        raise ValueError(f'{checkpoint}, {name}: {error}') from error


def _sentence(name: str, match: Match, checkpoint: str | Path) -> str:
    return f'{name}: {match.matched} of {match.total} keys loaded from {checkpoint}'


def _pyramid(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a pyramid under the keys of MMDetection's FPN, from a checkpoint of mmssl or an exported file."""
    if trained := pyramid_weights(weights):
        return map_pyramid_keys(trained)
    necks = strip_prefix(weights, 'neck.')
    return {key: tensor for key, tensor in necks.items() if key.startswith(('lateral_convs.', 'fpn_convs.'))}


def _fill_pyramid(neck: nn.Module | None, pyramid: Mapping[str, Tensor], checkpoint: str | Path) -> str:
    """Load the file's whole pyramid; further levels of the detector (P7 of FCOS) stay as they are, and are named."""
    if neck is None or not hasattr(neck, 'lateral_convs'):
        return f'feature pyramid of {checkpoint}: not used, the model has none'
    own = neck.state_dict()
    lost = [key for key, tensor in pyramid.items() if key not in own or own[key].shape != tensor.shape]
    if lost or not all(key in pyramid for key in own if key.startswith('lateral_convs.')):
        raise ValueError(
            f'{checkpoint} holds a feature pyramid that the neck cannot take ({len(lost)} of its {len(pyramid)} keys '
            'do not fit): give the neck the same levels (in_channels, start_level, out_channels) and no norm_cfg, or '
            'export the backbone alone with --target torchvision.'
        )
    neck.load_state_dict(pyramid, strict=False)
    new = sorted(own.keys() - pyramid.keys())
    rest = f'; {", ".join(new)} start untrained' if new else ''
    return f'feature pyramid: {len(pyramid)} of {len(own)} keys loaded from {checkpoint}{rest}'
