"""Export the backbone of a checkpoint: tools/model_converters/export_backbone.py CHECKPOINT OUT --target torchvision.

Writes the weights to OUT (as safetensors if its name ends so), and a description of how to load them to OUT with
``.json``. Then loads the file into the plain class of the target, with every key, and compares its features with the
checkpoint's. For mmdet and mmseg, a trained feature pyramid is exported too.
"""

import argparse

from mmssl.command_line import one_sentence
from mmssl.export import (
    OPENMMLAB,
    TARGETS,
    architecture_of,
    backbone_weights,
    export_backbone,
    loading_code,
    pyramid_weights,
    rebuilt_backbone,
    rebuilt_pyramid,
    verify_export,
)
from mmssl.weights import read_file


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Export the backbone of a checkpoint.')
    parser.add_argument('checkpoint', help='checkpoint, .pth or .safetensors')
    parser.add_argument('out', help='file to write, .pth or .safetensors')
    parser.add_argument(
        '--target', choices=TARGETS, default='torchvision', help='package to export for (default: torchvision)'
    )
    return parser.parse_args()


def main() -> None:
    """Export, verify, and print how to load the file."""
    args = parse_args()
    file = read_file(args.checkpoint)
    backbone = rebuilt_backbone(file)
    path = export_backbone(file, args.out, args.target)
    openmmlab = args.target in OPENMMLAB
    pyramid = rebuilt_pyramid(file) if openmmlab else None
    check = verify_export(path, backbone, args.target, pyramid=pyramid)
    print(f'{path}: {check}\n')
    architecture = architecture_of(backbone_weights(file))
    print(loading_code(architecture, args.target, str(path), pyramid is not None))
    if not openmmlab and pyramid_weights(file):
        print(f'\nThe feature pyramid was left out: export it with --target {" or ".join(OPENMMLAB)}.')


if __name__ == '__main__':
    with one_sentence():
        main()
