"""Measure what pre-training gains with few labels: learning curves over the number of labelled images.

DATA has train/ and test/ with one folder per class (classification); boxes in the layout of VOC or COCO (detection); or
masks of class numbers (segmentation). Compared are an untrained network, given weights (--weights, --pretrained), and
networks pre-trained here on all training images without their labels (--pretrain). Every start is fine-tuned in the
same way, with the same steps and images; its learning rate is chosen once, on held-out labelled training images. Writes
results.json, table.md, table.txt and curves.svg into the work directory; results.json as DATA prints them again. Every
finished piece is a file: type an interrupted command again, and it continues.
"""

import argparse
import json
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmssl.command_line import CORRECTABLE, sigterm_as_ctrl_c
from mmssl.files import write_json
from mmssl.ranges import COUNT, INDEX, POSITIVE, SEVERAL, Range, option

if TYPE_CHECKING:
    from mmssl.evaluation import Purpose
    from mmssl.label_efficiency import Curves, Layout, Start, Task

ERRORS = CORRECTABLE
_STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('data', type=Path, help='folder with labels, or results.json of an earlier run')
    parser.add_argument(
        '--work-dir', type=Path, help='folder for all pieces (default: work_dirs/labels/<name of DATA>)'
    )
    _add_starts(parser)
    _add_effort(parser)
    dense = parser.add_argument_group('detection and segmentation')
    dense.add_argument(
        '--scale',
        type=option(COUNT),
        nargs=2,
        metavar=('WIDTH', 'HEIGHT'),
        help="resize images (default: the config's)",
    )
    dense.add_argument(
        '--frozen-stages',
        type=option(Range(-1, whole=True)),
        default=-1,
        help='stages that stay as they are (default: -1, none)',
    )
    dense.add_argument('--norm-eval', action='store_true', help="keep the backbone's batch-norm statistics")
    dense.add_argument(
        '--ignore', type=option(INDEX), help='value of pixels without a class in the masks (default: 255)'
    )


def _add_starts(parser: argparse.ArgumentParser) -> None:
    starts = parser.add_argument_group('starts, besides the untrained network')
    starts.add_argument(
        '--weights', nargs='+', default=[], metavar='WHAT', help='weights of ResNets; each is a start: a file, a work '
        'directory, or a name of the model zoo or of torchvision such as torchvision:resnet18',
    )  # fmt: skip
    starts.add_argument(
        '--pretrained', type=Path, nargs='+', default=[], metavar='FILE', help='one start, with one file per seed'
    )
    starts.add_argument(
        '--pretrain', nargs='+', type=_minutes, default=[], metavar='MINUTES[:SEEDS]',
        help='pre-train on the training images, as often as there are seeds or as SEEDS says; each time is a start',
    )  # fmt: skip
    starts.add_argument(
        '--depth', type=option(COUNT), choices=sorted(_STAGES), default=18, help='of the untrained network alone'
    )
    starts.add_argument('--base-channels', type=option(COUNT), default=32, help='width of the untrained network alone')


def _add_effort(parser: argparse.ArgumentParser) -> None:
    effort = parser.add_argument_group('fine-tuning')
    effort.add_argument(
        '--labels', nargs='+', type=_count, default=[5, 20, None], metavar='N',
        help='labelled images, per class for classification; the word all (default: 5 20 all)',
    )  # fmt: skip
    effort.add_argument('--seeds', nargs='+', type=option(INDEX), default=[0, 1, 2])
    effort.add_argument('--steps', type=option(COUNT), help='steps (default: 200, or 300 for boxes and masks)')
    effort.add_argument(
        '--batch-size', type=option(COUNT), help='images per step (default: 64, or 8 for boxes and masks)'
    )
    effort.add_argument('--rates', nargs='+', type=option(POSITIVE), help='learning rates to choose from')
    effort.add_argument(
        '--rate-at',
        type=_count,
        default=20,
        metavar='N',
        help='number of labels at which the rate is chosen (default: 20)',
    )
    effort.add_argument(
        '--size', type=option(COUNT), default=64, help='side of the images, for classification (default: 64)'
    )
    effort.add_argument('--hours', type=option(POSITIVE), help='stop cleanly after about this time')


def _minutes(text: str) -> tuple[float, int | None]:
    minutes, colon, seeds = text.partition(':')
    try:
        return option(POSITIVE)(minutes), int(option(COUNT)(seeds)) if colon else None
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f'{text}: give minutes above 0, such as 20, or 60:1 for one seed') from error


