"""SwAV: swapping assignments between views (Caron et al., NeurIPS 2020)."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import rank, sinkhorn, swapped_prediction, unit, world_size
from mmssl.models.algorithms.base import Assignment, BaseAlgorithm, build
from mmssl.models.heads import Prototypes
from mmssl.models.memories import Queue
from mmssl.models.memories.base import build_memory
from mmssl.models.modes import eval_mode
from mmssl.ranges import COUNT, INDEX, POSITIVE, check_numbers
from mmssl.registry import MODELS

_CHUNK = 4096  # images assigned at a time


@MODELS.register_module()
class SwAV(BaseAlgorithm):
    """Cluster each batch online with balanced codes, and predict the code of a view from the other views.

    Args:
        backbone: Module or its config.
        neck: Module or its config; features to embeddings.
        prototypes: Module or its config; unit embeddings to cosines.
        assigned_views: Views that get codes, the large crops, at least 0.
        temperature: Temperature of the prediction, above 0.
        epsilon: Entropy weight of the Sinkhorn iterations, above 0; smaller gives harder codes.
        sinkhorn_iterations: Number of Sinkhorn iterations, at least 1.
        queue: Config of the memory of each assigned view, by default a :class:`~mmssl.models.Queue` (``length``,
            ``start_epoch``), for batches too small to be balanced on their own. Used once it is full.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Source: the paper, and facebookresearch/swav for the order of operations.
    """

    minimum_batch = 2
    assigns_features = True

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        prototypes: Prototypes | dict,
        assigned_views: Sequence[int] = (0, 1),
        temperature: float = 0.1,
        epsilon: float = 0.05,
        sinkhorn_iterations: int = 3,
        queue: dict | None = None,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(POSITIVE, temperature=temperature, epsilon=epsilon)
        check_numbers(COUNT, sinkhorn_iterations=sinkhorn_iterations)
        check_numbers(INDEX, assigned_views=assigned_views)
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.neck, self.prototypes = build(neck), build(prototypes)
        self.assigned_views = tuple(assigned_views)
        self.temperature, self.epsilon, self.sinkhorn_iterations = temperature, epsilon, sinkhorn_iterations
        width = self.prototypes.in_features
        queues = [build_memory(queue, Queue, dim=width) for _ in self.assigned_views] if queue else []
        self.queues = nn.ModuleList(queues)

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Swapped prediction: predict the code of one view from every other (SwAV, eq. 2).

        Args:
            inputs: Normalised views; views of one size are adjacent.
            batch: Not used; SwAV needs no sample indices.

        Returns:
            ``loss``, and ``prototypes_used``, the share of prototypes that are the first choice of any image.

        Raises:
            ValueError: There are fewer views than ``assigned_views`` names.
        """
        if max(self.assigned_views) >= len(inputs):
            raise ValueError(
                f'assigned_views={self.assigned_views} of {len(inputs)} views: set model.assigned_views to '
                f'numbers from 0 to {len(inputs) - 1}.'
            )
        self.prototypes.normalise()
        embeddings = self.embed_views(inputs)  # V x (B, D), unit rows
        scores = [self.prototypes(z) for z in embeddings]  # V x (B, K)
        loss, codes = self.swapped(scores)
        self.stage(embeddings)
        return {'loss': loss, 'prototypes_used': share_used(codes)}

    def swapped(self, scores: list[Tensor], first: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Predict the codes of the assigned views from the scores of every other view.

        Args:
            scores: Cosines with the prototypes, ``V x (B, K)``.
            first: What the code of the first assigned view is computed from, ``(B, K)``; by default its own scores.

        Returns:
            The loss, a scalar; and the codes of the first assigned view, ``(B, K)``.
        """
        assigned = [scores[view] for view in self.assigned_views]
        if first is not None:
            assigned[0] = first
        codes = [self.assign(part, place) for place, part in enumerate(assigned)]
        return swapped_prediction(scores, codes, self.assigned_views, self.temperature), codes[0]

    def stage(self, embeddings: list[Tensor]) -> None:
        """Stage the unit rows of the assigned views, out of ``V x (B, D)``, for their queues."""
        for queue, view in zip(self.queues, self.assigned_views):
            queue.stage(embeddings[view])

    def embed_views(self, inputs: list[Tensor]) -> list[Tensor]:
        """Unit embeddings of every view, ``V x (B, D)``: one backbone pass per size, one neck pass for all."""
        return list(unit(self.neck(self.extract_views(inputs))).chunk(len(inputs)))

    @torch.no_grad()
    def assign(self, scores: Tensor, place: int) -> Tensor:
        """Codes of one view, ``(B, K)``, balanced together with the rows of its queue once that is full."""
        held = self._queue_share(place)
        together = torch.cat([scores, self.prototypes(held)])
        return sinkhorn(together, self.epsilon, self.sinkhorn_iterations)[: len(scores)]

    def _queue_share(self, place: int) -> Tensor:
        # Every rank holds the whole queue, so each contributes a part of it and every row counts once.
        if self.queues and self.queues[place].full:
            return self.queues[place].rows[rank() :: world_size()]
        return self.prototypes.weight.new_empty(0, self.prototypes.in_features)

    @torch.no_grad()
    def assignments(self, features: Callable[[], Tensor]) -> dict[str, Assignment]:
        """Add ``'prototypes'``: the first choice of each image of ``features`` in eval mode, on the CPU."""
        weight = self.prototypes.weight
        with eval_mode(self):
            embeddings = (unit(self.neck(part.to(weight.device))) for part in features().split(_CHUNK))
            chosen = torch.cat([self.prototypes(rows).argmax(dim=1).cpu() for rows in embeddings])
        return {**super().assignments(features), 'prototypes': Assignment(chosen, len(weight), 'prototypes')}

    def chance_loss(self, batch_size: int) -> float:
        """Ln K for K prototypes."""
        return math.log(self.prototypes.out_features)

    def allocate(self, num_samples: int) -> None:
        """Refuse more prototypes than images: codes could not be balanced.

        Raises:
            ValueError: Too many prototypes, or too long a queue.
        """
        count = self.prototypes.out_features
        if count > num_samples:
            raise ValueError(
                f'{count} prototypes, but the data set has {num_samples} images: codes cannot be balanced. Set '
                f'model.prototypes.num_prototypes to {max(num_samples // 10, 2)} or less (ten images per prototype).'
            )
        super().allocate(num_samples)


def share_used(codes: Tensor) -> Tensor:
    """Share of the prototypes that are the first choice of any image; ``(B, K)`` codes to a scalar in (0, 1]."""
    return codes.argmax(dim=1).unique().numel() / codes.new_tensor(codes.shape[1])
