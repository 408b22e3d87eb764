"""CoKe: online clusters with a minimum size, learned one epoch after they were found (Qian et al., CVPR 2022)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import SoftLabels, in_float32, unit
from mmssl.models.algorithms.base import BaseAlgorithm, build
from mmssl.models.memories import ConstrainedClusters
from mmssl.models.memories.base import build_memory
from mmssl.ranges import POSITIVE, SEVERAL, SHARE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class CoKe(BaseAlgorithm):
    """Classify views into their image's clusters of the previous epoch, with several clusterings at once.

    The first one or two views are large and are clustered; further views are small. With one large view, projections
    are learned only through the predictor, and labels can become soft; with two, each view also learns the other's
    probabilities.

    Args:
        backbone: Module or its config.
        neck: Module or its config; features to projections.
        predictor: Module or its config; projections to predictions of the same width.
        clusters: Config of each clustering's memory, by default a :class:`~mmssl.models.ConstrainedClusters`, without
            ``num_clusters``.
        num_clusters: Numbers of clusters, one per clustering, at least 2.
        large_views: 1 or 2.
        temperature: Divides the cosines; above 0.
        label_weight: Weight of the labels, against the other view's probabilities (two large views), 0 to 1; the
            paper's alpha.
        large_weight: Weight of the large views, against the small ones, 0 to 1; the paper's beta.
        predictor_weight: Weight of the predictions, against the projections (one large view), 0 to 1.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: Not 1 or 2 large views, or soft labels with two.

    Source: the paper, and idstcv/CoKe for the order of operations.
    """

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        predictor: nn.Module | dict,
        clusters: dict,
        num_clusters: Sequence[int] = (3000, 4000, 5000),
        large_views: int = 2,
        temperature: float = 0.05,
        label_weight: float = 0.2,
        large_weight: float = 0.5,
        predictor_weight: float = 1.0,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(SEVERAL, num_clusters=num_clusters)
        check_numbers(POSITIVE, temperature=temperature)
        check_numbers(SHARE, label_weight=label_weight, large_weight=large_weight, predictor_weight=predictor_weight)
        super().__init__(backbone, data_preprocessor, init_cfg)
        if large_views not in (1, 2):
            raise ValueError(f'large_views={large_views} of CoKe: set it to 1 or 2.')
        if large_views == 2 and clusters.get('soft_from'):
            raise ValueError(
                'Soft labels belong to one large view: leave clusters.soft_from out, or set large_views=1.'
            )
        self.neck, self.predictor = build(neck), build(predictor)
        self.clusters = nn.ModuleList(
            build_memory({**clusters, 'num_clusters': number}, ConstrainedClusters) for number in num_clusters
        )
        self.large_views, self.temperature = large_views, temperature
        self.label_weight, self.large_weight, self.predictor_weight = label_weight, large_weight, predictor_weight

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy with the clusters of the previous epoch (CoKe, eq. 4, 9 and 10).

        Args:
            inputs: Normalised views, each ``(B, C, H, W)``; the large ones first.
            batch: Sample indices.

        Returns:
            ``loss``; ``smallest_cluster``, the minimum cluster size in this epoch so far, as a share of the mean size.

        Raises:
            ValueError: Fewer views than ``large_views``, or small views with a single large one.
        """
        if len(inputs) < self.large_views or (self.large_views == 1 and len(inputs) > 1):
            raise ValueError(
                f'CoKe with large_views={self.large_views} got {len(inputs)} views: set '
                'train_dataloader.dataset.views.counts and model.large_views to match; small views need 2 large ones.'
            )
        projected = [self.embed(view) for view in inputs]
        predicted = [unit(self.predictor(projection)) for projection in projected]
        projected = [unit(projection) for projection in projected]
        clustered = torch.stack(projected[: self.large_views]).mean(dim=0).detach()
        losses = []
        for clusters in self.clusters:
            labels = clusters.read(batch.sample_idx, clustered)
            scores = [
                [rows @ clusters.targets.T / self.temperature for rows in pair] for pair in zip(predicted, projected)
            ]
            losses.append(self.classified(scores, labels))
            clusters.stage(batch.sample_idx, clustered)
        smallest = torch.stack([clusters.health['smallest_cluster'] for clusters in self.clusters]).min()
        return {'loss': torch.stack(losses).mean(), 'smallest_cluster': smallest}

    @in_float32
    def classified(self, scores: list[list[Tensor]], labels: SoftLabels) -> Tensor:
        """Loss of one clustering, from its labels and each view's scores of the prediction and the projection."""
        if self.large_views == 1:
            predicted, projected = (labelled(logits, labels) for logits in scores[0])
            return self.predictor_weight * predicted + (1 - self.predictor_weight) * projected
        taught = [pair[1].detach().softmax(dim=1) for pair in scores[:2]]
        alpha = self.label_weight
        large = [
            alpha * labelled(logits, labels) + (1 - alpha) * followed(logits, taught[1 - view])
            for view in (0, 1)
            for logits in scores[view]
        ]
        loss = torch.stack(large).sum() / 4
        if len(scores) == 2:
            return loss
        small = [
            2 * alpha * labelled(logits, labels) + (1 - alpha) * sum(followed(logits, other) for other in taught)
            for pair in scores[2:]
            for logits in pair
        ]
        return self.large_weight * loss + (1 - self.large_weight) * torch.stack(small).sum() / (4 * len(scores[2:]))


def labelled(logits: Tensor, labels: SoftLabels) -> Tensor:
    """Mean cross-entropy with labels; images without a label count as 0."""
    return -(labels.weights * logits.log_softmax(dim=1).gather(1, labels.classes)).sum(dim=1).mean()


def followed(logits: Tensor, probabilities: Tensor) -> Tensor:
    """Mean cross-entropy with probabilities over all classes."""
    return -(probabilities * logits.log_softmax(dim=1)).sum(dim=1).mean()
