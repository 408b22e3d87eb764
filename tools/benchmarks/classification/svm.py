"""Measure checkpoints on VOC07 by linear SVMs: svm.py CHECKPOINT [CHECKPOINT ...] --data VOCdevkit/VOC2007 [--low-shot]

The data has the layout of PASCAL VOC: Annotations, ImageSets/Main, JPEGImages. Trains on trainval and tests on test (or
on other splits, with --splits). The protocol is that of Goyal et al. (ICCV 2019), described in mmssl/evaluation/svm.py.
Raw pixels and the untrained network are measured, too. Prints the mean average precision and writes svm.json into the
work directory.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mmssl.command_line import one_sentence, open_config
from mmssl.ranges import COUNT, INDEX, POSITIVE, option

if TYPE_CHECKING:
    from mmssl.evaluation import Measure, Result


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoints', nargs='+', metavar='CHECKPOINT', help='.pth or .safetensors')
    parser.add_argument('--data', required=True, help='folder in the layout of PASCAL VOC')
    parser.add_argument('--low-shot', action='store_true', help='k positives per class instead of all')
    parser.add_argument(
        '--shots', type=option(COUNT), nargs='+', help='values of k (default: 1, 2, 4, 8, 16, 32, 64, 96)'
    )
    parser.add_argument('--draws', type=option(COUNT), default=5, help='number of draws for each k')
    parser.add_argument(
        '--costs',
        type=option(POSITIVE),
        nargs='+',
        help='costs to choose from (default: 2^-19 to 2^-4 and 10^-7 to 10^2)',
    )
    parser.add_argument('--splits', nargs=2, default=['trainval', 'test'], metavar=('TRAIN', 'TEST'))
    parser.add_argument(
        '--pool', type=option(COUNT), default=2, help='side of the grid that the last feature map is averaged to'
    )
    parser.add_argument(
        '--size', type=option(COUNT), help='side of the images; as in the config, else 32 for small stems and 224'
    )
    parser.add_argument(
        '--config', help='config of the training; needed if the checkpoint does not record the normalisation'
    )
    parser.add_argument('--seed', type=option(INDEX), default=0, help='seed of the untrained network and of the draws')
    parser.add_argument(
        '--jobs', type=option(COUNT), default=os.cpu_count(), help='number of SVMs to train at the same time'
    )
    parser.add_argument('--cache', type=Path, default=Path('work_dirs/features'), help='folder for cached features')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/svm'), help='folder for svm.json')
    parser.add_argument('--batch-size', type=option(COUNT), default=64, help='images per step')
    parser.add_argument('--num-workers', type=option(INDEX), default=2, help='loading processes')
    return parser.parse_args()


def measure(args: argparse.Namespace) -> tuple[list[str], list['Result']]:
    """Names of the classes, and a result for every network."""
    from mmengine.logging import MMLogger

    from mmssl.datasets import ImageDataset
    from mmssl.evaluation import Result
    from mmssl.probe import FeatureCache, compared_networks, in_order
    from mmssl.probe.probe import plain_view
    from mmssl.probe.voc import voc_images

    MMLogger.get_instance('probe', log_level='WARNING')  # the tool prints its own progress
    if args.config and not Path(args.config).is_file():
        raise FileNotFoundError(f'No config {args.config}: give the config of the training.')
    config = open_config(args.config) if args.config else None
    data = voc_images(args.data, args.splits)
    found = compared_networks(args.checkpoints, config, args.size, seed=args.seed, grid=args.pool)
    cache = FeatureCache(args.cache, tell=lambda sentence: print(sentence, flush=True))
    results = []
    for network in in_order(found):
        layer = next(iter(network.layers))
        tensors = []
        for split in data.splits:
            dataset = ImageDataset(split.source, plain_view(network.size), network.channels)
            features = cache.features(network, dataset, batch_size=args.batch_size, num_workers=args.num_workers)
            tensors += [features[layer].features, split.targets]
        gallery, query = (len(split.source) for split in data.splits)
        measures = tuple(machines(args, tensors))
        results.append(Result(network.name, measures, (), gallery, query, network.layers[layer], layer))
        print(describe(results[-1]), flush=True)
    return data.classes, results


def machines(args: argparse.Namespace, tensors: list) -> list['Measure']:
    """The measures of one network, by the protocol that is asked for."""
    from mmssl.evaluation.svm import COSTS, SHOTS, voc07_low_shot, voc07_svm

    costs = args.costs or COSTS
    if not args.low_shot:
        return voc07_svm(*tensors, costs=costs, jobs=args.jobs)
    shots = args.shots or SHOTS
    return voc07_low_shot(*tensors, shots, args.draws, costs, args.seed, args.jobs)


def describe(result: 'Result') -> str:
    """One line of the printed result."""
    first, *others = result.measures
    if first.spread is None:
        return f'{result.name}: mAP {first.text} (by 11 points {others[0].text})'
    return f'{result.name}: mAP at ' + ', '.join(f'k={one.details["shots"]} {one.text}' for one in result.measures)


def main() -> None:
    """Measure, print and write the results."""
    args = parse_args()
    classes, results = measure(args)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    path = args.work_dir / ('svm_low_shot.json' if args.low_shot else 'svm.json')
    from mmssl.evaluation import write_results

    write_results(path, results, data=args.data, splits=args.splits, classes=classes, pool=args.pool)
    print(f'Written to {path}')


if __name__ == '__main__':
    with one_sentence():
        main()
