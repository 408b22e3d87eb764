"""Time and memory to list a large folder of images: mmssl with and without its cache, and torchvision's ImageFolder.

    python tools/benchmarks/speed/folder_scan.py [--num 1281167] [--classes 1000] [--folder DIR] [--json FILE]

Makes ``--num`` empty files in class folders, as in ImageNet's training set, unless ``--folder`` names existing ones.
The candidates take turns, each in a fresh process after its imports; the folders are in the cache of the operating
system for all of them. Prints medians: the seconds until the list can be used, and the memory that a worker copies (a
forked worker reads every path once; its private memory outside files is read from /proc before and after).
"""

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from mmssl.ranges import COUNT, option

CANDIDATES = ('mmssl-first', 'mmssl-cached', 'torchvision')


def make_folder(root: Path, num: int, classes: int) -> None:
    """Empty files with names like ImageNet's."""
    for number in range(classes):
        folder = root / f'n{number:08d}'
        folder.mkdir()
        for place in range(num // classes + (number < num % classes)):
            os.close(os.open(f'{folder}/n{number:08d}_{place:05d}.JPEG', os.O_CREAT | os.O_WRONLY))


def measure(candidate: str, root: Path, answer: Connection) -> None:
    """List the folder with one candidate; send the seconds, the number of images and a worker's megabytes."""
    if candidate == 'torchvision':
        from torchvision.datasets import ImageFolder
    else:
        from mmssl.datasets import ImageFolder
    start = time.perf_counter()
    source = ImageFolder(root)
    seconds = time.perf_counter() - start
    name = source.name if hasattr(source, 'name') else lambda index: source.samples[index][0]
    near, far = multiprocessing.Pipe()
    worker = multiprocessing.get_context('fork').Process(target=read_all, args=(name, len(source), far))
    worker.start()
    answer.send((seconds, len(source), near.recv()))
    worker.join()


def read_all(name: Callable[[int], str], num: int, answer: Connection) -> None:
    """Read every path once; send how many megabytes this copied."""
    before = dirty_megabytes()
    longest = max(len(name(index)) for index in range(num))
    answer.send(dirty_megabytes() - before if longest else 0.0)


def dirty_megabytes() -> float:
    """Memory that this process has written or copied, in MB, without mapped files."""
    total, is_file = 0, False
    for line in Path('/proc/self/smaps').read_text().splitlines():
        key, *values = line.split()
        if not key.endswith(':'):  # first line of a mapping: addresses, rights, offset, device, inode
            is_file = values[3] != '0'
        elif key == 'Private_Dirty:' and not is_file:
            total += int(values[0])
    return total / 1000


def run(root: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Let the candidates take turns, and print the table."""
    results: dict[str, list[tuple]] = {name: [] for name in CANDIDATES}
    context = multiprocessing.get_context('spawn')
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            os.environ['XDG_CACHE_HOME'] = cache
            for name in CANDIDATES:
                near, far = context.Pipe()
                process = context.Process(target=measure, args=(name, root, far))
                process.start()
                results[name].append(near.recv())
                process.join()
    table = {}
    for name, rows in results.items():
        seconds, images, megabytes = (statistics.median(column) for column in zip(*rows))
        table[name] = {'seconds': seconds, 'images': images, 'worker_megabytes': megabytes}
        print(f'  {name:14s} {seconds:8.3f} s   {images:.0f} images   a worker copies {megabytes:7.1f} MB')
    return table


def main() -> None:
    """Make the folder and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--num', type=option(COUNT), default=1281167)
    parser.add_argument('--classes', type=option(COUNT), default=1000)
    parser.add_argument('--folder', type=Path, help='existing folder to list, instead of a new one')
    parser.add_argument('--rounds', type=option(COUNT), default=3)
    parser.add_argument('--json', type=Path, help='file to write the figures to')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        if args.folder is None:
            make_folder(Path(temporary), args.num, args.classes)
            time.sleep(2.5)  # the cache is not used for folders that changed within two seconds
        root = args.folder or Path(temporary)
        sum(len(files) for _, _, files in os.walk(root))  # fills the cache of the operating system for all candidates
        table = run(root, args.rounds)
    if args.json:
        args.json.write_text(json.dumps(table, indent=2) + '\n')


if __name__ == '__main__':
    main()
