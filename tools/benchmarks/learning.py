"""Does a method learn? Pre-train with a config and three seeds, next to a peer library, and measure the results.

    python tools/benchmarks/learning.py configs/swav/swav_resnet10_1xb128_cpu_2e_cifar10.py --peer lightly

``--rates 0.05 0.1 0.2`` chooses the learning rate first, for each side alike: one run per rate with the first seed and
half the epochs, on all training images but 2,000, on which it is measured; the best mean of k-NN and linear accuracy is
taken. One rate is taken without a trial.

Each run writes one JSON file, so an interrupted benchmark continues where it stopped. The tables are printed at the end
and written next to these files. The same command also measures the time of a step, and the time of the views compared
with torchvision's and lightly's.
"""

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from itertools import groupby
from pathlib import Path

import torch
from mmengine.config import Config

sys.path.insert(0, str(Path(__file__).parent))

from speed import views

from mmssl.command_line import ConfigOptions, one_sentence, open_config, use_options
from mmssl.datasets import Subset
from mmssl.datasets.sources import build_source
from mmssl.engine import Runner
from mmssl.engine.optimizers import OptimWrapper
from mmssl.evaluation import RawPixels, Result, evaluate, read_results, untrained, write_results
from mmssl.ranges import COUNT, INDEX, POSITIVE, option
from mmssl.registry import MODELS, OPTIMIZERS

_SIAMESE = dict.fromkeys(('BYOL', 'SimSiam', 'BarlowTwins', 'VICReg', 'DINO'), 'lightly_siamese')
PEERS = {'lightly': {'SwAV': 'lightly_swav', 'SimCLR': 'lightly_contrast', 'MoCo': 'lightly_contrast', **_SIAMESE}}

HELD_OUT = 2000  # training images on which learning rates are compared


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config')
    parser.add_argument('--seeds', type=option(INDEX), nargs='+', default=[0, 1, 2])
    parser.add_argument('--peer', choices=list(PEERS), help='also run the same method of this library')
    parser.add_argument('--rates', type=option(POSITIVE), nargs='+', metavar='LR', help='learning rates to choose from')
    parser.add_argument('--work-dir', default='work_dirs/benchmarks/learning')
    parser.add_argument(
        '--gallery', type=option(COUNT), default=10000, help='number of labelled training images for the evaluation'
    )
    parser.add_argument('--steps', type=option(INDEX), default=20, help='number of steps to time; 0 skips the timing')
    parser.add_argument(
        '--cfg-options', nargs='+', action=ConfigOptions, metavar='KEY=VALUE', help='override config entries'
    )
    return parser.parse_args()


def variant(cfg: Config, name: str, seed: int, work_dir: Path) -> Config:
    """The config of one run: ours or a peer's, with its seed and folder."""
    cfg = copy.deepcopy(cfg)
    cfg.randomness = {'seed': seed}
    cfg.work_dir = str(work_dir / f'{name.replace(" ", "_")}_{seed}')
    if name in PEERS:
        adapter(name, cfg.model.type.__name__)(cfg)
    return cfg


def at_rate(cfg: Config, rate: float, name: str, seed: int, work_dir: Path) -> Config:
    """The config of one run with another learning rate, in a folder of this rate."""
    work_dir = work_dir / f'rate_{rate:g}'
    work_dir.mkdir(parents=True, exist_ok=True)
    cfg = variant(cfg, name, seed, work_dir)
    cfg.optim_wrapper.optimizer.lr = rate
    return cfg


def adapter(peer: str, method: str) -> Callable[[Config], None]:
    """The function that changes our config to the peer's method; needs the peer's package."""
    try:
        return import_module(f'peers.{PEERS[peer][method]}').adapt
    except ModuleNotFoundError as error:
        raise SystemExit(f"{peer} is not installed ({error}): type pip install -e '.[benchmarks]'") from error


