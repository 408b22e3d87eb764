"""Features of a data set, in its order, from a network or from raw pixels."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, Dataset, Subset

from mmssl.datasets import Batch, collate
from mmssl.datasets.listing import printable
from mmssl.datasets.workers import start_worker
from mmssl.functional import gather, random_state_kept, rank, sum_over_ranks, world_size
from mmssl.models.modes import eval_mode
from mmssl.progress import Progress

_NUMBERS = ('sample_idx', 'unreadable', 'gt_label')


@dataclass
class Features:
    """Features with labels and sample indices: one row per readable image, in the order of the data set.

    Attributes:
        features: float32 on the CPU, shape ``(N, D)``.
        labels: Classes, shape ``(N,)``, -1 for an image without one; None if the data set has none.
        indices: Sample indices, shape ``(N,)``.
        classes: Names of the classes; None if they have none.
        left_out: Names of the images that could not be read.
    """

    features: Tensor
    labels: Tensor | None
    indices: Tensor
    classes: Sequence[str] | None = None
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.features)

    def rows(self, chosen: Tensor) -> 'Features':
        """Return some of the rows.

        Args:
            chosen: Indices, or a mask of shape ``(N,)``.
        """
        labels = None if self.labels is None else self.labels[chosen]
        return replace(self, features=self.features[chosen], labels=labels, indices=self.indices[chosen])


class RawPixels(nn.Module):
    """Baseline for every network: flattened pixels from 0 to 1, with the interface of an algorithm.

    Images with a side longer than 32 pixels are reduced to 32 x 32 (with antialiasing), so that a row has at most
    3,072 numbers for three channels; smaller images are not resized.
    """

    side = 32
    white = {torch.uint8: 255.0, torch.uint16: 65535.0}

    def data_preprocessor(self, data: dict, training: bool = False) -> dict:
        """Scale a collated batch to [0, 1], on the device of the run; ``training`` is part of the interface."""
        # Feature sequences are floats, and stay as they are.
        views = [view.float() / self.white.get(view.dtype, 1.0) for view in data['inputs']]
        return {'inputs': [view.to(get_device()) for view in views]}

    def extract_feat(self, images: Tensor) -> Tensor:
        """Flatten images of shape ``(B, C, H, W)`` to ``(B, C * H * W)``; frames and steps count as channels."""
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
    views: int = 1,
) -> Features:
    """Extract features of the first view of every image, or the mean over several views.

    Runs in eval mode and restores the mode of every module; leaves the random generators of a running training
    untouched. Several ranks share the work, and each gets all rows. Images that cannot be read have no row; a warning
    counts and names them.

    Args:
        model: A :class:`~mmssl.models.BaseAlgorithm`, or :class:`RawPixels`.
        dataset: Gives uint8 or uint16 views.
        batch_size: Images per step and rank.
        num_workers: Loading processes per rank; 0 loads in this process.
        forward: Function from normalised images to features, instead of ``extract_feat``.
        views: Number of views, such as the clips of a video, whose features are averaged.

    Returns:
        ``N`` rows in the order of the data set.

    Raises:
        ValueError: The data set is empty, or none of its images can be read.
    """
    rows, indices, unreadable, *labels = _rows(model, dataset, batch_size, num_workers, views, forward)
    found = Features(
        rows[:, 0] if views == 1 else rows.mean(dim=1), labels[0] if labels else None, indices, class_names(dataset)
    )
    return readable(found, unreadable, dataset)


def extract_views(
    model: nn.Module, dataset: Dataset, views: int = 2, batch_size: int = 256, num_workers: int = 0
) -> tuple[Tensor, ...]:
    """Extract features of the first views of every readable image; otherwise like :func:`extract_features`.

    Args:
        model: A :class:`~mmssl.models.BaseAlgorithm`, or :class:`RawPixels`.
        dataset: Gives the views.
        views: Number of views; the data set may give more.
        batch_size: Images per step and rank.
        num_workers: Loading processes per rank.

    Returns:
        One ``(N, D)`` tensor per view, rows in the order of the data set.

    Raises:
        ValueError: The data set is empty.
    """
    found, _, unreadable, *_ = _rows(model, dataset, batch_size, num_workers, views)
    return (found if (unreadable < 0).all() else found[unreadable < 0]).unbind(dim=1)


def readable(found: Features, unreadable: Tensor, dataset: Any) -> Features:
    """Leave out the rows of images that could not be read; a warning counts and names them.

    Args:
        found: One row per image of the data set, of which those of unreadable images show a replacement.
        unreadable: Indices of the images that were replaced, -1 for the others; shape ``(N,)``.
        dataset: The images.

    Returns:
        The other rows; ``found`` itself if every image could be read.

    Raises:
        ValueError: No image could be read.
    """
    kept = unreadable < 0
    if bool(kept.all()):
        return found
    names = tuple(_name(dataset, index) for index in unreadable[~kept].tolist())
    text = f'{len(names)} of {len(kept)} images cannot be read and are left out: {listed(names)}.'
    if not kept.any():
        raise ValueError(f'{text} Nothing is left to measure on: give readable images.')
    warn_once(text)
    return replace(found.rows(kept), left_out=names)


@cache
def warn_once(sentence: str) -> None:
    """Log a warning, however often the same images are measured."""
    print_log(sentence, 'current', logging.WARNING)


def listed(names: Sequence[str], most: int = 5) -> str:
    """Join names by commas: the first ones, and how many more there are."""
    more = len(names) - most
    return ', '.join(map(printable, names[:most])) + (f' and {more} more' if more > 0 else '')


def class_names(dataset: Any) -> Sequence[str] | None:
    """Names of a data set's classes; None if they have none."""
    return getattr(getattr(_whole(dataset), 'source', None), 'classes', None)


