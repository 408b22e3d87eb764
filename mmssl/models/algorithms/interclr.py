"""InterCLR: images of one cluster resemble each other too (Xie et al., IJCV 2022)."""

from typing import Any

from torch import Tensor

from mmssl.datasets.structures import Batch
from mmssl.functional import info_nce, nt_xent
from mmssl.models.algorithms.base import build
from mmssl.models.algorithms.moco import MoCo
from mmssl.models.algorithms.simclr import SimCLR
from mmssl.models.heads import InterImageHead
from mmssl.registry import MODELS


class _InterImage:
    """What a contrastive method gets beside its own loss; ``inter_weight`` goes to it, the rest to the method's."""

    def __init__(self, inter: InterImageHead | dict, inter_weight: float = 0.25, **settings: Any) -> None:
        super().__init__(**settings)
        self.inter, self.inter_weight = build(inter), float(inter_weight)

    def both(self, intra: Tensor, queries: Tensor, keys: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The losses, weighted; the keys are staged for the clusters, whose labels were read before."""
        losses = {'loss_intra': (1 - self.inter_weight) * intra}
        if self.inter_weight:
            losses['loss_inter'] = self.inter_weight * self.inter(queries, batch)
        self.inter.clusters.stage(batch.sample_idx, keys)
        return {**losses, **self.inter.clusters.health}

    def bank_features(self, images: Tensor) -> Tensor:
        """Embeddings, ``(B, D)``."""
        return self.neck(self.extract_feat(images))

    def allocate(self, num_samples: int) -> None:
        """Refuse more negatives than samples.

        Raises:
            ValueError: Too many, or a memory does not fit.
        """
        self.inter.check(num_samples)
        super().allocate(num_samples)


@MODELS.register_module()
class InterCLR(_InterImage, MoCo):
    """MoCo v2, and a branch in which a query finds a member of its image's cluster.

    Args:
        inter: :class:`~mmssl.models.heads.InterImageHead` or its config.
        inter_weight: Weight of that branch, 0 to 1; the intra-image one gets the rest.
        settings: Of :class:`MoCo`.

    Source: the paper, and mmselfsup 0.x for the order of operations.
    """

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """InfoNCE within the image and between images (InterCLR, section 3).

        Args:
            inputs: Two normalised views, each ``(B, C, H, W)``: of the queries, and of the keys.
            batch: Numbers of the samples and draws.

        Returns:
            ``loss_intra``; ``loss_inter`` while it has a weight; ``label_change``, the share of the last batch that
            changed its cluster; ``largest_cluster``, its share of all samples.
        """
        queries, keys = self.encode(inputs, batch)
        intra = info_nce(queries, keys, self.queue.rows, self.temperature)
        return self.both(intra, queries, keys, batch)


@MODELS.register_module()
class InterCLRSimCLR(_InterImage, SimCLR):
    """SimCLR with InterCLR's branch: our extension, of which no code was released.

    The first view is the query, and the second, without gradient, feeds the clusters.

    Args:
        inter: :class:`~mmssl.models.heads.InterImageHead` or its config.
        inter_weight: Weight of that branch, 0 to 1; the intra-image one gets the rest.
        settings: Of :class:`SimCLR`.
    """

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """NT-Xent within the image, and InfoNCE between images.

        Args:
            inputs: Two normalised views, each ``(B, C, H, W)``.
            batch: Numbers of the samples and draws.

        Returns:
            As :meth:`InterCLR.loss`.
        """
        first, second = self.encode(inputs)
        return self.both(nt_xent(first, second, self.temperature), first, second, batch)
