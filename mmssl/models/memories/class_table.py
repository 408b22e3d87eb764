"""A trained row per image of the training set, sharded over the processes."""

from collections.abc import Iterable

import torch
from torch import Tensor

from mmssl.functional import SoftLabels, Stream, hardest_classes, hash_seed, look_up, rank, shard_of, unit, world_size
from mmssl.models.memories.base import BaseMemory
from mmssl.ranges import COUNT, INDEX, NOT_NEGATIVE, SHARE, check_numbers
from mmssl.registry import MEMORIES

_BLOCK = 4096  # rows drawn with one seed, whichever ranks hold them


@MEMORIES.register_module()
class ClassTable(BaseMemory):
    """Softmax weights with one class per image, trained by their own optimizer.

    Rank r of W holds the rows that ``shard_of(N, r, W)`` names, and their state. They are not parameters: DDP would
    average them, and the state dict of one rank would lack those of the others. After the backward pass the gradient
    of this rank's rows is exact, and :meth:`commit` takes a step of SGD with momentum; weight decay applies to all
    rows, including those whose images were not drawn.

    Sharded buffers: ``rows`` and ``velocity`` ``(N_r, dim)``; ``hard`` ``(N_r, num_hard)`` int32, the classes most
    similar to each. Buffers: ``prepared``, whether the rows were initialised from features; ``refreshed``, the epoch
    that ``hard`` was computed for, -1 before the first.

    Args:
        dim: Width of a row, at least 1.
        start: ``'features'``, the normalised embedding of each image by the untrained network; or ``'random'``, normal
            numbers with standard deviation 0.01.
        num_hard: Similar classes kept per class, updated every epoch, at least 0; 0 for none.
        momentum: Momentum of SGD, the weight of the OLD velocity, 0 to 1.
        weight_decay: Weight decay of SGD, at least 0.
        lr_ratio: Learning rate of the rows as a multiple of the network's, at least 0.
        bfloat16: Whether to compute products with the table in bfloat16; sums stay in float32.

    Raises:
        ValueError: Unknown ``start``.

    Source: million-way instance classification (Liu et al., AAAI 2021) for ``start='features'`` and the hard classes;
    Partial FC (An et al., 2020) for the shards; PIC (Cao et al., NeurIPS 2020) for ``start='random'``.
    """

    per_image = True
    rows: Tensor
    velocity: Tensor
    hard: Tensor
    prepared: Tensor
    refreshed: Tensor
    sharded = ('rows', 'velocity', 'hard')
    prepares_in_batches = True

    def __init__(
        self,
        dim: int,
        start: str = 'features',
        num_hard: int = 0,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
        lr_ratio: float = 1.0,
        bfloat16: bool = False,
    ) -> None:
        check_numbers(COUNT, dim=dim)
        check_numbers(INDEX, num_hard=num_hard)
        check_numbers(SHARE, momentum=momentum)
        check_numbers(NOT_NEGATIVE, weight_decay=weight_decay, lr_ratio=lr_ratio)
        super().__init__()
        if start not in ('features', 'random'):
            raise ValueError(f"start={start!r} of a ClassTable: set it to 'features' or 'random'.")
        self.start, self.num_hard, self.bfloat16 = start, num_hard, bfloat16
        self.momentum, self.weight_decay, self.lr_ratio = momentum, weight_decay, lr_ratio
        self.num_classes, self.learning_rate, self.loss_scale = 0, 0.0, 1.0
        for name in ('rows', 'velocity'):
            self.register_buffer(name, torch.zeros(0, dim), persistent=False)
        self.register_buffer('hard', torch.zeros(0, num_hard, dtype=torch.int32), persistent=False)
        self.register_buffer('prepared', torch.tensor(False))
        self.register_buffer('refreshed', torch.tensor(-1))
        self._trained: Tensor | None = None

    def __len__(self) -> int:
        """Number of classes in the whole table."""
        return self.num_classes

    @property
    def first(self) -> int:
        """First class of this rank."""
        return shard_of(self.num_classes, rank(), world_size())[0]

    def allocate(self, num_samples: int) -> None:
        """Draw this rank's rows at random; the whole table does not depend on the number of processes.

        Raises:
            ValueError: ``num_hard`` exceeds the number of other classes.
        """
        if self.num_hard >= num_samples:
            raise ValueError(
                f'{self.num_hard} hard classes, but the data set has {num_samples} images: set num_hard of the table '
                f'to {num_samples - 1} or less.'
            )
        self.num_classes = num_samples
        first, length = shard_of(num_samples, rank(), world_size())
        self.rows = self.rows.new_empty(length, self.rows.shape[1])
        for block in range(first // _BLOCK, -(-(first + length) // _BLOCK)):
            generator = torch.Generator().manual_seed(hash_seed(self.seed, Stream.TABLE_START, block))
            drawn = torch.empty(_BLOCK, self.rows.shape[1]).normal_(std=0.01, generator=generator)
            self._write(block * _BLOCK, drawn)
        self.velocity = torch.zeros_like(self.rows)
        self.hard = self.hard.new_zeros(length, self.num_hard)

    def _write(self, start: int, rows: Tensor) -> None:
        """Copy this rank's part of consecutive rows of the whole table."""
        low, high = max(start, self.first), min(start + len(rows), self.first + len(self.rows))
        if low < high:
            self.rows[low - self.first : high - self.first] = rows[low - start : high - start].to(self.rows)

    def wants_preparation(self, epoch: int) -> bool:
        """Whether rows must be prepared: before the first epoch, with ``start='features'``."""
        return self.start == 'features' and not self.prepared

    def prepare(self, features: Iterable[Tensor], epoch: int) -> None:
        """Set each row to the unit feature of its image.

        Args:
            features: Consecutive parts of the features of all images, each ``(B, dim)``.
            epoch: The epoch that follows.
        """
        start = 0
        for part in features:
            self._write(start, unit(part))
            start += len(part)
        self.prepared.fill_(True)
        self.begin_epoch(epoch)

    def begin_epoch(self, epoch: int) -> None:
        """Find the classes most similar to each class, once per epoch, after the rows were initialised."""
        super().begin_epoch(epoch)
        if self.num_hard and not self.wants_preparation(epoch) and int(self.refreshed) != epoch:
            self.hard = hardest_classes(self.rows, self.num_hard, bfloat16=self.bfloat16).int()
            self.refreshed.fill_(epoch)

    def begin_step(self, learning_rate: float, loss_scale: float) -> None:
        """Remember the network's learning rate and the scale of the loss for :meth:`commit`."""
        self.learning_rate, self.loss_scale = learning_rate * self.lr_ratio, loss_scale

    def trained_rows(self) -> Tensor:
        """This rank's rows as a leaf tensor that accumulates the gradients of a step over all micro-batches."""
        if self._trained is None:
            self._trained = self.rows.detach().requires_grad_()
        return self._trained

    def smoothed(self, sample_idx: Tensor, share: float) -> SoftLabels | None:
        """Hard classes of images, with their shares of each label's weight.

        Args:
            sample_idx: Sample indices, shape ``(B,)``.
            share: Weight that is spread evenly over the hard classes; the paper's alpha.

        Returns:
            Classes, int64, and weights, ``(B, num_hard)`` each; None if the table keeps no hard classes.
        """
        if not self.num_hard:
            return None
        classes = look_up(self.hard, sample_idx).long()
        return SoftLabels(classes, self.rows.new_full(classes.shape, share / self.num_hard))

    @torch.no_grad()
    def commit(self) -> None:
        """Take a step of SGD on this rank's rows."""
        if self._trained is None or self._trained.grad is None:
            return self.discard()
        gradient = self._trained.grad.div_(self.loss_scale)
        self.velocity.mul_(self.momentum).add_(gradient).add_(self.rows, alpha=self.weight_decay)
        self.rows.add_(self.velocity, alpha=-self.learning_rate)
        self.discard()

    def discard(self) -> None:
        """Discard the gradients."""
        self._trained = None
