"""Instance classification: every image is its own class, with a trained row in a table of all classes."""

import torch
from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import table_cross_entropy, unit
from mmssl.models.algorithms.base import BaseAlgorithm, build
from mmssl.models.memories import BaseMemory, ClassTable
from mmssl.models.memories.base import build_memory
from mmssl.ranges import COUNT, POSITIVE, check_given, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class InstanceClassification(BaseAlgorithm):
    """Classify views among all images of the training set, by their cosines with the rows of a table.

    With ``table.start='features'`` and ``table.num_hard`` this is million-way instance classification; with
    ``large_views=1``, further small views and a :class:`~mmssl.datasets.SlidingWindowSampler` it is PIC, whose small
    views train only the network.

    Args:
        backbone: Module or its config.
        neck: Module or its config; features to embeddings.
        table: The memory, by default a :class:`~mmssl.models.ClassTable`, or its config.
        temperature: Divides the cosines; above 0.
        smoothing: Weight that a label gives to its hard classes, 0 to 1; the paper's alpha. It needs
            ``table.num_hard``.
        large_views: Number of views, counted from the first, that also train the table, at least 1; None for all.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: Smoothing without hard classes, or hard classes without smoothing.

    Source: Train a One-Million-Way Instance Classifier for Unsupervised Visual Representation Learning (Liu et al.,
    AAAI 2021), which has no released code; PIC (Cao et al., NeurIPS 2020) and bl0/PIC for the small views.
    """

    preparation_moves_statistics = True

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        table: BaseMemory | dict,
        temperature: float = 0.15,
        smoothing: float = 0.0,
        large_views: int | None = None,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(POSITIVE, temperature=temperature)
        check_given(COUNT, large_views=large_views)
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.neck, self.table = build(neck), build_memory(table, ClassTable)
        if (smoothing > 0) != (self.table.num_hard > 0) or not 0 <= smoothing < 1:
            raise ValueError(
                f'smoothing={smoothing} over {self.table.num_hard} hard classes: set model.smoothing above 0 and below '
                '1, and model.table.num_hard to 1 or more; or leave out both.'
            )
        self.temperature, self.smoothing, self.large_views = temperature, smoothing, large_views

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of each view with the class of its image (the paper's eq. 1; PIC, eq. 2).

        Args:
            inputs: Normalised views, each ``(B, C, H, W)``: first the large ones, all of one size, then the small ones,
                all of another.
            batch: Sample indices.

        Returns:
            ``loss``, the mean over all views.
        """
        rows = self.table.trained_rows()
        loss = self.classify(inputs[: self.large_views], batch.sample_idx, rows)
        small = [] if self.large_views is None else inputs[self.large_views :]
        if small:
            share = len(small) / len(inputs)
            loss = (1 - share) * loss + share * self.classify(small, batch.sample_idx, rows.detach())
        return {'loss': loss}

    def classify(self, views: list[Tensor], sample_idx: Tensor, rows: Tensor) -> Tensor:
        """Mean cross-entropy of views of one size over the whole table, the rows of this rank and of all others."""
        embeddings = unit(self.embed(torch.cat(views)))  # (V * B, D)
        targets = sample_idx.repeat(len(views))
        soft = self.table.smoothed(targets, self.smoothing)
        return table_cross_entropy(embeddings, rows, targets, self.temperature, soft, bfloat16=self.table.bfloat16)
