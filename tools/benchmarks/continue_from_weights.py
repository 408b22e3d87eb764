"""Does a run that continues from weights improve them? A naive start, and three careful ones.

    python tools/benchmarks/continue_from_weights.py own --first data/cifar10 --then data/clothing
    python tools/benchmarks/continue_from_weights.py weights --init efficientnet-lite0.pth --then data/clothing

The careful starts let the heads warm up first; one also pulls the backbone toward the weights, one also keeps their
statistics of batch norm.

``own`` trains SimCLR on one half of the images of ``--first``, and continues on ``--then``, or without it on the other
half. ``weights`` continues from a file that others trained, of a model of timm. Folders hold ``train`` and ``test``,
with class folders in each, which serve only the measurements.

Each run writes one JSON file, so an interrupted benchmark continues where it stopped. The table is printed at the end,
and written next to these files with ``results.json``.
"""

import argparse
import copy
import json
import statistics
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from torch import nn

from mmssl.apis.zoo import CONFIGS
from mmssl.command_line import one_sentence
from mmssl.datasets import EvalView, ImageDataset, ImageFolder, Subset
from mmssl.dependencies import require
from mmssl.engine import Runner
from mmssl.engine.hooks import KeepStatisticsHook, PullToStartHook
from mmssl.evaluation import draw_per_class, extract_features, knn_accuracy, linear_probe
from mmssl.files import write_json
from mmssl.functional import random_state_kept
from mmssl.models import TimmBackbone
from mmssl.ranges import COUNT, INDEX, NOT_NEGATIVE, POSITIVE, option
from mmssl.weights import read_file, write_weights

STARTS: dict[str, list[type[Hook]]] = {
    'naive': [],
    'warm-up': [],
    'warm-up and pull': [PullToStartHook],
    'warm-up and statistics': [KeepStatisticsHook],
}
LABELS = (5, 20)  # per class
_RUNS = count()


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('trial', choices=['own', 'weights'])
    parser.add_argument('--first', help='own: folder of the first training')
    parser.add_argument('--then', help='folder to continue on (own: by default the other half of --first)')
    parser.add_argument('--init', help='weights: file of the weights')
    parser.add_argument('--model', default='tf_efficientnet_lite0', help='weights: name of the model in timm')
    parser.add_argument('--mean', type=float, default=127.0, help="weights: mean of the file's normalisation")
    parser.add_argument(
        '--std', type=option(POSITIVE), default=128.0, help="weights: deviation of the file's normalisation"
    )
    parser.add_argument('--work-dir', default='work_dirs/benchmarks/continue_from_weights')
    parser.add_argument('--size', type=option(COUNT), default=32, help='side of the images in pixels')
    parser.add_argument('--batch-size', type=option(COUNT), default=128)
    parser.add_argument('--lr', type=option(POSITIVE), default=0.1, help='learning rate of the second training')
    parser.add_argument('--alpha', type=option(NOT_NEGATIVE), default=0.01, help='strength of the pull')
    parser.add_argument('--first-epochs', type=option(COUNT), default=10)
    parser.add_argument('--epochs', type=option(COUNT), default=10)
    parser.add_argument('--measure-every', type=option(COUNT), default=1, metavar='EPOCHS')
    parser.add_argument('--images', type=option(COUNT), help='train on that many images (default: all)')
    parser.add_argument(
        '--gallery', type=option(COUNT), default=5000, help='maximum number of labelled images for k-NN and linear'
    )
    parser.add_argument(
        '--draws', type=option(COUNT), default=5, help='draws of the labels for 5 and 20 labels per class'
    )
    parser.add_argument('--seeds', type=option(INDEX), nargs='+', default=[0, 1, 2])
    parser.add_argument('--starts', nargs='+', choices=STARTS, default=list(STARTS))
    args = parser.parse_args()
    if args.trial == 'own' and not args.first:
        parser.error('own needs --first, the folder of the first training.')
    if args.trial == 'weights' and not (args.init and args.then):
        parser.error('weights needs --init, the file, and --then, the folder to continue on.')
    return args


