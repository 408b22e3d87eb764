"""Head that predicts how boxes move through a clip."""

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from mmssl.functional import in_float32
from mmssl.ranges import COUNT, POSITIVE, check_numbers
from mmssl.registry import MODELS

_SAMPLES = 2  # per axis and cell of a region
_DEVIATION = 1e-3  # of the first weights of the fully connected layers


@MODELS.register_module()
class TrajectoryHead(nn.Module):
    """Pool the features of a box in the first frame, and predict its change in every frame by two layers.

    The maps of all times are merged by a convolution first.

    Args:
        in_channels: Channels of the maps, at least 1.
        frames: Frames of the clip, at least 1.
        map_frames: Length of the maps in time, at least 1.
        stride: Side of a place of the map, in pixels of the clip, at least 1.
        hidden_channels: Channels after the convolution, and of the hidden layer, at least 1.
        cells: Side of the grid of a region, at least 1.
        deviation: Standard deviation of the first weights of the two layers, above 0.

    Source: CtP, section 3.3 (Wang et al., CVPR 2021); microsoft/CtP, ``CtPHead``.
    """

    def __init__(
        self,
        in_channels: int = 512,
        frames: int = 16,
        map_frames: int = 2,
        stride: int = 8,
        hidden_channels: int = 512,
        cells: int = 5,
        deviation: float = _DEVIATION,
    ) -> None:
        check_numbers(
            COUNT,
            in_channels=in_channels,
            frames=frames,
            map_frames=map_frames,
            stride=stride,
            hidden_channels=hidden_channels,
            cells=cells,
        )
        check_numbers(POSITIVE, deviation=deviation)
        super().__init__()
        self.frames, self.map_frames, self.stride, self.cells = frames, map_frames, stride, cells
        self.temporal_conv = nn.Conv3d(in_channels, hidden_channels, (map_frames, 1, 1))
        self.fc1 = nn.Linear(hidden_channels * cells**2, hidden_channels)
        self.pred_head = nn.Linear(hidden_channels, 4 * frames)
        nn.init.kaiming_normal_(self.temporal_conv.weight, mode='fan_out', nonlinearity='relu')
        for layer in (self.fc1, self.pred_head):
            nn.init.normal_(layer.weight, std=deviation)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.temporal_conv.bias)

    def forward(self, maps: Tensor, boxes: Tensor) -> Tensor:
        """Predict the changes of boxes, as :func:`~mmssl.functional.encode_boxes` describes them.

        Args:
            maps: Features of the clips, shape ``(B, C, map_frames, H, W)``.
            boxes: Corners x1, y1, x2, y2 in the first frame, in pixels, shape ``(B, N, 4)``.

        Returns:
            Shape ``(B, N, frames, 4)``.

        Raises:
            ValueError: The maps have another length.
        """
        if maps.shape[2] != self.map_frames:
            raise ValueError(
                f'The maps of a clip have {maps.shape[2]} times, but the head merges {self.map_frames}: set '
                f'model.head.map_frames={maps.shape[2]}.'
            )
        merged = self.temporal_conv(maps).relu().squeeze(2)
        pooled = _regions(merged, boxes, self.cells, self.stride)
        return self.pred_head(self.fc1(pooled.flatten(1)).relu()).view(*boxes.shape[:2], self.frames, 4)


@in_float32
def _regions(maps: Tensor, boxes: Tensor, cells: int, stride: int) -> Tensor:
    clips = torch.arange(len(boxes), device=boxes.device).repeat_interleave(boxes.shape[1])
    regions = torch.cat([clips[:, None].to(maps), boxes.flatten(0, 1).to(maps)], dim=1)
    return roi_align(maps, regions, cells, 1 / stride, _SAMPLES, aligned=True)
