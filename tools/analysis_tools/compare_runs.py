"""Draw the curves of one or more runs; an HTML file also has the final figures and the differences of the configs.

    python tools/analysis_tools/compare_runs.py work_dirs/swav work_dirs/simclr --out compared.html
    python tools/analysis_tools/compare_runs.py SwAV=work_dirs/swav --keys loss knn_top1 --out curves.svg

Each run is a work directory, optionally with a name. Curves and figures are read from its JSON logs, the config from
its newest checkpoint, else from the config.py that MMEngine wrote, as data.
"""

import argparse
from pathlib import Path

from mmssl.command_line import one_sentence


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', metavar='[NAME=]WORK_DIR')
    parser.add_argument(
        '--keys', nargs='+', default=(), metavar='NAME', help='logged quantities to draw (default: all)'
    )
    parser.add_argument('--out', type=Path, default=Path('runs.html'), help='.html, .svg, .png or .pdf')
    return parser.parse_args()


def main() -> None:
    """Read, draw, and print the final figures."""
    args = parse_args()
    from mmssl.visualization import lines_figure, save_figure, write_report
    from mmssl.visualization.runs import (
        curve_panels,
        curves_section,
        differences_section,
        figures_section,
        final_figure,
        read_run,
        without_config,
    )

    runs = [read_run(text) for text in args.runs]
    panels = curve_panels(runs, args.keys)
    if args.out.suffix == '.html':
        parts = [curves_section(panels), figures_section(runs, panels)]
        parts += [differences_section(runs)] if len(runs) > 1 else []
        write_report(args.out, ' and '.join(run.name for run in runs), parts)
    else:
        save_figure(lines_figure(panels), args.out)
    print(f'| at the end | {" | ".join(run.name for run in runs)} |\n{"|---" * (len(runs) + 1)}|')
    for name, lines in panels.items():
        print(f'| {name} | {" | ".join(final_figure(lines.get(run.name)) for run in runs)} |')
    if len(runs) > 1 and without_config(runs):
        print(f'\n{without_config(runs)}')
    print(f'\nDrawn: {args.out}')


if __name__ == '__main__':
    with one_sentence():
        main()
