"""Pre-train a backbone on images without labels, evaluate it, export it, and write a report.

WHAT holds images, with or without one sub-folder per class, or train/ and test/ with such sub-folders; or it is a video
or a folder of videos, of which five frames per second are taken. Classes serve only to measure. All of it takes about
as long as --minutes says. After an interruption, type the same command and --resume.
"""

import argparse
import json
import math
import shlex
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mmssl.command_line import CORRECTABLE, end_interrupted, sigterm_as_ctrl_c, use_training_options
from mmssl.ranges import INDEX, option

if TYPE_CHECKING:
    from mmengine.config import Config

    from mmssl.apis.training import Method, Plan
    from mmssl.evaluation import Result, RunFacts
    from mmssl.export.plain import Target
    from mmssl.models import BaseAlgorithm

ERRORS = (*CORRECTABLE, OSError, FloatingPointError)
_STARTED = time.monotonic()
# The names of mmssl.apis.training, which imports torch.
_METHODS: tuple['Method', ...] = ('simclr', 'moco', 'pixpro', 'swav')
_PURPOSES = ('features', 'classification', 'detection', 'segmentation')
_TARGETS: dict[str, 'Target'] = {'detection': 'mmdet', 'segmentation': 'mmseg'}
_PLAN = 'plan.json'
_FASHION_MNIST = 'data/fashion_mnist'
_MINUTES = 5.0
# Work after the training: measuring and drawing take as long as one baseline each; the map, the charts and the export
# as long as so many small maps.
_MEASUREMENTS_AFTER, _SMALL_MAPS_AFTER, _SMALL_MAP = 1.5, 8, 300


class Run(NamedTuple):
    """A run on images without a config.

    Attributes:
        cfg: Its config.
        plan: What it will do.
        baselines: Results of raw pixels, the untrained network, and the start weights if there are any.
    """

    cfg: 'Config'
    plan: 'Plan'
    baselines: list['Result']


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        '--data', type=Path, metavar='WHAT', help='folder of images, or a video or a folder of videos (default: '
        'Fashion-MNIST, downloaded)',
    )  # fmt: skip
    parser.add_argument(
        '--minutes', type=float, help=f'time for everything but downloads (default: {_MINUTES:g})', metavar='M'
    )
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/quickstart'), help='folder for all results')
    parser.add_argument(
        '--for', dest='purpose', choices=_PURPOSES, default='features', help='what the backbone is for: the network '
        'is one that the target takes, and the next command is said (default: features)',
    )  # fmt: skip
    parser.add_argument(
        '--method', choices=_METHODS, help='what to train with (default: simclr; swav for Fashion-MNIST)'
    )
    parser.add_argument(
        '--init', metavar='WHAT', help='weights to start from, and their network: a file, a name of the model zoo, or '
        'a name of torchvision or timm such as torchvision:resnet18',
    )  # fmt: skip
    parser.add_argument('--resume', action='store_true', help='continue the interrupted run in the work directory')
    parser.add_argument('--amp', action='store_true', help='mixed precision (needs a GPU)')
    parser.add_argument('--seed', type=option(INDEX), default=0, help='seed of the run')
    parser.set_defaults(auto_scale_lr=False)


def check(args: argparse.Namespace) -> None:
    """Refuse values that cannot work, before anything is installed or downloaded."""
    if args.minutes is not None and not 0 < args.minutes < math.inf:
        raise ValueError(f'--minutes {args.minutes:g}: give a time above 0, such as 5.')
    if args.data and not args.data.exists():
        raise ValueError(f'--data {args.data} is no folder and no video: give the folder that holds the images.')
    if args.data and args.data.resolve().is_relative_to(args.work_dir.resolve()):
        raise ValueError(f'--work-dir {args.work_dir} holds the images, but it is for results: give another one.')
    if args.resume and not (args.work_dir / _PLAN).is_file():
        raise ValueError(f'--resume, but there is no run in {args.work_dir}: leave out --resume, or set --work-dir.')


def run(args: argparse.Namespace) -> None:
    """Train, or go on training; then measure, export and report."""
    from mmssl.engine import Runner

    if args.amp:
        _check_amp()
    try:
        with sigterm_as_ctrl_c():  # the training has handlers of its own
            job = _resumed(args) if args.resume else _started(args)
            runner = Runner.from_cfg(job.cfg)
            _save(args, job)
            model = runner.train()
            end_interrupted(runner.train_loop, 'none')
            if not runner.train_loop.interrupted:
                _finish(args, job, model, _facts(args, job.plan, runner))
    except KeyboardInterrupt:
        if (args.work_dir / _PLAN).is_file():
            more = [] if args.resume else ['--resume']
            sys.stderr.write(f'Go on with: {shlex.join([*sys.orig_argv, *more])}\n')
        raise


