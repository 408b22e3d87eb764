"""What clusters cost at ImageNet's size, beside the plain way of the reference codes.

    python tools/benchmarks/speed/clusters.py [--num 1281167] [--steps 200] [--json FILE]

- ODC (256 dimensions, 10,000 clusters, 512 samples a step): the assignment's product and argmax, which no form can do
  without; everything else that a step does (rows, sums, counts, centroids every 10 steps, small clusters, weights),
  averaged over all steps; and the same in the reference's way (labels counted anew twice a step, centroids by a loop
  over the clusters, sums over all rows).
- InterCLR's semi-hard draw (16,384 of the 128,000 most similar, 32 queries): choosing positives and negatives, their
  cosines; beside the reference's loop over the batch, and beside the product with all rows and the top-k alone.

Sizes of clusters are log-normal. How many fall below the minimum size depends on the data; what one costs is printed.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from mmssl.datasets import Batch
from mmssl.functional import unit
from mmssl.models import ClusterMemory, InterImage

CLUSTERS, LEAST, INTERVAL = 10000, 20, 10


def sizes(num: int, clusters: int) -> Tensor:
    """Sizes of clusters, log-normal, at least :data:`LEAST`, ``num`` in all."""
    generator = torch.Generator().manual_seed(0)
    shares = torch.randn(clusters, generator=generator).exp()
    counts = LEAST + (shares / shares.sum() * (num - LEAST * clusters)).long()
    counts[0] += num - counts.sum()
    return counts


def clustered(num: int, dim: int, clusters: int) -> tuple[Tensor, Tensor]:
    """Unit rows around centres at random, and the centre of each."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(clusters).repeat_interleave(sizes(num, clusters))
    centres = unit(torch.randn(clusters, dim, generator=generator))
    rows = torch.empty(num, dim)
    for part, some in zip(rows.split(100000), labels.split(100000)):
        part.copy_(unit(centres[some] + 0.05 * torch.randn(part.shape, generator=generator)))
    return rows, labels


def memory_of(rows: Tensor, labels: Tensor, **settings: float) -> ClusterMemory:
    """A memory that holds these rows in these clusters."""
    clusters = int(labels.max()) + 1
    memory = ClusterMemory(clusters, rows.shape[1], min_cluster=LEAST, centroid_interval=INTERVAL, **settings)
    memory.rows, memory.labels = rows, labels.clone()
    memory.recount()
    return memory


class Batches:
    """Samples drawn with replacement, whose embeddings have moved; one in ten goes over to another cluster."""

    def __init__(self, rows: Tensor, batch: int) -> None:
        self.rows, self.batch, self.generator = rows, batch, torch.Generator().manual_seed(2)

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Sample numbers and unit embeddings."""
        numbers = torch.randint(len(self.rows), (2, self.batch), generator=self.generator)
        stays = torch.rand(self.batch, generator=self.generator) < 0.9
        moved = self.rows[torch.where(stays, *numbers)]
        return numbers[0], unit(moved + 0.02 * torch.randn(moved.shape, generator=self.generator))


def measure_odc(num: int, steps: int, dim: int = 256, batch: int = 512) -> dict[str, float]:
    """Seconds a step of the product, of our memory, and of the reference's way."""
    rows, labels = clustered(num, dim, min(CLUSTERS, num // (2 * LEAST)))
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
        dissolved += int((memory.counts < LEAST).sum())
        memory.maintain(step, 0)
        times['mmssl, all of it'].append(time.perf_counter() - start)
    seconds = {name: statistics.mean(values) for name, values in times.items()}
    again, largest = dissolve_smallest(memory)
    seconds["the reference's way"] = reference_odc(memory, batches, 2 * INTERVAL)
    rest = seconds['mmssl, all of it'] - seconds['product and argmax']
    print(f'\nODC, {num:,} rows, {len(memory.counts):,} clusters, {batch} samples a step, mean of {steps} steps:')
    for name, value in seconds.items():
        print(f'  {name:24s} {1e3 * value:9.1f} ms   {value / seconds["product and argmax"]:7.2f} x product and argmax')
    beyond = rest / seconds['product and argmax']
    print(f'  ours beyond the product: {beyond:.3f} of it; {dissolved} clusters were dissolved on the way')
    print(f'  dissolving one cluster and halving one of {largest} images: {1e3 * again:.0f} ms')
    return {**seconds, 'beyond': beyond, 'dissolved': dissolved / steps, 'dissolve': again}


def dissolve_smallest(memory: ClusterMemory, rounds: int = 5) -> tuple[float, int]:
    """Median seconds to dissolve the smallest cluster, and the size of the first one that gives a half."""
    times, largest = [], int(memory.counts.max())
    for _ in range(rounds):
        memory.min_cluster = int(memory.counts.min()) + 1
        several = int((memory.counts < memory.min_cluster).sum())
        start = time.perf_counter()
        memory.maintain(1, 0)
        times.append((time.perf_counter() - start) / several)
    return statistics.median(times), largest


def reference_odc(memory: ClusterMemory, batches: Batches, steps: int) -> float:
    """Seconds a step where everything is counted and added up anew (our transcription of the reference's order)."""
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
    """Every cluster with the numbers of its members."""
    order = np.argsort(labels, kind='stable')
    parts = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    return [(int(labels[part[0]]), part) for part in parts]


def dissolve_plainly(bank: np.ndarray, labels: np.ndarray, centroids: Tensor) -> None:
    """Small clusters, with a count over all labels for every one of them."""
    counts = np.bincount(labels, minlength=len(centroids))
    small = np.flatnonzero(counts < LEAST)
    if not len(small):
        return
    kept = np.flatnonzero(counts >= LEAST)
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
    rows, labels = clustered(num, dim, min(CLUSTERS, num // (2 * LEAST)))
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
    """The draw as the reference does it: redrawn until no negative is of the own cluster, sample by sample."""
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
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--num', type=int, default=1281167, help='rows of the bank')
    parser.add_argument(
        '--steps', type=int, default=200, help="of ODC; InterCLR's draw is measured a twentieth as often"
    )
    parser.add_argument('--json', type=Path, help='also write the figures here')
    args = parser.parse_args()
    found = {
        'odc': measure_odc(args.num, args.steps),
        'interclr': measure_interclr(args.num, max(args.steps // 20, 1)),
    }
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + '\n')


if __name__ == '__main__':
    main()
