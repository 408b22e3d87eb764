"""Evaluate the backbone of a checkpoint.

Measures k-NN and the fast linear probe on the data of the config's ``evaluation`` section; without labels, measures
that need none. Prints a table and writes ``evaluation.json`` into the work directory.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmssl.command_line import add_common_options, add_verbose_option, build_runner, read_config

if TYPE_CHECKING:
    from mmengine.config import Config

    from mmssl.evaluation import Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options, with the names of OpenMMLab."""
    parser.add_argument('config', help='config file of the training')
    parser.add_argument('checkpoint', help='checkpoint, .pth or .safetensors')
    parser.add_argument('--work-dir', help='folder for evaluation.json (default: work_dirs/<name of the config>)')
    parser.add_argument('--baselines', action='store_true', help='also measure raw pixels and the untrained network')
    add_common_options(parser)
    add_verbose_option(parser)


def load_config(args: argparse.Namespace) -> 'Config':
    """The config with the options of the command line."""
    cfg = read_config(args)
    if 'evaluation' not in cfg:
        raise SystemExit(f'{args.config} has no evaluation section: add evaluation=dict(gallery=..., query=...).')
    return cfg


def measure(cfg: 'Config', args: argparse.Namespace) -> list['Result']:
    """Results, the checkpoint's last."""
    from mmssl.evaluation import compare_baselines, evaluate
    from mmssl.probe import load_trained

    checkpoint = args.checkpoint
    runner = build_runner(cfg, args)  # joins the other processes, chooses the device
    trained = load_trained(checkpoint, cfg)
    match = trained.fill(runner.algorithm.backbone)
    runner.logger.info(f'{checkpoint}: {match.matched} of {match.total} keys of the backbone.')
    if 'pretext' in cfg.evaluation:  # the method's own task takes more than its backbone
        _fill_whole(runner.algorithm, trained, cfg)
    name = Path(checkpoint).name
    if args.baselines:
        return compare_baselines(runner.algorithm, cfg, name)
    return [evaluate(runner.algorithm, cfg.evaluation, cfg.train_dataloader.dataset, name)]


def _fill_whole(model: Any, trained: Any, cfg: 'Config') -> None:
    """Load everything that the method trained; without it, leave its own task out."""
    if trained.file.progress:
        model.allocate(trained.file.progress['num_samples'])
        model.load_state_dict(trained.algorithm().state_dict())
    else:
        print(f'{trained.file.path} holds a backbone alone: the method does not measure its own task with it.')
        cfg.evaluation.pop('pretext')


def run(args: argparse.Namespace) -> None:
    """Measure, print and write the results."""
    cfg = load_config(args)
    results = measure(cfg, args)
    from mmengine.dist import is_main_process  # imports torch, which must come after mmssl

    if not is_main_process():
        return
    from mmssl.evaluation import format_results, write_results

    print(format_results(results))
    path = Path(cfg.work_dir) / 'evaluation.json'
    write_results(path, results, config=args.config, checkpoint=args.checkpoint)
    print(f'\nWritten to {path}')
