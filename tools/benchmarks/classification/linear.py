"""Linear classification by a paper's protocol: tools/benchmarks/classification/linear.py CONFIG --checkpoint FILE.

CONFIG is one of ``configs/benchmarks/classification``. The number of classes is that of the data. Prints the accuracy
after the last epoch, and that of the best epoch, which the papers report and which is chosen on the test set; writes
both with the protocol into ``linear.json`` in the work directory. With ``--fast``, a classifier is fitted to cached
features of a few random views instead: about the same accuracy in a tenth of the time.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process

from mmssl.command_line import add_common_options, read_config


def make_parser() -> argparse.ArgumentParser:
    """The command line, in the words OpenMMLab users know."""
    parser = argparse.ArgumentParser(description='Train a linear classifier on a frozen backbone.')
    parser.add_argument('config', help='config file, one of configs/benchmarks/classification')
    parser.add_argument('--checkpoint', help='checkpoint with the backbone; without it, the network is untrained')
    parser.add_argument(
        '--fast',
        nargs='?',
        type=int,
        const=10,
        metavar='VIEWS',
        help='the fast probe, on so many random views an image (10)',
    )
    parser.add_argument('--work-dir', help='where logs and linear.json go; work_dirs/<name of the config> by default')
    parser.add_argument('--resume', action='store_true', help='go on from the newest checkpoint in the work directory')
    add_common_options(parser)
    return parser


def load_config(args: argparse.Namespace) -> Config:
    """The config with what the command line and the data say."""
    cfg = read_config(args, 'one of configs/benchmarks/classification')
    cfg.resume = args.resume
    cfg.model.update(checkpoint=args.checkpoint, num_classes=number_of_classes(cfg))
    return cfg


def number_of_classes(cfg: Config) -> int:
    """Classes of the training and the test set."""
    from mmssl.registry import DATASETS

    labels = [DATASETS.build(dataset.source).labels for dataset in (cfg.train_dataloader.dataset, cfg.evaluation.query)]
    if any(found is None for found in labels):
        raise ValueError('Linear classification needs labels: give images in one folder a class, or with a list.')
    return int(max(found.max() for found in labels)) + 1


def train(cfg: Config) -> dict[str, Any]:
    """Train the classifier; the accuracy of every epoch comes from the message hub, so a resumed run has them all."""
    from mmssl.engine import Runner

    runner = Runner.from_cfg(cfg)
    start = time.perf_counter()
    runner.train()
    if runner.train_loop.interrupted:
        raise SystemExit(f'Ended by a signal in epoch {runner.epoch + 1}, nothing was measured: go on with --resume.')
    top1 = runner.message_hub.get_scalar('val/linear_top1').data[0].tolist()
    top5 = runner.message_hub.get_scalar('val/linear_top5').data[0].tolist()
    return {
        'protocol': cfg.protocol,
        'epochs': len(top1),
        'top1': top1[-1],
        'top5': top5[-1],
        'best_top1': max(top1),
        'seconds': time.perf_counter() - start,
    }


def probe(cfg: Config, views: int = 10) -> dict[str, Any]:
    """The fast probe on the config's data."""
    from mmssl.engine import Runner
    from mmssl.evaluation import build_dataset, probe_with_views

    model = Runner.from_cfg(cfg).algorithm  # joins the other processes, chooses the device
    model.init_weights()
    data = (cfg.train_dataloader.dataset, cfg.evaluation.gallery, cfg.evaluation.query)
    loading = {'batch_size': cfg.evaluation.batch_size, 'num_workers': cfg.evaluation.num_workers}
    return probe_with_views(model, *map(build_dataset, data), views=views, **loading)


def main() -> None:
    """Train or probe, print, write."""
    args = make_parser().parse_args()
    cfg = load_config(args)
    result = probe(cfg, args.fast) if args.fast else train(cfg)
    if not is_main_process():
        return
    best = '' if args.fast else f'; best epoch {result["best_top1"]:.2f} %'
    print(f'{result["protocol"]}\ntop-1 {result["top1"]:.2f} %, top-5 {result["top5"]:.2f} %{best}')
    print(f'{result["seconds"]:.0f} s')
    path = Path(cfg.work_dir) / 'linear.json'
    report = {'config': args.config, 'checkpoint': args.checkpoint, **result}
    path.write_text(json.dumps(report, indent=2) + '\n')
    print(f'Written to {path}')


if __name__ == '__main__':
    try:
        main()
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f'{type(error).__name__}: {error}') from error
