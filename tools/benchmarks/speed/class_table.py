"""Cost of the softmax over a table of a million classes, compared with full logits.

    python tools/benchmarks/speed/class_table.py [--num 1281167] [--dim 128] [--batch 256] [--rounds 3] [--json FILE]
    python tools/benchmarks/speed/class_table.py --scaling [--dim 128] [--rounds 3] [--json FILE]

Forward and backward, in turns: the three products with the whole table that every form needs (logits, and the gradients
of features and table); ours, which computes the logits twice, in chunks; and PyTorch's ``cross_entropy`` on full
logits. Memory is the peak of a fresh process beyond the table and its gradient.

``--scaling`` measures whole steps of a :class:`~mmssl.models.ClassTable` instead, including SGD, for several numbers of
classes, samples and processes (over gloo, sharing the cores), and prints seconds and the memory of each process.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import torch
import torch.distributed as dist
from memory import in_turns, resident
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from mmssl.files import write_json
from mmssl.functional import shard_of, table_cross_entropy
from mmssl.models import ClassTable
from mmssl.ranges import COUNT, option

TEMPERATURE = 0.15
SCALES = [  # classes, samples, processes
    *((128116, batch, 1) for batch in (64, 256, 1024)),
    *((1281167, batch, processes) for batch in (64, 256, 1024) for processes in (1, 2, 4)),
    (5000000, 256, 1),
]


def make(num: int, dim: int, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random features, table and targets."""
    generator = torch.Generator().manual_seed(0)
    table = torch.empty(num, dim)
    for part in table.split(100000):
        part.copy_(normalize(torch.randn(part.shape, generator=generator), dim=1))
    features = normalize(torch.randn(batch, dim, generator=generator), dim=1)
    return features.requires_grad_(), table.requires_grad_(), torch.randint(num, (batch,), generator=generator)


def products(features: Tensor, table: Tensor, targets: Tensor) -> None:
    """Logits, and the two products of their gradient."""
    with torch.no_grad():
        logits = features @ table.T
        logits @ table
        logits.T @ features


def ours(features: Tensor, table: Tensor, targets: Tensor) -> None:
    """In chunks."""
    table_cross_entropy(features, table, targets, TEMPERATURE).backward()


def rough(features: Tensor, table: Tensor, targets: Tensor) -> None:
    """In chunks, with products in bfloat16."""
    table_cross_entropy(features, table, targets, TEMPERATURE, bfloat16=True).backward()


def full(features: Tensor, table: Tensor, targets: Tensor) -> None:
    """With all logits at once; the rows have unit length."""
    cross_entropy(features @ table.T / TEMPERATURE, targets).backward()


FORMS: dict[str, Callable[[Tensor, Tensor, Tensor], None]] = {
    'three products on whole matrices': products,
    'mmssl': ours,
    'mmssl, products in bfloat16': rough,
    'cross_entropy on full logits': full,
}


def seconds_of(num: int, dim: int, batch: int, rounds: int) -> dict[str, float]:
    """Median of each form, in turns."""
    tensors = make(num, dim, batch)

    def step(form: Callable[[Tensor, Tensor, Tensor], None]) -> None:
        form(*tensors)
        tensors[0].grad = tensors[1].grad = None

    return in_turns({name: partial(step, form) for name, form in FORMS.items()}, rounds)


def peak_megabytes(name: str, num: int, dim: int, batch: int, answer: Connection) -> None:
    """Peak memory of one pass in a fresh process, beyond what it held before and the table's gradient."""
    tensors = make(num, dim, batch)
    FORMS[name](*(tensor[:1000].detach().requires_grad_() for tensor in tensors[:2]), tensors[2][:256] % 1000)
    Path('/proc/self/clear_refs').write_text('5')  # resets the peak
    before = resident('VmRSS')
    FORMS[name](*tensors)
    gradient = tensors[1].numel() * 4 / 1e6 if tensors[1].grad is not None else 0.0
    answer.send((resident('VmHWM') - before) / 1000 - gradient)


