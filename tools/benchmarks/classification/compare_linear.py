"""Compare the fast probe with a paper's protocol: compare_linear.py CONFIG --checkpoint FILE [--images TRAIN TEST].

Runs both on one checkpoint and prints the accuracy and time of each, including features, and the ratio. CONFIG is a
config in ``configs/benchmarks/classification``; ``--images`` uses a part of its data.
"""

from pathlib import Path

import linear
from mmengine.config import Config

from mmssl.command_line import one_sentence
from mmssl.datasets import Subset
from mmssl.evaluation import write_results
from mmssl.ranges import COUNT, option


def take_part(cfg: Config, train: int, test: int) -> None:
    """Use only some of the images, drawn at random but the same in every run."""
    parts = ((cfg.train_dataloader.dataset, train), (cfg.evaluation.gallery, train), (cfg.evaluation.query, test))
    for dataset, num in parts:
        dataset.source = {'type': Subset, 'source': dataset.source, 'num': num}


def main() -> None:
    """Measure both, print and write the results."""
    parser = linear.make_parser()
    parser.add_argument(
        '--images',
        type=option(COUNT),
        nargs=2,
        metavar=('TRAIN', 'TEST'),
        help='number of images to use (default: all)',
    )
    args = parser.parse_args()
    cfg = linear.load_config(args)
    if args.images:
        take_part(cfg, *args.images)
    results = [linear.probe(cfg), linear.train(cfg)[-1]]
    seconds = [result.seconds['all'] for result in results]
    fast, paper = (result.measure('top-1') for result in results)
    for one, time in zip((fast, paper), seconds):
        print(f'{one.value:6.2f} %  {time:8.1f} s  {one.protocol}')
    share = seconds[0] / seconds[1]
    print(f'difference {fast.value - paper.value:+.2f} points in {share:.3f} of the time')
    path = Path(cfg.work_dir) / 'compare_linear.json'
    write_results(path, results, checkpoint=args.checkpoint)
    print(f'Written to {path}')


if __name__ == '__main__':
    with one_sentence():
        main()
