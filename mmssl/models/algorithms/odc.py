"""ODC: clusters that are updated in every step, instead of by occasional k-means (Zhan et al., CVPR 2020)."""

from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import unit, weighted_cross_entropy
from mmssl.models.algorithms.base import BaseAlgorithm, build
from mmssl.models.heads import ClusterHead
from mmssl.models.memories import BaseMemory, ClusterMemory
from mmssl.models.memories.base import build_memory
from mmssl.registry import MODELS


@MODELS.register_module()
class ODC(BaseAlgorithm):
    """Train a classifier on the clusters of a memory, which follows the embeddings.

    Args:
        backbone: Module or its config.
        neck: Module or its config; features to embeddings.
        clusters: The memory, by default a :class:`~mmssl.models.ClusterMemory`, or its config.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Source: the paper, and OpenSelfSup for the order of operations.
    """

    num_views = 1

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        clusters: BaseMemory | dict,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.neck, self.clusters = build(neck), build_memory(clusters, ClusterMemory)
        self.head = ClusterHead(self.clusters.dim, self.clusters.num_clusters)

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy with the clusters of the previous step; small clusters have larger weights (ODC, section 3.2).

        Args:
            inputs: One normalised view, ``(B, C, H, W)``.
            batch: Sample indices.

        Returns:
            ``loss``; ``label_change``, the share of the last batch that changed its cluster; ``largest_cluster``, its
            share of all images.
        """
        embeddings = self.embed(inputs[0])  # (B, D)
        labels = self.clusters.labels[batch.sample_idx]
        self.clusters.stage(batch.sample_idx, unit(embeddings))
        loss = weighted_cross_entropy(self.head(embeddings), labels, self.clusters.class_weights)
        return {'loss': loss, **self.clusters.health}

    def after_preparation(self, epoch: int) -> None:
        """Reinitialise the classifier."""
        self.head.restart(self.seed, epoch)
