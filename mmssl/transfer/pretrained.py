"""Pre-trained weights into a detector or a segmenter, every key of them."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from mmssl.export import backbone_weights, load_backbone, map_pyramid_keys, pyramid_weights, read_weights


def load_pretrained(model: nn.Module, checkpoint: str | Path) -> list[str]:
    """Fill what a detector or segmenter shares with a pre-trained checkpoint.

    That is its backbone; the last stage, where a detector has it in its ``shared_head`` (the C4 form); and its feature
    pyramid, where one was trained.

    Args:
        model: Has a ``backbone``; of MMDetection or MMSegmentation.
        checkpoint: One of mmssl, or an exported file.

    Returns:
        A sentence on each part that was filled.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A key of one of these parts is not in the file with the right shape, or the file's pyramid does not
            fit the detector's.
    """
    weights = read_weights(checkpoint)
    backbone = backbone_weights(weights)
    report = [_fill('backbone', model.backbone, backbone, checkpoint)]
    shared = getattr(getattr(model, 'roi_head', None), 'shared_head', None)
    if shared is not None:
        stage = f'layer{shared.stage + 1}'
        own = {key.removeprefix(f'{stage}.'): tensor for key, tensor in backbone.items() if key.startswith(stage)}
        report.append(_fill(f'shared head ({stage})', getattr(shared, stage), own, checkpoint))
    pyramid = _pyramid(weights)
    if pyramid and hasattr(getattr(model, 'neck', None), 'lateral_convs'):
        report.append(_fill_pyramid(model.neck, pyramid, checkpoint))
    return report


def _fill(name: str, network: nn.Module, weights: Mapping[str, Tensor], checkpoint: str | Path) -> str:
    try:
        match = load_backbone(weights, network)
    except ValueError as error:
        raise ValueError(f'{checkpoint}, {name}: {error}') from error
    return f'{name}: {match.matched} of {match.total} keys loaded from {checkpoint}'


def _pyramid(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a pyramid under the keys of MMDetection's FPN, from a checkpoint of ours or an exported file."""
    if trained := pyramid_weights(weights):
        return map_pyramid_keys(trained)
    exported = ('neck.lateral_convs.', 'neck.fpn_convs.')
    return {key.removeprefix('neck.'): tensor for key, tensor in weights.items() if key.startswith(exported)}


def _fill_pyramid(neck: nn.Module, pyramid: Mapping[str, Tensor], checkpoint: str | Path) -> str:
    """All of the file must fit; levels of the detector beyond it (P7 of FCOS) stay as they are, and are named."""
    own = neck.state_dict()
    lost = [key for key, tensor in pyramid.items() if key not in own or own[key].shape != tensor.shape]
    if lost or not all(key in pyramid for key in own if key.startswith('lateral_convs.')):
        raise ValueError(
            f'{checkpoint} holds a feature pyramid that the neck cannot take ({len(lost)} of its {len(pyramid)} keys '
            'do not fit): give the neck its levels (in_channels, start_level, out_channels), or export with '
            '--target torchvision, which leaves the pyramid out.'
        )
    neck.load_state_dict(pyramid, strict=False)
    new = sorted(own.keys() - pyramid.keys())
    rest = f'; {", ".join(new)} start anew' if new else ''
    return f'feature pyramid: {len(pyramid)} of {len(own)} keys loaded from {checkpoint}{rest}'
