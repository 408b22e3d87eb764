"""Look for damaged images: tools/dataset_tools/verify_images.py FOLDER [--num-workers 2].

Every image is decoded strictly: what cannot be read, what a decoder warns of, and PNG files whose checksums do not
match are printed with their names. The exit status is 1 if there are any.
"""

import argparse

from mmssl.command_line import one_sentence
from mmssl.datasets import ImageFolder, verify_images
from mmssl.datasets.listing import printable


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Look for damaged images.')
    parser.add_argument('folder', help='folder of images')
    parser.add_argument('--num-workers', type=int, default=0, help='processes that decode')
    return parser.parse_args()


def main() -> None:
    """Verify, and print."""
    args = parse_args()
    source = ImageFolder(args.folder, labels=False)
    found = verify_images(source, args.num_workers)
    for name, fault in found.items():
        print(printable(f'{name}: {fault}'))
    print(f'{len(found)} of {len(source)} images are damaged.')
    if found:
        raise SystemExit(1)


if __name__ == '__main__':
    with one_sentence():
        main()
