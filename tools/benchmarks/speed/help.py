"""Time of mmssl --help and of the help of each subcommand: python tools/benchmarks/speed/help.py [--rounds N].

Prints the shortest and the median wall time of each. On an idle machine none takes more than 0.3 s.
"""

import argparse
import statistics
import subprocess
import sys
import time

from mmssl.commands import COMMANDS
from mmssl.ranges import COUNT, option


def seconds_of(words: list[str]) -> float:
    """Wall time of one command."""
    start = time.perf_counter()
    subprocess.run([sys.executable, '-m', 'mmssl', *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=option(COUNT), default=5, help='number of runs of each (default: 5)')
    rounds = parser.parse_args().rounds
    for name in ('', *COMMANDS):
        times = [seconds_of([*name.split(), '--help']) for _ in range(rounds)]
        print(f'{min(times):.2f} s, median {statistics.median(times):.2f} s  mmssl {name}'.rstrip())


if __name__ == '__main__':
    main()