def _name(dataset: Any, index: int) -> str:
    return getattr(_whole(dataset), 'name', 'image {}'.format)(index)


def _whole(dataset: Any) -> Any:
    """Return the data set that a subset of torch was taken from."""
    return _whole(dataset.dataset) if isinstance(dataset, Subset) else dataset


def raw_pixel_features(dataset: Dataset, batch_size: int = 256, num_workers: int = 0) -> Features:
    """Extract the pixels of the first view of every image, as :class:`RawPixels` flattens them.

    Args:
        dataset: Gives uint8 or uint16 views, all of one size.
        batch_size: Images per step and rank.
        num_workers: Loading processes per rank.

    Returns:
        ``N`` rows in the order of the data set.
    """
    return extract_features(RawPixels(), dataset, batch_size, num_workers)


@torch.no_grad()
def share_statistics(model: nn.Module) -> None:
    """Copy the first rank's running statistics of batch norm to every rank: a checkpoint stores those.

    Otherwise the networks of the ranks would differ, and a resumed run would extract other features than a whole run.
    """
    for module in _batch_norms(model) if world_size() > 1 else ():
        for statistic in module.buffers(recurse=False):
            statistic.copy_(sum_over_ranks(statistic if rank() == 0 else torch.zeros_like(statistic)))


def _rows(model: nn.Module, dataset: Dataset, *how: Any) -> tuple[Tensor, ...]:
    """Features ``(N, V, D)``, sample indices, replaced images, and labels if any; equal on every rank."""
    with Progress('Extracting features', len(dataset), log=False) as bar:
        return joined(_counted(feature_batches(model, dataset, *how), bar), len(dataset))


def _counted(batches: Iterable[tuple[Tensor, ...]], bar: Progress) -> Iterator[tuple[Tensor, ...]]:
    for parts in batches:
        yield parts
        bar.advance(len(parts[0]))


def joined(batches: Iterable[tuple[Tensor, ...]], length: int) -> tuple[Tensor, ...]:
    """Concatenate the tensors of many batches without holding any row twice.

    Args:
        batches: Tuples of tensors with ``B`` rows each.
        length: Total number of rows.

    Returns:
        One tensor of ``length`` rows per entry of the tuples.
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
    """Extract features batch by batch, gathered over the ranks; otherwise like :func:`extract_views`.

    Args:
        model: A :class:`~mmssl.models.BaseAlgorithm`, or :class:`RawPixels`.
        dataset: Gives the views.
        batch_size: Images per step and rank.
        num_workers: Loading processes per rank.
        views: Number of views.
        forward: Function from normalised images to features, instead of ``extract_feat``.
        move_statistics: Keep batch norm in training mode: its running statistics change, the weights do not.

    Yields:
        On the CPU and equal on every rank: features ``(B, V, D)``, sample indices ``(B,)``, indices of images that
        another one replaced because they cannot be read ``(B,)`` (-1 for all others), and labels ``(B,)`` if there are
        any; ``N`` images in total, in the order of the data set, in ``ceil(N / (batch_size * ranks))`` batches.

    Raises:
        ValueError: The data set is empty.
    """
    batches = _loaded(dataset, batch_size, num_workers)
    yield from forward_batches(model, batches, len(dataset), views, forward, move_statistics)


def _loaded(dataset: Dataset, batch_size: int, num_workers: int) -> DataLoader:
    """This rank's share of every step."""
    if len(dataset) == 0:
        raise ValueError('The data set has no images to extract features from: give one with at least one image.')
    shares = [own_share(len(dataset), batch_size, place) for place in range(count_steps(len(dataset), batch_size))]
    workers = {'num_workers': num_workers, 'worker_init_fn': start_worker}
    return DataLoader(dataset, batch_sampler=shares, collate_fn=collate, **workers)


