"""Numbers that must stay finite: weights that are saved, and the statistics of batch norm."""

from torch import Tensor, nn

from mmssl.weights import is_finite

_STATISTICS = ('running_mean', 'running_var')


def nonfinite_weights(model: nn.Module) -> list[str]:
    """Names of the parameters and of the statistics of batch norm that hold a NaN or an infinite number."""
    tensors = [*model.named_parameters(), *_statistics(model).items()]
    return [name for name, tensor in tensors if not is_finite(tensor)]


def _statistics(model: nn.Module) -> dict[str, Tensor]:
    return {name: buffer for name, buffer in model.named_buffers() if name.rpartition('.')[2] in _STATISTICS}


class FiniteStatistics:
    """The statistics of batch norm after the last step that was taken.

    A forward pass moves them whether or not its step is taken, so those of a batch with a NaN would stay.

    Args:
        model: The algorithm, teachers included.
    """

    def __init__(self, model: nn.Module) -> None:
        self.buffers = list(_statistics(model).values())
        self.kept = [buffer.clone() for buffer in self.buffers]

    def keep(self) -> None:
        """Note the statistics after a step."""
        for kept, buffer in zip(self.kept, self.buffers):
            kept.copy_(buffer)

    def restore(self) -> None:
        """Put back those that are no longer finite after a skipped step."""
        for kept, buffer in zip(self.kept, self.buffers):
            if not is_finite(buffer):
                buffer.copy_(kept)