def _check_amp() -> None:
    import torch

    if not torch.cuda.is_available():
        raise ValueError('--amp, but there is no GPU: leave it out, training runs in float32.')


def _started(args: argparse.Namespace) -> Run:
    """A new run; the plan is printed."""
    from mmssl.apis.training import fit_to_time, folder_config
    from mmssl.evaluation import measure_baselines

    args.init = _make_room(args.work_dir, args.init)
    began = _STARTED + _download(args)
    minutes, method = args.minutes or _MINUTES, args.method or _METHODS[0]
    cfg = folder_config(args.data, method, args.purpose, args.init, minutes) if args.data else _fashion_mnist(args)
    cfg.update(work_dir=str(args.work_dir), randomness={'seed': args.seed}, log_level='WARNING')
    use_training_options(cfg, args)
    print('Measuring raw pixels and the untrained network ...', flush=True)
    start = time.monotonic()
    baselines = measure_baselines(cfg)
    building = time.monotonic() - start - sum(result.seconds['all'] for result in baselines)
    after = _MEASUREMENTS_AFTER * (baselines[-1].seconds['all'] + building) + _SMALL_MAPS_AFTER * _rehearse_report()
    plan = fit_to_time(cfg, minutes, time.monotonic() - began, after)
    print(f'{plan}\nLogs and checkpoints are in {args.work_dir}.', flush=True)
    return Run(cfg, plan, baselines)


def _rehearse_report() -> float:
    """Load what the report needs, while its time can still be planned with; the seconds of a small map."""
    import torch

    from mmssl.evaluation import Features
    from mmssl.visualization import map_section

    for count in (10, _SMALL_MAP):
        start = time.monotonic()
        map_section(Features(torch.eye(count), None, torch.arange(count)))
    return time.monotonic() - start


def _make_room(work_dir: Path, init: str | None) -> str | None:
    """Move an earlier run aside, so that nothing of it is lost or taken for the new one.

    Returns:
        The weights to start from, where they are now: they may be those of the earlier run.
    """
    if not any(work_dir.glob(_PLAN)) and not any(work_dir.glob('*.pth')):
        return init
    stamp = time.strftime('%Y-%m-%d_%H%M%S', time.localtime(work_dir.stat().st_mtime))
    old = work_dir.resolve()
    place = old.with_name(f'{old.name}_{stamp}')
    weights = Path(init or '').resolve()
    work_dir.rename(place)
    print(f'The earlier run in {work_dir} is now in {place}.')
    return str(place / weights.relative_to(old)) if init and weights.is_relative_to(old) else init


def _download(args: argparse.Namespace) -> float:
    """Fetch images and weights; the seconds it took."""
    from mmssl.apis.start import fetch_start
    from mmssl.datasets import fetch_fashion_mnist

    start = time.monotonic()
    if not args.data:
        fetch_fashion_mnist(_FASHION_MNIST)
    if args.init:
        fetch_start(args.init)
    return time.monotonic() - start


def _save(args: argparse.Namespace, run: Run) -> None:
    """Write what --resume needs; the Runner has written the config."""
    from mmssl.evaluation import write_results

    name = Path(run.cfg.filename).name
    write_results(args.work_dir / _PLAN, run.baselines, config=name, plan=asdict(run.plan), purpose=args.purpose)


def _resumed(args: argparse.Namespace) -> Run:
    """The run in the work directory; its options count, and not those typed now, except for the time."""
    from mmengine.config import Config

    from mmssl.apis.training import Plan
    from mmssl.evaluation import read_results

    saved = json.loads((args.work_dir / _PLAN).read_text())
    cfg = Config.fromfile(args.work_dir / saved['config'])
    cfg.update(resume=True, work_dir=str(args.work_dir))
    if args.minutes:
        cfg.train_cfg.minutes = args.minutes
    args.purpose = saved.get('purpose', args.purpose)
    plan = Plan(**saved['plan'])
    print(plan, flush=True)
    return Run(cfg, plan, read_results(args.work_dir / _PLAN))