def evaluate_batches(
    model: nn.Module,
    dataset: Dataset,
    compute: Callable[[list[Tensor], Batch], Tensor],
    batch_size: int = 256,
    num_workers: int = 0,
) -> Tensor:
    """Compute rows from all views and fields of every image, in eval mode; otherwise like :func:`extract_features`.

    Args:
        model: A :class:`~mmssl.models.BaseAlgorithm`, whose preprocessor is used.
        dataset: The images.
        compute: Function from normalised views and their batch to rows, ``(B, ...)``.
        batch_size: Images per step and rank.
        num_workers: Loading processes per rank.

    Returns:
        Rows of all images that can be read, in the order of the data set, on the CPU and equal on every rank.

    Raises:
        ValueError: The data set is empty, or none of its images can be read.
    """
    batches, length = _loaded(dataset, batch_size, num_workers), len(dataset)
    rows, replaced = [], []
    share_statistics(model)
    with random_state_kept(), eval_mode(model), torch.no_grad():
        for batch in batches:
            unreadable = batch.get('unreadable', torch.full_like(batch['sample_idx'], -1))
            data = model.data_preprocessor(batch, training=False)
            found = compute(data['inputs'], data['batch'])
            kept = min(length, len(unreadable) * world_size())
            rows.append(gather(found)[:kept].cpu())
            replaced.append(gather(unreadable.to(found.device))[:kept].cpu())
            length -= kept
    readable = torch.cat(replaced) < 0
    if not readable.any():
        raise ValueError('No image of the data set can be read: give readable images.')
    return torch.cat(rows)[readable]


def forward_batches(
    model: nn.Module,
    batches: Iterable[dict],
    length: int,
    views: int = 1,
    forward: Callable[[Tensor], Tensor] | None = None,
    move_statistics: bool = False,
) -> Iterator[tuple[Tensor, ...]]:
    """Extract features of collated batches, which hold this rank's share; otherwise like :func:`feature_batches`.

    Args:
        model: A :class:`~mmssl.models.BaseAlgorithm`, or :class:`RawPixels`.
        batches: One batch per step, with the images of :func:`own_share`.
        length: Number of images of all ranks together; the padding of the last step is cut off.
        views: Number of views.
        forward: As in :func:`feature_batches`.
        move_statistics: As in :func:`feature_batches`.

    Yields:
        The same as :func:`feature_batches`.
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
                batch.setdefault('unreadable', torch.full_like(batch['sample_idx'], -1))  # a data set may not say
                numbers = [batch[key].to(rows.device) for key in _NUMBERS if key in batch]
                parts = tuple(gather(part)[:length].cpu() for part in (rows, *numbers))
            length -= len(parts[0])
            yield parts


def _batch_norms(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def count_steps(length: int, batch_size: int) -> int:
    """Number of steps in which all ranks together process ``length`` images."""
    return -(-length // (batch_size * world_size()))


def own_share(length: int, batch_size: int, place: int) -> list[int]:
    """Indices of this rank's images in one step: equally many on every rank, in the data set's order once gathered.

    The last step is padded to equal shares with copies of the last image, which are cut off after gathering.

    Args:
        length: Number of images in the data set.
        batch_size: Images per step and rank.
        place: Number of the step, from 0.
    """
    step = batch_size * world_size()
    first = place * step
    share = -(-min(step, length - first) // world_size())
    start = first + rank() * share
    return [min(index, length - 1) for index in range(start, start + share)]
