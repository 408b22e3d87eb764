"""SwAV built from lightly's parts, as in lightly's own example, so that it runs in our training."""

from typing import Any

from lightly.loss import SwaVLoss
from lightly.models.modules import SwaVProjectionHead, SwaVPrototypes
from mmengine.config import Config
from torch import Tensor
from torch.nn.functional import normalize

from mmssl.models import BaseAlgorithm
from mmssl.registry import MODELS


@MODELS.register_module()
class LightlySwAV(BaseAlgorithm):
    """lightly's projection head, prototypes and loss on our backbone; one forward pass per view, as in its example.

    Args:
        backbone: Config of the backbone.
        neck: ``in_channels``, ``hidden_channels`` and ``out_channels`` of the projection head.
        prototypes: ``dim`` and ``num_prototypes``.
        temperature: Of the prediction.
        epsilon: Entropy weight of the Sinkhorn iterations.
        sinkhorn_iterations: Number of Sinkhorn iterations.
        data_preprocessor: Config.
        unused: Settings of :class:`~mmssl.models.SwAV` that this one does not have; must be empty or None.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        prototypes: dict,
        temperature: float,
        epsilon: float,
        sinkhorn_iterations: int,
        data_preprocessor: dict,
        **unused: Any,
    ) -> None:
        super().__init__(backbone, data_preprocessor)
        assert not any(unused.values()), unused
        self.neck = SwaVProjectionHead(neck['in_channels'], neck['hidden_channels'], neck['out_channels'])
        self.prototypes = SwaVPrototypes(prototypes['dim'], prototypes['num_prototypes'])
        self.criterion = SwaVLoss(temperature, sinkhorn_iterations, epsilon)

    def loss(self, inputs: list[Tensor], batch: Any) -> dict[str, Tensor]:
        """The training step of lightly: the first two views are the high-resolution ones."""
        self.prototypes.normalize()
        scores = [self.prototypes(self._embed(view)) for view in inputs]
        return {'loss': self.criterion(scores[:2], scores[2:])}

    def _embed(self, view: Tensor) -> Tensor:
        return normalize(self.neck(self.extract_feat(view)), dim=1)


def adapt(cfg: Config) -> None:
    """Put lightly's SwAV into a config of ours, with our numbers except for half the learning rate.

    Its Sinkhorn neither subtracts a maximum nor guards a division, and its prototypes have biases that grow: at the
    learning rate of our CPU config (0.4) a row of the matrix underflows after 26 to 40 steps, and its loss becomes NaN.

    Args:
        cfg: Changed in place.
    """
    for name in ('neck', 'prototypes'):
        cfg.model[name].pop('type')
    cfg.model.update(type=LightlySwAV)
    cfg.optim_wrapper.optimizer.lr /= 2
