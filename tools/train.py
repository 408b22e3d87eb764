"""Pre-train with a config: python tools/train.py CONFIG [--work-dir FOLDER] [--resume] ..."""

import argparse
import os
from pathlib import Path

from mmengine.config import Config, DictAction


def parse_args() -> argparse.Namespace:
    """The command line, in the words OpenMMLab users know."""
    parser = argparse.ArgumentParser(description='Pre-train a backbone without labels.')
    parser.add_argument(
        'config', help='config file, for example configs/swav/swav_resnet50_8xb32_queue_200e_imagenet.py'
    )
    parser.add_argument('--work-dir', help='where logs and checkpoints go; work_dirs/<name of the config> by default')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from CHECKPOINT, or without it from the newest readable one in the work directory',
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision (needs a GPU)')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate with the batch size')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override config entries'
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0, help='set by torch.distributed.launch')
    return parser.parse_args()


def apply_options(cfg: Config, args: argparse.Namespace) -> Config:
    """The config with what the command line says."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg.launcher = args.launcher
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(args.config).stem)
    if args.resume:
        cfg.resume, cfg.load_from = True, None if args.resume == 'auto' else args.resume
    if args.auto_scale_lr:
        cfg.auto_scale_lr.enable = True
    if args.amp:
        from mmssl.engine.optimizers import AmpOptimWrapper

        cfg.optim_wrapper.update(type=AmpOptimWrapper, loss_scale='dynamic')
    return cfg


def main() -> None:
    """Build the runner and train."""
    args = parse_args()
    if not Path(args.config).is_file():
        raise SystemExit(f'No config {args.config}: give a .py file, for example one under configs/.')
    cfg = apply_options(Config.fromfile(args.config), args)
    from mmssl.engine import Runner

    Runner.from_cfg(cfg).train()


if __name__ == '__main__':
    main()
