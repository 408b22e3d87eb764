"""Write lists of labelled images for the benchmarks.

    python tools/dataset_tools/image_lists.py percent FOLDER 1 OUT      a share of each class
    python tools/dataset_tools/image_lists.py inaturalist JSON OUT      train2018.json or val2018.json

``percent`` is for training with few labels. It draws that share of every class folder at random, at least one image,
the same ones in every run, and writes paths below FOLDER. ``inaturalist`` writes paths and class numbers.
"""

import argparse
import json
import random
from pathlib import Path

from files import write_whole

from mmssl.command_line import one_sentence
from mmssl.ranges import INDEX, option
from mmssl.words import counted


def draw_share(folder: Path, percent: float, seed: int = 0) -> list[str]:
    """Draw a share of the images of every class, class by class.

    Args:
        folder: Images in one folder per class.
        percent: Share of each class, above 0 and up to 100.
        seed: Seed of the draw.

    Returns:
        Paths below the folder.

    Raises:
        ValueError: The share is out of range, or there are no classes.
    """
    from mmengine.logging import MMLogger

    from mmssl.datasets import ImageFolder, find_parts

    MMLogger.get_instance('image_lists', log_level='WARNING')  # the tool prints its result alone
    if not 0 < percent <= 100:
        raise ValueError(f'{percent:g} % of the images: give a number above 0 and at most 100.')
    parts = find_parts(folder) if folder.is_dir() else None
    if parts:
        raise ValueError(f'{folder} holds parts, of which one is to be listed: give {parts.train}.')
    source = ImageFolder(folder)
    if source.labels is None:
        raise ValueError(f'{folder} has no classes: put the images into one folder per class.')
    generator, labels, drawn = random.Random(seed), source.labels.tolist(), []
    for label in range(len(source.classes)):
        members = [index for index, found in enumerate(labels) if found == label]
        drawn += sorted(generator.sample(members, max(round(len(members) * percent / 100), 1)))
    return [source.name(index) for index in drawn]


def inaturalist_lines(annotations: Path) -> list[str]:
    """Path and class of every image of an annotation file, in its order.

    Args:
        annotations: JSON with ``images`` (``id``, ``file_name``) and ``annotations`` (``image_id``, ``category_id``).

    Returns:
        One line per image.

    Raises:
        ValueError: There is no such file, or it is not an annotation file.
    """
    if not annotations.is_file():
        raise ValueError(f'There is no {annotations}: give train2018.json or val2018.json.')
    try:
        content = json.loads(annotations.read_text('utf-8'))
        classes = {entry['image_id']: entry['category_id'] for entry in content['annotations']}
        return [f'{image["file_name"]} {classes[image["id"]]}' for image in content['images']]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f'{annotations} is not an annotation file of iNaturalist: give train2018.json or val2018.json.'
        ) from error


def main() -> None:
    """Read the command line and write a list."""
    parser = argparse.ArgumentParser(description='Write lists of labelled images for the benchmarks.')
    kinds = parser.add_subparsers(dest='kind', required=True)
    percent = kinds.add_parser('percent', help='a share of the images of each class folder')
    percent.add_argument('folder', type=Path, help='folder of images, with one folder per class')
    percent.add_argument('percent', type=float, help='share of each class, for example 1 or 10')
    percent.add_argument('--seed', type=option(INDEX), default=0, help='seed of the draw (default: 0)')
    inaturalist = kinds.add_parser('inaturalist', help='an annotation file of iNaturalist 2018')
    inaturalist.add_argument('annotations', type=Path, help='train2018.json or val2018.json')
    for kind in (percent, inaturalist):
        kind.add_argument('out', type=Path, help='list to write')
    args = parser.parse_args()
    if args.kind == 'percent':
        lines = draw_share(args.folder, args.percent, args.seed)
    else:
        lines = inaturalist_lines(args.annotations)
    write_whole(args.out, '\n'.join([*lines, '']).encode())
    print(f'{counted(len(lines), "image")} in {args.out}')


if __name__ == '__main__':
    with one_sentence():
        main()
