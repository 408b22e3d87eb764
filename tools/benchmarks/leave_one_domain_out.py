"""Does a method generalise to a domain that it has not seen? Pre-train on some domains, measure on the others.

    python tools/benchmarks/leave_one_domain_out.py CONFIG --data data/cifar10_domains --methods one-queue trained

For every split, the config is trained on the source domains without labels; then k-NN and linear classifiers learn from
labels of the source domains, all of them and few, and are measured on each target domain, of which nothing was seen.
``--data`` is a folder of domains, or one with ``train`` and ``test``, of which the second serves to measure. By default
each domain is the target once; ``--protocol`` takes the splits of PACS or DomainNet.

``one-queue`` is MoCo with one queue for all domains, as long as the config's queues together; everything else is the
same, the equal shares of the domains too. ``average`` is the mean over the unseen domains, ``overall`` that over all
their images; with leave-one-out, over the splits.

Each run writes one JSON file, so an interrupted benchmark continues where it stopped. The table is printed at the end
and written next to these files.
"""

import argparse
import copy
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from torch import nn

from mmssl.command_line import ConfigOptions, one_sentence, open_config, use_options
from mmssl.datasets import (
    DomainBalancedSampler,
    DomainFolder,
    DomainSplit,
    ImageDataset,
    Subset,
    domain_splits,
    find_parts,
    leave_one_out,
)
from mmssl.engine import Runner
from mmssl.evaluation import (
    Features,
    RawPixels,
    extract_features,
    few_labels_probe,
    knn_accuracy,
    linear_probe,
    on_device,
    untrained,
)
from mmssl.files import write_json
from mmssl.models import MoCo, Queue
from mmssl.ranges import COUNT, INDEX, Range, option
from mmssl.registry import TRANSFORMS

METHODS = ('pixels', 'untrained', 'one-queue', 'trained')
IMAGES = 'images'  # number of a domain's images, among its accuracies
Rows = dict[str, dict[str, float]]  # accuracies in percent by measure, by target domain


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config of a training; its images are replaced')
    parser.add_argument('--data', required=True, help='folder of domains, or one with train and test')
    parser.add_argument(
        '--protocol', choices=['pacs', 'domainnet'], help='splits (default: leave each domain out once)'
    )
    parser.add_argument('--classes', help='name of a class list, such as domainnet20_domclp (default: all classes)')
    parser.add_argument('--targets', nargs='+', metavar='DOMAIN', help='only the splits with these targets')
    parser.add_argument('--methods', nargs='+', choices=METHODS, default=['untrained', 'trained'])
    parser.add_argument('--seeds', type=option(INDEX), nargs='+', default=[0, 1, 2])
    parser.add_argument(
        '--shares',
        type=option(Range(0, 1, without='low')),
        nargs='+',
        default=[0.01, 0.05, 0.1],
        help='shares of the labels',
    )
    parser.add_argument('--draws', type=option(COUNT), default=3, help='draws of the labels per share')
    parser.add_argument('--k', type=option(COUNT), default=20, help='number of neighbours')
    parser.add_argument(
        '--labelled', type=option(COUNT), help='maximum number of labelled images (default: all of the sources)'
    )
    parser.add_argument('--work-dir', default='work_dirs/benchmarks/leave_one_domain_out')
    parser.add_argument(
        '--cfg-options', nargs='+', action=ConfigOptions, metavar='KEY=VALUE', help='override config entries'
    )
    return parser.parse_args()


def roots(data: str) -> tuple[Path, Path]:
    """Folders of domains to learn from, and to measure on: the same without parts."""
    parts = find_parts(data) if Path(data).is_dir() else None
    return (parts.train, parts.test or parts.val or parts.train) if parts else (Path(data), Path(data))


