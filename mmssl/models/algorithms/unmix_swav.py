"""Un-Mix on SwAV: swap the codes of mixtures and of other views (Shen et al., AAAI 2022)."""

from typing import Any

import torch
from torch import Tensor

from mmssl.datasets.structures import Batch
from mmssl.functional import reversed_batch
from mmssl.models.additions import UnMix
from mmssl.models.algorithms.swav import SwAV, share_used
from mmssl.registry import MODELS


@MODELS.register_module()
class UnMixSwAV(SwAV):
    """SwAV with a mixture in place of the first view, beside the original views.

    There are no keys that :class:`~mmssl.models.UnMix` could contrast a mixture with, so codes are swapped instead. The
    other views of an image predict, weighted by the shares, the codes of both mixtures that it is part of: its own,
    and that at the mirrored place of the global batch. Its own mixture predicts the codes of the other views.

    The queues get the rows of the first view and of both orders of the mixtures, as in the authors' code. Codes use
    the rows of earlier steps only, while that code writes to the queues between the three losses.

    Args:
        global_prob: As in :class:`~mmssl.models.UnMix`.
        alpha: As in :class:`~mmssl.models.UnMix`.
        settings: Arguments of :class:`~mmssl.models.SwAV`.

    Source: szq0214/Un-Mix, ``UnMix_SwAV``.
    """

    def __init__(self, *args: Any, global_prob: float = 0.5, alpha: float = 1.0, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.unmix = UnMix(global_prob, alpha)

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Swapped prediction of the views, and of the mixtures with the views after the first.

        The other views also predict the codes of the mixtures in reverse order.

        Args:
            inputs: Normalised views; views of one size are adjacent.
            batch: Its draw numbers decide how the images are mixed.

        Returns:
            ``loss`` of the views, ``loss_mixed``, and ``prototypes_used``.

        Raises:
            ValueError: The global batch has one image, which has no partner.
        """
        self.prototypes.normalise()
        views = self.embed_views(inputs)
        mixed, (share, _) = self.unmix.mixed(inputs[0], batch)
        (rows,) = self.embed_views([mixed])
        scores, mixture = [self.prototypes(z) for z in views], self.prototypes(rows)
        loss, codes = self.swapped(scores)
        self.stage(views)
        loss_mixed = torch.zeros_like(loss)
        for weight, first in ((share, rows), (1 - share, reversed_batch(rows))):
            part, _ = self.swapped([mixture, *scores[1:]], self.prototypes(first))
            self.stage([first, *views[1:]])
            loss_mixed = loss_mixed + weight * part
        return {'loss': loss, 'loss_mixed': loss_mixed, 'prototypes_used': share_used(codes)}

    def chance_loss(self, batch_size: int) -> float:
        """Ln K for K prototypes, of the views and of the mixtures."""
        return 2 * super().chance_loss(batch_size)
