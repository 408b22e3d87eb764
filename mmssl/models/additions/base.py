"""What every addition has in common."""

from abc import abstractmethod
from typing import Protocol

from torch import Tensor, nn

from mmssl.datasets.structures import Batch

Losses = dict[str, Tensor]  # scalars by name


class Host(Protocol):
    """What an addition may ask of the method that it is added to; :class:`~mmssl.models.Contrastive` has it."""

    def embed(self, images: Tensor) -> Tensor:
        """Embeddings of the student, ``(B, C, H, W)`` to ``(B, D)``, not normalised."""
        ...

    def contrast(self, queries: Tensor, keys: Tensor) -> Tensor:
        """The host's own loss of rows that are not normalised, both ``(B, D)``: a scalar."""
        ...


class Addition(nn.Module):
    """What a paper adds to any contrastive method; a config lists it in ``model.additions``.

    The host computes its loss and then calls its additions in order, each with the losses so far::

        losses = addition(host, losses, inputs, queries, keys, batch)

    So an addition can add a loss, weigh or replace one, or call ``host.contrast`` on rows of its own. To change what
    the memories of the host learn, it overrides :meth:`staged`.

    It is a submodule of the host: its parameters are trained, its memories are allocated, prepared and committed like
    those of the host, and a schedule reaches its numbers as ``additions.0.weight``. It is not part of a teacher, nor of
    an exported network.

    An addition of your own inherits from this class, has a ``forward``, and is registered in ``mmssl.registry.MODELS``.

    Attributes:
        seed: Of the run, for what is drawn at random; set by the Runner.
    """

    seed: int = 0

    @abstractmethod
    def forward(
        self, host: Host, losses: Losses, inputs: list[Tensor], queries: Tensor, keys: Tensor, batch: Batch
    ) -> Losses:
        """The losses after this addition.

        Args:
            host: The method: its network and its loss.
            losses: Of the host and of the additions before this one, by name; left as they are.
            inputs: Normalised views, each ``(B, C, H, W)``.
            queries: Embeddings of the first view, not normalised, shape ``(B, D)``.
            keys: What they are compared with, not normalised, shape ``(B, D)``; without gradient where a teacher made
                them.
            batch: Numbers of the samples and draws.

        Returns:
            Scalars by name; those with ``loss`` in the name are summed and minimised, all are logged.
        """

    def staged(self, keys: Tensor) -> Tensor:
        """What the memories of the host learn in place of the keys; called after ``forward``.

        Args:
            keys: As the host encoded them, or as the additions before this one changed them, shape ``(B, D)``.

        Returns:
            Rows, not normalised, of any number, ``(B', D)``; the keys by default.
        """
        return keys

    def check(self, num_samples: int) -> None:
        """Refuse data that the addition cannot work with, before the run.

        Args:
            num_samples: Number of images of the training set.

        Raises:
            ValueError: Says what was given, what is needed, and what to set.
        """
