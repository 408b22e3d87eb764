"""What the tools share: the options that OpenMMLab users know, and the config that they change.

Nothing heavy is imported, so that ``--help`` answers at once.
"""

import argparse
import os
from pathlib import Path

from mmengine.config import Config, DictAction


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``, ``--launcher`` and ``--local-rank`` to a tool's command line."""
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override config entries'
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0, help='set by torch.distributed.launch')


def read_config(args: argparse.Namespace, advice: str = 'a .py file, for example one under configs/') -> Config:
    """The config that ``args.config`` names, with what the common options and ``--work-dir`` say.

    Args:
        args: Parsed, with ``config``, ``work_dir`` and the options of :func:`add_common_options`.
        advice: What to give instead where there is no such file.

    Returns:
        The config; its ``work_dir`` is the option's, else its own, else ``work_dirs/<name of the config>``.

    Raises:
        SystemExit: There is no such file.
    """
    if not Path(args.config).is_file():
        raise SystemExit(f'No config {args.config}: give {advice}.')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = Config.fromfile(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(args.config).stem)
    return cfg
