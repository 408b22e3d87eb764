"""Data set that turns a draw into views of one image."""

import copy
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from mmssl.datasets.images import UnreadableImageError, as_channels, convertible, watch_warnings
from mmssl.datasets.sources import ImageSource, build_source
from mmssl.datasets.structures import RESERVED
from mmssl.functional import hash_seed, seed_cpu
from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import DATASETS, TRANSFORMS

_LOOKED_AT = 3  # images, of which most tell the number of bits
TRIES = 10  # images, one after the other, that may be unreadable


@DATASETS.register_module()
class ImageDataset(Dataset):
    """Views of the images of a source, determined by ``(seed, draw)`` and independent of workers, ranks and batches.

    Each access seeds the CPU generators of torch, NumPy and ``random`` in the loading process, decodes the image once,
    and makes all its views. An unreadable image is replaced by another, chosen by a hash. So is one of 16 bits among
    images of 8 bits, or the reverse, and one whose channels do not fit where those of the others do.

    Args:
        source: Image source or its config.
        views: Turns a ``(C, H, W)`` tensor into one view, a list of views, or a dictionary of ``inputs`` and further
            fields; or its config.
        channels: Number of channels of the network, at least 1. Gray is repeated for 3, colour becomes luminance for 1,
            alpha is dropped for 3.
        seed: Seed of the run; set by the Runner.
        plain_views: Evaluation view for :meth:`plain`, or its config. By default the Runner sets the one in the
            config's evaluation section.

    Attributes:
        source: The images.
    """

    def __init__(
        self,
        source: ImageSource | dict,
        views: Callable[[Tensor], Tensor | list[Tensor] | dict] | dict,
        channels: int = 3,
        seed: int = 0,
        plain_views: Callable[[Tensor], Tensor | list[Tensor] | dict] | dict | None = None,
    ) -> None:
        check_numbers(COUNT, channels=channels)
        self.source = build_source(source)
        self.views = TRANSFORMS.build(views) if isinstance(views, dict) else views
        self.channels, self.seed, self.plain_views = channels, seed, plain_views
        self._usual: tuple[torch.dtype | None, bool] | None = None
        if hasattr(self.views, 'check_channels'):
            self.views.check_channels(channels)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, key: int | tuple[int, int]) -> dict:
        """Load an image and make its views.

        Args:
            key: ``(index, draw)`` from the sampler, or an index alone, which is then also the draw.

        Returns:
            ``inputs``, a list of ``(C, H, W)`` views; ``sample_idx``, the index of the image that they show; ``draw``;
            ``unreadable``, the index of the image that was replaced, or -1; ``warned``, the image's own index if Pillow
            warned of its file, or -1; ``gt_label`` if the source has labels; and
            every further field that the source (:meth:`~mmssl.datasets.ImageSource.extras`) or the views (``boxes``)
            give.

        Raises:
            IndexError: There is no such image.
            UnreadableImageError: Ten images in a row cannot be read.
            ValueError: Two fields have the same name.
        """
        index, draw = key if isinstance(key, tuple | list) else (key, key)
        if not 0 <= index < len(self):
            raise IndexError(f'Image {index} of {len(self)} does not exist.')
        with watch_warnings() as warnings:
            image, extras, shown = self._load(int(index), int(draw))
        seed_cpu(hash_seed(self.seed, draw))
        if hasattr(self.views, 'epoch'):
            self.views.epoch = draw // len(self)
        views = self._view(image)
        made = dict(views) if isinstance(views, dict) else {'inputs': views}
        inputs, label = made.pop('inputs'), self.source.label(shown)
        _check_names(extras, made)
        return {
            'inputs': [inputs] if isinstance(inputs, Tensor) else list(inputs),
            'sample_idx': shown,
            'draw': int(draw),
            'unreadable': -1 if shown == index else int(index),
            'warned': shown if warnings and str(self.source.path(shown)) in warnings else -1,
            **({} if label is None else {'gt_label': label}),
            **extras,
            **made,
        }

    def name(self, index: int) -> str:
        """Name of an image for messages."""
        return self.source.name(index)

    def reason(self, index: int) -> str:
        """Say why an image cannot be read, by trying again; empty if it can be now."""
        with watch_warnings():  # they are not to be shown again
            try:
                self._load_usual(index)
            except UnreadableImageError as error:
                return str(error)
        return ''

    def plain(self) -> 'ImageDataset':
        """Return the same images with the evaluation view: one fixed view each, in the order of the data set.

        Memories are prepared from these views.

        Raises:
            ValueError: There is no evaluation view.
        """
        if self.plain_views is None:
            raise ValueError(
                'The data set has no evaluation view, from which memories are prepared: set evaluation.gallery.views, '
                'or train_dataloader.dataset.plain_views.'
            )
        plain = copy.copy(self)
        plain.views = TRANSFORMS.build(self.plain_views) if isinstance(self.plain_views, dict) else self.plain_views
        plain.seed = 0  # an unreadable image has the same replacement in every run
        return plain

    def _view(self, image: Any) -> Tensor | list[Tensor] | dict:
        """Make the views of what :meth:`_load` gave."""
        return self.views(as_channels(image, self.channels))

    def _load(self, index: int, draw: int) -> tuple[Any, dict[str, Any], int]:
        """Load an image, its extras and its index; replace an unreadable image by one that a hash chooses."""
        for attempt in range(TRIES):
            try:
                return self._load_usual(index), self.source.extras(index), index
            except UnreadableImageError as error:
                last = error
                index = hash_seed(self.seed, draw, attempt) % len(self)
        raise UnreadableImageError(f'{TRIES} images in a row cannot be read; the last: {last}')

    def _load_usual(self, index: int) -> Tensor:
        """Load an image, and refuse one that is not like the others: it could not be stacked with them.

        Raises:
            UnreadableImageError: It cannot be read, or has another number of bits, or channels that do not fit.
        """
        image = self.source.load(index)
        self._usual = self._usual or self._look_at_some()
        dtype, fits = self._usual
        if dtype is not None and image.dtype != dtype:
            bits, others = (8 * kind.itemsize for kind in (image.dtype, dtype))
            raise UnreadableImageError(
                f'{self.name(index)} has {bits} bits per value, but most images have {others}; convert it to {others}'
            )
        if fits and not convertible(len(image), self.channels):
            raise UnreadableImageError(
                f'{self.name(index)} has {len(image)} channels, which do not become {self.channels} as those of most '
                'images do'
            )
        return image

    def _look_at_some(self) -> tuple[torch.dtype | None, bool]:
        """The dtype of most images, and whether the channels of any fit the network; the same in every process."""
        found: list[Tensor] = []
        for place in range(_LOOKED_AT):
            with suppress(UnreadableImageError):
                found.append(self.source.load(place * len(self) // _LOOKED_AT))
        dtypes = Counter(image.dtype for image in found).most_common(1)
        return dtypes[0][0] if dtypes else None, any(convertible(len(image), self.channels) for image in found)


def _check_names(given: dict[str, Any], made: dict[str, Any]) -> None:
    """Refuse a field of the source or the views whose name is already taken."""
    for owner, fields, others in (('source', given, RESERVED), ('views', made, (*RESERVED, *given))):
        if taken := [name for name in fields if name in others]:
            raise ValueError(
                f'The {owner} give{"s" if owner == "source" else ""} a field {taken[0]!r}, a name that the data set or '
                f'the source uses already: give it another name.'
            )
