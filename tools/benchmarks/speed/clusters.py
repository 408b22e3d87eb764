"""Cost of cluster memories at ImageNet's size, compared with the reference codes.

    python tools/benchmarks/speed/clusters.py [--num 1281167] [--steps 200] [--json FILE]

- ODC (256 dimensions, 10,000 clusters, 512 samples per step): the product and argmax of the assignment, which every
  form needs; everything else in a step (rows, sums, counts, centroids every 10 steps, small clusters, weights),
  averaged over all steps; and the same as in the reference code (all labels counted twice per step, centroids in a loop
  over the clusters, sums over all rows).
- InterCLR's semi-hard draw (16,384 of the 128,000 most similar, 32 queries): choosing positives and negatives, and
  their cosines; compared with the reference's loop over the batch, and with only the product with all rows and the
  top-k.

Cluster sizes are log-normal. How many fall below the minimum size depends on the data; the cost of one is printed.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from mmssl.datasets import Batch
from mmssl.files import write_json
from mmssl.functional import unit
from mmssl.models import ClusterMemory, InterImage
from mmssl.ranges import COUNT, option

CLUSTERS, MIN_SIZE, INTERVAL = 10000, 20, 10


def sizes(num: int, clusters: int) -> Tensor:
    """Log-normal cluster sizes of at least :data:`MIN_SIZE`; their sum is ``num``."""
    generator = torch.Generator().manual_seed(0)
    shares = torch.randn(clusters, generator=generator).exp()
    counts = MIN_SIZE + (shares / shares.sum() * (num - MIN_SIZE * clusters)).long()
    counts[0] += num - counts.sum()
    return counts


def clustered(num: int, dim: int, clusters: int) -> tuple[Tensor, Tensor]:
    """Unit rows around random centres, and the centre of each."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(clusters).repeat_interleave(sizes(num, clusters))
    centres = unit(torch.randn(clusters, dim, generator=generator))
    rows = torch.empty(num, dim)
    for part, some in zip(rows.split(100000), labels.split(100000)):
        part.copy_(unit(centres[some] + 0.05 * torch.randn(part.shape, generator=generator)))
    return rows, labels


def memory_of(rows: Tensor, labels: Tensor, **settings: float) -> ClusterMemory:
    """A memory with these rows and clusters."""
    clusters = int(labels.max()) + 1
    memory = ClusterMemory(clusters, rows.shape[1], min_cluster=MIN_SIZE, centroid_interval=INTERVAL, **settings)
    memory.rows, memory.labels = rows, labels.clone()
    memory.recount()
    return memory


