"""Convert PIXEL or Pixel-Linguist, as transformers saves them: convert_pixel.py CHECKPOINT OUT [--patches 64].

OUT holds the encoder alone, which a TextViT starts from: --cfg-options model.backbone.init=OUT.
"""

import argparse

from mmssl.command_line import one_sentence, weights_file
from mmssl.ranges import COUNT, option


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='pytorch_model.bin or model.safetensors')
    parser.add_argument('out', type=weights_file, help='file to write, .pth or .safetensors')
    parser.add_argument('--patches', type=option(COUNT), default=64, help='patches of a strip (default: 64)')
    return parser.parse_args()


def main() -> None:
    """Convert, and say what was written."""
    args = parse_args()
    from mmssl.export import convert_pixel

    print(f'{convert_pixel(args.checkpoint, args.out, args.patches)}: the encoder of PIXEL, {args.patches} patches.')


if __name__ == '__main__':
    with one_sentence():
        main()