def memory_of(name: str, num: int, dim: int, batch: int) -> float:
    """Peak of one form."""
    context = multiprocessing.get_context('spawn')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=peak_megabytes, args=(name, num, dim, batch, sender))
    process.start()
    sender.close()
    found = receiver.recv()
    process.join()
    return found


def steps_of(
    place: int, processes: int, shape: tuple[int, int, int], rounds: int, store: str, answer: Connection
) -> None:
    """One process of several: median seconds of a step, and peak memory beyond that of an empty process."""
    torch.set_num_threads(max(len(os.sched_getaffinity(0)) // processes, 1))
    if processes > 1:
        dist.init_process_group('gloo', init_method=f'file://{store}', rank=place, world_size=processes)
    num, dim, batch = shape
    before = resident('VmRSS')
    memory = ClassTable(dim, start='random')
    memory.allocate(num)
    memory.begin_step(0.03, 1.0)
    features = normalize(torch.randn(batch // processes, dim), dim=1).requires_grad_()
    times = []
    for _ in range(rounds + 1):
        targets = torch.randint(num, (len(features),))
        start = time.perf_counter()
        table_cross_entropy(features, memory.trained_rows(), targets, TEMPERATURE).backward()
        memory.commit()
        times.append(time.perf_counter() - start)
    answer.send((statistics.median(times[1:]), (resident('VmHWM') - before) / 1000))


def scaling(num: int, dim: int, batch: int, processes: int, rounds: int) -> dict[str, float]:
    """Seconds per step and megabytes per process, the maximum over all processes."""
    context, found = multiprocessing.get_context('spawn'), []
    with tempfile.TemporaryDirectory() as folder:
        pipes = [context.Pipe(duplex=False) for _ in range(processes)]
        for place, (_, sender) in enumerate(pipes):
            rest = (processes, (num, dim, batch), rounds, f'{folder}/store', sender)
            context.Process(target=steps_of, args=(place, *rest)).start()
            sender.close()
        found = [receiver.recv() for receiver, _ in pipes]
    return {'seconds': max(seconds for seconds, _ in found), 'megabytes': max(megabytes for _, megabytes in found)}


def print_scaling(dim: int, rounds: int) -> list[dict[str, float]]:
    """A table in Markdown."""
    rows = []
    print('| classes | samples | processes | s per step | MB per process | of which table, gradient, velocity |')
    print('|---|---|---|---|---|---|')
    for num, batch, processes in SCALES:
        found = scaling(num, dim, batch, processes, rounds)
        rows.append({'classes': num, 'samples': batch, 'processes': processes, **found})
        state = 3 * shard_of(num, 0, processes)[1] * dim * 4 / 1e6
        print(
            f'| {num:,} | {batch} | {processes} | {found["seconds"]:.2f} | {found["megabytes"]:.0f} | {state:.0f} |',
            flush=True,
        )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--num', type=option(COUNT), default=1281167, help='classes')
    parser.add_argument('--dim', type=option(COUNT), default=128)
    parser.add_argument('--batch', type=option(COUNT), default=256)
    parser.add_argument('--rounds', type=option(COUNT), default=3)
    parser.add_argument(
        '--scaling', action='store_true', help='whole steps, for several sizes and numbers of processes'
    )
    parser.add_argument('--json', type=Path, help='file to write the figures to')
    args = parser.parse_args()
    if args.scaling:
        rows = print_scaling(args.dim, args.rounds)
        if args.json:
            write_json(args.json, rows)
        return
    shape = (args.num, args.dim, args.batch)
    found = {name: {'megabytes': memory_of(name, *shape)} for name in FORMS}
    seconds = seconds_of(*shape, args.rounds)
    least = seconds['three products on whole matrices']
    print(f'{args.num:,} classes, {args.dim} dimensions, {args.batch} samples, median of {args.rounds}:')
    for name, value in seconds.items():
        found[name]['seconds'] = value
        print(f'  {name:34s} {value:7.2f} s   {value / least:5.2f} x   {found[name]["megabytes"]:7.0f} MB more')
    if args.json:
        write_json(args.json, found)


if __name__ == '__main__':
    main()