def base_config(args: argparse.Namespace, folder: Path) -> Config:
    """SimCLR at the chosen size, without the hooks that measure: :class:`Measurements` does."""
    cfg = Config.fromfile(CONFIGS / 'simclr/simclr_resnet10_1xb256_cpu_2e_cifar10.py')
    for view in cfg.train_dataloader.dataset.views['views']:
        view['size'] = args.size
    cfg.train_dataloader.update(batch_size=args.batch_size)
    cfg.optim_wrapper.optimizer.lr = args.lr
    for name in ('online_knn', 'collapse', 'clusters'):
        cfg.default_hooks.pop(name)
    cfg.pop('evaluation')
    cfg.default_hooks.checkpoint.interval = 10**6  # only the last
    cfg.update(work_dir=str(folder), experiment_name=f'continue_{next(_RUNS)}', log_level='WARNING')
    if args.trial == 'weights':
        cfg.model.backbone = {'type': TimmBackbone, 'name': args.model}
        cfg.model.neck.in_channels = 1280
        cfg.model.data_preprocessor.update(mean=[args.mean] * 3, std=[args.std] * 3)
    return cfg


def halves(root: str) -> tuple[dict, dict]:
    """Two disjoint halves of the training images of a folder, drawn at random."""
    source = {'type': ImageFolder, 'root': f'{root}/train'}
    half = len(ImageFolder(f'{root}/train')) // 2
    parts = [{'type': Subset, 'source': source, 'num': half, 'skip': skip} for skip in (0, half)]
    return parts[0], parts[1]


class Measurements(Hook):
    """k-NN and linear accuracy of the backbone before the training, during it, and after it.

    Args:
        root: Folder with ``train`` and ``test``.
        args: Options of the benchmark.

    Attributes:
        rows: One entry per measurement.
    """

    priority = 'LOWEST'

    def __init__(self, root: str, args: argparse.Namespace) -> None:
        view = EvalView(resize=args.size, crop=args.size)
        train = ImageFolder(f'{root}/train')
        gallery = Subset(train, num=min(args.gallery, len(train)))
        self.sets = [ImageDataset(source, view) for source in (gallery, ImageFolder(f'{root}/test'))]
        self.args = args
        self.rows: list[dict[str, float]] = []

    def before_train(self, runner: Any) -> None:
        """Measure the start."""
        self.measure(runner, 0)

    def after_train_epoch(self, runner: Any) -> None:
        """Measure every few epochs, and after the last."""
        epoch = runner.epoch + 1
        if epoch % self.args.measure_every == 0 or epoch == runner.max_epochs:
            self.measure(runner, epoch)

    def measure(self, runner: Any, epoch: int) -> None:
        """Add one entry: accuracies in percent, with all labels and with few per class."""
        with random_state_kept():
            self.rows.append({'epoch': epoch, 'steps': runner.steps, **self._accuracies(runner.algorithm)})

    def _accuracies(self, model: nn.Module) -> dict[str, float]:
        gallery, query = (extract_features(model, dataset, batch_size=256) for dataset in self.sets)
        train, labels, test = gallery.features, gallery.labels, (query.features, query.labels)
        found = {
            'k-NN': knn_accuracy(train, labels, *test, k=(min(20, len(train)),), temperature=0.07).popitem()[1],
            'linear': linear_probe(train, labels, *test).top1,
        }
        for number in LABELS:
            parts = [draw_per_class(labels, number, seed) for seed in range(self.args.draws)]
            tops = [linear_probe(train[part], labels[part], *test).top1 for part in parts]
            found[f'{number} labels'] = statistics.fmean(tops)
        return found


def train(cfg: Config, *hooks: Hook) -> None:
    """Train to the end; a run that a signal interrupted has no result."""
    runner = Runner.from_cfg(cfg)
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    if runner.train_loop.interrupted:
        raise SystemExit('Ended by a signal: this run has no result. Start again to continue with the rest.')


