"""Several processes must compute what one computes: the same losses, weights and memories, in float64."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from mmssl.datasets import Batch
from mmssl.functional import gather
from mmssl.models import BaseAlgorithm

STEPS, BATCH, SAMPLES = 5, 12, 30
UNEQUAL = ([6, 6], [4, 4, 4], [7, 5], [5, 4, 3])  # how a global batch is shared out


def train(make: Callable[[], BaseAlgorithm], views: list[Tensor], samples: Tensor, sizes: list[int]) -> tuple:
    """Steps of SGD on this rank's part of each batch: losses, the whole state, and whether the memories agree.

    The network must have no batch norm and no dropout.
    """
    torch.manual_seed(0)
    rank = torch.distributed.get_rank()
    model = make().double()
    model.allocate(SAMPLES)
    prepare(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    wrapped = DistributedDataParallel(model, broadcast_buffers=False)
    losses = []
    for step in range(STEPS):
        draws = torch.arange(BATCH) + BATCH * step
        parts = [part.split(sizes)[rank] for part in (samples[step], draws, *(view[step] for view in views))]
        extras = {'boxes': make_boxes(step).split(sizes)[rank], 'domain': parts[0] % 3}
        extras |= {'gt_trajs': make_trajectories(parts[0]), 'audio': make_sounds(parts[0]), **make_texts(parts[0])}
        for memory in model.memories().values():
            memory.begin_epoch(step // 2)
            memory.begin_step(0.5, 1.0)
        optimizer.zero_grad()
        found = wrapped(parts[2:], Batch(sample_idx=parts[0], draw=parts[1], extras=extras), mode='loss')
        loss = sum(value for name, value in found.items() if 'loss' in name)
        loss.backward()
        optimizer.step()
        for memory in model.memories().values():
            memory.commit()
            memory.maintain(step + 1, 0)
        losses.append(loss.detach())
    agree = all(memory.ranks_agree() for memory in model.memories().values())
    state = {name: value.clone() for name, value in model.state_dict().items()}
    for name, memory in model.memories().items():
        state |= {f'{name}.{key}': gather(getattr(memory, key)) for key in memory.sharded}
    return torch.stack(losses), state, agree


def make_boxes(step: int) -> Tensor:
    """What two views of each image show, ``(BATCH, 2, 4)``; some flipped, some without a common place."""
    corners = torch.rand(2, BATCH, 4, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
    boxes = torch.cat([corners[..., :2], corners[..., :2] + 0.2 + corners[..., 2:]], dim=-1)
    return boxes[..., [2, 1, 0, 3]].transpose(0, 1)


def make_trajectories(samples: Tensor) -> Tensor:
    """Where two patches of each clip are in four frames, ``(B, 2, 4, 4)``."""
    moves = torch.arange(2)[:, None] + torch.arange(4) * (samples % 2)[:, None, None]
    first = torch.stack([moves, samples[:, None, None] % 3 + 0 * moves], dim=3).double()
    return torch.cat([first, first + 3], dim=3)


def make_texts(samples: Tensor) -> dict[str, Tensor]:
    """Tokens, ``(B, 6)``, of texts of one word or more, with their mask."""
    places = torch.arange(6)
    return {'tokens': (samples[:, None] * 7 + places) % 20, 'mask': places <= samples[:, None] % 6}


def make_sounds(samples: Tensor) -> Tensor:
    """Three features of the sound of each video at eight times, ``(B, 3, 8)``."""
    return torch.sin(samples[:, None, None].double() + torch.arange(24).view(3, 8) ** 1.5)


def prepare(model: BaseAlgorithm) -> None:
    """What MemoryHook does before the first epoch, with features made here."""
    for memory in model.memories().values():
        if memory.wants_preparation(0):
            generator = torch.Generator().manual_seed(3)
            features = torch.randn(SAMPLES, getattr(memory, 'dim', 6) or 6, generator=generator, dtype=torch.float64)
            memory.prepare(features.split(7) if memory.prepares_in_batches else features, 0)
    model.after_preparation(0)


def check(
    ranks: Any,
    make: Callable[[], BaseAlgorithm],
    sizes: list[int],
    num_views: int = 2,
    shape: tuple[int, ...] = (3, 8, 8),
) -> dict[str, Tensor]:
    """Compare processes with the given shares of the batch with one process; samples occur twice in a batch."""
    torch.manual_seed(1)
    views = [torch.randn(STEPS, BATCH, *shape, dtype=torch.float64) for _ in range(num_views)]
    samples = torch.randint(SAMPLES, (STEPS, BATCH))
    samples[:, 9] = samples[:, 2]
    losses, state, _ = ranks(1, train, make, views, samples, [BATCH])[0]
    several = ranks(len(sizes), train, make, views, samples, sizes)
    mean = torch.stack([rank[0] for rank in several]).mean(dim=0)
    torch.testing.assert_close(mean, losses, rtol=0, atol=1e-10)
    for _, rank_state, agree in several:
        assert agree
        for name, value in state.items():
            torch.testing.assert_close(
                rank_state[name], value, rtol=0, atol=1e-10, msg=lambda text, name=name: f'{name}: {text}'
            )
    return state


def assert_sane_clusters(state: dict[str, Tensor], memory: str) -> None:
    """Ranks that agree on garbage agree too: rows, sums and centroids must be what a memory of clusters can hold."""
    rows, labels, counts, sums, centroids = (
        state[f'{memory}.{name}'] for name in ('rows', 'labels', 'counts', 'sums', 'centroids')
    )
    assert rows.isfinite().all() and centroids.isfinite().all()
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows), dtype=rows.dtype))
    assert centroids.norm(dim=1).max() < 1 + 1e-6
    assert torch.equal(counts, labels.bincount(minlength=len(counts)))
    recounted = torch.zeros_like(sums).index_add_(0, labels, (rows * 2.0**30).trunc())
    assert torch.equal(sums, recounted)
