"""Does mmssl pretrain keep its time on a machine that becomes slower half-way?

    python tools/benchmarks/keeps_time.py --data path/to/images --minutes 5

Runs the command, and after half of the time starts processes that only compute, two for each core. Prints the promised
and the real minutes, and fails if they differ by more than --allowed. Without --data, images of noise are made.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from mmssl.ranges import INDEX, NOT_NEGATIVE, POSITIVE, option


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, help='folder of images (default: 600 images of noise)')
    parser.add_argument('--minutes', type=option(POSITIVE), default=2, help='promised time (default: 2)')
    parser.add_argument(
        '--burners', type=option(INDEX), default=2 * (os.cpu_count() or 1), help='processes that only compute'
    )
    parser.add_argument(
        '--allowed', type=option(NOT_NEGATIVE), default=0.2, help='share of the time that it may be off (default: 0.2)'
    )
    return parser.parse_args()


def make_images(folder: Path, count: int = 600) -> Path:
    """Write images of noise."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        Image.fromarray(generator.integers(0, 255, (96, 96, 3), dtype=np.uint8)).save(folder / f'{number}.png')
    return folder


def measured_minutes(data: Path, minutes: float, burners: int, work_dir: Path) -> float:
    """Run the command with burners from half of the time on; the real minutes."""
    running: list[subprocess.Popen] = []

    def burn() -> None:
        running.extend(subprocess.Popen([sys.executable, '-c', 'while True: pass']) for _ in range(burners))

    timer = threading.Timer(minutes * 30, burn)
    words = ['--data', str(data), '--minutes', str(minutes), '--work-dir', str(work_dir)]
    start = time.monotonic()
    timer.start()
    try:
        subprocess.run([sys.executable, '-m', 'mmssl', 'pretrain', *words], check=True)
        return (time.monotonic() - start) / 60
    finally:
        timer.cancel()
        for process in running:
            process.kill()


def main() -> None:
    """Measure and judge."""
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = args.data or make_images(Path(folder) / 'images')
        real = measured_minutes(data, args.minutes, args.burners, Path(folder) / 'run')
    print(f'\n{args.burners} burners from half of the time on: promised {args.minutes:.2f} minutes, took {real:.2f}.')
    if abs(real - args.minutes) > args.allowed * args.minutes:
        raise SystemExit(f'More than {args.allowed:.0%} off.')


if __name__ == '__main__':
    try:
        main()
    except subprocess.CalledProcessError as error:  # the command has said why
        raise SystemExit(error.returncode) from error
