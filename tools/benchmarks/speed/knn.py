"""k-NN at ImageNet's size, compared with faiss (IndexFlatIP) and lightly's knn_predict.

    python tools/benchmarks/speed/knn.py [--train 1281167] [--test 50000] [--dim 2048] [--slice 2048] [--json FILE]

The features are random around the centres of 1,000 classes. A slice of the queries and a quarter of it are timed, and
the time for all queries is extrapolated on the line through both, since mmssl prepares every row once for any number of
queries. Candidates take turns on the same features in one process; medians are printed. Peak memory is measured in a
fresh process each, beyond what it holds before the search (the features), for ``--memory-train`` rows: faiss keeps a
copy of all rows, and lightly a similarity for every row and query, so both grow with the number of rows.

faiss and lightly compare in float32; mmssl's answer is exact and so the same on every machine. Install them with pip
install faiss-cpu and pip install 'mmssl[benchmarks]'.
"""

import argparse
import multiprocessing
import os
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import faiss
import torch
from lightly.utils.benchmarking import knn_predict as lightly_predict
from memory import in_turns, resident
from torch import Tensor

from mmssl.evaluation import knn_predict
from mmssl.files import write_json
from mmssl.functional import unit
from mmssl.ranges import COUNT, option

CLASSES, TEMPERATURE, BATCH = 1000, 0.07, 256
Search = Callable[[Tensor], Tensor]


