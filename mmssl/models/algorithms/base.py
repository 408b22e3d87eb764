"""Base class of algorithms."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmssl.datasets.structures import Batch, DataSample
from mmssl.functional import lengths_on_ranks
from mmssl.models.memories import BaseMemory
from mmssl.models.start import build_backbone
from mmssl.registry import MODELS

__all__ = ['Assignment', 'BaseAlgorithm', 'PictureSheet', 'PretextScore', 'pooled', 'pooled_stages']


@dataclass(frozen=True)
class Assignment:
    """Assignment of images to clusters, prototypes or words.

    Attributes:
        labels: Prototype, cluster or word of each image, int64, -1 for none yet, shape ``(N,)``.
        count: Number of prototypes, clusters or words.
        kind: Name of the kind: ``'clusters'``, ``'prototypes'`` or ``'words'``.
    """

    labels: Tensor
    count: int
    kind: str = 'clusters'


@dataclass(frozen=True)
class PretextScore:
    """How well a method solves its own task, which needs no labels.

    Attributes:
        name: Name of the measure.
        values: One number per image, shape ``(B,)``.
        meaning: What the number says, and which is good.
    """

    name: str
    values: Tensor
    meaning: str


@dataclass(frozen=True)
class PictureSheet:
    """Pictures of what a method does with some images, for the report.

    Attributes:
        title: Title.
        text: What is to be seen, and what the colours mean.
        rows: Pictures with their names, uint8, ``(3, H, W)``.
    """

    title: str
    text: str
    rows: list[list[tuple[Tensor, str]]]


class BaseAlgorithm(BaseModel):
    """Base class of methods, which train a backbone without labels.

    Args:
        backbone: Module or its config; its ``forward`` returns a tuple of feature maps. ``init`` in the config names
            the weights that a training starts from: a file, or a name for :func:`~mmssl.models.find_weights`.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Attributes:
        seed: Seed of the run, for what a method draws at random; set by the Runner.
        num_views: Views per image that ``loss`` takes; None for any number.
        preparation_moves_statistics: Whether batch norm is in training mode while features for memories are computed.
        assigns_features: Whether :meth:`assignments` needs features.
        minimum_batch: Images of all processes together without which an iteration asks nothing, such as the two that
            can be told apart.
        learns_from_maps: Whether only the pixels of the backbone's maps learn, and no class token.

    Raises:
        ValueError: The backbone gives a class token, which the method would not train.
    """

    seed: int = 0
    num_views: int | None = None
    preparation_moves_statistics: bool = False
    assigns_features: bool = False
    learns_from_maps: bool = False
    minimum_batch: int = 1

    def __init__(
        self,
        backbone: nn.Module | dict,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor or {'type': 'mmssl.DataPreprocessor'}, init_cfg=init_cfg)
        self.backbone = build_backbone(backbone)
        if self.learns_from_maps and getattr(self.backbone, 'takes_class_token', False):
            raise ValueError(
                f"{type(self).__name__} learns from maps and would not train the class token: set pool='mean' in "
                'model.backbone.'
            )

    @abstractmethod
    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Compute the losses of one batch, and stage what the memories should learn.

        Args:
            inputs: Normalised views, one ``(B, C, H, W)`` tensor each.
            batch: Sample indices.

        Returns:
            Scalars by name; those with ``loss`` in the name are summed and minimised, all are logged.
        """

    def chance_loss(self, batch_size: int) -> float | None:
        """The loss of a network that cannot tell anything apart: ln of the number of candidates. Monitors watch for it.

        Args:
            batch_size: Images per iteration of all ranks together.

        Returns:
            The value; None, the default, for a method that has no such value.
        """
        return None

    def extract_feat(self, images: Tensor) -> Tensor:
        """Extract features for evaluation and for the method's own neck: the last stage, averaged over the image.

        Args:
            images: Normalised, shape ``(B, C, H, W)``; of clips ``(B, C, T, H, W)``.

        Returns:
            Shape ``(B, D)``.

        Raises:
            ValueError: The backbone takes images with other channels.
        """
        self._check_channels(images)
        return pooled(self.backbone, images)

    def extract_views(self, inputs: list[Tensor]) -> Tensor:
        """Extract features of all views, with one backbone pass per size.

        Args:
            inputs: Normalised views, each ``(B, C, H, W)``; views of one size are adjacent.

        Returns:
            Shape ``(V * B, D)``, view after view.
        """
        sizes = [list(views) for _, views in groupby(inputs, key=lambda view: view.shape[-2:])]
        return torch.cat([self.extract_feat(torch.cat(views)) for views in sizes])

    def embed(self, images: Tensor) -> Tensor:
        """Compute embeddings, the output of the neck; memories are prepared from them.

        Args:
            images: Normalised, shape ``(B, C, H, W)``.

        Returns:
            Shape ``(B, E)``, not normalised; the features themselves if the method has no neck for them.
        """
        features = self.extract_feat(images)
        projected = self.project(features)
        return features if projected is None else projected

    def project(self, features: Tensor) -> Tensor | None:
        """Apply the neck to features; monitors measure its output as well as the features.

        Args:
            features: From :meth:`extract_feat`, shape ``(B, D)``.

        Returns:
            Shape ``(B, E)``, not normalised; None if the method has no neck for them.
        """
        return self.neck(features) if hasattr(self, 'neck') else None

    def assignments(self, features: Callable[[], Tensor]) -> dict[str, Assignment]:
        """Assignments of images in every clustering that the method keeps, for monitors and reports.

        By default these are the labels of the whole training set that the memories hold, under the names of the
        memories. A method that assigns features adds its own, and sets ``assigns_features``.

        Args:
            features: Returns the output of :meth:`extract_feat` for some images, ``(N, D)``; only called if
                ``assigns_features`` is set.

        Returns:
            Assignments by name; a memory that has not labelled any image yet is left out.
        """
        return {
            name: Assignment(memory.labels.long(), memory.num_clusters)
            for name, memory in self.memories().items()
            if memory.num_clusters and bool((memory.labels >= 0).any())
        }

    def segments(self, images: Tensor) -> Tensor | None:
        """Divide every pixel among the parts that the method finds in an image; reports draw them.

        Args:
            images: Normalised, shape ``(B, C, H, W)``.

        Returns:
            Shares that add up to 1 over the parts, shape ``(B, K, H, W)``; None, the default, if it finds no parts.
        """
        return None

    def pretext_scores(self, inputs: list[Tensor], batch: Batch) -> list[PretextScore]:
        """Measure how well the method solves its own task; by default nothing.

        Args:
            inputs: Normalised views of the data set ``evaluation.pretext``.
            batch: The rest of the batch.

        Returns:
            Scores, the same ones for every batch.
        """
        return []

    def picture_sheets(self, inputs: list[Tensor], batch: Batch) -> list[PictureSheet]:
        """Draw what the method does, for the report; by default nothing.

        Args:
            inputs: Normalised views of a few images of ``evaluation.pretext``, or else of the training set.
            batch: The rest of the batch.

        Returns:
            Sheets, each of which becomes a section.
        """
        return []

    def meet(self, dataset: Any) -> None:
        """Learn from the training set what the network must know, such as its words; called on every rank.

        That is once per training, after a checkpoint was loaded and before the first image is.

        Args:
            dataset: The training set.
        """

    def after_preparation(self, epoch: int) -> None:
        """Called on every rank after memories were prepared; a method can reinitialise its classifier here.

        Args:
            epoch: The epoch that follows, from 0.
        """

    def predict(self, inputs: list[Tensor], batch: Batch) -> list[DataSample]:
        """Features of the first view: one DataSample per image, with ``feature`` ``(D,)`` and ``sample_idx``."""
        features = self.extract_feat(inputs[0])
        return [DataSample(feature=row, sample_idx=int(idx)) for row, idx in zip(features, batch.sample_idx)]

    def forward(self, inputs: list[Tensor], batch: Batch | None = None, mode: str = 'tensor') -> Any:
        """MMEngine's entry: ``mode`` is ``'loss'``, ``'predict'`` or ``'tensor'`` (features of the first view)."""
        if mode == 'loss':
            if self.num_views not in (None, len(inputs)):
                raise ValueError(
                    f'{type(self).__name__} takes {self.num_views} views, but the data set gives {len(inputs)}: set '
                    f'train_dataloader.dataset.views.counts to numbers that add up to {self.num_views}.'
                )
            self._check_channels(inputs[0])
            share = share_of_batch(len(inputs[0]), inputs[0].device)
            losses = self.loss(inputs, cast(Batch, batch))  # only 'tensor' works without a batch
            return {name: value * share if 'loss' in name else value for name, value in losses.items()}
        return self.predict(inputs, cast(Batch, batch)) if mode == 'predict' else self.extract_feat(inputs[0])

    def _check_channels(self, images: Tensor) -> None:
        """Refuse images with other channels than the backbone takes; one that does not tell is left alone."""
        channels = getattr(self.backbone, 'in_channels', images.shape[1])
        if images.dim() == 4 and images.shape[1] != channels:
            raise ValueError(
                f'The backbone takes {channels} channels, but the images have {images.shape[1]}: set '
                f'model.backbone.in_channels={images.shape[1]}, or train_dataloader.dataset.channels={channels} and a '
                'mean and std for them.'
            )

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum the losses for MMEngine, and name what is logged: ``loss`` is always the sum that is minimised.

        Args:
            losses: What :meth:`forward` returned in mode ``'loss'``.

        Returns:
            The sum, and the values to log. A part called ``loss`` beside other losses is logged as ``loss_own``.
        """
        total, logged = super().parse_losses(losses)
        if 'loss' in losses and sum('loss' in name for name in losses) > 1:  # MMEngine would log this part as the sum
            logged['loss_own'] = logged['loss']
        return total, {**logged, 'loss': total}

    def memories(self) -> dict[str, BaseMemory]:
        """Every memory by the name of its module."""
        return {name: module for name, module in self.named_modules() if isinstance(module, BaseMemory)}

    def _dump_init_info(self) -> None:
        """Suppress MMEngine's log of two lines per parameter, repeated for every untrained network that is measured."""

    def allocate(self, num_samples: int) -> None:
        """Fit the method to its training set; called once, before a checkpoint is loaded.

        Args:
            num_samples: Number of images of the training set.

        Raises:
            ValueError: A memory does not fit the data; the message says what would.
        """
        for memory in self.memories().values():
            memory.allocate(num_samples)


