"""Features of a data set, in its order, from a network or from the bare pixels."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.device import get_device
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, Dataset

from mmssl.datasets import collate
from mmssl.functional import gather, random_state_kept, rank, sum_over_ranks, world_size
from mmssl.models.modes import eval_mode


@dataclass
class Features:
    """What evaluation works on: one row a sample, in the order of the data set.

    Attributes:
        features: float32 on the CPU, shape ``(N, D)``.
        labels: Classes, shape ``(N,)``; None where the data set has none.
        indices: Numbers of the samples; the replacement's where an image could not be read. Shape ``(N,)``.
    """

    features: Tensor
    labels: Tensor | None
    indices: Tensor

    def __len__(self) -> int:
        return len(self.features)


class RawPixels(nn.Module):
    """The baseline for every network: pixels in a row, from 0 to 1, in the place of an algorithm.

    Images with a side longer than 32 pixels are shrunk to 32 x 32 (with antialiasing), so that a row stays as short
    as 3,072 numbers for three channels; smaller ones stay as they are.
    """

    side = 32
    white = {torch.uint8: 255.0, torch.uint16: 65535.0}

    def data_preprocessor(self, data: dict, training: bool = False) -> dict:
        """Scale a collated batch to 0 to 1, on the device of the run; ``training`` is part of the interface."""
        views = [view.float() / self.white[view.dtype] for view in data['inputs']]
        return {'inputs': [view.to(get_device()) for view in views]}

    def extract_feat(self, images: Tensor) -> Tensor:
        """Flatten images of shape ``(B, C, H, W)`` to ``(B, C * H * W)``; a clip's frames are taken for channels."""
        images = images.flatten(1, -3)
        if max(images.shape[-2:]) > self.side:
            images = interpolate(images, size=(self.side, self.side), mode='bilinear', antialias=True)
        return images.flatten(1)


def extract_features(
    model: nn.Module,
    dataset: Dataset,
    batch_size: int = 256,
    num_workers: int = 0,
    forward: Callable[[Tensor], Tensor] | None = None,
) -> Features:
    """Features of the first view of every sample.

    Runs in eval mode and puts every module back into the mode it had; takes nothing from the random generators of a
    running training. Several ranks share the work, and each gets all rows.

    Args:
        model: A :class:`~mmssl.models.BaseAlgorithm`, or :class:`RawPixels`.
        dataset: Its samples carry uint8 or uint16 views.
        batch_size: Images a step and rank.
        num_workers: Loading processes of each rank; 0 loads in this one.
        forward: Part of the model that gives other features of normalised images than ``extract_feat``.

    Returns:
        ``N`` rows in the order of the data set.

    Raises:
        ValueError: The data set is empty.
    """
    views, indices, *labels = _rows(model, dataset, batch_size, num_workers, 1, forward)
    return Features(views[:, 0], labels[0] if labels else None, indices)


def extract_views(
    model: nn.Module, dataset: Dataset, views: int = 2, batch_size: int = 256, num_workers: int = 0
) -> tuple[Tensor, ...]:
    """Features of the first so many views of every sample; otherwise as :func:`extract_features`.

    Args:
        model: A :class:`~mmssl.models.BaseAlgorithm`, or :class:`RawPixels`.
        dataset: Its samples carry the views.
        views: Number of views; a sample may have more.
        batch_size: Samples a step and rank.
        num_workers: Loading processes of each rank.

    Returns:
        One ``(N, D)`` tensor a view, rows in the order of the data set.

    Raises:
        ValueError: The data set is empty.
    """
    return _rows(model, dataset, batch_size, num_workers, views)[0].unbind(dim=1)


def raw_pixel_features(dataset: Dataset, batch_size: int = 256, num_workers: int = 0) -> Features:
    """The pixels of the first view of every sample, as :class:`RawPixels` lays them out.

    Args:
        dataset: Its samples carry uint8 or uint16 views, all of one size.
        batch_size: Images a step and rank.
        num_workers: Loading processes of each rank.

    Returns:
        ``N`` rows in the order of the data set.
    """
    return extract_features(RawPixels(), dataset, batch_size, num_workers)


@torch.no_grad()
def share_statistics(model: nn.Module) -> None:
    """Give every rank the running statistics of the first one's batch norm, which are those that a checkpoint holds.

    Otherwise the ranks would extract features with networks that differ, and a resumed run others than the whole one.
    """
    for module in _batch_norms(model) if world_size() > 1 else ():
        for statistic in module.buffers(recurse=False):
            statistic.copy_(sum_over_ranks(statistic if rank() == 0 else torch.zeros_like(statistic)))


