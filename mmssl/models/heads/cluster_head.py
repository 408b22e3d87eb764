"""A linear classifier of clusters."""

import torch
from torch import nn

from mmssl.functional import Stream, hash_seed
from mmssl.registry import MODELS


@MODELS.register_module()
class ClusterHead(nn.Linear):
    """Scores of clusters; weights drawn from N(0, 0.01), biases 0.

    Args:
        in_channels: Width of the features.
        num_clusters: Number of clusters K.

    Source: DeepCluster and ODC in OpenSelfSup.
    """

    def __init__(self, in_channels: int, num_clusters: int) -> None:
        super().__init__(in_channels, num_clusters)
        self._draw(torch.initial_seed())

    def restart(self, seed: int, epoch: int) -> None:
        """Begin anew after a clustering, whose numbers mean nothing to the old weights; the same on every rank.

        Args:
            seed: Of the run.
            epoch: The epoch that follows.
        """
        self._draw(hash_seed(seed, epoch, Stream.CLUSTER_HEAD))

    @torch.no_grad()
    def _draw(self, seed: int) -> None:
        weight = torch.empty(self.weight.shape).normal_(std=0.01, generator=torch.Generator().manual_seed(seed))
        self.weight.copy_(weight)
        self.bias.zero_()
