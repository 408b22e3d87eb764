"""Write the report of a finished run (HTML): results with baselines, curves, images, maps, clusters.

Measures the newest checkpoint of the work directory, with its config. To measure another one, give its path.
"""

import argparse
import sys
from pathlib import Path

from mmssl.command_line import add_trained_options, load_trained_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_trained_options(parser)
    parser.add_argument('--out', type=Path, help='file to write (default: report.html in the work directory)')


def run(args: argparse.Namespace) -> None:
    """Load, measure and write."""
    model, cfg = load_trained_options(args)
    from mmssl.evaluation import compare_baselines, format_results
    from mmssl.visualization import describe_command, report_run

    given = Path(args.checkpoint)
    cfg.work_dir = str(given if given.is_dir() else given.parent)
    results = compare_baselines(model, cfg)
    title = f'{type(model).__name__} pre-training'
    path = report_run(
        args.out or Path(cfg.work_dir) / 'report.html', model, cfg, results, describe_command(sys.argv), title
    )
    print(f'{format_results(results)}\n\nWritten: {path}')
