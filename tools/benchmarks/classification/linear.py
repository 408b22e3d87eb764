"""Linear classification by a paper's protocol: tools/benchmarks/classification/linear.py CONFIG --checkpoint FILE.

CONFIG is one of ``configs/benchmarks/classification``. The number of classes is that of the data. Prints the accuracy
after the last epoch, and that of the best epoch, which the papers report and which is chosen on the test set; writes
both with the protocol into ``linear.json`` in the work directory; of a classifier on each stage, the accuracies of
each. With ``--fast``, a classifier is fitted to cached features of a few random views instead: about the same accuracy
in a tenth of the time.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process

from mmssl.command_line import (
    add_common_options,
    add_training_options,
    read_config,
    use_training_options,
)
from mmssl.files import rebase_paths


def make_parser(description: str = 'Train a linear classifier on a frozen backbone.') -> argparse.ArgumentParser:
    """The command line, in the words OpenMMLab users know."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='config file, one of configs/benchmarks/classification')
    parser.add_argument('--checkpoint', help='checkpoint with the backbone; without it, the network is untrained')
    parser.add_argument('--data-root', help="where the data is, instead of the config's data_root")
    parser.add_argument('--dataset', metavar='NAME', help="which of torchvision's sets, for the configs of small sets")
    parser.add_argument('--work-dir', help='where logs and results go; work_dirs/<name of the config> by default')
    parser.add_argument('--resume', action='store_true', help='go on from the newest checkpoint in the work directory')
    add_training_options(parser)
    add_common_options(parser)
    return parser


def parse_args() -> argparse.Namespace:
    """The options of :func:`make_parser`, and the fast probe."""
    parser = make_parser()
    parser.add_argument(
        '--fast',
        nargs='?',
        type=int,
        const=10,
        metavar='VIEWS',
        help='the fast probe, on so many random views an image (10)',
    )
    return parser.parse_args()


def load_config(args: argparse.Namespace) -> Config:
    """The config with what the command line and the data say."""
    cfg = read_config(args, 'one of configs/benchmarks/classification')
    if 'protocol' not in cfg:
        raise ValueError(f'{args.config} states no protocol: give one of configs/benchmarks/classification.')
    cfg.resume = args.resume
    use_training_options(cfg, args)
    if args.data_root:
        move_data(cfg, args.data_root)
    if args.dataset:
        choose_set(cfg, args.dataset)
    cfg.model.update(checkpoint=args.checkpoint, num_classes=number_of_classes(cfg))
    return cfg


def sources(cfg: Config) -> Iterator[Any]:
    """Where the images of training, gallery and query set come from."""
    for dataset in (cfg.train_dataloader.dataset, cfg.evaluation.gallery, cfg.evaluation.query):
        yield dataset.source


def move_data(cfg: Config, root: str) -> None:
    """Let every path of a config that lies under its ``data_root`` lie under another folder."""
    if 'data_root' not in cfg:
        raise ValueError('--data-root, but this config has no data_root: add data_root=..., the folder it is now in.')
    names = ('train_dataloader', 'evaluation')
    parts = {name: rebase_paths(cfg[name].to_dict(), cfg.data_root, root) for name in names}
    cfg.merge_from_dict(parts, allow_list_keys=False)


def choose_set(cfg: Config, name: str) -> None:
    """Put the name of a set into a config for small sets."""
    for source in sources(cfg):
        if 'name' not in source:
            raise ValueError(f'--dataset {name}, but this config has data of its own: give one of *_small_sets.py.')
        source.name = name


def number_of_classes(cfg: Config) -> int:
    """Classes of the training and the test set."""
    from mmssl.evaluation import count_classes
    from mmssl.registry import DATASETS

    training, _, query = sources(cfg)
    return count_classes(DATASETS.build(training), DATASETS.build(query))


def train(cfg: Config) -> dict[str, Any]:
    """Train the classifier; the accuracy of every epoch comes from the message hub, so a resumed run has them all."""
    from mmssl.engine import Runner

    runner = Runner.from_cfg(cfg)
    start = time.perf_counter()
    runner.train()
    if runner.train_loop.interrupted:
        raise SystemExit(f'Ended by a signal in epoch {runner.epoch + 1}, nothing was measured: go on with --resume.')
    heads = {name: accuracies(runner.message_hub, name) for name in runner.algorithm.heads}
    by_class = getattr(runner.train_loop.dataloader.dataset.source, 'mean_per_class', False)
    return {
        'protocol': cfg.protocol,
        'epochs': runner.max_epochs,
        'reported': 'mean_class' if by_class else 'top1',
        **list(heads.values())[-1],
        **({'stages': heads} if len(heads) > 1 else {}),
        'seconds': time.perf_counter() - start,
    }


def accuracies(message_hub: Any, head: str) -> dict[str, float]:
    """What one classifier reached in the last epoch, and in the best."""
    curves = {
        name: message_hub.get_scalar(f'val/{head}_{name}').data[0].tolist() for name in ('top1', 'top5', 'mean_class')
    }
    best = {f'best_{name}': max(curves[name]) for name in ('top1', 'mean_class')}
    return {name: curve[-1] for name, curve in curves.items()} | best


def probe(cfg: Config, views: int = 10) -> dict[str, Any]:
    """The fast probe on the config's data."""
    from mmssl.engine import Runner
    from mmssl.evaluation import build_dataset, probe_with_views

    model = Runner.from_cfg(cfg).algorithm  # joins the other processes, chooses the device
    model.init_weights()
    data = (cfg.train_dataloader.dataset, cfg.evaluation.gallery, cfg.evaluation.query)
    loading = {'batch_size': cfg.evaluation.batch_size, 'num_workers': cfg.evaluation.num_workers}
    return probe_with_views(model, *map(build_dataset, data), views=views, **loading)


def describe(result: dict[str, Any]) -> str:
    """The protocol and the accuracies, a line each."""
    lines = [result['protocol']]
    for name, found in result.get('stages', {'': result}).items():
        best = f'; best epoch {found["best_top1"]:.2f} %' if 'best_top1' in found else ''
        lines.append(f'{name} top-1 {found["top1"]:.2f} %, top-5 {found["top5"]:.2f} %{best}'.strip())
    if result.get('reported') == 'mean_class':
        lines.append(f'mean over the classes, which is reported for this set: {result["mean_class"]:.2f} %')
    return '\n'.join([*lines, f'{result["seconds"]:.0f} s'])


def report(args: argparse.Namespace, cfg: Config, result: dict[str, Any], name: str) -> None:
    """Print a result, and write it into the work directory."""
    if not is_main_process():
        return
    print(describe(result))
    path = Path(cfg.work_dir) / name
    given = {
        'config': args.config,
        'checkpoint': args.checkpoint,
        **({'dataset': args.dataset} if args.dataset else {}),
    }
    path.write_text(json.dumps({**given, **result}, indent=2) + '\n')
    print(f'Written to {path}')


def main() -> None:
    """Train or probe, print, write."""
    args = parse_args()
    cfg = load_config(args)
    if not cfg.model.get('frozen', True):
        raise ValueError(f'{args.config} lets the backbone learn: give it to finetune.py beside this script.')
    report(args, cfg, probe(cfg, args.fast) if args.fast else train(cfg), 'linear.json')


if __name__ == '__main__':
    try:
        main()
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f'{type(error).__name__}: {error}') from error