def fill(rows: Tensor, labels: Tensor, seed: int) -> None:
    """Write unit rows around the centres of their classes, block by block."""
    centres = torch.randn(CLASSES, rows.shape[1], generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(seed)
    for part, some in zip(rows.split(20000), labels.split(20000)):
        part.copy_(unit(centres[some] + 2 * torch.randn(part.shape, generator=generator)))


def labels_of(count: int) -> Tensor:
    """Class labels in turn."""
    return torch.arange(count) % CLASSES


def queries_of(count: int, dim: int) -> Tensor:
    """Unit rows to classify."""
    rows = torch.empty(count, dim)
    fill(rows, labels_of(count), seed=2)
    return rows


def ours(gallery: Tensor, k: int) -> Search:
    """Exact, in tiles."""
    return lambda queries: knn_predict(gallery, labels_of(len(gallery)), queries, (k,), TEMPERATURE)[k]


def by_faiss(gallery: Tensor, k: int, index: faiss.Index | None = None) -> Search:
    """Search in a flat index, then the same votes."""
    labels = labels_of(len(gallery))

    def search(queries: Tensor) -> Tensor:
        flat = index
        if flat is None:
            flat = faiss.IndexFlatIP(gallery.shape[1])
            flat.add(gallery.numpy())
        cosines, rows = map(torch.from_numpy, flat.search(queries.numpy(), k))
        votes = torch.zeros(len(queries), CLASSES).scatter_add_(1, labels[rows], (cosines / TEMPERATURE).exp())
        return votes.argmax(dim=1)

    return search


def by_lightly(gallery: Tensor, k: int) -> Search:
    """Similarities of a batch of queries with all rows at once."""
    labels = labels_of(len(gallery))

    def search(queries: Tensor) -> Tensor:
        parts = queries.split(BATCH)
        return torch.cat([lightly_predict(part, gallery.T, labels, CLASSES, k, TEMPERATURE)[:, 0] for part in parts])

    return search


CANDIDATES = {'mmssl': ours, 'faiss': by_faiss, 'lightly': by_lightly}


def time_all(args: argparse.Namespace) -> dict[str, dict[int, float]]:
    """Median seconds of each candidate by the number of queries: a quarter of the slice, and the slice."""
    index = faiss.IndexFlatIP(args.dim)
    rows = torch.empty(20000, args.dim)
    for first in range(0, args.train, len(rows)):  # only into the index, so that there is one copy
        some = rows[: args.train - first]
        fill(some, labels_of(args.train)[first : first + len(some)], seed=3 + first)
        index.add(some.numpy())
    stored = faiss.rev_swig_ptr(faiss.downcast_index(index).get_xb(), args.train * args.dim)
    gallery, queries = torch.from_numpy(stored).view(args.train, args.dim), queries_of(args.slice, args.dim)
    searches = {
        'mmssl': ours(gallery, args.k),
        'faiss': by_faiss(gallery, args.k, index),
        'lightly': by_lightly(gallery, args.k),
    }
    answers: dict[str, Tensor] = {}
    seconds: dict[str, dict[int, float]] = {name: {} for name in searches}
    for part in (queries[: args.slice // 4], queries):
        steps = {name: partial(answer_into, answers, name, search, part) for name, search in searches.items()}
        for name, value in in_turns(steps, args.rounds).items():
            seconds[name][len(part)] = value
            print(f'{name}: {len(part)} queries took {value:.1f} s', flush=True)
    for name, answer in answers.items():
        print(f'{name}: {100 * (answer == answers["mmssl"]).double().mean():.2f} % of the answers are those of mmssl')
    return seconds


def extrapolated(seconds: dict[int, float], test: int) -> float:
    """Seconds for all queries, extrapolated from the two timed numbers of queries.

    Raises:
        ValueError: More queries took less time, so the machine was busy with other work.
    """
    (few, short), (many, long) = sorted(seconds.items())
    if long <= short:
        raise ValueError(
            f'{many} queries took {long:.0f} s and {few} took {short:.0f} s: measure on a quiet machine, or with a '
            'larger --slice and more --rounds.'
        )
    return long + (test - many) * (long - short) / (many - few)


def answer_into(answers: dict[str, Tensor], name: str, search: Search, queries: Tensor) -> None:
    """Run a search and store its answers."""
    answers[name] = search(queries)


def peak_megabytes(name: str, args: argparse.Namespace, answer: Connection) -> None:
    """Send how much the process grows in one search."""
    gallery, queries = torch.empty(args.memory_train, args.dim), queries_of(args.slice, args.dim)
    fill(gallery, labels_of(args.memory_train), seed=1)
    search = CANDIDATES[name](gallery, args.k)
    Path('/proc/self/clear_refs').write_text('5')  # resets the peak to the current value
    before = resident('VmRSS')
    search(queries)
    answer.send((resident('VmHWM') - before) / 1000)


def memory_of(name: str, args: argparse.Namespace) -> float:
    """Peak memory of a candidate in a process of its own, in MB."""
    context = multiprocessing.get_context('spawn')
    here, there = context.Pipe()
    process = context.Process(target=peak_megabytes, args=(name, args, there))
    process.start()
    there.close()
    megabytes = here.recv()
    process.join()
    return megabytes


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--train', type=option(COUNT), default=1281167, help='rows to search')
    parser.add_argument('--test', type=option(COUNT), default=50000, help='queries')
    parser.add_argument('--dim', type=option(COUNT), default=2048, help='features per row')
    parser.add_argument('--slice', type=option(COUNT), default=2048, help='number of queries to time')
    parser.add_argument('--k', type=option(COUNT), default=200, help='neighbours')
    parser.add_argument('--rounds', type=option(COUNT), default=3)
    parser.add_argument('--memory-train', type=option(COUNT), default=100000, help='rows for the measurement of memory')
    parser.add_argument('--threads', type=option(COUNT), default=os.cpu_count())
    parser.add_argument('--json', type=Path, help='file to write the figures to')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    faiss.omp_set_num_threads(args.threads)
    seconds = time_all(args)
    megabytes = {name: memory_of(name, args) for name in seconds}
    print(
        f'\n{args.test:,} queries, {args.train:,} rows of {args.dim}, k={args.k}, {args.threads} threads: extrapolated '
        f'from {args.slice // 4} and {args.slice} queries, medians of {args.rounds}; memory with '
        f'{args.memory_train:,} rows'
    )
    whole = {name: extrapolated(values, args.test) for name, values in seconds.items()}
    for name, value in whole.items():
        print(
            f'  {name:8s} {value:10.0f} s   {value / whole["faiss"]:5.2f} x faiss   {megabytes[name]:7.0f} MB beyond '
            'the features'
        )
    if args.json:
        found = {
            'arguments': {**vars(args), 'json': str(args.json)},
            'seconds_of_slices': seconds,
            'seconds_of_all': whole,
            'megabytes': megabytes,
        }
        write_json(args.json, found)


if __name__ == '__main__':
    main()
