"""Convert a RotNet of mmselfsup or of the authors, with its head: convert_rotnet.py CHECKPOINT OUT [--labels ...].

mmselfsup 1.x turned images clockwise, and mmssl turns them counter-clockwise, so labels 1 and 3 of its head are
swapped; mmselfsup 0.x and the authors turned them as mmssl does. OUT holds only tensors, of the backbone and of the
head; as load_from, it continues a training with mmssl.
"""

import argparse

from mmssl.command_line import one_sentence, weights_file


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='checkpoint of rotation_pred of mmselfsup, or of the authors')
    parser.add_argument('out', type=weights_file, help='file to write, .pth or .safetensors')
    parser.add_argument(
        '--labels',
        choices=['clockwise', 'counter-clockwise'],
        help='what label 1 means, if the file does not say which release of mmselfsup wrote it',
    )
    return parser.parse_args()


def main() -> None:
    """Convert, and say what was written."""
    args = parse_args()
    from mmssl.export import convert_rotnet

    print(convert_rotnet(args.checkpoint, args.out, args.labels and args.labels == 'clockwise'))


if __name__ == '__main__':
    with one_sentence():
        main()
