"""What every algorithm has in common."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmssl.datasets.structures import Batch, DataSample
from mmssl.functional import lengths_on_ranks
from mmssl.models.memories import BaseMemory
from mmssl.registry import MODELS


@dataclass(frozen=True)
class Assignment:
    """Where images belong.

    Attributes:
        labels: Prototype, cluster or word of each image, int64, -1 for none yet, shape ``(N,)``.
        count: How many prototypes, clusters or words there are.
        kind: What they are called: ``'clusters'``, ``'prototypes'`` or ``'words'``.
    """

    labels: Tensor
    count: int
    kind: str = 'clusters'


class BaseAlgorithm(BaseModel):
    """A backbone, and what a method needs to train it without labels.

    Args:
        backbone: Module or its config; its ``forward`` gives a tuple of feature maps.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Attributes:
        seed: Of the run, for what a method draws at random; set by the Runner.
        num_views: Views an image that ``loss`` takes; None for any number.
        preparation_moves_statistics: Whether batch norm is in training mode where features for memories are made.
        assigns_features: Whether :meth:`assignments` needs features.
    """

    seed: int = 0
    num_views: int | None = None
    preparation_moves_statistics: bool = False
    assigns_features: bool = False

    def __init__(
        self,
        backbone: nn.Module | dict,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor or {'type': 'mmssl.DataPreprocessor'}, init_cfg=init_cfg)
        self.backbone = build(backbone)

    @abstractmethod
    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """The method: losses of one batch, and what its memories should learn staged.

        Args:
            inputs: Normalised views, one ``(B, C, H, W)`` tensor each.
            batch: Numbers of the samples.

        Returns:
            Scalars by name; those with ``loss`` in the name are summed and minimised, all are logged.
        """

    def extract_feat(self, images: Tensor) -> Tensor:
        """Features for evaluation and for the method's own neck: the last stage, averaged over the image.

        Args:
            images: Normalised, shape ``(B, C, H, W)``.

        Returns:
            Shape ``(B, D)``.
        """
        return pooled(self.backbone, images)

    def embed(self, images: Tensor) -> Tensor:
        """Embeddings: what the neck makes of the features. Memories are prepared from them.

        Args:
            images: Normalised, shape ``(B, C, H, W)``.

        Returns:
            Shape ``(B, E)``, not normalised; the features themselves where the method has no neck for them.
        """
        features = self.extract_feat(images)
        projected = self.project(features)
        return features if projected is None else projected

    def project(self, features: Tensor) -> Tensor | None:
        """What the neck makes of features; monitors look at it, beside the features themselves.

        Args:
            features: From :meth:`extract_feat`, shape ``(B, D)``.

        Returns:
            Shape ``(B, E)``, not normalised; None where the method has no neck for them.
        """
        return self.neck(features) if hasattr(self, 'neck') else None

    def assignments(self, features: Callable[[], Tensor]) -> dict[str, Assignment]:
        """Where images belong, in every clustering that the method keeps; monitors and reports ask for it.

        By default these are the labels that memories hold, of the whole training set, under the names of the memories.
        A method that assigns features adds its own, and says so in ``assigns_features``.

        Args:
            features: Gives what :meth:`extract_feat` makes of some images, ``(N, D)``; only called where
                ``assigns_features`` is set.

        Returns:
            By name; a memory that has not labelled any sample yet is left out.
        """
        return {
            name: Assignment(memory.labels.long(), memory.num_clusters)
            for name, memory in self.memories().items()
            if memory.num_clusters and bool((memory.labels >= 0).any())
        }

    def after_preparation(self, epoch: int) -> None:
        """Runs on every rank when memories have been prepared; methods that start anew from there do it here.

        Args:
            epoch: The epoch that follows, from 0.
        """

    def predict(self, inputs: list[Tensor], batch: Batch) -> list[DataSample]:
        """Features of the first view, one DataSample an image with ``feature`` ``(D,)`` and ``sample_idx``."""
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
            share = share_of_batch(len(inputs[0]), inputs[0].device)
            return {
                name: value * share if 'loss' in name else value for name, value in self.loss(inputs, batch).items()
            }
        return self.predict(inputs, batch) if mode == 'predict' else self.extract_feat(inputs[0])

    def memories(self) -> dict[str, BaseMemory]:
        """Every memory by the name of its module."""
        return {name: module for name, module in self.named_modules() if isinstance(module, BaseMemory)}

    def _dump_init_info(self) -> None:
        """Say nothing: MMEngine would log two lines a parameter, where a table measures the untrained network too."""

    def allocate(self, num_samples: int) -> None:
        """Fit the method to its training set; called once, before a checkpoint is loaded.

        Args:
            num_samples: Number of images of the training set.

        Raises:
            ValueError: Something does not fit; the message says what would.
        """
        for memory in self.memories().values():
            memory.allocate(num_samples)


def share_of_batch(length: int, device: torch.device) -> float:
    """What a rank's mean counts for, so that the mean over the ranks is that over all samples; 1 for equal batches."""
    lengths = lengths_on_ranks(length, device)
    return length * len(lengths) / sum(lengths)


def pooled(backbone: nn.Module, images: Tensor) -> Tensor:
    """The last stage of a backbone, averaged over the image (or as the backbone pools it).

    Args:
        backbone: Gives a tuple of feature maps.
        images: Normalised, shape ``(B, C, H, W)``.

    Returns:
        Shape ``(B, D)``.
    """
    features = backbone(images)[-1]
    pool = getattr(backbone, 'pool', None)
    return pool(features) if pool else features.mean(dim=(2, 3))


def build(module: nn.Module | dict) -> nn.Module:
    """A module from its config; a module stays as it is."""
    return MODELS.build(module) if isinstance(module, dict) else module
