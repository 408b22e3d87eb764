"""Draw scenes with generated reports: a small data set of images and texts to try ConVIRT on.

    python tools/dataset_tools/make_scenes.py data/scenes

A scene is a circle, a square or a triangle in one of four colours and one of four corners, on a noisy ground, 32 x 32
pixels; its report has four sentences, one of which says nothing. The folder gets ``images/NUMBER.png``, the tables
``train.csv`` and ``test.csv`` for PairList (the label is colour and shape, twelve classes), and ``prompts.json`` with
sentences about each class, for tools/benchmarks/image_text.py. The same seed draws the same files.
"""

import argparse
import csv
import json
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mmssl.command_line import one_sentence
from mmssl.ranges import COUNT, INDEX, option

COLOURS = {'red': (220, 50, 50), 'green': (50, 190, 70), 'blue': (60, 90, 230), 'yellow': (230, 210, 50)}
SHAPES = ('circle', 'square', 'triangle')
CORNERS = {'upper left': (9, 9), 'upper right': (9, 22), 'lower left': (22, 9), 'lower right': (22, 22)}
SIDE, RADIUS = 32, 6.0  # pixels
_WHAT = ('A {colour} {shape} is seen.', 'There is a {colour} {shape}.', 'The scene shows a {colour} {shape}.')
_WHERE = ('It lies in the {corner} corner.', 'The {shape} is placed {corner}.')
_DETAIL = ('Its colour is {colour}.', 'The form is that of a {shape}.', 'The {shape} is {colour} all over.')
_NOTHING = ('The ground is noisy as usual.', 'No other object is present.')


class Scene(NamedTuple):
    """What a scene shows."""

    colour: str
    shape: str
    corner: str


def draw(scene: Scene, random: np.random.Generator) -> np.ndarray:
    """Draw a scene: uint8, shape ``(32, 32, 3)``."""
    y, x = np.mgrid[:SIDE, :SIDE] - np.reshape(CORNERS[scene.corner], (2, 1, 1)) - random.integers(-2, 3, (2, 1, 1))
    inside = {
        'circle': x**2 + y**2 < RADIUS**2,
        'square': np.maximum(abs(x), abs(y)) < 0.88 * RADIUS,
        'triangle': (y < RADIUS * 0.8) & (abs(x) < (y + RADIUS) * 0.6),
    }[scene.shape]
    ground = random.uniform(60, 150, 3) + random.normal(0, 35, (SIDE, SIDE, 3))
    object_ = COLOURS[scene.colour] + random.normal(0, 20, (SIDE, SIDE, 3))
    return np.where(inside[..., None], object_, ground).clip(0, 255).astype(np.uint8)


def report(scene: Scene, random: np.random.Generator) -> str:
    """Write the four sentences about a scene."""
    words = scene._asdict()
    return ' '.join(str(random.choice(kinds)).format(**words) for kinds in (_WHAT, _WHERE, _DETAIL, _NOTHING))


def prompts() -> dict[str, list[str]]:
    """Sentences about each class."""
    kinds = [(colour, shape) for colour in COLOURS for shape in SHAPES]
    return {f'{c} {s}': [text.format(colour=c, shape=s) for text in _WHAT] for c, s in kinds}


def write(folder: Path, numbers: dict[str, int], seed: int) -> None:
    """Write images, tables and prompts.

    Args:
        folder: Created if it does not exist.
        numbers: Number of scenes of each part, by its name.
        seed: Seed of the scenes.
    """
    random = np.random.default_rng(seed)
    (folder / 'images').mkdir(parents=True, exist_ok=True)
    places = count()
    for part, number in numbers.items():
        with (folder / f'{part}.csv').open('w', newline='', encoding='utf-8') as file:
            rows = csv.writer(file)
            rows.writerow(['path', 'text', 'label'])
            for place in islice(places, number):
                scene = Scene(*(str(random.choice(list(kinds))) for kinds in (COLOURS, SHAPES, CORNERS)))
                name = f'images/{place:05d}.png'
                Image.fromarray(draw(scene, random)).save(folder / name)
                rows.writerow([name, report(scene, random), f'{scene.colour} {scene.shape}'])
    (folder / 'prompts.json').write_text(json.dumps(prompts(), indent=1), encoding='utf-8')


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, help='where to write')
    parser.add_argument('--train', type=option(COUNT), default=2000, help='number of scenes to learn from')
    parser.add_argument('--test', type=option(COUNT), default=1000, help='number of scenes to measure on')
    parser.add_argument('--seed', type=option(INDEX), default=0)
    args = parser.parse_args()
    write(args.folder, {'train': args.train, 'test': args.test}, args.seed)
    print(f'{args.train} and {args.test} scenes with reports are in {args.folder}.')


if __name__ == '__main__':
    with one_sentence():
        main()
