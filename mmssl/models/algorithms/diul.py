"""DIUL, later DARLING: MoCo whose probability is a mixture over domains (Zhang et al., CVPR 2022); our own reading."""

import math
from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from mmssl.datasets.structures import Batch
from mmssl.functional import Shuffle, domain_mixture, in_float32, unit
from mmssl.models.algorithms.base import BaseAlgorithm, build
from mmssl.models.algorithms.moco import shuffled_keys
from mmssl.models.memories import BaseMemory, DomainQueue, EMATeacher
from mmssl.models.memories.base import build_memory
from mmssl.ranges import POSITIVE, SHARE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class DIUL(BaseAlgorithm):
    """Contrast a query with earlier keys of its own domain, so that telling domains apart does not lower the loss.

    There is a queue of keys per domain, and the probability of the positive key is a mixture over the queues. Negatives
    of the query's own domain differ from it in what they show, not in style. The images need domains
    (:class:`~mmssl.datasets.DomainFolder`); :class:`~mmssl.datasets.DomainBalancedSampler` gives them equal shares.

    The authors released no code, and we read the abstract of their paper only: the formula, the weights and the domain
    classifier are our own, and nothing here was compared with the paper.

    Args:
        backbone: Module or its config; with predicted weights of the domains, it has ``out_channels``.
        neck: Module or its config; features to embeddings.
        queue: Memory of the keys, or its config: by default ``length`` (per domain), ``dim`` and ``num_domains`` of a
            :class:`~mmssl.models.DomainQueue`. Another memory needs its ``rows``, ``num_domains``, ``usable`` and
            ``stage``.
        domain_weights: Weights of the domains for each image: ``'label'`` for 1 on its own domain, or ``'predicted'``
            for the probabilities of a linear classifier of domains. The classifier learns from the domains of the
            batch, on features without gradient; the weights have no gradient either.
        momentum: Weight of the OLD teacher, 0 to 1.
        temperature: Divides the cosines; above 0.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: Unknown weights.

    Source: MoCo for network, teacher and order of operations; leokarlin/BrAD for a queue per domain.
    """

    num_views = 2

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        queue: BaseMemory | dict,
        domain_weights: Literal['label', 'predicted'] = 'label',
        momentum: float = 0.999,
        temperature: float = 0.2,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(SHARE, momentum=momentum)
        check_numbers(POSITIVE, temperature=temperature)
        super().__init__(backbone, data_preprocessor, init_cfg)
        if domain_weights not in ('label', 'predicted'):
            raise ValueError(f"domain_weights={domain_weights!r} of DIUL: set it to 'label' or 'predicted'.")
        self.neck, self.temperature = build(neck), temperature
        self.teacher = EMATeacher(self.backbone, self.neck, momentum=momentum)
        self.queue = build_memory(queue, DomainQueue)
        self.domain_head: nn.Module | None = None
        if domain_weights == 'predicted':
            self.domain_head = nn.Linear(self.backbone.out_channels, self.queue.num_domains)

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """InfoNCE with a mixture over the queues of all domains, and the loss of the domain classifier if there is one.

        Args:
            inputs: Two normalised views, each ``(B, C, H, W)``: of the queries, and of the keys.
            batch: ``domain`` in its extras is the domain of each image, ``(B,)``.

        Returns:
            ``loss``, which is 0 until the queues hold keys; with predicted weights also ``loss_domain``.

        Raises:
            ValueError: The images have no domains, or one that has no queue.
        """
        domains = self.domains_of(batch)
        features = self.extract_feat(inputs[0])
        queries = unit(self.neck(features))
        keys = unit(shuffled_keys(self.teacher, inputs[1], Shuffle(self.seed, batch.draw)))
        weights, losses = self.weigh(features.detach(), domains)
        usable = self.queue.usable(batch.sample_idx)
        losses['loss'] = domain_mixture(queries, keys, self.queue.rows, usable, weights, self.temperature)
        self.queue.stage(keys, domains, batch.sample_idx)
        self.teacher.stage()
        return losses

    def chance_loss(self, batch_size: int) -> float | None:
        """Ln of the number of keys in a full queue and the own one; None with the loss of a domain classifier."""
        return None if self.domain_head else math.log(1 + self.queue.rows.shape[1])

    def weigh(self, features: Tensor, domains: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Weigh the domains for each image.

        Args:
            features: Shape ``(B, F)``, without gradient.
            domains: Shape ``(B,)``.

        Returns:
            Weights without gradient, shape ``(B, D)``; and ``loss_domain`` if they are predicted.
        """
        if self.domain_head is None:
            return one_hot(domains, self.queue.num_domains).to(features.dtype), {}
        scores = self.domain_head(features)
        return scores.detach().softmax(dim=1), {'loss_domain': in_float32(cross_entropy)(scores, domains)}

    def domains_of(self, batch: Batch) -> Tensor:
        """Domain of each image, int64, ``(B,)``; each must have a queue."""
        domains = batch.extras.get('domain')
        if not isinstance(domains, Tensor):
            raise ValueError(
                'DIUL needs the domain of every image, but they have none: give a DomainFolder or a DomainList as '
                'train_dataloader.dataset.source.'
            )
        lowest, highest = (int(value) for value in domains.aminmax())
        if lowest < 0 or highest >= self.queue.num_domains:
            raise ValueError(
                f'An image is of domain {lowest if lowest < 0 else highest}, but there are queues for domains 0 to '
                f'{self.queue.num_domains - 1}: set model.queue.num_domains to the number of domains.'
            )
        return domains
