"""Linear classification by a paper's protocol: tools/benchmarks/classification/linear.py CONFIG --checkpoint FILE.

CONFIG is one of ``configs/benchmarks/classification``. The number of classes is that of the data. Prints the accuracy
after the last epoch, and that of the best epoch, which the papers report and which is chosen on the test set; writes
both with the protocol into ``linear.json`` in the work directory; of a classifier on each stage, the accuracies of
each. With ``--fast``, a classifier is fitted to cached features of a few random views instead: about the same accuracy
in a tenth of the time.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.config import Config
from mmengine.dist import is_main_process

from mmssl.command_line import (
    add_common_options,
    add_training_options,
    read_config,
    use_training_options,
)
from mmssl.files import rebase_paths

if TYPE_CHECKING:
    from mmssl.evaluation import Measure, Result

MEAN_CLASS = 'mean over the classes'
BEST_EPOCH = ', best epoch'


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


def train(cfg: Config) -> list['Result']:
    """Train the classifier; one result per head, the last stage's at the end.

    The accuracy of every epoch comes from the message hub, so a resumed run has them all.
    """
    from mmssl.engine import Runner
    from mmssl.evaluation import Result

    runner = Runner.from_cfg(cfg)
    start = time.perf_counter()
    runner.train()
    if runner.train_loop.interrupted:
        raise SystemExit(f'Ended by a signal in epoch {runner.epoch + 1}, nothing was measured: go on with --resume.')
    seconds = {'all': time.perf_counter() - start}
    by_class = getattr(runner.train_loop.dataloader.dataset.source, 'mean_per_class', False)
    notes = (f'{MEAN_CLASS} is what is reported for this set.',) if by_class else ()
    heads = list(runner.algorithm.heads)
    return [
        Result(
            Path(cfg.model.checkpoint).name if cfg.model.checkpoint else 'untrained',
            tuple(accuracies(runner.message_hub, head, cfg.protocol)),
            notes,
            layer=head if len(heads) > 1 else '',
            seconds=seconds,
        )
        for head in heads
    ]


def accuracies(message_hub: Any, head: str, protocol: str) -> list['Measure']:
    """What one classifier reached in the last epoch, and in the best."""
    from mmssl.evaluation import Measure

    measures = []
    for name, title in (('top1', 'top-1'), ('top5', 'top-5'), ('mean_class', MEAN_CLASS)):
        curve = message_hub.get_scalar(f'val/{head}_{name}').data[0].tolist()
        measures += [Measure(title, curve[-1], protocol=protocol, digits=2)]
        measures += [Measure(title + BEST_EPOCH, max(curve), protocol=protocol, digits=2)]
    return measures


def probe(cfg: Config, views: int = 10) -> 'Result':
    """The fast probe on the config's data."""
    from mmssl.engine import Runner
    from mmssl.evaluation import Measure, Result, build_dataset, probe_with_views

    model = Runner.from_cfg(cfg).algorithm  # joins the other processes, chooses the device
    model.init_weights()
    data = (cfg.train_dataloader.dataset, cfg.evaluation.gallery, cfg.evaluation.query)
    loading = {'batch_size': cfg.evaluation.batch_size, 'num_workers': cfg.evaluation.num_workers}
    fit = probe_with_views(model, *map(build_dataset, data), views=views, **loading)
    top1 = replace(fit.measure('top-1'), protocol=fit.protocol, digits=2)
    measures = (top1, Measure('top-5', fit.top5, protocol=fit.protocol, digits=2))
    return Result(Path(cfg.model.checkpoint or 'untrained').name, measures, seconds={'all': fit.seconds})


def describe(results: Sequence['Result']) -> str:
    """The protocol and the accuracies, a line each."""
    last = results[-1]
    lines = [last.measures[0].protocol]
    for result in results:
        top1, top5 = result.measure('top-1'), result.measure('top-5')
        best = ''.join(f'; best epoch {one.text} %' for one in result.measures if one.name == f'top-1{BEST_EPOCH}')
        lines.append(f'{result.layer} top-1 {top1.text} %, top-5 {top5.text} %{best}'.strip())
    if last.notes:
        lines.append(f'{MEAN_CLASS}, which is reported for this set: {last.measure(MEAN_CLASS).text} %')
    return '\n'.join([*lines, f'{last.seconds["all"]:.0f} s'])


def report(args: argparse.Namespace, cfg: Config, results: Sequence['Result'], name: str, **header: Any) -> None:
    """Print results, and write them into the work directory; ``header`` stands above them in the file."""
    if not is_main_process():
        return
    from mmssl.evaluation import write_results

    print(describe(results))
    path = Path(cfg.work_dir) / name
    dataset = {'dataset': args.dataset} if args.dataset else {}
    write_results(path, results, config=args.config, checkpoint=args.checkpoint, **dataset, **header)
    print(f'Written to {path}')


def main() -> None:
    """Train or probe, print, write."""
    args = parse_args()
    cfg = load_config(args)
    if not cfg.model.get('frozen', True):
        raise ValueError(f'{args.config} lets the backbone learn: give it to finetune.py beside this script.')
    if args.fast:
        report(args, cfg, [probe(cfg, args.fast)], 'linear.json')
    else:
        report(args, cfg, train(cfg), 'linear.json', epochs=cfg.train_cfg.max_epochs)


if __name__ == '__main__':
    try:
        main()
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f'{type(error).__name__}: {error}') from error