def chosen_splits(args: argparse.Namespace) -> list[DomainSplit]:
    """Splits of the protocol, or of the folder, that have one of the wanted targets.

    Raises:
        ValueError: No split has such a target.
    """
    protocol = args.protocol
    splits = domain_splits(protocol) if protocol else leave_one_out(DomainFolder(roots(args.data)[0]).domains)
    kept = [split for split in splits if not args.targets or set(args.targets) & set(split.targets)]
    if not kept:
        targets = ', '.join(name for split in splits for name in split.targets)
        raise ValueError(f'No split has {" or ".join(args.targets)} as its target: choose among {targets}.')
    return kept


def with_one_queue(cfg: Config) -> None:
    """Make the config of a queue per domain one of MoCo with as many keys in one queue.

    Raises:
        ValueError: The config has no queue per domain.
    """
    model = cfg.model
    if 'num_domains' not in (model.get('queue') or {}):
        raise ValueError('one-queue needs a config with a queue per domain (DIUL): leave it out of --methods.')
    kept = {name: part for name, part in model.items() if name not in ('type', 'queue', 'domain_weights')}
    queue = {'type': Queue, 'length': model.queue.length * model.queue.num_domains, 'dim': model.queue.dim}
    cfg.model = {'type': MoCo, **kept, 'queue': queue}


def run_config(args: argparse.Namespace, split: DomainSplit, method: str, seed: int, folder: Path) -> Config:
    """The config of one run: on the sources, with equal shares, without the hooks that measure."""
    cfg = open_config(args.config)
    for name in ('online_knn', 'collapse', 'clusters'):
        cfg.default_hooks.pop(name, None)
    cfg.default_hooks.checkpoint.interval = 10**6  # only the last
    cfg.train_dataloader.dataset.source = source_config(args, roots(args.data)[0], split.sources)
    cfg.train_dataloader.sampler = {'type': DomainBalancedSampler}
    if 'num_domains' in (cfg.model.get('queue') or {}):
        cfg.model.queue.num_domains = len(split.sources)
    use_options(cfg, args.cfg_options or {})
    if method == 'one-queue':
        with_one_queue(cfg)
    cfg.update(randomness={'seed': seed}, work_dir=str(folder), experiment_name=folder.name, log_level='WARNING')
    return cfg


def source_config(args: argparse.Namespace, root: Path, domains: Sequence[str]) -> dict[str, Any]:
    """Images of some domains."""
    return {'type': DomainFolder, 'root': str(root), 'domains': list(domains), 'classes': args.classes}


def make_model(cfg: Config, method: str) -> nn.Module:
    """The network to measure; a run that a signal interrupted has no result."""
    if method == 'pixels':
        return RawPixels()
    if method == 'untrained':
        return untrained(cfg).to(get_device())
    runner = Runner.from_cfg(cfg)
    runner.train()
    if runner.train_loop.interrupted:
        raise SystemExit('Ended by a signal: this run has no result. Start again to continue with the rest.')
    return runner.algorithm


def features_of(model: nn.Module, cfg: Config, source: Any) -> Features:
    """Features of images in the evaluation view of the config."""
    view, channels = TRANSFORMS.build(cfg.evaluation.gallery.views), cfg.train_dataloader.dataset.get('channels', 3)
    dataset = ImageDataset(source, view, channels)
    return extract_features(model, dataset, cfg.evaluation.get('batch_size', 256), cfg.evaluation.get('num_workers', 0))


def measure(model: nn.Module, cfg: Config, args: argparse.Namespace, split: DomainSplit) -> Rows:
    """Accuracies on each target domain of classifiers that learned from the sources."""
    train_root, test_root = roots(args.data)
    labelled = DomainFolder(train_root, split.sources, args.classes)
    if args.labelled and args.labelled < len(labelled):
        labelled = Subset(labelled, num=args.labelled)
    gallery, rows = features_of(model, cfg, labelled), {}
    for target in split.targets:
        query = features_of(model, cfg, DomainFolder(test_root, [target], args.classes))
        rows[target] = {IMAGES: len(query), **dict(accuracies(gallery, query, args))}
    return rows


