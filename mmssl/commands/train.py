"""Pre-train a backbone without labels."""

import argparse
from typing import TYPE_CHECKING

from mmssl.command_line import (
    CORRECTABLE,
    add_common_options,
    add_training_options,
    add_verbose_option,
    build_runner,
    end_interrupted,
    read_config,
    use_training_options,
)

if TYPE_CHECKING:
    from mmengine.config import Config

ERRORS = (*CORRECTABLE, OSError)  # a download of --init may fail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options, with the names of OpenMMLab."""
    parser.add_argument(
        'config', help='config file, or the name of a recipe, for example swav_resnet50_8xb32_queue_200e_imagenet'
    )
    parser.add_argument('--work-dir', help='folder for logs and checkpoints (default: work_dirs/<name of the config>)')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='continue from CHECKPOINT, or by default from the furthest readable one in the work directory',
    )
    parser.add_argument(
        '--init',
        metavar='WHAT',
        help='weights to start the backbone from: a file, a name of the model zoo, or a name of torchvision '
        'or timm such as timm:resnet50.a1_in1k',
    )
    add_training_options(parser)
    add_common_options(parser)
    add_verbose_option(parser)


def load_config(args: argparse.Namespace) -> 'Config':
    """The config with the options of the command line."""
    cfg = read_config(args)
    if args.resume:
        cfg.resume, cfg.load_from = True, None if args.resume == 'auto' else args.resume
    use_training_options(cfg, args)
    return cfg


def run(args: argparse.Namespace) -> None:
    """Build the runner and train."""
    cfg = load_config(args)
    from mmssl.apis.start import use_init

    use_init(cfg, args.init)
    runner = build_runner(cfg, args)
    runner.train()
    end_interrupted(runner.train_loop, args.launcher)
