"""RotNet: tell by how many quarters an image was turned (Gidaris et al., ICLR 2018)."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mmssl.datasets.structures import Batch
from mmssl.functional import four_rotations, in_float32
from mmssl.models.algorithms.base import BaseAlgorithm, build
from mmssl.models.modes import eval_mode
from mmssl.registry import MODELS

_ROTATIONS = 4


@MODELS.register_module()
class RotNet(BaseAlgorithm):
    """Classify the rotation of an image: all four rotations of it are in the same batch.

    The label of a rotation is its number of quarter turns, counter-clockwise. Crops and flips come before it, in the
    views of the data set.

    Args:
        backbone: Module or its config, with ``out_channels``.
        head: Module or its config; features to four scores. By default one linear layer.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: The head does not take the features of the backbone, or does not give four scores.

    Source: the paper, section 3.1; gidariss/FeatureLearningRotNet.
    """

    num_views = 1

    def __init__(
        self,
        backbone: nn.Module | dict,
        head: nn.Module | dict | None = None,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.head = build(head) if head else _linear(self.backbone.out_channels)
        self._check_head()

    def _check_head(self) -> None:
        width = self.backbone.out_channels
        features = next(self.head.parameters()).new_zeros(1, width)
        try:
            with torch.no_grad(), eval_mode(self.head):
                scores = self.head(features).shape[1]
        except RuntimeError as error:
            raise ValueError(
                f'The head does not take features of {width} channels, which the backbone gives ({error}): set '
                f'model.head.in_channels to {width}, or leave out model.head.'
            ) from error
        if scores != _ROTATIONS:
            raise ValueError(
                f'The head gives {scores} scores, but there are {_ROTATIONS} rotations: set model.head.out_channels to '
                f'{_ROTATIONS}, or leave out model.head.'
            )

    def rotation_scores(self, images: Tensor) -> Tensor:
        """Scores of the four rotations for each of the four rotated versions of an image.

        Args:
            images: Normalised and square, shape ``(B, C, S, S)``.

        Returns:
            Shape ``(B, 4, 4)``: the last dimension has the scores, the one before it the quarter turns.

        Raises:
            ValueError: The images are not square.
        """
        rotated = four_rotations(images).flatten(0, 1)  # (4B, C, S, S), image after image
        return self.head(self.extract_feat(rotated)).unflatten(0, (-1, _ROTATIONS))

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the four rotations of every image (RotNet, eq. 3).

        Args:
            inputs: One normalised view, ``(B, C, S, S)``.
            batch: Not used.

        Returns:
            ``loss``, the mean over all ``4B`` rotated images; ``rotation_accuracy``, the percentage of them that was
            right.
        """
        scores = self.rotation_scores(inputs[0])  # (B, 4, 4)
        labels = torch.arange(_ROTATIONS, device=scores.device).expand(len(scores), -1)  # (B, 4)
        loss = in_float32(cross_entropy)(scores.flatten(0, 1), labels.flatten())
        return {'loss': loss, 'rotation_accuracy': 100 * (scores.argmax(dim=2) == labels).float().mean()}

    def chance_loss(self, batch_size: int) -> float:
        """Ln 4."""
        return math.log(_ROTATIONS)


def _linear(channels: int) -> nn.Linear:
    layer = nn.Linear(channels, _ROTATIONS)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
    return layer
