"""Rows exchanged between the ranks, so that the batch statistics of a rank tell nothing about its own samples."""

from torch import Tensor
from torch.distributed import ProcessGroup

from mmssl.functional.collectives import gather, lengths_on_ranks, rank, world_size
from mmssl.functional.randomness import Stream, hash_draws, hash_seed


class Shuffle:
    """An order of the rows of all ranks, at random, the same on every rank; and the way back.

    Args:
        seed: Of the run.
        draws: Numbers of the draws of this rank's rows, shape ``(B,)``; those of all ranks decide the order.
        group: The processes that take part; ``None`` means all. With one process nothing moves.
    """

    def __init__(self, seed: int, draws: Tensor, group: ProcessGroup | None = None) -> None:
        self.group, self.alone = group, world_size(group) == 1
        if not self.alone:
            lengths = lengths_on_ranks(len(draws), draws.device, group)
            numbers = hash_draws(hash_seed(seed, Stream.SHUFFLE), gather(draws, group), 1)[:, 0]
            order = numbers.argsort(stable=True)
            self.there, self.here = (places.split(lengths)[rank(group)] for places in (order, order.argsort()))

    def __call__(self, rows: Tensor) -> Tensor:
        """Other rows for this rank: ``(B, ...)`` to ``(B, ...)``; no gradient."""
        return rows if self.alone else gather(rows, self.group)[self.there]

    def back(self, rows: Tensor) -> Tensor:
        """What was made of the rows, on the rank that they came from: ``(B, ...)`` to ``(B, ...)``; no gradient."""
        return rows if self.alone else gather(rows, self.group)[self.here]