def first_weights(args: argparse.Namespace, seed: int, folder: Path) -> Path:
    """The weights that all starts of a seed share: of the first training, or the given file under timm's keys."""
    if args.trial == 'weights':
        path = folder / 'weights.pth'
        if not path.exists():
            write_weights(named_by_timm(args.init, args.model), path)
        return path
    cfg = base_config(args, folder / f'first_{seed}')
    path = folder / f'first_{seed}/epoch_{args.first_epochs}.pth'
    if not path.exists():
        cfg.train_dataloader.dataset.source = limited(halves(args.first)[0], args.images)
        cfg.optim_wrapper.optimizer.lr = 0.4
        cfg.train_cfg.max_epochs, cfg.randomness = args.first_epochs, {'seed': seed}
        train(cfg)
    return path


def named_by_timm(path: str, model: str) -> Mapping[str, torch.Tensor]:
    """Weights under timm's keys; a port whose tensors stand in the same order, with the same shapes, is renamed."""
    timm, tensors = require('timm'), read_file(path).tensors
    network = timm.create_model(model)
    if tensors.keys() == network.state_dict().keys():
        return tensors
    return timm.models._helpers.remap_state_dict(tensors, network)


def limited(source: dict, images: int | None) -> dict:
    """The source, or a part of it at random."""
    return {'type': Subset, 'source': source, 'num': images} if images else source


def continued(args: argparse.Namespace, start: str, seed: int, weights: Path, folder: Path) -> list[dict[str, float]]:
    """Continue from the weights in one of the ways of ``STARTS``, and measure on the way."""
    cfg = base_config(args, folder / f'{start.replace(" ", "_")}_{seed}')
    root = args.then or args.first
    source = {'type': ImageFolder, 'root': f'{root}/train'} if args.then else halves(args.first)[1]
    cfg.train_dataloader.dataset.source = limited(source, args.images)
    cfg.model.backbone.init = str(weights)
    cfg.train_cfg.max_epochs, cfg.randomness = args.epochs, {'seed': seed}
    cfg.default_hooks.warmup_heads.length = 0 if start == 'naive' else None
    options = {PullToStartHook: {'alpha': args.alpha}}
    cfg.custom_hooks = [{'type': hook, **options.get(hook, {})} for hook in STARTS[start]]
    measurements = Measurements(root, args)
    train(cfg, measurements)
    return measurements.rows


def table(results: Mapping[str, Mapping[str, list[dict[str, float]]]]) -> str:
    """Mean and deviation over the seeds of every measure, by start and epoch, in Markdown.

    Args:
        results: Measurements by start and seed.
    """
    names = [name for name in next(iter(next(iter(results.values())).values()))[0] if name not in ('epoch', 'steps')]
    lines = [
        f'| start | epoch | steps | {" | ".join(f"{name} (%)" for name in names)} |',
        '|---' * (3 + len(names)) + '|',
    ]
    for start, runs in results.items():
        for rows in zip(*runs.values(), strict=True):
            cells = [_mean([row[name] for row in rows]) for name in names]
            lines.append(f'| {start} | {rows[0]["epoch"]} | {rows[0]["steps"]} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def _mean(values: list[float]) -> str:
    deviation = f' ± {statistics.stdev(values):.1f}' if len(values) > 1 else ''
    return f'{statistics.fmean(values):.1f}{deviation}'


def main() -> None:
    """Run what is missing, then print the table."""
    args = parse_args()
    folder = Path(args.work_dir)
    folder.mkdir(parents=True, exist_ok=True)
    settings = {key: value for key, value in vars(args).items() if key not in ('seeds', 'starts', 'work_dir')}
    results: dict[str, dict[str, list[dict[str, float]]]] = {start: {} for start in args.starts}
    for seed in args.seeds:
        for start in args.starts:
            file = folder / f'{start.replace(" ", "_")}_{seed}.json'
            if not file.exists():
                weights = first_weights(args, seed, folder)
                rows = continued(copy.deepcopy(args), start, seed, weights, folder)
                write_json(file, {'settings': settings, 'rows': rows})
            known = json.loads(file.read_text())
            if known['settings'] != settings:
                raise SystemExit(f'{file} was measured with other options: give another --work-dir.')
            results[start][str(seed)] = known['rows']
    report = table(results)
    write_json(folder / 'results.json', {'settings': settings, 'results': results})
    (folder / 'table.md').write_text(report + '\n')
    print(report)


if __name__ == '__main__':
    with one_sentence():
        main()