def _count(text: str) -> int | None:
    if text == 'all':
        return None
    try:
        return int(option(SEVERAL)(text))
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f'{text}: give 2 or more labelled images, or the word all') from error


def run(args: argparse.Namespace) -> None:
    """Do the pieces that are missing; print and write tables and curves of those that are done."""
    if args.data.suffix == '.json':
        return _write(_read_results(args.data), args.work_dir or args.data.parent)
    from mmssl.label_efficiency import Curves, find_layout

    folder = args.work_dir or Path('work_dirs/labels') / args.data.resolve().name
    curves: Curves | None = None
    try:
        with sigterm_as_ctrl_c():
            layout, starts = find_layout(args.data), _starts(args)
            pretrain = partial(_pretrain, layout.task)
            curves = Curves(_task(args, layout), starts, args.labels, args.seeds, folder, pretrain, args.rate_at)
            curves.check()
            over = _run(curves, args.hours)
            _write(curves.results(), folder)
            print(over)
    except KeyboardInterrupt:
        if curves and curves.results()['pieces']:
            _write(curves.results(), folder)
        print(curves.what_is_left('Stopped') if curves else 'Stopped before anything was measured.')
        raise SystemExit(130) from None


def _run(curves: 'Curves', hours: float | None) -> str:
    """Do what is missing; says that all is done, or what is left when the hours are over."""
    from mmssl.label_efficiency import Interrupted

    try:
        curves.run(hours)
    except Interrupted as reason:
        return str(reason)
    return 'All pieces are done.'


def _starts(args: argparse.Namespace) -> list['Start']:
    from mmssl.apis.start import fetch_start
    from mmssl.label_efficiency import Start
    from mmssl.probe.networks import titles

    starts = [Start('untrained')]
    names = titles(args.weights) if args.weights else []
    starts += [Start(f'weights {name}', (fetch_start(what),)) for name, what in zip(names, args.weights)]
    starts += [Start('pre-trained', tuple(args.pretrained))] if args.pretrained else []
    for minutes, seeds in args.pretrain:
        starts.append(
            Start(f'pre-trained {minutes:g} min', (), minutes, min(seeds or len(args.seeds), len(args.seeds)))
        )
    return starts


def _task(args: argparse.Namespace, layout: 'Layout') -> 'Task':
    """The task of a layout with the options that were given; the others are the task's defaults."""
    from mmssl.label_efficiency import Classification, Detection, Segmentation, plain_recipe

    names = {'steps': args.steps, 'batch_size': args.batch_size, 'rates': args.rates and tuple(args.rates)}
    given = {name: value for name, value in names.items() if value is not None}
    blocks = _STAGES[args.depth]
    if layout.task == 'classification':
        return Classification(layout, plain_recipe(blocks, args.base_channels), args.size, **given)
    from mmssl.export import Architecture

    network = Architecture(blocks, False, 3, args.base_channels, 'imagenet')
    given |= {'frozen_stages': args.frozen_stages, 'norm_eval': args.norm_eval}
    given |= {'scale': tuple(args.scale)} if args.scale else {}
    if layout.task == 'detection':
        return Detection(layout, network, **given)
    return Segmentation(layout, network, ignore=args.ignore, **given)


def _pretrain(purpose: 'Purpose', images: Path, minutes: float, folder: Path, seed: int) -> Path:
    """Pre-train on a folder of images; gives the work directory, whose newest checkpoint holds the weights."""
    from mmssl.apis import train_from_folder

    shutil.rmtree(folder, ignore_errors=True)  # checkpoints of an interrupted attempt
    train_from_folder(images, minutes=minutes, work_dir=folder, seed=seed, purpose=purpose)
    return folder


def _read_results(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise FileNotFoundError(f'No file {file}: give the results.json of an earlier run, or a folder with labels.')
    results = json.loads(file.read_text())
    if not isinstance(results, dict) or not {'settings', 'measures', 'starts', 'pieces', 'unit'} <= results.keys():
        raise ValueError(f'{file} is not a results.json of this command: give one, or a folder with labels.')
    return results


def _write(results: dict[str, Any], folder: Path) -> None:
    """Print the tables, and write them with results and curves."""
    from mmssl.label_efficiency import curve_figure, format_curves
    from mmssl.visualization.charts import save_figure

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / 'results.json', results)
    (folder / 'table.md').write_text(format_curves(results, markdown=True) + '\n')
    text = format_curves(results)
    (folder / 'table.txt').write_text(text + '\n')
    if figure := curve_figure(results):
        save_figure(figure, folder / 'curves.svg')
    print(f'{text}\n\nWritten to {folder}: results.json, table.md, table.txt, curves.svg.')