def share_of_batch(length: int, device: torch.device) -> float:
    """Weight that turns the mean over ranks of per-rank means into the mean over all images; 1 for equal batches."""
    lengths = lengths_on_ranks(length, device)
    return length * len(lengths) / sum(lengths)


def pooled(backbone: nn.Module, images: Tensor) -> Tensor:
    """Features of the last stage of a backbone, averaged over the image or clip, or by the backbone's own ``pooled``.

    Args:
        backbone: Returns a tuple of feature maps.
        images: Normalised, shape ``(B, C, H, W)``.

    Returns:
        Shape ``(B, D)``.
    """
    own = getattr(backbone, 'pooled', None)
    return own(images) if own else _averaged(backbone(images)[-1])


def pooled_stages(backbone: nn.Module, images: Tensor) -> list[Tensor]:
    """Features of every stage of a backbone, pooled as by :func:`pooled`.

    Args:
        backbone: Returns a tuple of feature maps.
        images: Normalised, shape ``(B, C, H, W)``.

    Returns:
        One tensor ``(B, D)`` per stage.
    """
    own = getattr(backbone, 'pooled_stages', None)
    return own(images) if own else [_averaged(stage) for stage in backbone(images)]


def _averaged(features: Tensor) -> Tensor:
    if features.dim() not in (4, 5):
        raise ValueError(
            f'The backbone gives features of shape {tuple(features.shape)}, which are no maps (B, C, H, W): give it '
            'methods pooled(images), which returns (B, D), and pooled_stages(images), one of them per stage.'
        )
    return features.flatten(2).mean(dim=2) if features.dim() == 5 else features.mean(dim=(2, 3))


def build(module: nn.Module | dict) -> nn.Module:
    """Build a module from its config; a module is returned unchanged."""
    return MODELS.build(module) if isinstance(module, dict) else module
