"""Linear classifier of clusters."""

import torch
from torch import Tensor, nn

from mmssl.functional import Stream, hash_seed
from mmssl.ranges import COUNT, SEVERAL, check_numbers, check_width
from mmssl.registry import MODELS


@MODELS.register_module()
class ClusterHead(nn.Linear):
    """Linear scores of clusters; weights start from a normal distribution with standard deviation 0.01, biases from 0.

    Args:
        in_channels: Width of the features, at least 1.
        num_clusters: Number K of clusters, at least 2.

    Source: DeepCluster and ODC in OpenSelfSup.
    """

    def __init__(self, in_channels: int, num_clusters: int) -> None:
        check_numbers(COUNT, in_channels=in_channels)
        check_numbers(SEVERAL, num_clusters=num_clusters)
        super().__init__(in_channels, num_clusters)
        self._draw(torch.initial_seed())

    def forward(self, features: Tensor) -> Tensor:
        """Scores: ``(B, in_channels)`` to ``(B, K)``."""
        check_width(features.shape[1], self.in_features, self, 'in_channels')
        return super().forward(features)

    def restart(self, seed: int, epoch: int) -> None:
        """Reinitialise after a clustering, since its cluster indices are new; equal on every rank.

        Args:
            seed: Seed of the run.
            epoch: The epoch that follows.
        """
        self._draw(hash_seed(seed, epoch, Stream.CLUSTER_HEAD))

    @torch.no_grad()
    def _draw(self, seed: int) -> None:
        weight = torch.empty(self.weight.shape).normal_(std=0.01, generator=torch.Generator().manual_seed(seed))
        self.weight.copy_(weight)
        self.bias.zero_()