def _rows(model: nn.Module, dataset: Dataset, *how: Any) -> tuple[Tensor, ...]:
    """``(N, V, D)`` features, sample numbers and, where there are any, labels; the same on every rank."""
    return joined(feature_batches(model, dataset, *how), len(dataset))


def joined(batches: Iterable[tuple[Tensor, ...]], length: int) -> tuple[Tensor, ...]:
    """Tensors of many batches, one after the other, without ever being there twice.

    Args:
        batches: Of each, tensors of ``B`` rows.
        length: Rows in all.

    Returns:
        As many tensors, of ``length`` rows.
    """
    stores: list[Tensor] = []
    done = 0
    for parts in batches:
        stores = stores or [part.new_empty((length, *part.shape[1:])) for part in parts]
        for store, part in zip(stores, parts):
            store[done : done + len(part)] = part
        done += len(parts[0])
    return tuple(stores)


def feature_batches(
    model: nn.Module,
    dataset: Dataset,
    batch_size: int = 256,
    num_workers: int = 0,
    views: int = 1,
    forward: Callable[[Tensor], Tensor] | None = None,
    move_statistics: bool = False,
) -> Iterator[tuple[Tensor, ...]]:
    """Features batch by batch, of all ranks together, the same on every rank; otherwise as :func:`extract_views`.

    Args:
        model: A :class:`~mmssl.models.BaseAlgorithm`, or :class:`RawPixels`.
        dataset: Its samples carry the views.
        batch_size: Images a step and rank.
        num_workers: Loading processes of each rank.
        views: Number of views.
        forward: Part of the model that gives other features of normalised images than ``extract_feat``.
        move_statistics: Keep batch norm in training mode, so that its running statistics move while weights do not.

    Yields:
        On the CPU: features ``(B, V, D)``, sample numbers ``(B,)`` and, where there are any, labels ``(B,)``; in all,
        ``N`` samples in the order of the data set, in ``ceil(N / (batch_size * ranks))`` batches.

    Raises:
        ValueError: The data set is empty.
    """
    if len(dataset) == 0:
        raise ValueError('Features of a data set without samples: give one with at least one image.')
    shares = [own_share(len(dataset), batch_size, place) for place in range(count_steps(len(dataset), batch_size))]
    batches = DataLoader(dataset, batch_sampler=shares, collate_fn=collate, num_workers=num_workers)
    yield from forward_batches(model, batches, len(dataset), views, forward, move_statistics)


def forward_batches(
    model: nn.Module,
    batches: Iterable[dict],
    length: int,
    views: int = 1,
    forward: Callable[[Tensor], Tensor] | None = None,
    move_statistics: bool = False,
) -> Iterator[tuple[Tensor, ...]]:
    """Features of collated batches, this rank's share of each step; otherwise as :func:`feature_batches`.

    Args:
        model: A :class:`~mmssl.models.BaseAlgorithm`, or :class:`RawPixels`.
        batches: Of :func:`own_share`, one a step.
        length: Samples of all ranks together; what fills up the last step is cut off.
        views: Number of views.
        forward: As in :func:`feature_batches`.
        move_statistics: As in :func:`feature_batches`.

    Yields:
        As :func:`feature_batches`.
    """
    forward = forward or model.extract_feat
    share_statistics(model)
    with random_state_kept(), eval_mode(model):
        for module in _batch_norms(model) if move_statistics else ():
            module.train()
        for batch in batches:
            with torch.no_grad():
                inputs = model.data_preprocessor({**batch, 'inputs': batch['inputs'][:views]}, training=False)['inputs']
                rows = torch.stack([forward(view).float() for view in inputs], dim=1)
                numbers = [batch[key].to(rows.device) for key in ('sample_idx', 'gt_label') if key in batch]
                parts = tuple(gather(part)[:length].cpu() for part in (rows, *numbers))
            length -= len(parts[0])
            yield parts


def _batch_norms(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def count_steps(length: int, batch_size: int) -> int:
    """Steps in which all ranks go through so many samples."""
    return -(-length // (batch_size * world_size()))


def own_share(length: int, batch_size: int, place: int) -> list[int]:
    """This rank's samples of one step. Every rank gets equally many, and gathered they give the order of the data set.

    What the last step lacks for equal shares is filled by repeating the last sample; it is cut off after gathering.

    Args:
        length: Samples of the data set.
        batch_size: Samples a step and rank.
        place: Number of the step, from 0.
    """
    step = batch_size * world_size()
    first = place * step
    share = -(-min(step, length - first) // world_size())
    start = first + rank() * share
    return [min(index, length - 1) for index in range(start, start + share)]