def _fashion_mnist(args: argparse.Namespace) -> 'Config':
    """The config for Fashion-MNIST."""
    from mmengine.config import Config

    from mmssl.apis.training import MEASURED, source_config
    from mmssl.apis.zoo import CONFIGS
    from mmssl.datasets import Subset, fetch_fashion_mnist

    folder = fetch_fashion_mnist(_FASHION_MNIST).resolve()  # downloaded before
    cfg = Config.fromfile(CONFIGS / 'swav/swav_resnet10_1xb128_cpu_5e_fashion_mnist.py')
    gallery, query = cfg.evaluation.gallery.source.source, cfg.evaluation.query.source
    for source in (cfg.train_dataloader.dataset.source.source, gallery, query):
        source.update(images=str(folder / Path(source.images).name), labels=str(folder / Path(source.labels).name))
    if args.method or args.init or args.purpose in _TARGETS:
        training = dict(cfg.train_dataloader.dataset.source)
        return source_config(training, dict(query), args.method or _METHODS[0], args.purpose, args.init)
    cfg.evaluation.gallery.source.num = MEASURED[0]
    cfg.evaluation.query.source = {'type': Subset, 'source': query, 'num': MEASURED[1]}
    return cfg


def _facts(args: argparse.Namespace, plan: 'Plan', runner: Any) -> 'RunFacts':
    """What the verdict rests on, and the next command."""
    from mmssl.apis.training import ENOUGH_STEPS
    from mmssl.checkpoint import latest_checkpoint
    from mmssl.evaluation import RunFacts

    normalisation = runner.algorithm.data_preprocessor
    if runner.train_loop.budget.steps == 0:
        print('The training had ended before: to train longer, start a new run with --init and this one.')
    minutes = runner.train_loop.budget.spent / 60
    found = latest_checkpoint(args.work_dir)
    assert found is not None  # the training has ended
    checkpoint = found[0].resolve()
    return RunFacts(
        images=plan.photographs,
        steps=runner.steps,
        draws=runner.steps * plan.batch_size / plan.photographs,
        network=plan.network,
        size=plan.resolution,
        minutes=minutes,
        useful_minutes=max(plan.useful_minutes, plan.minutes + 1) if runner.steps < ENOUGH_STEPS else 0.0,
        purpose=args.purpose,
        checkpoint=checkpoint,
        loading=f'import mmssl\nmodel = mmssl.load({str(checkpoint)!r})',
        mean=tuple(normalisation.mean.flatten().tolist()),
        std=tuple(normalisation.std.flatten().tolist()),
    )


def _finish(args: argparse.Namespace, run: Run, model: 'BaseAlgorithm', facts: 'RunFacts') -> None:
    """Measure, export and report; the verdict comes first."""
    from mmssl.evaluation import evaluate_timed, format_results, next_step, verdict, write_results
    from mmssl.visualization import describe_command, report_run

    print('Measuring the pre-trained network ...', flush=True)
    results = [*run.baselines, evaluate_timed(model, run.cfg.evaluation, _pairs(run.cfg), 'pre-trained')]
    write_results(args.work_dir / 'evaluation.json', results)
    facts, exported, text = _export(args, model, facts)
    extra = {'whole run': f'{(time.monotonic() - _STARTED) / 60:.1f} minutes before this report'}
    report = report_run(
        args.work_dir / 'report.html', model, run.cfg, results, describe_command(sys.argv),
        title=f'{type(model).__name__} pre-training', exported=exported, extra=extra, facts=facts,
    )  # fmt: skip
    step = next_step(facts)
    sentences = '\n'.join(verdict(results, facts))
    print(f'\n{sentences}\n\n{step.what}\n\n{step.lines}\n\n{step.images}\n\n{format_results(results)}')
    print(f'\n{text}Report: {report.resolve()}')


def _pairs(cfg: 'Config') -> dict[str, Any]:
    """Views of all images, on which the baselines were measured, also if the training draws only a part of them."""
    training = cfg.train_dataloader.dataset
    return {**training, 'source': training.source.source}


def _export(args: argparse.Namespace, model: 'BaseAlgorithm', facts: 'RunFacts') -> tuple['RunFacts', Any, str]:
    """Write the backbone under torchvision's keys, which the other packages read; no ResNet stays in its checkpoint."""
    from mmssl.export import (
        architecture_of,
        backbone_weights,
        export_backbone,
        loading_code,
        resnet_prefix,
        verify_export,
    )
    from mmssl.visualization import export_section

    if resnet_prefix(model.state_dict()) is None:
        return facts, None, ''
    images = {'mean': facts.mean, 'std': facts.std, 'size': facts.size}
    path = export_backbone(model, args.work_dir / 'backbone.pth', metadata=images)
    check = verify_export(path, model.backbone)
    target = _TARGETS.get(args.purpose, 'torchvision')
    loading = loading_code(architecture_of(backbone_weights(model)), target, str(path.resolve()))
    text = f'Exported to {path.resolve()}: {check}\n'
    return replace(facts, loading=loading), export_section(str(check), loading, path), text