class Batches:
    """Samples drawn with replacement, with changed embeddings; one in ten moves to another cluster."""

    def __init__(self, rows: Tensor, batch: int) -> None:
        self.rows, self.batch, self.generator = rows, batch, torch.Generator().manual_seed(2)

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Sample numbers and unit embeddings."""
        numbers = torch.randint(len(self.rows), (2, self.batch), generator=self.generator)
        stays = torch.rand(self.batch, generator=self.generator) < 0.9
        moved = self.rows[torch.where(stays, *numbers)]
        return numbers[0], unit(moved + 0.02 * torch.randn(moved.shape, generator=self.generator))


def measure_odc(num: int, steps: int, dim: int = 256, batch: int = 512) -> dict[str, float]:
    """Seconds per step of the product, of our memory, and of the reference's way."""
    rows, labels = clustered(num, dim, min(CLUSTERS, num // (2 * MIN_SIZE)))
    memory, batches = memory_of(rows, labels), Batches(rows, batch)
    times: dict[str, list[float]] = {'product and argmax': [], 'mmssl, all of it': []}
    dissolved = 0
    for step in range(1, steps + 1):
        sample_idx, embeddings = batches()
        start = time.perf_counter()
        (embeddings @ memory.centroids.T).argmax(dim=1)
        times['product and argmax'].append(time.perf_counter() - start)
        start = time.perf_counter()
        _ = memory.class_weights
        memory.stage(sample_idx, embeddings)
        memory.commit()
        dissolved += int((memory.counts < MIN_SIZE).sum())
        memory.maintain(step, 0)
        times['mmssl, all of it'].append(time.perf_counter() - start)
    seconds = {name: statistics.mean(values) for name, values in times.items()}
    again, largest = dissolve_smallest(memory)
    seconds["the reference's way"] = reference_odc(memory, batches, 2 * INTERVAL)
    rest = seconds['mmssl, all of it'] - seconds['product and argmax']
    print(f'\nODC, {num:,} rows, {len(memory.counts):,} clusters, {batch} samples per step, mean of {steps} steps:')
    for name, value in seconds.items():
        print(f'  {name:24s} {1e3 * value:9.1f} ms   {value / seconds["product and argmax"]:7.2f} x product and argmax')
    beyond = rest / seconds['product and argmax']
    print(f'  ours beyond the product: {beyond:.3f} of it; {dissolved} clusters were dissolved during these steps')
    print(f'  dissolving one cluster and halving one of {largest} images: {1e3 * again:.0f} ms')
    return {**seconds, 'beyond': beyond, 'dissolved': dissolved / steps, 'dissolve': again}


def dissolve_smallest(memory: ClusterMemory, rounds: int = 5) -> tuple[float, int]:
    """Median seconds to dissolve the smallest cluster, and the size of the first cluster that is halved."""
    times, largest = [], int(memory.counts.max())
    for _ in range(rounds):
        memory.min_cluster = int(memory.counts.min()) + 1
        several = int((memory.counts < memory.min_cluster).sum())
        start = time.perf_counter()
        memory.maintain(1, 0)
        times.append((time.perf_counter() - start) / several)
    return statistics.median(times), largest


def reference_odc(memory: ClusterMemory, batches: Batches, steps: int) -> float:
    """Seconds per step if everything is counted and summed again (our transcription of the reference's order)."""
    bank, centroids = memory.rows.numpy(), memory.centroids.clone()
    labels, clusters = memory.labels.numpy().copy(), len(memory.counts)
    start = time.perf_counter()
    for step in range(1, steps + 1):
        sample_idx, embeddings = batches()
        new = unit(0.5 * memory.rows[sample_idx] + 0.5 * embeddings)
        bank[sample_idx.numpy()] = new.numpy()
        labels[sample_idx.numpy()] = (new @ centroids.T).argmax(dim=1).numpy()
        if step % INTERVAL == 0:
            for cluster, members in members_of_all(labels):
                centroids[cluster] = torch.from_numpy(bank[members].mean(axis=0))
        dissolve_plainly(bank, labels, centroids)
        weights = (np.bincount(labels, minlength=clusters) + 1e-5) ** -0.5
        weights /= weights.sum()
    return (time.perf_counter() - start) / steps


def members_of_all(labels: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Every cluster with the indices of its members."""
    order = np.argsort(labels, kind='stable')
    parts = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    return [(int(labels[part[0]]), part) for part in parts]


def dissolve_plainly(bank: np.ndarray, labels: np.ndarray, centroids: Tensor) -> None:
    """Dissolve small clusters, with a count over all labels for each of them."""
    counts = np.bincount(labels, minlength=len(centroids))
    small = np.flatnonzero(counts < MIN_SIZE)
    if not len(small):
        return
    kept = np.flatnonzero(counts >= MIN_SIZE)
    for cluster in small:
        members = np.flatnonzero(labels == cluster)
        if len(members):
            labels[members] = kept[(torch.from_numpy(bank[members]) @ centroids[kept].T).argmax(dim=1).numpy()]
    for cluster in small:
        largest = np.bincount(labels, minlength=len(centroids)).argmax()
        members = np.flatnonzero(labels == largest)
        second = KMeans(2, n_init=1, max_iter=20, random_state=0).fit_predict(bank[members]) == 1
        labels[members[second]] = cluster
        for changed in (largest, cluster):
            centroids[changed] = torch.from_numpy(bank[labels == changed].mean(axis=0))


def measure_interclr(num: int, rounds: int, dim: int = 128, batch: int = 32) -> dict[str, float]:
    """Seconds of a semi-hard draw of 32 queries."""
    rows, labels = clustered(num, dim, min(CLUSTERS, num // (2 * MIN_SIZE)))
    pool, count = num // 10, num // 78
    settings = {'num_clusters': int(labels.max()) + 1, 'dim': dim}
    head = InterImage(settings, num_negatives=count, negatives='semihard', pool_size=pool)
    head.clusters = memory_of(rows, labels)
    batches = Batches(rows, batch)
    times: dict[str, list[float]] = {'product and top-k': [], 'mmssl, loss': [], "the reference's way": []}
    for draw in range(rounds + 1):
        sample_idx, queries = batches()
        start = time.perf_counter()
        (queries @ rows.T).topk(pool, dim=1, sorted=False)
        times['product and top-k'].append(time.perf_counter() - start)
        start = time.perf_counter()
        head(queries, Batch(sample_idx=sample_idx, draw=draw * batch + torch.arange(batch)))
        times['mmssl, loss'].append(time.perf_counter() - start)
        start = time.perf_counter()
        reference_interclr(rows, labels, queries, labels[sample_idx], pool, count)
        times["the reference's way"].append(time.perf_counter() - start)
    seconds = {name: statistics.median(values[1:]) for name, values in times.items()}
    print(f'\nInterCLR, {count:,} semi-hard negatives of {pool:,}, {batch} queries, median of {rounds}:')
    for name, value in seconds.items():
        print(f'  {name:24s} {1e3 * value:9.0f} ms   {value / seconds["product and top-k"]:7.2f} x product and top-k')
    return seconds


def reference_interclr(rows: Tensor, labels: Tensor, queries: Tensor, own: Tensor, pool: int, count: int) -> Tensor:
    """The draw of the reference: query by query, drawn again until no negative is in the query's own cluster."""
    candidates = (queries @ rows.T).topk(pool, dim=1).indices
    positives, negatives = [], []
    for query in range(len(queries)):
        members = (labels == own[query]).nonzero()[:, 0]
        positives.append(members[torch.randint(len(members), (1,))])
        drawn = candidates[query][torch.multinomial(torch.ones(pool), count)]
        while (wrong := labels[drawn] == own[query]).any():
            drawn = torch.where(wrong, candidates[query][torch.multinomial(torch.ones(pool), count)], drawn)
        negatives.append(drawn)
    chosen = torch.cat([torch.stack(positives), torch.stack(negatives)], dim=1)
    return torch.einsum('bd,bkd->bk', queries, rows[chosen])


def main() -> None:
    """Measure ODC and InterCLR."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--num', type=option(COUNT), default=1281167, help='rows of the bank')
    parser.add_argument(
        '--steps',
        type=option(COUNT),
        default=200,
        help="number of ODC's steps; InterCLR's draw is measured a twentieth as often",
    )
    parser.add_argument('--json', type=Path, help='file to write the figures to')
    args = parser.parse_args()
    found = {
        'odc': measure_odc(args.num, args.steps),
        'interclr': measure_interclr(args.num, max(args.steps // 20, 1)),
    }
    if args.json:
        write_json(args.json, found)


if __name__ == '__main__':
    main()
