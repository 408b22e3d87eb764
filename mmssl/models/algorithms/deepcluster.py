"""DeepCluster: alternate k-means, which gives labels, and a classifier that learns them (Caron et al., ECCV 2018)."""

import math

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mmssl.datasets.structures import Batch
from mmssl.functional import in_float32
from mmssl.models.algorithms.base import BaseAlgorithm, build
from mmssl.models.heads import ClusterHead
from mmssl.models.memories import BaseMemory, ClusterLabels
from mmssl.models.memories.base import build_memory
from mmssl.registry import MODELS


@MODELS.register_module()
class DeepCluster(BaseAlgorithm):
    """Cluster the features before every epoch, and use the cluster indices as labels of that epoch.

    The indices are unrelated between clusterings, so the classifier is reinitialised each time. Draw the images with
    :class:`~mmssl.datasets.ClusterSampler`, which gives every cluster the same share of an epoch.

    Args:
        backbone: Module or its config, with ``out_channels``.
        clusters: The memory, by default a :class:`~mmssl.models.ClusterLabels`, or its config: ``num_clusters``,
            ``prepare_every``, ``pca`` and ``iterations``.
        neck: Module or its config, with ``out_channels``; a projection between features and classifier, whose output
            is then clustered (the fully connected layers of the paper's networks). None for the features themselves.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Source: the paper, and OpenSelfSup for the order of operations.
    """

    num_views = 1

    def __init__(
        self,
        backbone: nn.Module | dict,
        clusters: BaseMemory | dict,
        neck: nn.Module | dict | None = None,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.clusters = build_memory(clusters, ClusterLabels)
        self.neck = build(neck) if neck else nn.Identity()
        width = self.neck.out_channels if neck else self.backbone.out_channels
        self.head = ClusterHead(width, self.clusters.num_clusters)

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy with the cluster labels (DeepCluster, eq. 1).

        Args:
            inputs: One normalised view, ``(B, C, H, W)``.
            batch: Sample indices.

        Returns:
            ``loss``; ``label_change``, the share of all images that the last k-means separated from the majority of
            their cluster; ``largest_cluster``, the share of all images in the largest cluster.
        """
        scores = self.head(self.embed(inputs[0]))  # (B, K)
        loss = in_float32(cross_entropy)(scores, self.clusters.labels[batch.sample_idx])
        return {'loss': loss, **self.clusters.health}

    def chance_loss(self, batch_size: int) -> float:
        """Ln K for K clusters."""
        return math.log(self.clusters.num_clusters)

    def after_preparation(self, epoch: int) -> None:
        """Reinitialise the classifier."""
        self.head.restart(self.seed, epoch)
