"""Features of images from files, folders, Pillow images or tensors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from PIL import Image
from torch import Tensor, nn

from mmssl import evaluation
from mmssl.datasets import ArraySource, EvalView, ImageDataset, ImageFolder, ImageSource
from mmssl.datasets.images import image_to_tensor, read_image
from mmssl.registry import TRANSFORMS

ImageInput: TypeAlias = str | Path | Image.Image


class _Given(ImageSource):
    """Paths and Pillow images, in the given order."""

    fingerprint = ''

    def __init__(self, images: Sequence[ImageInput]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def load(self, index: int) -> Tensor:
        image = self.images[index]
        return image_to_tensor(image) if isinstance(image, Image.Image) else read_image(image)

    def name(self, index: int) -> str:
        return str(self.images[index])


class _EachAsGiven(ImageDataset):
    """Data set that does not replace an unreadable image, since its row would be another image's."""

    def _load(self, index: int, draw: int) -> tuple[Tensor, dict[str, Any], int]:
        return self.source.load(index), self.source.extras(index), index


def extract_features(
    model: nn.Module,
    images: ImageInput | Sequence[ImageInput] | Tensor,
    view: EvalView | None = None,
    batch_size: int = 64,
    num_workers: int = 0,
) -> Tensor:
    """Extract features of images, resized and normalised as the model's config says.

    Args:
        model: From :func:`~mmssl.apis.get_model`, or any :class:`~mmssl.models.BaseAlgorithm`; it runs in eval mode on
            its current device (``model.cuda()`` moves it).
        images: A folder (searched recursively, and sorted), the path of an image, a Pillow image, a list of paths and
            Pillow images, or a uint8 tensor of shape ``(B, C, H, W)``. Images are converted between gray and colour if
            the network needs it.
        view: How to resize and crop; by default as in the ``evaluation`` section of ``model.cfg``, or to 256 and 224
            pixels if the model has no config.
        batch_size: Images per step.
        num_workers: Loading processes; 0 loads in this process.

    Returns:
        float32 on the CPU, shape ``(N, D)``, one row per image, in the given order (sorted for a folder).

    Raises:
        ValueError: There are no images, or a tensor has another type or shape.
        UnreadableImageError: An image cannot be read; the message names it.
    """
    channels = model.data_preprocessor.mean.numel()
    dataset = _EachAsGiven(_source(images, channels), view or _view_of(model), channels)
    return evaluation.extract_features(model, dataset, batch_size, num_workers).features


def _source(images: ImageInput | Sequence[ImageInput] | Tensor, channels: int) -> ImageSource:
    if isinstance(images, Tensor):
        if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] not in (1, 3, 4, channels):
            raise ValueError(
                f'A {images.dtype} tensor of shape {tuple(images.shape)}: give torch.uint8 of shape (B, C, H, W) with '
                f'{channels} channels, or gray, colour or RGBA images; not normalised (the model does that).'
            )
        return ArraySource(images.permute(0, 2, 3, 1).cpu().numpy())
    if isinstance(images, str | Path) and Path(images).is_dir():
        return ImageFolder(images, labels=False)
    return _Given([images] if isinstance(images, str | Path | Image.Image) else list(images))


def _view_of(model: nn.Module) -> EvalView:
    if not hasattr(model, 'cfg'):
        return EvalView(256, 224)
    return TRANSFORMS.build(model.cfg.evaluation.gallery.views)
