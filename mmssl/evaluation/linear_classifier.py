"""Classification with the features of a backbone, as the papers measure a representation."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mmssl.datasets.structures import Batch, DataSample
from mmssl.evaluation.linear import NEEDS_LABELS
from mmssl.functional import in_float32
from mmssl.models import BaseAlgorithm
from mmssl.ranges import COUNT, POSITIVE, SHARE, check_given, check_numbers
from mmssl.registry import MODELS
from mmssl.weights import load_backbone


@MODELS.register_module()
class LinearClassifier(BaseAlgorithm):
    """Linear layer on the averaged features of a backbone that is frozen, or fine-tuned as well.

    A frozen backbone stays in eval mode, so its batch norm uses and keeps its statistics.

    Args:
        backbone: Module or its config, with ``out_channels``.
        num_classes: Number of classes, at least 1; ``tools/benchmarks/classification/linear.py`` sets it from the data.
        frozen: Whether only the layer learns.
        batch_norm: Whether the features pass through batch norm without weight and bias before the layer (MAE).
        dropout: Probability of dropping a feature before the layer, 0 to 1.
        checkpoint: File with the backbone's weights, read during the initialisation; see
            :func:`~mmssl.export.load_backbone`.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Attributes:
        heads: Names of the classifiers in logs and results.
        keeps_features: Whether the features of an image are one row, so that those of a whole set can be kept.

    Source: facebookresearch/moco and facebookresearch/swav (weights of the layer N(0, 0.01), bias 0);
    facebookresearch/mae for the batch norm.
    """

    heads: tuple[str, ...] = ('linear',)
    keeps_features: bool = True

    def __init__(
        self,
        backbone: nn.Module | dict,
        num_classes: int,
        frozen: bool = True,
        batch_norm: bool = False,
        dropout: float = 0.0,
        checkpoint: str | None = None,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(COUNT, num_classes=num_classes)
        check_numbers(SHARE, dropout=dropout)
        super().__init__(backbone, data_preprocessor, init_cfg)
        if frozen:
            self.backbone.requires_grad_(False)
        self.num_classes, self.frozen, self.checkpoint = num_classes, frozen, checkpoint
        self.dropout = nn.Dropout(dropout)
        self._make_heads(batch_norm)

    def _make_heads(self, batch_norm: bool) -> None:
        channels = self.backbone.out_channels
        self.norm = nn.BatchNorm1d(channels, eps=1e-6, affine=False) if batch_norm else nn.Identity()
        self.classifier = _layer(channels, self.num_classes)

    def init_weights(self) -> None:
        """Load the backbone.

        Raises:
            ValueError: A key of the backbone is not in the checkpoint.
        """
        super().init_weights()
        if self.checkpoint is not None:
            load_backbone(self.checkpoint, self.backbone)

    def train(self, mode: bool = True) -> 'LinearClassifier':
        """Switch the mode; a frozen backbone stays in eval mode."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def features(self, images: Tensor) -> list[Tensor]:
        """Features for each of the ``heads``: normalised ``(B, C, H, W)`` images to tensors of ``B`` rows."""
        return [self.extract_feat(images)]

    def scores(self, features: list[Tensor]) -> Tensor:
        """Class scores of every head: from :meth:`features` to ``(heads, B, num_classes)`` in float32."""
        return _scores(self.dropout(features[0]), self.norm, self.classifier)[None]

    def top_classes(self, features: list[Tensor], k: int = 5) -> Tensor:
        """The ``k`` likeliest classes for every head, likeliest first.

        Args:
            features: From :meth:`features`.
            k: Number of classes; all if there are fewer.

        Returns:
            Shape ``(B, heads, min(k, num_classes))``.
        """
        return self.scores(features).topk(min(k, self.num_classes), dim=2).indices.transpose(0, 1)

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the classes, summed over the heads.

        Args:
            inputs: Normalised images, one view, ``(B, C, H, W)``.
            batch: With ``gt_label``.

        Returns:
            ``loss``, and ``train_top1``, the percentage of the batch that was right; with several heads one entry per
            head, such as ``train_stem_top1``.

        Raises:
            ValueError: The images have no labels.
        """
        if batch.gt_label is None:
            raise ValueError(NEEDS_LABELS)
        scores = self.scores(self.features(inputs[0]))
        right = 100 * (scores.argmax(dim=2) == batch.gt_label).float().mean(dim=1)
        names = [f'train_{name}_top1' for name in self.heads] if len(self.heads) > 1 else ['train_top1']
        loss = torch.stack([cross_entropy(logits, batch.gt_label) for logits in scores]).sum()
        return {'loss': loss, **dict(zip(names, right))}

    def classify(self, images: Tensor) -> Tensor:
        """Class scores of the last head: normalised ``(B, C, H, W)`` images to ``(B, num_classes)`` in float32."""
        return self.scores(self.features(images))[-1]

    def predict(self, inputs: list[Tensor], batch: Batch) -> list[DataSample]:
        """One DataSample per image, with ``scores`` ``(num_classes,)``, ``label`` and ``sample_idx``.

        The scores of several views, such as the clips of a video, are averaged.
        """
        scores = torch.stack([self.classify(view) for view in inputs]).mean(dim=0)
        return [
            DataSample(scores=row, label=int(row.argmax()), sample_idx=int(idx))
            for row, idx in zip(scores, batch.sample_idx)
        ]


@MODELS.register_module()
class MultiStageClassifier(LinearClassifier):
    """Linear layer on each stage of a frozen backbone, all trained in one run.

    Feature maps are pooled to about 9,000 numbers, and pass through batch norm without weight and bias.

    Args:
        num_classes: Number of classes, at least 1.
        pools: How the map of a stage is pooled, by stage: window, stride and padding in pixels of the map, which are
            averaged; or one number, the side of the grid of maxima that is left (adaptive max-pooling). A ResNet has
            ``stem`` (before its max-pooling) and ``stage1`` to ``stage4``, an AlexNet ``conv1`` to ``conv5``, a NIN
            ``block1`` and so on; stages that are not named have no classifier.
        image_size: Side of the images in pixels, which determines the widths of the layers, at least 1.
        weight_std: Standard deviation of the layers' initial weights, above 0; None for ``sqrt(2 / num_classes)``
            (RotNet).
        settings: Arguments of :class:`LinearClassifier`; always frozen, always with batch norm.

    Raises:
        ValueError: The backbone has no stages or lacks a named one, or a window does not fit its map.

    Source: Goyal et al., "Scaling and Benchmarking Self-Supervised Visual Representation Learning" (ICCV 2019);
    open-mmlab/mmselfsup, ``MultiClsHead``, and facebookresearch/vissl for the windows; gidariss/FeatureLearningRotNet,
    ``LinearClassifier``, for the grids of maxima.
    """

    keeps_features = False

    def __init__(
        self,
        backbone: nn.Module | dict,
        num_classes: int,
        pools: Mapping[str, tuple[int, int, int] | int],
        image_size: int = 224,
        weight_std: float | None = 0.01,
        **settings: Any,
    ) -> None:
        check_numbers(COUNT, num_classes=num_classes, image_size=image_size)
        check_given(POSITIVE, weight_std=weight_std)
        self.heads, self._image_size, self._pools = tuple(pools), image_size, dict(pools)
        self._std = math.sqrt(2 / num_classes) if weight_std is None else weight_std
        super().__init__(backbone, num_classes, frozen=True, batch_norm=True, **settings)

    def _make_heads(self, batch_norm: bool) -> None:
        blank = maps_of_blank_image(self.backbone, self.heads, self._image_size)
        self.pools = nn.ModuleList(_pool(self._pools[name]) for name in self.heads)
        maps = [pool(features) for features, pool in zip(blank, self.pools)]
        self.norm = nn.ModuleList(nn.BatchNorm2d(part.shape[1], affine=False) for part in maps)
        self.classifier = nn.ModuleList(_layer(part[0].numel(), self.num_classes, self._std) for part in maps)

    def features(self, images: Tensor) -> list[Tensor]:
        """Pooled feature maps of the named stages, ``(B, C, H', W')`` each."""
        maps = stage_maps(self.backbone, self.heads, images)
        return [pool(features) for features, pool in zip(maps, self.pools)]

    def scores(self, features: list[Tensor]) -> Tensor:
        """Class scores of every stage: from :meth:`features` to ``(heads, B, num_classes)`` in float32."""
        return torch.stack([_scores(*part) for part in zip(features, self.norm, self.classifier)])


def stage_maps(backbone: nn.Module, names: Sequence[str], images: Tensor) -> list[Tensor]:
    """Feature maps of named stages of a backbone.

    Args:
        backbone: The network, with ``stage_names`` and ``stages``.
        names: Names of stages.
        images: Normalised, shape ``(B, C, H, W)``.

    Returns:
        One tensor ``(B, C, H', W')`` per name.
    """
    stages = dict(zip(backbone.stage_names, backbone.stages(images)))
    return [stages[name] for name in names]


def maps_of_blank_image(backbone: nn.Module, names: Sequence[str], size: int) -> list[Tensor]:
    """Feature maps of one blank image, for their shapes; the backbone is in eval mode afterwards.

    Args:
        backbone: The network.
        names: Names of stages.
        size: Side of the image in pixels.

    Returns:
        One tensor ``(1, C, H', W')`` per name.

    Raises:
        ValueError: There is no name, or one that is not that of a stage.
    """
    stages = getattr(backbone, 'stage_names', ())
    if not names or not set(names) <= set(stages):
        raise ValueError(
            f'The config has classifiers on the stages {list(names)}, but {type(backbone).__name__} has '
            f'{list(stages)}: name some of these (a ResNet has stem and stage1 to stage4).'
        )
    parameter = next(backbone.parameters())
    backbone.eval()
    with torch.no_grad():
        return stage_maps(backbone, names, parameter.new_zeros(1, parameter.shape[1], size, size))


def _pool(setting: tuple[int, int, int] | int) -> nn.Module:
    return nn.AdaptiveMaxPool2d(setting) if isinstance(setting, int) else nn.AvgPool2d(*setting)


def _layer(channels: int, num_classes: int, std: float = 0.01) -> nn.Linear:
    layer = nn.Linear(channels, num_classes)
    nn.init.normal_(layer.weight, std=std)
    nn.init.zeros_(layer.bias)
    return layer


@in_float32
def _scores(features: Tensor, norm: nn.Module, layer: nn.Linear) -> Tensor:
    return layer(norm(features).flatten(1))
