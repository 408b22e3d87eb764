"""Features of images from files, folders, Pillow images or tensors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.functional import to_pil_image

from mmssl import evaluation
from mmssl.datasets import ArraySource, EvalView, ImageDataset, ImageFolder, ImageSource
from mmssl.datasets.images import image_to_tensor, read_image
from mmssl.models import DataPreprocessor
from mmssl.registry import TRANSFORMS

ImageInput: TypeAlias = str | Path | Image.Image
Transform: TypeAlias = Callable[[Image.Image], Tensor]


class ImageFeatures(NamedTuple):
    """Features of images, with the name of each row: ``features, names = mmssl.extract_features(model, 'my_images')``.

    Attributes:
        features: float32 on the CPU, shape ``(N, D)``, one row per image.
        names: What each row shows, ``N`` texts: the path of a file (within the folder that was given), ``'image[3]'``
            for a Pillow image at index 3 of the list, or ``'array[3]'`` for an entry of a tensor.
    """

    features: Tensor
    names: list[str]


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
        image = self.images[index]
        return f'image[{index}]' if isinstance(image, Image.Image) else str(image)


class _EachAsGiven(ImageDataset):
    """Data set that does not replace an unreadable image, since its row would be another image's."""

    def _load(self, index: int, draw: int) -> tuple[Tensor, dict[str, Any], int]:
        return self.source.load(index), self.source.extras(index), index


@dataclass
class _Transformed:
    """Makes the view of a transform for Pillow images, such as torchvision's and timm's."""

    transform: Transform

    def __call__(self, image: Tensor) -> Tensor:
        if image.dtype != torch.uint8:
            raise ValueError(
                f'An image of {image.dtype}, which transforms for Pillow images do not take: give an EvalView as view.'
            )
        view = self.transform(to_pil_image(image))
        if not isinstance(view, Tensor) or view.dim() != 3:
            raise ValueError(
                f'The view made a {type(view).__name__} of an image: give a transform whose result is a tensor of '
                'shape (C, H, W), for example with torchvision.transforms.ToTensor() at its end.'
            )
        return view


class _AnyNetwork(nn.Module):
    """A network with the interface of an algorithm.

    Args:
        network: Any module that takes ``(B, C, H, W)``.
        normalised: Whether the views are normalised already; else they are as ImageNet's are.
    """

    def __init__(self, network: nn.Module, normalised: bool) -> None:
        super().__init__()
        self.network, self.normalised = network, normalised
        self._preprocessor = DataPreprocessor()

    def data_preprocessor(self, data: dict, training: bool = False) -> dict:
        """Move a collated batch to the device of the network, and normalise it where that is not done yet."""
        tensor = next(self.network.parameters(), torch.empty(0))
        if not self.normalised:
            data = self._preprocessor(data, training)
        return {'inputs': [view.to(tensor) for view in data['inputs']]}

    def extract_feat(self, images: Tensor) -> Tensor:
        """Return features ``(B, D)``: the output, of several the last, averaged over positions if it is a map."""
        inner = getattr(self.network, 'extract_feat', self.network)
        output = inner(images)
        output = output[-1] if isinstance(output, tuple | list) else output
        if not isinstance(output, Tensor) or output.dim() not in (2, 4):
            shape = f' of shape {tuple(output.shape)}' if isinstance(output, Tensor) else ''
            raise ValueError(
                f'{type(self.network).__name__} gives a {type(output).__name__}{shape}: give a network with features '
                '(B, D) or maps (B, D, H, W).'
            )
        return output.mean(dim=(2, 3)) if output.dim() == 4 else output


def extract_features(
    model: nn.Module,
    images: ImageInput | Sequence[ImageInput] | Tensor,
    view: EvalView | Transform | None = None,
    batch_size: int = 64,
    num_workers: int = 0,
) -> ImageFeatures:
    """Extract features of images, resized and normalised as the model's config says.

    Args:
        model: From :func:`~mmssl.apis.get_model` or :func:`~mmssl.apis.load`, any
            :class:`~mmssl.models.BaseAlgorithm`, or any other network, which needs ``view``; it runs in eval mode on
            its current device (``model.cuda()`` moves it).
        images: A folder (searched recursively, and sorted), the path of an image, a Pillow image, a list of paths and
            Pillow images, or a uint8 tensor of shape ``(B, C, H, W)``. Images are converted between gray and colour if
            the network needs it.
        view: How to resize and crop; by default as in the ``evaluation`` section of ``model.cfg``, or to 256 and 224
            pixels if an algorithm has no config. An :class:`~mmssl.datasets.EvalView` leaves the normalisation to the
            algorithm; for another network it is ImageNet's. Any other transform, such as torchvision's
            ``weights.transforms()`` or timm's ``create_transform(...)``, gets RGB Pillow images and normalises itself.
        batch_size: Images per step.
        num_workers: Loading processes; 0 loads in this process.

    Returns:
        Features and names, in the given order (sorted for a folder).

    Raises:
        ValueError: There are no images, a tensor has another type or shape, or a network that is no algorithm comes
            without ``view``.
        UnreadableImageError: An image cannot be read; the message names it.
    """
    views = _view_of(model) if view is None else view if isinstance(view, EvalView) else _Transformed(view)
    normalised = isinstance(views, _Transformed)
    as_algorithm = hasattr(model, 'data_preprocessor') and not normalised
    channels = model.data_preprocessor.mean.numel() if as_algorithm else 3
    source = _source(images, channels)
    dataset = _EachAsGiven(source, views, channels)
    network = model if as_algorithm else _AnyNetwork(model, normalised)
    found = evaluation.extract_features(network, dataset, batch_size, num_workers)
    return ImageFeatures(found.features, [source.name(index) for index in range(len(source))])


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
    if not hasattr(model, 'data_preprocessor'):
        raise ValueError(
            f'{type(model).__name__} does not say how to resize and normalise images: give a transform as view, such '
            'as weights.transforms() of torchvision or mmssl.datasets.EvalView(256, 224).'
        )
    if not hasattr(model, 'cfg'):
        return EvalView(256, 224)
    return TRANSFORMS.build(model.cfg.evaluation.gallery.views)
