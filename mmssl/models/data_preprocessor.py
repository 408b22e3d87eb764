"""Convert a batch of bytes to normalised floats on the device."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mmssl.datasets.structures import Batch
from mmssl.ranges import POSITIVE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class DataPreprocessor(BaseDataPreprocessor):
    """Move a batch to the device, convert it to floats, and normalise each channel there.

    Args:
        mean: One number per channel, in the units of the images (0 to 255, or 0 to 65535 for 16-bit ones).
        std: One number per channel, in the same units, above 0.
        non_blocking: Whether to copy to the device asynchronously (faster with pinned memory).
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        non_blocking: bool = False,
    ) -> None:
        check_numbers(POSITIVE, std=std)
        super().__init__(non_blocking=non_blocking)
        self.register_buffer('mean', torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1), persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise a collated batch.

        Args:
            data: From :func:`~mmssl.datasets.collate`: ``inputs``, one uint8 or uint16 tensor per view, of shape
                ``(B, C, H, W)``, or ``(B, C, T, H, W)`` for clips; the ``(B,)`` fields of the batch; and
                ``extras``, which are moved to the device unchanged.
            training: Not used; part of MMEngine's interface.

        Returns:
            ``inputs``, a list of float tensors, and ``batch``, the :class:`~mmssl.datasets.Batch`.

        Raises:
            ValueError: The images and ``mean`` differ in their number of channels.
        """
        data = self.cast_data(data)
        inputs = [self._normalise(view) for view in data['inputs']]
        fields = {key: data[key] for key in Batch.field_names() if key in data}
        return {'inputs': inputs, 'batch': Batch(**fields)}

    def _normalise(self, view: Tensor) -> Tensor:
        channels = self.mean.shape[1]
        if view.shape[1] != channels:
            raise ValueError(
                f'Images have {view.shape[1]} channels, but data_preprocessor.mean has {channels}. Set channels= of '
                f'the data set to {channels}, or give model.data_preprocessor a mean and std for {view.shape[1]}.'
            )
        # Channels last, like the Runner's weights: convolutions on CPUs run 1.4 to 2 times as fast.
        layout = torch.channels_last if view.dim() == 4 else torch.contiguous_format
        mean, std = (numbers.view(1, channels, *[1] * (view.dim() - 2)) for numbers in (self.mean, self.std))
        return (view.to(self.mean.dtype, memory_format=layout) - mean) / std