def accuracies(gallery: Features, query: Features, args: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """Top-1 in percent of k-NN, of the linear probe with all labels, and with few."""
    sets = on_device(gallery, query)
    k = min(args.k, len(sets.train))
    yield 'k-NN', knn_accuracy(*sets, k=(k,))[k]
    for found in few_labels_probe(*sets, shares=args.shares, draws=args.draws):
        yield found.name, found.value
    yield 'linear', linear_probe(*sets).top1


def groups(splits: Sequence[DomainSplit]) -> list[tuple[str, ...]]:
    """Targets to be averaged over: those of a split, or of all splits if each has one."""
    several = [split.targets for split in splits if len(split.targets) > 1]
    return several or [tuple(target for split in splits for target in split.targets)]


def averaged(rows: Rows, targets: Sequence[str]) -> Rows:
    """Mean over the domains, and over their images; nothing for a single domain."""
    if len(targets) < 2:
        return {}
    counts = [rows[target][IMAGES] for target in targets]
    names, title = [name for name in rows[targets[0]] if name != IMAGES], ', '.join(targets)
    columns = {name: [rows[target][name] for target in targets] for name in names}
    weighted = {
        name: sum(value * count for value, count in zip(column, counts)) / sum(counts)
        for name, column in columns.items()
    }
    means = {name: statistics.fmean(column) for name, column in columns.items()}
    return {f'average ({title})': means, f'overall ({title})': weighted}


def table(results: Mapping[str, Sequence[Rows]], averages: Sequence[Sequence[str]] = ()) -> str:
    """Mean and deviation over the seeds of every measure, by unseen domain and method, in Markdown.

    Args:
        results: For each method the rows of every seed, with all targets.
        averages: Groups of targets to average over.
    """
    whole = {
        method: [rows | {key: row for group in averages for key, row in averaged(rows, group).items()} for rows in runs]
        for method, runs in results.items()
    }
    first = next(iter(whole.values()))[0]
    names = [name for name in next(iter(first.values())) if name != IMAGES]
    head = ['unseen domain', 'features', *(f'{name} (%)' for name in names)]
    lines = [f'| {" | ".join(head)} |', '|---' * len(head) + '|']
    for target in first:
        for method, runs in whole.items():
            cells = [_mean([rows[target][name] for rows in runs]) for name in names]
            lines.append(f'| {target} | {method} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def _mean(values: Sequence[float]) -> str:
    deviation = f' ± {statistics.stdev(values):.1f}' if len(values) > 1 else ''
    return f'{statistics.fmean(values):.1f}{deviation}'


def run(args: argparse.Namespace, split: DomainSplit, method: str, seed: int, folder: Path) -> Rows:
    """Accuracies of one run, from its file if there is one."""
    name = f'{method}_{"_".join(split.targets)}_{seed}'
    file, settings = folder / f'{name}.json', settings_of(args)
    if not file.exists():
        cfg = run_config(args, split, method, seed, folder / name)
        rows = measure(make_model(copy.deepcopy(cfg), method), cfg, args, split)
        write_json(file, {'settings': settings, 'sources': split.sources, 'rows': rows})
    known = json.loads(file.read_text())
    if known['settings'] != settings:
        raise SystemExit(f'{file} was measured with other options: give another --work-dir.')
    return known['rows']


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """Options that results depend on, as they come back from a file."""
    parts = {key: value for key, value in vars(args).items() if key not in ('targets', 'methods', 'seeds', 'work_dir')}
    return json.loads(json.dumps(parts, default=str))


def main() -> None:
    """Run what is missing, then print the table."""
    args = parse_args()
    folder, splits = Path(args.work_dir) / Path(args.config).stem, chosen_splits(args)
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, list[Rows]] = {method: [] for method in args.methods}
    for seed in args.seeds:
        for method in args.methods:
            if method != 'pixels' or seed == args.seeds[0]:  # pixels have no seed
                parts = [run(args, split, method, seed, folder) for split in splits]
                results[method].append({target: row for rows in parts for target, row in rows.items()})
    report = table(results, groups(splits))
    (folder / 'table.md').write_text(report + '\n')
    print(report)


if __name__ == '__main__':
    with one_sentence():
        main()
