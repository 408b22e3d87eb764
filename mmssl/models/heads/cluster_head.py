"""A linear classifier of clusters."""

import torch
from torch import nn

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
        self.reset(torch.initial_seed())

    @torch.no_grad()
    def reset(self, seed: int) -> None:
        """Draw the weights anew, the same on every rank; DeepCluster does so after each clustering."""
        weight = torch.empty(self.weight.shape).normal_(std=0.01, generator=torch.Generator().manual_seed(seed))
        self.weight.copy_(weight)
        self.bias.zero_()
