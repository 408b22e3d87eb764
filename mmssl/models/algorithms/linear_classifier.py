"""Linear classification on a frozen backbone: how the papers measure a representation."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from mmssl.datasets.structures import Batch, DataSample
from mmssl.functional import in_float32
from mmssl.models.algorithms.base import BaseAlgorithm
from mmssl.registry import MODELS


@MODELS.register_module()
class LinearClassifier(BaseAlgorithm):
    """A linear layer on the averaged features of a backbone that learns nothing and stays in eval mode.

    Args:
        backbone: Module or its config, with ``out_channels``.
        num_classes: Number of classes; ``tools/benchmarks/classification/linear.py`` sets it from the data.
        checkpoint: File with the backbone's weights, read when the weights are initialised; see
            :func:`~mmssl.export.load_backbone`.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Source: facebookresearch/moco and facebookresearch/swav (weights of the layer N(0, 0.01), bias 0).
    """

    def __init__(
        self,
        backbone: nn.Module | dict,
        num_classes: int,
        checkpoint: str | None = None,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.backbone.requires_grad_(False)
        self.checkpoint = checkpoint
        self.classifier = nn.Linear(self.backbone.out_channels, num_classes)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def init_weights(self) -> None:
        """Load the backbone.

        Raises:
            ValueError: A key of the backbone is not in the checkpoint.
        """
        from mmssl.export import load_backbone

        super().init_weights()
        if self.checkpoint is not None:
            load_backbone(self.checkpoint, self.backbone)

    def train(self, mode: bool = True) -> 'LinearClassifier':
        """Switch the mode; the backbone stays in eval mode, so its batch norm uses and keeps its statistics."""
        super().train(mode)
        self.backbone.eval()
        return self

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Any]:
        """Cross-entropy of the classes.

        Args:
            inputs: Normalised pictures, one view, ``(B, C, H, W)``.
            batch: With ``gt_label``.

        Returns:
            ``loss``, and ``train_top1``, the share of the batch that was right, in percent.

        Raises:
            ValueError: The pictures have no labels.
        """
        if batch.gt_label is None:
            raise ValueError('Linear classification needs labels: give images in one folder a class, or with a list.')
        logits = self.classify(inputs[0])
        right = (logits.argmax(dim=1) == batch.gt_label).float().mean()
        return {'loss': cross_entropy(logits, batch.gt_label), 'train_top1': 100 * right}

    def classify(self, images: Tensor) -> Tensor:
        """Scores of the classes: normalised ``(B, C, H, W)`` pictures to ``(B, num_classes)`` in float32."""
        with torch.no_grad():
            features = self.extract_feat(images)
        return _scores(features, self.classifier.weight, self.classifier.bias)

    def predict(self, inputs: list[Tensor], batch: Batch) -> list[DataSample]:
        """One DataSample an image with ``scores`` ``(num_classes,)``, ``label`` and ``sample_idx``."""
        scores = self.classify(inputs[0])
        return [
            DataSample(scores=row, label=int(row.argmax()), sample_idx=int(idx))
            for row, idx in zip(scores, batch.sample_idx)
        ]


@in_float32
def _scores(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return linear(features, weight, bias)
