"""Export the backbone of a checkpoint: tools/model_converters/export_backbone.py CHECKPOINT OUT --target torchvision.

OUT gets the weights (safetensors where it ends so), and OUT with ``.json`` says how to load them. The file is then
loaded into the plain class of the target, every key, and its features are compared with the checkpoint's.
"""

import argparse

from mmssl.export import (
    TARGETS,
    architecture_of,
    backbone_weights,
    export_backbone,
    loading_code,
    rebuilt_backbone,
    verify_export,
)


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Export the backbone of a checkpoint.')
    parser.add_argument('checkpoint', help='checkpoint, .pth or .safetensors')
    parser.add_argument('out', help='file to write, .pth or .safetensors')
    parser.add_argument('--target', choices=TARGETS, default='torchvision', help='package that shall load it')
    return parser.parse_args()


def main() -> None:
    """Export, verify, and say how to load."""
    args = parse_args()
    path = export_backbone(args.checkpoint, args.out, args.target)
    check = verify_export(path, rebuilt_backbone(args.checkpoint), args.target)
    print(f'{path}: {check}\n')
    print(loading_code(architecture_of(backbone_weights(args.checkpoint)), args.target, str(path)))


if __name__ == '__main__':
    try:
        main()
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f'{type(error).__name__}: {error}') from error
