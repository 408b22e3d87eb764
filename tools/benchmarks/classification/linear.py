"""Linear classification by a paper's protocol: tools/benchmarks/classification/linear.py CONFIG --checkpoint FILE.

CONFIG is a config in ``configs/benchmarks/classification``. The number of classes is read from the data. Prints the
accuracy after the last epoch and in the best epoch, which the papers report and which is chosen on the test set. Writes
both, with the protocol, to ``linear.json`` in the work directory; with a classifier on each stage, the accuracies of
each. ``--fast`` fits a classifier to cached features of a few random views instead: about the same accuracy in a tenth
of the time.
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
    one_sentence,
    read_config,
    use_training_options,
)
from mmssl.files import rebase_paths
from mmssl.ranges import COUNT, option

if TYPE_CHECKING:
    from mmssl.evaluation import Measure, Result

MEAN_CLASS = 'mean over the classes'
BEST_EPOCH = ', best epoch'


def make_parser(description: str = 'Train a linear classifier on a frozen backbone.') -> argparse.ArgumentParser:
    """The command line, with the option names of OpenMMLab."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='config file in configs/benchmarks/classification')
    parser.add_argument('--checkpoint', help='checkpoint with the backbone (default: an untrained network)')
    parser.add_argument('--data-root', help="folder of the data, instead of the config's data_root")
    parser.add_argument(
        '--dataset', metavar='NAME', help="one of torchvision's data sets, for the configs of small data sets"
    )
    parser.add_argument('--work-dir', help='folder for logs and results (default: work_dirs/<name of the config>)')
    parser.add_argument(
        '--resume', action='store_true', help='continue from the newest checkpoint in the work directory'
    )
    add_training_options(parser)
    add_common_options(parser)
    return parser


def parse_args() -> argparse.Namespace:
    """The options of :func:`make_parser`, and ``--fast``."""
    parser = make_parser()
    parser.add_argument(
        '--fast',
        nargs='?',
        type=option(COUNT),
        const=10,
        metavar='VIEWS',
        help='the fast probe instead, on this number of random views per image (10)',
    )
    return parser.parse_args()


def load_config(args: argparse.Namespace) -> Config:
    """The config with the options of the command line and the number of classes."""
    cfg = read_config(args, 'a config in configs/benchmarks/classification')
    if 'protocol' not in cfg:
        raise ValueError(f'{args.config} states no protocol: give a config in configs/benchmarks/classification.')
    cfg.resume = args.resume
    use_training_options(cfg, args)
    if args.data_root:
        move_data(cfg, args.data_root)
    if args.dataset:
        choose_set(cfg, args.dataset)
    leave_out_unlabelled(cfg)
    cfg.model.update(checkpoint=args.checkpoint, num_classes=number_of_classes(cfg))
    return cfg


def sources(cfg: Config) -> Iterator[Any]:
    """The sources of the training, gallery and query images."""
    for dataset in (cfg.train_dataloader.dataset, cfg.evaluation.gallery, cfg.evaluation.query):
        yield dataset.source


def move_data(cfg: Config, root: str) -> None:
    """Move every path below the config's ``data_root`` below another folder."""
    if 'data_root' not in cfg:
        raise ValueError(
            '--data-root needs a data_root in the config: add data_root=..., the folder that the data is in now.'
        )
    names = ('train_dataloader', 'evaluation')
    parts = {name: rebase_paths(cfg[name].to_dict(), cfg.data_root, root) for name in names}
    cfg.merge_from_dict(parts, allow_list_keys=False)


def choose_set(cfg: Config, name: str) -> None:
    """Set the name of the data set in a config for small data sets."""
    for source in sources(cfg):
        if 'name' not in source:
            raise ValueError(f'--dataset {name} needs a config for small data sets: give one of *_small_sets.py.')
        source.name = name


def leave_out_unlabelled(cfg: Config) -> None:
    """Take only the images with a class, where some have none (label -1), to train on and as the gallery."""
    from mmssl.datasets import LabelledImages
    from mmssl.evaluation import has_labels
    from mmssl.registry import DATASETS

    for name, dataset in (('training set', cfg.train_dataloader.dataset), ('gallery', cfg.evaluation.gallery)):
        labels = DATASETS.build(dataset.source).labels
        if has_labels(labels) and int(labels.min()) < 0:
            missing = int((labels < 0).sum())
            print(f'{missing} of {len(labels)} images of the {name} have no class and are left out.')
            dataset.source = {'type': LabelledImages, 'source': dataset.source}


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
        raise SystemExit(
            f'Ended by a signal in epoch {runner.epoch + 1}, nothing was measured: continue with --resume.'
        )
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
    """Accuracies of one classifier in the last epoch and in the best."""
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
    """The protocol and the accuracies, one per line."""
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
    """Train or probe, print and write the results."""
    args = parse_args()
    cfg = load_config(args)
    if not cfg.model.get('frozen', True):
        raise ValueError(f'{args.config} trains the backbone: give it to finetune.py in the same folder.')
    if args.fast:
        report(args, cfg, [probe(cfg, args.fast)], 'linear.json')
    else:
        report(args, cfg, train(cfg), 'linear.json', epochs=cfg.train_cfg.max_epochs)


if __name__ == '__main__':
    with one_sentence():
        main()
