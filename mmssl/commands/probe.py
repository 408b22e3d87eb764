"""Measure checkpoints on a folder of images.

Runs in one process, with one pass over the images per network; features are cached on disk, and a second run reads
them. FOLDER has train/ and test/ (or val/, validation/) with class folders, or class folders alone (a fifth of the
images is then the test set), or images without classes (measured without labels). It may also be a video or a folder
of videos, whose frames are then the images (a fifth of the videos of each class is the test set), or a table .csv with
the columns video, start, end and label (seconds; train and test frames are 10 seconds apart or more). Raw pixels and
the untrained network are always measured, too. Prints a table and writes probe.json, probe.csv and probe.html into the
work directory.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mmssl.command_line import open_config
from mmssl.ranges import COUNT, INDEX, option

if TYPE_CHECKING:
    from mmssl.evaluation import Result

_MOST_SENTENCES = 4  # checkpoints that are described one by one


class Trio(NamedTuple):
    """The names of a checkpoint and its baselines."""

    pixels: str
    untrained: str
    network: str


class Measured(NamedTuple):
    """What the probe found.

    Attributes:
        results: One for every network and layer.
        trios: One for every checkpoint.
        remarks: What to know to read the numbers.
    """

    results: list['Result']
    trios: list[Trio]
    remarks: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('checkpoints', nargs='+', metavar='CHECKPOINT', help='.pth or .safetensors')
    parser.add_argument('--data', required=True, help='folder of images or videos, or a table of labelled segments')
    parser.add_argument('--stages', action='store_true', help='measure every stage of the backbone, not only the last')
    parser.add_argument(
        '--size', type=option(COUNT), help='side of the images; as in the config, else 32 for small stems and 224'
    )
    parser.add_argument('--config', help="config of the training, instead of the checkpoint's own")
    parser.add_argument(
        '--images',
        type=option(COUNT),
        nargs=2,
        metavar=('TRAIN', 'TEST'),
        help='number of images to use (default: all)',
    )
    parser.add_argument(
        '--shots',
        type=option(COUNT),
        nargs='+',
        default=[1, 2, 4, 8, 16, 32, 64],
        help='labelled images per class for the low-shot SVM',
    )
    parser.add_argument(
        '--draws', type=option(COUNT), default=3, help='number of draws for each number of shots and share of labels'
    )
    parser.add_argument(
        '--seed', type=option(INDEX), default=0, help='seed of untrained networks, draws, k-means and orders'
    )
    parser.add_argument('--cache', type=Path, default=Path('work_dirs/features'), help='folder for cached features')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/probe'), help='folder for the results')
    parser.add_argument('--batch-size', type=option(COUNT), default=256, help='images per step')
    parser.add_argument('--num-workers', type=option(INDEX), default=2, help='loading processes')


def measure(args: argparse.Namespace) -> Measured:
    """Measure every layer of every network."""
    from mmengine.logging import MMLogger

    from mmssl.probe import FeatureCache, compared_networks, in_order, probe_data, probe_features

    MMLogger.get_instance('probe', log_level='WARNING')  # the tool prints its own progress
    if args.config and not Path(args.config).is_file():
        raise FileNotFoundError(f'No config {args.config}: give the config of the training.')
    config = open_config(args.config) if args.config else None
    found = compared_networks(args.checkpoints, config, args.size, args.stages, args.seed)
    on_clips = {one.network.frames is not None for one in found}
    if len(on_clips) > 1:
        raise ValueError('Some of the networks take images and some take clips: measure them one kind at a time.')
    data = probe_data(args.data, args.images, videos=on_clips.pop())
    cache = FeatureCache(args.cache, tell=lambda sentence: print(sentence, flush=True))
    loading = {'batch_size': args.batch_size, 'num_workers': args.num_workers}
    results = []
    for network in in_order(found):
        start = time.perf_counter()
        datasets = data.datasets(network.size, network.channels, args.seed, network.frames)
        parts = {
            name: cache.features(network, dataset, 1 + (name == 'views'), **loading)
            for name, dataset in datasets.items()
        }
        seconds = time.perf_counter() - start
        for layer in network.layers:
            views, query = parts['views'][layer].features, parts['query'][layer] if 'query' in parts else None
            options = {'shots': args.shots, 'draws': args.draws, 'seed': args.seed}
            result = probe_features(parts['gallery'][layer], query, views, name=network.name, **options)
            results.append(replace(result, layer=layer, seconds={**result.seconds, 'features': seconds}))
    trios = [Trio(one.pixels.name, one.untrained.name, one.network.name) for one in found]
    return Measured(results, trios, remarks_on(data, found))


def remarks_on(data: Any, found: Sequence[Any]) -> list[str]:
    """Remarks for reading the numbers: the split, image sizes and normalisations."""
    remarks: list[str] = list(data.remarks)
    names: dict[str, list[str]] = {}
    for one in found:
        mean, std = (', '.join(f'{value:g}' for value in part) for part in (one.recipe.mean, one.recipe.std))
        network = one.network
        remark = (
            f'{_inputs(network)} of {network.size} x {network.size} pixels, mean ({mean}) and deviation ({std}), '
            f'{one.recipe.source}.'
        )
        names.setdefault(remark, []).append(one.network.name)
    for remark, some in names.items():
        subject = f'All {len(some)} networks' if len(some) == len(found) > 1 else ', '.join(some)
        remarks.append(f'{subject}: {remark}')
    return remarks


def _inputs(network: Any) -> str:
    return f'clips of {network.frames.length} frames' if network.frames else 'images'


def by_layer(results: Sequence['Result']) -> dict[str, list['Result']]:
    """The results of each stage, those of raw pixels among all of them; the last stage comes first."""
    pixels = [result for result in results if result.layer == 'pixels']
    layers = sorted({result.layer for result in results} - {'pixels'}, reverse=True)
    return {layer: [*pixels, *(result for result in results if result.layer == layer)] for layer in layers}


def verdicts(results: Sequence['Result'], trios: Sequence[Trio]) -> list[str]:
    """How each checkpoint stands against its baselines, in one layer. Many checkpoints are left to the table."""
    from mmssl.evaluation import standings

    if len(trios) > _MOST_SENTENCES:
        return []
    named = {result.name: result for result in results}
    sentences = [
        sentence.replace('the pre-trained network', trio.network)
        for trio in trios
        for sentence in standings([named[name] for name in trio])
    ]
    return list(dict.fromkeys(sentences))


def write(args: argparse.Namespace, measured: Measured) -> list[Path]:
    """Write the results as JSON, CSV and HTML."""
    from mmssl.evaluation import write_results
    from mmssl.files import write_csv
    from mmssl.visualization import (
        describe_command,
        probe_section,
        reproduction_section,
        stages_section,
        write_report,
    )

    args.work_dir.mkdir(parents=True, exist_ok=True)
    paths = [args.work_dir / f'probe.{kind}' for kind in ('json', 'csv', 'html')]
    command = describe_command(sys.argv)
    results, trios, remarks = measured
    write_results(paths[0], results, command=command, data=args.data, seed=args.seed, remarks=remarks)
    rows = [
        [result.name, result.layer, one.title, one.value, '' if one.spread is None else one.spread]
        for result in results
        for one in result.measures
    ]
    write_csv(paths[1], [['network', 'layer', 'measure', 'value', 'deviation'], *rows])
    tables = by_layer(results)
    last = next(iter(tables))
    parts = [
        probe_section(
            'Results' if layer == last else f'Results of {layer}', some, verdicts(some, trios) if layer == last else ()
        )
        for layer, some in tables.items()
    ]
    if len(tables) > 1 and results[-1].labelled:
        parts.insert(1, stages_section(results))
    extra = {
        'data': args.data,
        'images': f'{results[0].gallery:,} to learn from, {results[0].query:,} to measure on',
    }
    write_report(paths[2], 'Probe', [*parts, reproduction_section(command, extra=extra)], remarks)
    return paths


def run(args: argparse.Namespace) -> None:
    """Measure, print and write the results."""
    measured = measure(args)
    from mmssl.evaluation import format_table, protocols

    tables = by_layer(measured.results)
    for layer, some in tables.items():
        print(f'\n{layer}\n' if len(tables) > 1 else '', format_table(some), sep='\n')
    sentences = verdicts(next(iter(tables.values())), measured.trios)
    print('', *protocols(measured.results[-1]), '', *measured.remarks, '', *sentences, sep='\n')
    print('\nWritten to ' + ', '.join(map(str, write(args, measured))))
