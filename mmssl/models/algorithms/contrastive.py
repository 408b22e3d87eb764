"""Contrastive methods, which can host additions."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.models.additions import Addition
from mmssl.models.algorithms.base import BaseAlgorithm, build


class Contrastive(BaseAlgorithm):
    """Base class of methods that compare queries with keys, split into parts that additions can reuse.

    The parts are :meth:`query` (images to queries: network, neck, and a predictor if there is one), :meth:`encode`
    (views to queries and keys, not normalised), :meth:`contrast` (the loss of queries and keys, which it normalises;
    it may be called again with other rows) and :meth:`stage` (what the memories of the method should learn).
    :meth:`loss` runs ``encode`` and ``contrast``, then every addition in order, and ``stage`` last. A method of your
    own implements ``encode`` and ``contrast``, and ``stage`` if it has memories.

    A method that compares in both directions, such as BYOL, sets ``directions`` to 2 and returns ``2 B`` rows from
    ``encode``: first those whose query is the first view. :meth:`compare` calls ``contrast`` for each direction and
    adds the losses. Additions get all rows, with each image of the batch twice.

    Args:
        backbone: Module or its config.
        neck: Module or its config; features to embeddings.
        additions: :class:`~mmssl.models.Addition` modules or their configs, called in this order.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: An addition does not work on this method.

    Attributes:
        additions: The additions; a schedule sets ``additions.0.weight``.
        directions: 2 if each view is compared with the other one, 1 if only the first is.
    """

    num_views: int | None = 2
    directions: int = 1

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        additions: Sequence[Addition | dict] = (),
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.neck = build(neck)
        self.additions = nn.ModuleList(build(addition) for addition in additions)
        self._refuse_pairs()

    def _refuse_pairs(self) -> None:
        """Refuse additions that do not work on this method; on a method of the user's own, all may be tried."""
        name = next(kind.__name__ for kind in type(self).__mro__ if kind.__module__.startswith('mmssl.'))
        for addition in self.additions:
            if addition.hosts and name not in (*addition.hosts, Contrastive.__name__):
                raise ValueError(
                    f'{type(addition).__name__} in model.additions of {name}: it works on {", ".join(addition.hosts)}; '
                    'set model.type to one of them, or remove the addition.'
                )

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Compute the loss of the method, and apply the additions to it.

        Args:
            inputs: Two normalised views, each ``(B, C, H, W)``: of the queries, and of the keys.
            batch: Sample indices and draw numbers.

        Returns:
            ``loss``; with additions, what the last one returns.
        """
        queries, keys = self.encode(inputs, batch)
        losses = {'loss': self.compare(queries, keys)}
        if self.additions:
            batch = batch.repeated(self.directions)
        for addition in self.additions:
            losses = addition(self, losses, inputs, queries, keys, batch)
        for addition in self.additions:
            keys = addition.staged(keys)
        self.stage(queries, keys)
        return losses

    def query(self, images: Tensor) -> Tensor:
        """Compute queries of the student: embeddings, or predictions in a method with a predictor.

        Args:
            images: Normalised, shape ``(B, C, H, W)``.

        Returns:
            Shape ``(B, D)``, not normalised.
        """
        return self.embed(images)

    @abstractmethod
    def encode(self, inputs: list[Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """Encode the views of a batch as queries and keys, before normalisation.

        Args:
            inputs: Normalised views, each ``(B, C, H, W)``.
            batch: Sample indices and draw numbers.

        Returns:
            Queries and keys, ``(B, D)`` each, or ``(2 B, D)`` for both directions; a key belongs to the query of the
            same row.
        """

    def compare(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Compute the loss of all rows: the sum of :meth:`contrast` over the directions.

        Args:
            queries: Output of :meth:`encode`.
            keys: Output of :meth:`encode`.

        Returns:
            Scalar.
        """
        pairs = zip(queries.chunk(self.directions), keys.chunk(self.directions), strict=True)
        return torch.stack([self.contrast(*pair) for pair in pairs]).sum()

    @abstractmethod
    def contrast(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Compute the loss of queries and their keys in one direction; rows are normalised here, nothing is staged.

        Args:
            queries: Not normalised, shape ``(B, D)``.
            keys: Not normalised, shape ``(B, D)``.

        Returns:
            Scalar.
        """

    def partners(self, queries: Tensor, keys: Tensor) -> Tensor:
        """What shows the other view in the space of the queries; the keys by default.

        Args:
            queries: Output of :meth:`encode`, shape ``(B, D)``.
            keys: Output of :meth:`encode`, shape ``(B, D)``.

        Returns:
            A row for each query, shape ``(B, D)``.
        """
        return keys

    def stage(self, queries: Tensor, keys: Tensor) -> None:
        """Stage what the memories of the method should learn; nothing by default.

        It may call ``stage`` of any memory, a teacher included, with either argument or with rows computed from them;
        memories drop the gradient. It must not write to a memory, which happens after the step.

        Args:
            queries: Output of :meth:`encode`, not normalised, shape ``(B, D)``.
            keys: Output of :meth:`encode`, not normalised; an addition may have changed them and their number, shape
                ``(B', D)``.
        """

    def allocate(self, num_samples: int) -> None:
        """Let the additions check the data, then fit the memories to the training set.

        Raises:
            ValueError: An addition or a memory does not fit.
        """
        for addition in self.additions:
            addition.check(num_samples)
        super().allocate(num_samples)
