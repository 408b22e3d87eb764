"""NPID: every image is its own class, represented by a row in a bank (Wu et al., CVPR 2018)."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mmssl.datasets.structures import Batch
from mmssl.functional import (
    Stream,
    bank_scores,
    contrast,
    hash_draws,
    hash_seed,
    in_float32,
    mean_over_ranks,
    noise_contrastive,
    unit,
)
from mmssl.models.algorithms.base import BaseAlgorithm, build
from mmssl.models.memories import BaseMemory, FeatureBank, FirstValue
from mmssl.models.memories.base import build_memory
from mmssl.ranges import COUNT, POSITIVE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class NPID(BaseAlgorithm):
    """Instance discrimination with a bank: an image must find its own earlier row among those of other images.

    Args:
        backbone: Module or its config.
        neck: Module or its config; features to embeddings.
        bank: The memory, by default a :class:`~mmssl.models.FeatureBank`, or its config: ``dim``, ``momentum`` and
            ``dtype``.
        num_negatives: Rows drawn at random per image, at least 1; its own row may be among them. Not used by
            ``'softmax'``.
        temperature: Divides the cosines; above 0.
        objective: ``'info_nce'``, cross-entropy among the drawn rows (OpenMMLab's form); ``'nce'``, noise-contrastive
            estimation (the paper's); ``'softmax'``, cross-entropy among all rows, for small data sets.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: Unknown objective, or one that does not work with the bank's dtype.

    Source: the paper, and zhirongw/lemniscate.pytorch for the constants.
    """

    num_views = 1

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        bank: BaseMemory | dict,
        num_negatives: int = 65536,
        temperature: float = 0.07,
        objective: Literal['info_nce', 'nce', 'softmax'] = 'info_nce',
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(COUNT, num_negatives=num_negatives)
        check_numbers(POSITIVE, temperature=temperature)
        super().__init__(backbone, data_preprocessor, init_cfg)
        if objective not in ('info_nce', 'nce', 'softmax'):
            raise ValueError(f"objective={objective!r} of NPID: set it to 'info_nce', 'nce' or 'softmax'.")
        self.neck, self.bank = build(neck), build_memory(bank, FeatureBank)
        if objective == 'softmax' and self.bank.rows.dtype == torch.bfloat16:
            raise ValueError("objective='softmax' takes every row in float32: leave model.bank.dtype out.")
        self.num_negatives, self.temperature, self.objective = num_negatives, temperature, objective
        if objective == 'nce':
            self.normaliser = FirstValue()

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Negative log-likelihood of an image's own row (NPID, eq. 2 to 8).

        Args:
            inputs: One normalised view, ``(B, C, H, W)``.
            batch: Sample indices and draw numbers.

        Returns:
            ``loss``.
        """
        embeddings = unit(self.embed(inputs[0]))  # (B, D)
        self.bank.stage(batch.sample_idx, embeddings)
        if self.objective == 'softmax':
            return {'loss': softmax_over_bank(embeddings, self.bank.rows, batch.sample_idx, self.temperature)}
        rows = torch.cat([batch.sample_idx[:, None], self.draw_negatives(batch.draw)], dim=1)
        scores = bank_scores(embeddings, self.bank.rows, 0, rows).others  # (B, 1 + negatives)
        if self.objective == 'info_nce':
            return {'loss': contrast(scores[:, 0], scores[:, 1:], self.temperature)}
        return {'loss': self.nce(scores)}

    def draw_negatives(self, draws: Tensor) -> Tensor:
        """Draw row indices at random, from each image's draw number: ``(B,)`` to ``(B, num_negatives)``."""
        return hash_draws(hash_seed(self.seed, Stream.NPID_NEGATIVES), draws, self.num_negatives) % len(self.bank)

    def nce(self, scores: Tensor) -> Tensor:
        """Noise-contrastive estimation; the first column is the image's own row: ``(B, 1 + K)`` to a scalar."""
        probabilities = self.probabilities(scores)
        return noise_contrastive(probabilities[:, 0], probabilities[:, 1:], len(self.bank))

    def probabilities(self, scores: Tensor) -> Tensor:
        """Probabilities of the rows with these scores; the first batch's estimate of the partition function is kept."""
        likelihoods = (scores / self.temperature).exp()
        estimate = mean_over_ranks(likelihoods) * len(self.bank)
        self.normaliser.stage(estimate)
        constant = torch.where(self.normaliser.value > 0, self.normaliser.value.to(estimate), estimate)
        return likelihoods / constant

    def allocate(self, num_samples: int) -> None:
        """Refuse more negatives than images.

        Raises:
            ValueError: Too many negatives.
        """
        if self.objective != 'softmax' and self.num_negatives > num_samples:
            raise ValueError(
                f'{self.num_negatives} negatives, but the data set has {num_samples} images: set '
                f"model.num_negatives to {num_samples} or less, or model.objective='softmax' to take every row."
            )
        super().allocate(num_samples)


@in_float32
def softmax_over_bank(embeddings: Tensor, rows: Tensor, sample_idx: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of each image's own row among all rows (NPID, eq. 2): a scalar, the mean over the batch."""
    return cross_entropy(embeddings @ rows.T / temperature, sample_idx)
