"""Exchange rows between ranks, so that batch statistics reveal nothing about a rank's own samples."""

from torch import Tensor
from torch.distributed import ProcessGroup

from mmssl.functional.collectives import gather, lengths_on_ranks, rank, world_size
from mmssl.functional.randomness import Stream, hash_draws, hash_seed


class Shuffle:
    """Random permutation of the rows of all ranks, the same on every rank, and its inverse.

    Args:
        seed: Seed of the run.
        draws: Draw numbers of this rank's rows, shape ``(B,)``; those of all ranks decide the order.
        group: The processes that take part; ``None`` means all. With one process nothing is permuted.
    """

    def __init__(self, seed: int, draws: Tensor, group: ProcessGroup | None = None) -> None:
        self.group, self.alone = group, world_size(group) == 1
        if not self.alone:
            lengths = lengths_on_ranks(len(draws), draws.device, group)
            numbers = hash_draws(hash_seed(seed, Stream.SHUFFLE), gather(draws, group), 1)[:, 0]
            order = numbers.argsort(stable=True)
            self.there, self.here = (places.split(lengths)[rank(group)] for places in (order, order.argsort()))

    def __call__(self, rows: Tensor) -> Tensor:
        """Permute rows over the ranks: ``(B, ...)`` to ``(B, ...)``; no gradient."""
        return rows if self.alone else gather(rows, self.group)[self.there]

    def back(self, rows: Tensor) -> Tensor:
        """Return permuted rows to the ranks they came from: ``(B, ...)`` to ``(B, ...)``; no gradient."""
        return rows if self.alone else gather(rows, self.group)[self.here]
