"""The data set: a draw in, views of one image out."""

from collections.abc import Callable

from torch import Tensor
from torch.utils.data import Dataset

from mmssl.datasets.images import UnreadableImageError, as_channels
from mmssl.datasets.sources import ImageSource, build_source
from mmssl.functional import hash_seed, seed_cpu
from mmssl.registry import DATASETS, TRANSFORMS

_TRIES = 10


@DATASETS.register_module()
class ImageDataset(Dataset):
    """Views of the images of a source, a function of ``(seed, draw)`` only: not of workers, ranks or batches.

    Each access seeds the CPU generators of torch, NumPy and ``random`` (of the process that loads), decodes the image
    once, and makes all views of it. An image that cannot be read is replaced by another, chosen by hash.

    Args:
        source: Where the images come from, or its config.
        views: ``(C, H, W)`` tensor in; out come one view, a list of views, or a dictionary of ``inputs`` and more; or
            its config.
        channels: What the network takes; gray images are repeated to 3, colours mixed to 1, alpha dropped for 3.
        seed: Of the run; the Runner sets it.

    Attributes:
        source: The images.
    """

    def __init__(
        self,
        source: ImageSource | dict,
        views: Callable[[Tensor], Tensor | list[Tensor] | dict] | dict,
        channels: int = 3,
        seed: int = 0,
    ) -> None:
        self.source = build_source(source)
        self.views = TRANSFORMS.build(views) if isinstance(views, dict) else views
        self.channels, self.seed = channels, seed
        if hasattr(self.views, 'check_channels'):
            self.views.check_channels(channels)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, key: int | tuple[int, int]) -> dict:
        """Make a sample.

        Args:
            key: ``(index, draw)`` from the sampler, or an index alone, which then is the draw too.

        Returns:
            ``inputs``, a list of ``(C, H, W)`` views; ``sample_idx``, the image they show; ``draw``; ``unreadable``,
            -1 or the index of the image that was replaced; ``gt_label`` where the source has labels; what else the
            views give (``boxes``).

        Raises:
            IndexError: No such image.
            UnreadableImageError: Ten images in a row cannot be read.
        """
        index, draw = key if isinstance(key, tuple | list) else (key, key)
        if not 0 <= index < len(self):
            raise IndexError(f'Image {index} of {len(self)} does not exist.')
        image, shown = self._load(int(index), int(draw))
        seed_cpu(hash_seed(self.seed, draw))
        views = self.views(as_channels(image, self.channels))
        made = views if isinstance(views, dict) else {'inputs': [views] if isinstance(views, Tensor) else list(views)}
        sample = {
            **made,
            'sample_idx': shown,
            'draw': int(draw),
            'unreadable': -1 if shown == index else int(index),
        }
        label = self.source.label(shown)
        return sample if label is None else {**sample, 'gt_label': label}

    def _load(self, index: int, draw: int) -> tuple[Tensor, int]:
        """An image and its number: the one asked for, or the first of some chosen by hash that can be read."""
        for attempt in range(_TRIES):
            try:
                return self.source.load(index), index
            except UnreadableImageError as error:
                last = error
                index = hash_seed(self.seed, draw, attempt) % len(self)
        raise UnreadableImageError(f'{_TRIES} images in a row cannot be read; the last: {last}')
