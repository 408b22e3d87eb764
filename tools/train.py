"""Pre-train with a config: python tools/train.py CONFIG [--work-dir FOLDER] [--resume] ..."""

import argparse

from mmengine.config import Config

from mmssl.command_line import (
    add_common_options,
    add_training_options,
    end_interrupted,
    one_sentence,
    read_config,
    use_training_options,
)


def parse_args() -> argparse.Namespace:
    """The command line, with the option names of OpenMMLab."""
    parser = argparse.ArgumentParser(description='Pre-train a backbone without labels.')
    parser.add_argument(
        'config', help='config file, for example configs/swav/swav_resnet50_8xb32_queue_200e_imagenet.py'
    )
    parser.add_argument('--work-dir', help='folder for logs and checkpoints (default: work_dirs/<name of the config>)')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='continue from CHECKPOINT, or by default from the newest readable one in the work directory',
    )
    parser.add_argument(
        '--init',
        metavar='WHAT',
        help='weights to start the backbone from: a file, a name of the model zoo, or a name of torchvision '
        'or timm such as timm:resnet50.a1_in1k',
    )
    add_training_options(parser)
    add_common_options(parser)
    return parser.parse_args()


def load_config(args: argparse.Namespace) -> Config:
    """The config with the options of the command line."""
    cfg = read_config(args)
    if args.resume:
        cfg.resume, cfg.load_from = True, None if args.resume == 'auto' else args.resume
    use_training_options(cfg, args)
    return cfg


def main() -> None:
    """Build the runner and train."""
    args = parse_args()
    with one_sentence(()):  # Ctrl-C may come while packages are still being imported
        cfg = load_config(args)
        from mmssl.apis.start import use_init
        from mmssl.checkpoint import CheckpointError
        from mmssl.download import DownloadError
        from mmssl.engine import Runner

        with one_sentence((CheckpointError, FileNotFoundError, DownloadError)):
            use_init(cfg, args.init)
            runner = Runner.from_cfg(cfg)
            runner.train()
        end_interrupted(runner.train_loop, args.launcher)


if __name__ == '__main__':
    main()
