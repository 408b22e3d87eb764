"""Time and peak memory of banks and queues at ImageNet's size, compared with the reference codes.

    python tools/benchmarks/speed/memory.py [--num 1281167] [--rounds 5] [--json FILE]

- InvP's step on the bank (128 samples, 4,096 background rows, 4 neighbours, 3 steps): scores, hard positives, losses,
  gradient, neighbours and update. Compared with the similarity product and top-k alone, which every form needs, and
  with the released code's way (every score exponentiated, queue-like propagation, scores of all samples at once).
- MoCo's queue of 65,536 keys (256 queries): the cost of maintaining it, compared with its similarity product.
- A bfloat16 bank: the same InvP step, and the share of float32's neighbours that it finds.
- A checkpoint with the whole bank: its size, and the seconds to write and read it.

Candidates take turns; medians are printed. Peak memory is measured in a fresh process each, beyond what it holds before
the step, including the bank. Checkpoints are flushed to the disk when written, but read from the system's cache.
"""

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import Tensor, nn

from mmssl.checkpoint import read_checkpoint, write_checkpoint
from mmssl.datasets import Batch
from mmssl.files import write_json
from mmssl.functional import bank_scores, unit
from mmssl.models import InvP, Queue
from mmssl.ranges import COUNT, option

BATCH, DIM, BACKGROUND, NEIGHBORS, STEPS, POSITIVES, TEMPERATURE = 128, 128, 4096, 4, 3, 50, 0.07


class Embeddings(nn.Module):
    """A backbone whose input is already an embedding."""

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Return the embeddings."""
        return (images,)


def make_bank(num: int) -> tuple[Tensor, Tensor]:
    """Random unit rows and neighbours."""
    generator = torch.Generator().manual_seed(0)
    rows = unit(torch.randn(num, DIM, generator=generator))
    return rows, torch.randint(num, (num, NEIGHBORS), generator=generator)


def make_batch(num: int) -> tuple[Tensor, Tensor]:
    """Embeddings that require a gradient, and their sample indices."""
    generator = torch.Generator().manual_seed(1)
    embeddings = torch.randn(BATCH, DIM, generator=generator).requires_grad_()
    return embeddings, torch.randint(num, (BATCH,), generator=generator)


def ours(num: int, dtype: str = 'float32') -> Callable[[], None]:
    """InvP's step in mmssl."""
    bank = {'dim': DIM, 'num_neighbors': NEIGHBORS, 'dtype': dtype}
    settings = {'num_background': BACKGROUND, 'num_positives': POSITIVES, 'steps': STEPS}
    model = InvP(Embeddings(), nn.Identity(), bank, temperature=TEMPERATURE, **settings)
    rows, model.bank.neighbors = make_bank(num)
    model.bank.rows = rows.to(getattr(torch, dtype))
    embeddings, samples = make_batch(num)

    def step() -> None:
        losses = model.loss([embeddings[..., None, None]], Batch(sample_idx=samples, draw=samples))
        sum(losses.values()).backward()
        model.bank.commit()

    return step


def product_and_top_k(num: int) -> Callable[[], None]:
    """The part that every form needs, for all samples at once."""
    (rows, _), (embeddings, _) = make_bank(num), make_batch(num)

    def step() -> None:
        with torch.no_grad():
            (unit(embeddings) @ rows.T).topk(BACKGROUND, dim=1)

    return step


def released(num: int) -> Callable[[], None]:
    """The same losses, computed as in the authors' code."""
    (rows, neighbors), (embeddings, samples) = make_bank(num), make_batch(num)

    def step() -> None:
        queries = nn.functional.normalize(embeddings, dim=1)
        scores = torch.exp(queries @ rows.T / TEMPERATURE)
        nearest, places = scores.topk(BACKGROUND, dim=1)
        own = scores.gather(1, samples[:, None])[:, 0]
        instance = -(own / nearest.sum(dim=1) + 1e-7).log().mean()
        positives = scores.gather(1, torch.stack([walk(neighbors, int(sample)) for sample in samples]))
        hard = positives.topk(POSITIVES, dim=1, largest=False).values
        propagation = -(hard.sum(dim=1) / (nearest.sum(dim=1) - own) + 1e-7).log().mean()
        (instance + 0.6 * propagation).backward()
        neighbors[samples] = places[:, :NEIGHBORS]
        rows[samples] = nn.functional.normalize(0.5 * rows[samples] + 0.5 * queries.detach(), dim=1)

    return step


def walk(neighbors: Tensor, sample: int) -> Tensor:
    """Level by level with a growing list, one concatenation per node."""
    found = neighbors[sample]
    for place in range(sum(NEIGHBORS**level for level in range(1, STEPS))):
        found = torch.cat([found, neighbors[found[place]]])
    return found


