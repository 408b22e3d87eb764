"""Cost of CoKe's clustering at ImageNet's size, compared with the product with the centroids.

    python tools/benchmarks/speed/coke.py [--num 1281167] [--batch 1024] [--steps 40] [--json FILE]

Three clusterings (3,000, 4,000 and 5,000 clusters of 128 dimensions). In turns: the product and argmax of the
assignment, which every form needs, and a whole step of the memories: reading the labels of the previous epoch,
assigning, prices, centroids, counts, storing the labels. In the first epochs labels are hard; with soft labels, slots
are averaged too.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from mmssl.files import write_json
from mmssl.functional import unit
from mmssl.models import ConstrainedClusters
from mmssl.ranges import COUNT, option

CLUSTERS, DIM = (3000, 4000, 5000), 128


def make(num: int, soft: bool) -> list[ConstrainedClusters]:
    """One memory per clustering, in its second epoch (hard labels), or two epochs after labels became soft."""
    memories = [ConstrainedClusters(number, DIM, soft_from=1 if soft else 0) for number in CLUSTERS]
    for memory in memories:
        memory.allocate(num)
        if soft:
            memory.slots.copy_(torch.randint(len(memory.counts), memory.slots.shape))
            memory.values.fill_(1 / memory.num_slots)
        memory.labels.random_(len(memory.counts))
        memory.begin_epoch(3 if soft else 1)
    return memories


def step(memories: list[ConstrainedClusters], sample_idx: Tensor, features: Tensor) -> None:
    """The work of the memories in a training step."""
    for memory in memories:
        memory.read(sample_idx, features)
        memory.stage(sample_idx, features)
        memory.commit()


def product(memories: list[ConstrainedClusters], sample_idx: Tensor, features: Tensor) -> None:
    """The assignment alone."""
    for memory in memories:
        memory.assign(features)


def seconds(action: Callable[[], None]) -> float:
    """Seconds that an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure(num: int, batch: int, steps: int, soft: bool) -> dict[str, float]:
    """Medians of product and step, in turns, and the time beyond the product as a share of it."""
    memories, times = make(num, soft), []
    for _ in range(steps + 3):
        given = memories, torch.randint(num, (batch,)), unit(torch.randn(batch, DIM))
        times.append((seconds(partial(product, *given)), seconds(partial(step, *given))))
    alone, whole = (statistics.median(column) for column in zip(*times[3:]))
    return {'product': alone, 'step': whole, 'beyond': (whole - alone) / alone}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--num', type=option(COUNT), default=1281167, help='samples')
    parser.add_argument('--batch', type=option(COUNT), default=1024)
    parser.add_argument('--steps', type=option(COUNT), default=40)
    parser.add_argument('--json', type=Path, help='file to write the figures to')
    args = parser.parse_args()
    torch.manual_seed(0)
    found = {}
    print(f'{args.num:,} samples, {CLUSTERS} clusters, {args.batch} samples per step, median of {args.steps}:')
    for name, soft in (('hard labels', False), ('soft labels', True)):
        found[name] = measure(args.num, args.batch, args.steps, soft)
        alone, whole, beyond = found[name].values()
        print(
            f'  {name}: product and argmax {1e3 * alone:.1f} ms, the whole step {1e3 * whole:.1f} ms, '
            f'beyond it {beyond:.2f} of the product'
        )
    if args.json:
        write_json(args.json, found)


if __name__ == '__main__':
    main()
