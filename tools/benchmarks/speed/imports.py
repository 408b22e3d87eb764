"""What an import costs in this tree and in another commit: CPU time of fresh processes, in turns.

python tools/benchmarks/speed/imports.py [--against COMMIT] [--modules mmssl.models mmssl.export] [--rounds 9]
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from trees import ROOT, check_out, environment, parent

from mmssl.ranges import COUNT, option

PROGRAM = (
    'import importlib, sys, time; start = time.process_time(); importlib.import_module(sys.argv[1]); '
    'print(time.process_time() - start, len(sys.modules), sum(name.startswith("mmssl") for name in sys.modules))'
)


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--against', metavar='COMMIT', help='the commit to compare with; the parent of HEAD by default')
    parser.add_argument('--modules', nargs='+', default=['mmssl.models', 'mmssl.export'])
    parser.add_argument('--rounds', type=option(COUNT), default=9, help='fresh processes per tree and module')
    return parser.parse_args()


def measure(tree: Path, module: str) -> tuple[float, int, int]:
    """Import a module in a fresh process.

    Args:
        tree: Folder that holds ``mmssl``.
        module: Name of the module.

    Returns:
        CPU seconds, number of modules that are loaded then, and how many of them are of mmssl.
    """
    command = [sys.executable, '-c', PROGRAM, module]
    run = subprocess.run(command, cwd=tree, env=environment(tree), capture_output=True, text=True, check=True)
    seconds, modules, ours = run.stdout.split()
    return float(seconds), int(modules), int(ours)


def main() -> None:
    """Measure in turns, and print the medians."""
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trees = {'before': check_out(args.against or parent(), Path(folder)), 'now': ROOT}
        found = defaultdict(list)
        for number in range(args.rounds + 1):
            for module in args.modules:
                for name, tree in trees.items():
                    row = measure(tree, module)
                    if number:  # the first one compiles
                        found[module, name].append(row)
    print(f'{"import":24}{"tree":8}{"CPU s, median":>14}{"smallest":>10}{"modules":>9}{"of mmssl":>10}')
    for (module, name), rows in found.items():
        seconds = [row[0] for row in rows]
        counts = f'{rows[0][1]:9}{rows[0][2]:10}'
        print(f'{module:24}{name:8}{statistics.median(seconds):14.2f}{min(seconds):10.2f}{counts}')


if __name__ == '__main__':
    main()
