"""Un-Mix: contrast a mixture of two images with the keys of both (Shen et al., AAAI 2022)."""

from torch import Tensor

from mmssl.datasets.structures import Batch
from mmssl.functional import Mixture, Stream, draw_mixture, lengths_on_ranks, mix, reversed_batch
from mmssl.models.additions.base import Addition, Host, Losses
from mmssl.ranges import POSITIVE, SHARE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class UnMix(Addition):
    """Mix each first view with that of the image at the mirrored place of the global batch, and contrast the mixture.

    The query of the mixture has two keys, weighted by the shares of their images. Keys are those of unmixed views. A
    step has one share and one kind of mixture on all ranks, drawn from the seed and the draw numbers of its images, so
    that world sizes agree; the authors' code draws one per process and mixes images of one process only. The mixtures
    have a forward pass of their own, so batch norm does not see them beside unmixed images.

    Args:
        global_prob: Probability of mixing images everywhere, weighted by their shares, instead of replacing a box, 0 to
            1.
        alpha: Both parameters of the beta distribution that the share comes from; above 0.

    Source: the paper, section 3, and szq0214/Un-Mix for the order of operations.
    """

    hosts = ('MoCo', 'SimCLR', 'BYOL', 'SimSiam')

    def __init__(self, global_prob: float = 0.5, alpha: float = 1.0) -> None:
        check_numbers(SHARE, global_prob=global_prob)
        check_numbers(POSITIVE, alpha=alpha)
        super().__init__()
        self.global_prob, self.alpha = global_prob, alpha

    def forward(
        self, host: Host, losses: Losses, inputs: list[Tensor], queries: Tensor, keys: Tensor, batch: Batch
    ) -> Losses:
        """Add the loss of the mixtures; a host of both directions contrasts them with the keys of both views.

        Returns:
            ``loss_mixed`` besides the losses so far.

        Raises:
            ValueError: The global batch has one image, which has no partner.
        """
        mixed, mixture = self.mixed(inputs[0], batch)
        rows, share = host.query(mixed), mixture.share
        loss = keys.new_zeros(())
        for part in keys.chunk(host.directions):
            loss = loss + share * host.contrast(rows, part)
            loss = loss + (1 - share) * host.contrast(rows, reversed_batch(part))
        return {**losses, 'loss_mixed': loss}

    def mixed(self, images: Tensor, batch: Batch) -> tuple[Tensor, Mixture]:
        """Mix normalised images of this rank ``(B, C, H, W)`` with their partners from the global batch."""
        if sum(lengths_on_ranks(len(images), images.device)) == 1:
            raise ValueError('UnMix on a batch of 1 image, which has no partner: set the batch size to 2 or more.')
        (height, width), seed = images.shape[-2:], self.step_seed(Stream.MIXTURE, batch)
        mixture = draw_mixture(seed, height, width, self.global_prob, self.alpha)
        return mix(images, reversed_batch(images), mixture), mixture
