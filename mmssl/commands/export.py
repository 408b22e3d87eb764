"""Export the backbone of a checkpoint.

Writes the weights to OUT (as safetensors if its name ends so), and a description of how to load them to OUT with
``.json``. Then loads the file into the plain class of the target, with every key, and compares its features with the
checkpoint's. For mmdet and mmseg, a trained feature pyramid is exported too.
"""

import argparse

from mmssl.command_line import weights_file

_TARGETS = ('torchvision', 'timm', 'mmdet', 'mmseg')  # those of mmssl.export, which imports torch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('checkpoint', help='checkpoint, .pth or .safetensors')
    parser.add_argument('out', type=weights_file, help='file to write, .pth or .safetensors')
    parser.add_argument(
        '--target', choices=_TARGETS, default='torchvision', help='package to export for (default: torchvision)'
    )


def run(args: argparse.Namespace) -> None:
    """Export, verify, and print how to load the file."""
    from mmssl.export import (
        OPENMMLAB,
        architecture_of,
        backbone_weights,
        export_backbone,
        loading_code,
        pyramid_weights,
        rebuilt_backbone,
        rebuilt_pyramid,
        verify_export,
    )
    from mmssl.probe import Trained
    from mmssl.weights import read_file

    file = read_file(args.checkpoint)
    backbone = rebuilt_backbone(file)
    images = {}
    if file.config:
        recipe = Trained(file).recipe
        images = {'mean': recipe.mean, 'std': recipe.std, 'size': recipe.size}
    path = export_backbone(file, args.out, args.target, metadata=images)
    openmmlab = args.target in OPENMMLAB
    pyramid = rebuilt_pyramid(file) if openmmlab else None
    check = verify_export(path, backbone, args.target, pyramid=pyramid)
    print(f'{path}: {check}\n')
    architecture = architecture_of(backbone_weights(file))
    print(loading_code(architecture, args.target, str(path), pyramid is not None))
    if not openmmlab and pyramid_weights(file):
        print(f'\nThe feature pyramid was left out: export it with --target {" or ".join(OPENMMLAB)}.')
