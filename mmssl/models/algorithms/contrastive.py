"""Contrastive methods: hosts that additions can be put on."""

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.models.additions import Addition
from mmssl.models.algorithms.base import BaseAlgorithm, build


class Contrastive(BaseAlgorithm):
    """A method that compares the queries of a batch with keys, in parts that additions can use again.

    The parts are :meth:`embed` (network and neck), :meth:`encode` (views to queries and keys, not normalised) and
    :meth:`contrast` (the loss of queries and keys, which it normalises; it may be called again with other rows).
    :meth:`loss` runs them, then every addition in order, and last :meth:`stage`, which tells the memories of the method
    what to learn. A method of your own implements ``encode`` and ``contrast``, and ``stage`` if it has memories.

    Args:
        backbone: Module or its config.
        neck: Module or its config; features to embeddings.
        additions: :class:`~mmssl.models.Addition` modules or their configs, called in this order.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Attributes:
        additions: The additions; schedules reach ``additions.0.weight``.
    """

    num_views = 2

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

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """The loss of the method, and what additions make of it.

        Args:
            inputs: Normalised views, each ``(B, C, H, W)``: of the queries, and of the keys.
            batch: Numbers of the samples and draws.

        Returns:
            ``loss``; with additions what they return.
        """
        queries, keys = self.encode(inputs, batch)
        losses = {'loss': self.contrast(queries, keys)}
        for addition in self.additions:
            losses = addition(self, losses, inputs, queries, keys, batch)
        for addition in self.additions:
            keys = addition.staged(keys)
        self.stage(keys)
        return losses

    @abstractmethod
    def encode(self, inputs: list[Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """Queries and keys of a batch, before they are normalised.

        Args:
            inputs: Normalised views, each ``(B, C, H, W)``.
            batch: Numbers of the samples and draws.

        Returns:
            Queries and keys, ``(B, D)`` each; a key belongs to the query of the same row.
        """

    @abstractmethod
    def contrast(self, queries: Tensor, keys: Tensor) -> Tensor:
        """The loss of queries and their keys, which are normalised here; nothing is staged.

        Args:
            queries: Not normalised, shape ``(B, D)``.
            keys: Not normalised, shape ``(B, D)``.

        Returns:
            Scalar.
        """

    def stage(self, keys: Tensor) -> None:
        """Tell the memories of the method what to learn; none by default.

        Args:
            keys: What :meth:`encode` gave, unless an addition changed it, not normalised, shape ``(B', D)``.
        """

    def allocate(self, num_samples: int) -> None:
        """Ask the additions, then fit the memories to the training set.

        Raises:
            ValueError: An addition or a memory does not fit.
        """
        for addition in self.additions:
            addition.check(num_samples)
        super().allocate(num_samples)
