"""Base class of additions."""

from abc import abstractmethod
from typing import Protocol

from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import Stream, gather, hash_seed

Losses = dict[str, Tensor]  # scalars by name


class Host(Protocol):
    """Interface that an addition may use of its host; :class:`~mmssl.models.Contrastive` implements it.

    Attributes:
        directions: 2 if each view is compared with the other one, 1 if only the first is.
    """

    directions: int

    def embed(self, images: Tensor) -> Tensor:
        """Embeddings of the student, ``(B, C, H, W)`` to ``(B, D)``, not normalised."""
        ...

    def query(self, images: Tensor) -> Tensor:
        """Queries of the student, ``(B, C, H, W)`` to ``(B, D)``, not normalised: what ``contrast`` takes first."""
        ...

    def contrast(self, queries: Tensor, keys: Tensor) -> Tensor:
        """The host's own loss for rows that are not normalised, ``(B, D)`` each: a scalar."""
        ...

    def partners(self, queries: Tensor, keys: Tensor) -> Tensor:
        """What shows the other view in the space of the queries: a row for each query, ``(B, D)``."""
        ...


class Addition(nn.Module):
    """Base class of what a paper adds to any contrastive method; configs list additions in ``model.additions``.

    The host computes its loss and then calls its additions in order, each with the losses so far::

        losses = addition(host, losses, inputs, queries, keys, batch)

    An addition can add a loss, weight or replace one, or call ``host.contrast`` on rows of its own. To change what the
    memories of the host learn, it overrides :meth:`staged`.

    It is a submodule of the host: its parameters are trained, its memories are allocated, prepared and committed like
    those of the host, and schedules set its values as ``additions.0.weight``. It is not part of a teacher or of an
    exported network.

    An addition of your own inherits from this class, has a ``forward``, and is registered in ``mmssl.registry.MODELS``.

    Attributes:
        hosts: Names of the methods of mmssl that it works on; empty for all.
        seed: Seed of the run, for random draws; set by the Runner.
    """

    hosts: tuple[str, ...] = ()
    seed: int = 0

    @abstractmethod
    def forward(
        self, host: Host, losses: Losses, inputs: list[Tensor], queries: Tensor, keys: Tensor, batch: Batch
    ) -> Losses:
        """Compute the losses after this addition.

        Args:
            host: The method: its network and its loss.
            losses: Losses of the host and of the additions before this one, by name; not changed in place.
            inputs: Normalised views, each ``(B, C, H, W)``.
            queries: Queries of the first view, not normalised, shape ``(B, D)``; of a host that compares in both
                directions those of the second view follow, ``(2 B, D)``, and ``batch`` has each image twice.
            keys: What the queries are compared with, not normalised, shape ``(B, D)``; without gradient if a teacher
                made them.
            batch: Sample indices and draw numbers.

        Returns:
            Scalars by name; those with ``loss`` in the name are summed and minimised, all are logged.
        """

    def step_seed(self, stream: Stream, batch: Batch) -> int:
        """Seed of what a whole step draws: the same on all ranks, for the seed of the run and the step's draw numbers.

        Args:
            stream: Purpose of the draw.
            batch: This rank's part of the global batch.
        """
        return hash_seed(self.seed, stream, int(gather(batch.draw).min()))

    def staged(self, keys: Tensor) -> Tensor:
        """Rows that the memories of the host learn in place of the keys; called after ``forward``.

        Args:
            keys: Keys of the host, or what the additions before this one made of them, shape ``(B, D)``.

        Returns:
            Any number of rows, not normalised, ``(B', D)``; the keys by default.
        """
        return keys

    def check(self, num_samples: int) -> None:
        """Refuse data that the addition cannot work with, before the run.

        Args:
            num_samples: Number of images of the training set.

        Raises:
            ValueError: The data do not fit; the message names what was given, what is needed, and what to set.
        """