def held_out(cfg: Config, gallery: int) -> Config:
    """The config of a run of half the epochs without the test images: training images are kept from it, and queried."""
    cfg = copy.deepcopy(cfg)
    cfg.train_cfg.max_epochs = max(1, cfg.train_cfg.max_epochs // 2)
    source = cfg.train_dataloader.dataset.source
    rest = len(build_source(source)) - HELD_OUT
    cfg.train_dataloader.dataset.source = {'type': Subset, 'source': source, 'num': rest, 'skip': HELD_OUT}
    cfg.evaluation.gallery.source = {'type': Subset, 'source': source, 'num': min(gallery, rest), 'skip': HELD_OUT}
    cfg.evaluation.query.source = {'type': Subset, 'source': source, 'num': HELD_OUT}
    return cfg


def choose_rate(cfg: Config, name: str, rates: list[float], seed: int, work_dir: Path) -> float:
    """The rate with the best mean of k-NN and linear accuracy on held-out training images; one rate needs no run."""
    if len(rates) == 1:
        return rates[0]
    accuracies = {}
    for rate in rates:
        found = once(at_rate(cfg, rate, name, seed, work_dir / 'held_out'), name, seed)[0].headline()
        accuracies[rate] = statistics.mean(accuracy.value for accuracy in found)
        print(f'{name}, learning rate {rate:g}, held-out images: {accuracies[rate]:.1f} '
              f'({", ".join(f"{accuracy.short} {accuracy.value:.1f}" for accuracy in found)})')  # fmt: skip
    return max(accuracies, key=accuracies.__getitem__)


def once(cfg: Config, name: str, seed: int) -> list[Result]:
    """The results of one run, from its file if it is there."""
    file = Path(f'{cfg.work_dir}.json')
    if not file.exists():
        write_results(file, [measure(cfg, name)], seed=seed)
    return read_results(file)


def measure(cfg: Config, name: str) -> Result:
    """Train where there is something to train, then evaluate."""
    start = time.perf_counter()
    make = {'raw pixels': lambda _: RawPixels(), 'untrained': untrained}.get(name, train_to_the_end)
    model = make(cfg)
    seconds = time.perf_counter() - start
    return replace(evaluate(model, cfg.evaluation, name=name), seconds={'training': seconds})


def train_to_the_end(cfg: Config) -> torch.nn.Module:
    """The trained model; a run that a signal interrupted has no result."""
    runner = Runner.from_cfg(cfg)
    model = runner.train()
    if runner.train_loop.interrupted:
        raise SystemExit('Ended by a signal: this run has no result. Start again to continue with the rest.')
    return model


def step_shares(cfg: Config, names: list[str], steps: int) -> dict[str, dict[str, float]]:
    """Milliseconds per step, and its share outside the backbone's forward and backward pass, in turns."""
    loader = Runner.build_dataloader({**cfg.train_dataloader, 'num_workers': 0}, seed=0)
    batch = next(iter(loader))
    timers: dict[str, tuple[Callable, Callable]] = {}
    for name in names:
        run = variant(cfg, name, 0, Path())
        model = MODELS.build(run.model).train()
        model.allocate(len(loader.dataset))
        settings = {**run.optim_wrapper.optimizer, 'lr': 0.0}  # without a warm-up some losses would become NaN
        optimizer = OPTIMIZERS.build({**settings, 'params': list(model.parameters())})
        timers[name] = _step(model, OptimWrapper(optimizer=optimizer), batch), _backbone(model, batch, name in PEERS)
    times: dict[str, list[list[float]]] = {name: [[], []] for name in names}
    for _ in range(steps):
        for name in names:
            for place, work in enumerate(timers[name]):
                start = time.perf_counter()
                work()
                times[name][place].append(time.perf_counter() - start)
    medians = {name: [statistics.median(values[2:]) for values in pair] for name, pair in times.items()}
    return {
        name: {'step_ms': 1000 * step, 'outside_backbone': 1 - alone / step} for name, (step, alone) in medians.items()
    }


def _step(model: torch.nn.Module, wrapper: OptimWrapper, batch: dict) -> Callable:
    return lambda: model.train_step(batch, wrapper)


def _backbone(model: torch.nn.Module, batch: dict, a_pass_a_view: bool) -> Callable:
    views = model.data_preprocessor(batch, training=True)['inputs']
    followed = any('teacher' in name for name, _ in model.named_children())  # learns from one view, sees the other
    learned, seen = (views[:1], views[1:]) if followed else (views, [])
    groups = [[view] for view in learned]
    if not a_pass_a_view:
        groups = [list(group) for _, group in groupby(learned, lambda view: view.shape)]

    def work() -> None:
        features = torch.cat([model.extract_feat(torch.cat(group)) for group in groups])
        features.backward(torch.ones_like(features))
        with torch.no_grad():
            for view in seen:
                model.extract_feat(view)

    return work


def view_table(cfg: Config) -> str:
    """Images per second and core with the config's crops, for images of the size of its largest crop, in Markdown."""
    kinds = cfg.train_dataloader.dataset.views
    crops = [(count, kind.size, tuple(kind.scale)) for count, kind in zip(kinds.counts, kinds.views)]
    side = max(size for _, size, _ in crops)
    rates = views.run('views', {'image': (side, side), 'crops': crops, 'blur': kinds.views[0].get('blur_prob', 0.0)})
    lines = [
        f'| {name} | {row["images_per_second"]:.0f} | {row["mmssl_is_faster_by"]:.2f} |' for name, row in rates.items()
    ]
    return '\n'.join(['| views by | images per second and core | mmssl / it |', '|---|---|---|', *lines])


def table(results: list[Result]) -> str:
    """Mean and standard deviation over the seeds, in Markdown."""
    lines = []
    for name in dict.fromkeys(result.name for result in results):
        runs = [result for result in results if result.name == name]
        cells = []
        for measures in zip(*(run.headline() for run in runs)):
            values = [measure.value for measure in measures]
            spread = f' ± {statistics.stdev(values):.1f}' if len(values) > 1 else ''
            cells.append(f'{statistics.mean(values):.1f}{spread}')
        seconds = statistics.mean(sum(run.seconds.values()) for run in runs)
        lines.append(f'| {name} | {" | ".join(cells)} | {seconds:.0f} |')
    head = ['features', *(measure.short or measure.title for measure in results[0].headline()), 'training, s']
    return '\n'.join([f'| {" | ".join(head)} |', '|---' * len(head) + '|', *lines])


def main() -> None:
    """Run what is missing, then print the tables."""
    args = parse_args()
    cfg = open_config(args.config)
    use_options(cfg, args.cfg_options or {})
    method = cfg.model.type.__name__
    if args.peer and method not in PEERS[args.peer]:
        raise SystemExit(
            f'{args.peer} has no {method}: leave out --peer, or choose a config of {list(PEERS[args.peer])}.'
        )
    if args.peer:
        adapter(args.peer, method)  # fails before anything is trained
    work_dir = Path(args.work_dir) / Path(args.config).stem
    work_dir.mkdir(parents=True, exist_ok=True)
    trained = ['mmssl', *([args.peer] if args.peer else [])]
    chosen = {}
    if args.rates:
        kept = held_out(cfg, args.gallery)
        chosen = {name: choose_rate(kept, name, args.rates, args.seeds[0], work_dir) for name in trained}
    cfg.evaluation.gallery.source = {'type': Subset, 'source': cfg.evaluation.gallery.source, 'num': args.gallery}
    results = []
    for seed in args.seeds:
        baselines = ['raw pixels', 'untrained'] if seed == args.seeds[0] else ['untrained']  # pixels have no seed
        for name in [*baselines, *trained]:
            run = (
                at_rate(cfg, chosen[name], name, seed, work_dir)
                if name in chosen
                else variant(cfg, name, seed, work_dir)
            )
            results += once(run, name, seed)
    report = table(results)
    if chosen:
        report += '\n\nLearning rates: ' + ', '.join(f'{rate:g} ({name})' for name, rate in chosen.items())
    if args.steps:
        report += '\n\n' + step_table(step_shares(cfg, trained, args.steps)) + '\n\n' + view_table(cfg)
    (work_dir / 'table.md').write_text(report + '\n')
    print(report)


def step_table(shares: dict[str, dict[str, float]]) -> str:
    """The time of a step, in Markdown."""
    lines = [f'| {name} | {row["step_ms"]:.0f} | {row["outside_backbone"]:.1%} |' for name, row in shares.items()]
    return '\n'.join(['| step of | ms | outside the backbone |', '|---|---|---|', *lines])


if __name__ == '__main__':
    with one_sentence():
        main()
