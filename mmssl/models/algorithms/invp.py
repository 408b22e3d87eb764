"""InvP: invariance propagated to neighbours of neighbours (Wang et al., NeurIPS 2020)."""

from typing import Literal

import torch
from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import (
    Stream,
    bank_scores,
    contains,
    hash_draws,
    hash_seed,
    instance_loss,
    instance_loss_of_the_paper,
    propagate_neighbors,
    propagation_loss,
    propagation_loss_of_the_paper,
    reached_set,
    unit,
    without_self,
)
from mmssl.models.algorithms.base import BaseAlgorithm, build
from mmssl.models.memories import BaseMemory, FeatureBank
from mmssl.models.memories.base import build_memory
from mmssl.ranges import COUNT, NOT_NEGATIVE, POSITIVE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class InvP(BaseAlgorithm):
    """Match an image with its own row in a bank, and with the least similar of its neighbours' neighbours.

    Args:
        backbone: Module or its config.
        neck: Module or its config; features to embeddings.
        bank: The memory, by default a :class:`~mmssl.models.FeatureBank`, or its config: ``dim``, ``momentum``,
            ``num_neighbors``.
        num_background: Number M of nearest rows, the hard negatives, which represent all others, at least 1.
        num_positives: Number P of hard positives, the least similar of the reached images, at least 1.
        steps: Number l of steps in the neighbour graph, at least 1.
        temperature: Divides the cosines; above 0.
        invariance_weight: Weight of the propagation loss, at least 0; 0 while neighbours are still meaningless
            (:class:`~mmssl.engine.hooks.ScheduleHook` raises it).
        variant: ``'code'``, the released loss, which gave the published weights; or ``'paper'``, where a reached
            image counts once, is never the image itself, and is never a negative.
        positives: ``'hard'``, the least similar; or ``'random'``, the paper's ablation (only with ``'code'``).
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: Unknown variant or choice of positives, or the two do not go together; or no neighbours or steps.

    Source: the paper, and WangFeng18/InvariancePropagation for the order of operations.
    """

    num_views = 1

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        bank: BaseMemory | dict,
        num_background: int = 4096,
        num_positives: int = 50,
        steps: int = 3,
        temperature: float = 0.07,
        invariance_weight: float = 0.6,
        variant: Literal['code', 'paper'] = 'code',
        positives: Literal['hard', 'random'] = 'hard',
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(COUNT, num_background=num_background, num_positives=num_positives, steps=steps)
        check_numbers(POSITIVE, temperature=temperature)
        check_numbers(NOT_NEGATIVE, invariance_weight=invariance_weight)
        super().__init__(backbone, data_preprocessor, init_cfg)
        if (variant, positives) not in (('code', 'hard'), ('code', 'random'), ('paper', 'hard')):
            raise ValueError(
                f"variant={variant!r} with positives={positives!r}: InvP has 'code' with 'hard' or 'random', and "
                f"'paper' with 'hard'."
            )
        self.neck, self.bank = build(neck), build_memory(bank, FeatureBank)
        if self.bank.num_neighbors < 1:
            raise ValueError('InvP without neighbours: set model.bank.num_neighbors to 1 or more (the paper: 4).')
        self.num_background, self.num_positives, self.steps = num_background, num_positives, steps
        self.temperature, self.invariance_weight = temperature, float(invariance_weight)
        self.variant, self.positives = variant, positives

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Compute the instance loss and the weighted propagation loss (InvP, eq. 3 to 7).

        Args:
            inputs: One normalised view, ``(B, C, H, W)``.
            batch: Sample indices and draw numbers.

        Returns:
            ``loss_instance``, and ``loss_propagation`` while it has a weight.
        """
        samples = batch.sample_idx
        embeddings = unit(self.embed(inputs[0]))  # (B, D)
        reached = self.propagate(samples)  # (B, W)
        wanted = torch.cat([samples[:, None], reached], dim=1)
        found = bank_scores(embeddings, self.bank.rows, self.num_background, wanted)
        self.bank.stage(samples, embeddings, without_self(found.rows[:, : self.bank.num_neighbors + 1], samples))
        parts = (found.nearest, found.others[:, 0], found.others[:, 1:])
        nearest, own, distant = (scores / self.temperature for scores in parts)
        if self.variant == 'paper':
            return self._losses_of_the_paper(samples, own, nearest, found.rows, distant, reached)
        losses = {'loss_instance': instance_loss(own, nearest)}
        if self.invariance_weight:
            chosen = self.choose(distant, batch.draw)
            losses['loss_propagation'] = self.invariance_weight * propagation_loss(own, nearest, chosen)
        return losses

    def propagate(self, samples: Tensor) -> Tensor:
        """List images reached through neighbours, ``(B, W)``; none while the propagation loss has no weight."""
        if not self.invariance_weight:
            return samples.new_empty(len(samples), 0)
        return propagate_neighbors(self.bank.neighbors, samples, self.steps)

    def choose(self, distant: Tensor, draws: Tensor) -> Tensor:
        """Choose the logits of the positives, ``(B, W)`` to ``(B, P)``: the smallest, or some at random."""
        count = min(self.num_positives, distant.shape[1])
        if self.positives == 'hard':
            return distant.topk(count, dim=1, largest=False).values
        numbers = hash_draws(hash_seed(self.seed, Stream.INVP_POSITIVES), draws, distant.shape[1])
        return distant.gather(1, numbers.argsort(dim=1)[:, :count])

    def _losses_of_the_paper(
        self, samples: Tensor, own: Tensor, nearest: Tensor, rows: Tensor, distant: Tensor, reached: Tensor
    ) -> dict[str, Tensor]:
        itself = samples[:, None]
        losses = {'loss_instance': instance_loss_of_the_paper(own, nearest, rows == itself)}
        if self.invariance_weight:
            known = contains(torch.cat([reached, itself], dim=1), rows)
            keep = reached_set(reached, samples)
            propagation = propagation_loss_of_the_paper(nearest, known, distant, keep, self.num_positives)
            losses['loss_propagation'] = self.invariance_weight * propagation
        return losses

    def allocate(self, num_samples: int) -> None:
        """Refuse a background that does not fit the data.

        Raises:
            ValueError: More background rows than images, or fewer than the neighbours need.
        """
        super().allocate(num_samples)
        minimum = self.bank.num_neighbors + 1
        if not minimum <= self.num_background <= num_samples:
            raise ValueError(
                f'{self.num_background} background rows with {self.bank.num_neighbors} neighbours, and the data set '
                f'has {num_samples} images: set model.num_background between {minimum} and {num_samples}.'
            )