def peak_megabytes(name: str, num: int, answer: Connection) -> None:
    """Send how much the process grows in one step."""
    torch.set_num_threads(2)
    step = CANDIDATES[name](num)
    Path('/proc/self/clear_refs').write_text('5')  # resets the peak to the current value
    before = resident('VmRSS')
    step()
    answer.send((resident('VmHWM') - before) / 1000)


def resident(kind: str) -> int:
    """Memory of this process now (``VmRSS``) or at its peak (``VmHWM``), in kB."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind))


CANDIDATES: dict[str, Callable[[int], Callable[[], None]]] = {
    'product and top-k': product_and_top_k,
    'mmssl': ours,
    'mmssl, bfloat16 bank': lambda num: ours(num, 'bfloat16'),
    "the released code's way": released,
}


def in_turns(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of every candidate."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def measure_invp(num: int, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds and megabytes of InvP's step."""
    megabytes = {}
    for name in CANDIDATES:
        near, far = multiprocessing.get_context('spawn').Pipe()
        process = multiprocessing.get_context('spawn').Process(target=peak_megabytes, args=(name, num, far))
        process.start()
        far.close()  # otherwise recv() would wait for a child that died
        megabytes[name] = near.recv()
        process.join()
    seconds = in_turns({name: make(num) for name, make in CANDIDATES.items()}, rounds)
    print(f"\nInvP's step on a bank of {num:,} rows:")
    for name, value in seconds.items():
        ratio = value / seconds['product and top-k']
        print(
            f'  {name:24s} {value:7.3f} s   {ratio:5.2f} x product and top-k   '
            f'{megabytes[name]:7.0f} MB beyond the bank'
        )
    return {name: {'seconds': seconds[name], 'megabytes': megabytes[name]} for name in seconds}


def measure_queue(rounds: int, length: int = 65536, batch: int = 256) -> dict[str, float]:
    """Seconds of the product with the queue, of its commit, and of a queue that is copied."""
    queue, keys = Queue(length, DIM, random=True), unit(torch.randn(batch, DIM))
    copied = queue.rows.T.clone()

    def commit() -> None:
        queue.stage(keys)
        queue.commit()

    def copy() -> None:
        nonlocal copied
        copied = copied.clone()
        copied[:, :batch] = keys.T

    seconds = in_turns({'product': lambda: keys @ queue.rows.T, 'mmssl': commit, 'cloned': copy}, 10 * rounds)
    print(f'\nA queue of {length:,} keys, {batch} queries:')
    for name, value in seconds.items():
        print(f'  {name:24s} {1e3 * value:7.3f} ms   {value / seconds["product"]:7.4f} x its similarity product')
    return seconds


def measure_recall(num: int) -> dict[str, float]:
    """Share of float32's neighbours that a bfloat16 bank finds."""
    (rows, _), (embeddings, samples) = make_bank(num), make_batch(num)
    queries, rounded = unit(embeddings.detach()), rows.bfloat16()
    exact, found = (bank_scores(queries, bank, BACKGROUND, samples[:, None])[1] for bank in (rows, rounded))
    near = sum(len(set(a) & set(b)) for a, b in zip(exact.tolist(), found.tolist())) / exact.numel()
    first = sum(len(set(a) & set(b)) for a, b in zip(exact[:, :NEIGHBORS].tolist(), found[:, :NEIGHBORS].tolist())) / (
        BATCH * NEIGHBORS
    )
    print(
        f'\nA bfloat16 bank finds {near:.2%} of the {BACKGROUND} nearest rows, {first:.2%} of the {NEIGHBORS} nearest.'
    )
    return {'background': near, 'neighbors': first}


def measure_checkpoint(num: int) -> dict[str, float]:
    """Size of a checkpoint with the bank and its neighbours, and the seconds to write and read it."""
    rows, neighbors = make_bank(num)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'bank.pth'
        start = time.perf_counter()
        write_checkpoint({'state_dict': {'bank.rows': rows, 'bank.neighbors': neighbors}}, path)
        written = time.perf_counter()
        read_checkpoint(path)
        found = {'megabytes': path.stat().st_size / 1e6, 'save': written - start, 'load': time.perf_counter() - written}
    print(
        f'\nA checkpoint with the bank and {NEIGHBORS} neighbours: {found["megabytes"]:.0f} MB, {found["save"]:.1f} s '
        f'to write, {found["load"]:.1f} s to read.'
    )
    return found


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--num', type=option(COUNT), default=1281167, help='rows of the bank')
    parser.add_argument('--rounds', type=option(COUNT), default=5)
    parser.add_argument('--json', type=Path, help='file to write the figures to')
    args = parser.parse_args()
    found = {
        'invp': measure_invp(args.num, args.rounds),
        'queue': measure_queue(args.rounds),
        'recall': measure_recall(args.num),
        'checkpoint': measure_checkpoint(args.num),
    }
    if args.json:
        write_json(args.json, found)


if __name__ == '__main__':
    main()
