"""CtP: catch patches that were pasted into a clip, and tell where they go (Wang et al., CVPR 2021)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.utils import draw_bounding_boxes

from mmssl.datasets.structures import Batch
from mmssl.functional import box_overlap, decode_boxes, encode_boxes, trajectory_loss
from mmssl.models.algorithms.base import BaseAlgorithm, PictureSheet, PretextScore, build
from mmssl.ranges import POSITIVE, check_numbers
from mmssl.registry import MODELS

_SHOWN = 6  # frames of a clip in a picture
_SHOWN_SIDE = 128  # pixels that a frame has at least in a picture
_TRUE, _PREDICTED = '#2ca02c', '#ff7f0e'
_NO_BOXES = (
    "The clips have no 'gt_trajs', which CtP learns to predict: set train_dataloader.dataset.views to PastePatches."
)


@MODELS.register_module()
class CtP(BaseAlgorithm):
    """Predict the trajectory of each pasted patch from its box in the first frame.

    Frames that a patch is left out of count in the loss like all others.

    Args:
        backbone: Module or its config; gives maps of clips.
        head: Module or its config, such as a :class:`~mmssl.models.TrajectoryHead`.
        deviations: What the changes of x and y (in pixels) and of log width and log height are divided by, above 0. For
            clips of another size than 112 pixels, scale the first two with it.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Source: the paper, section 3.3; microsoft/CtP, ``ctp_model.py``.
    """

    num_views = 1

    def __init__(
        self,
        backbone: nn.Module | dict,
        head: nn.Module | dict,
        deviations: Sequence[float] = (0.8, 0.8, 0.04, 0.04),
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(POSITIVE, deviations=deviations)
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.head, self.deviations = build(head), tuple(deviations)

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Smooth L1 between predicted and true changes of each box since the first frame (CtP, eq. 2).

        Args:
            inputs: One view of clips with pasted patches, ``(B, C, T, H, W)``.
            batch: With ``gt_trajs`` in its ``extras``, ``(B, N, T, 4)``, from :class:`~mmssl.datasets.PastePatches`.

        Returns:
            ``loss_ctr`` for the centres and ``loss_size`` for the sizes.

        Raises:
            ValueError: The clips have no boxes, or the head predicts another number of frames.
        """
        boxes = self._boxes(inputs[0], batch)
        changes = self.predict_changes(inputs[0], boxes)
        weights = boxes.new_ones(boxes.shape[:3])
        centres, sizes = trajectory_loss(changes, encode_boxes(boxes, self.deviations), weights)
        return {'loss_ctr': centres, 'loss_size': sizes}

    def predict_changes(self, clips: Tensor, boxes: Tensor) -> Tensor:
        """Predict changes of boxes, ``(B, N, T, 4)``, from clips and the boxes; only those of the first frame count."""
        changes = self.head(self.backbone(clips)[-1], boxes[:, :, 0])
        if changes.shape != boxes.shape:
            raise ValueError(
                f'The clips have {boxes.shape[2]} frames, but the head predicts {changes.shape[2]}: set '
                f'model.head.frames={boxes.shape[2]}.'
            )
        return changes

    @torch.no_grad()
    def predict_boxes(self, clips: Tensor, boxes: Tensor) -> Tensor:
        """Predict boxes in all frames.

        Args:
            clips: Normalised, shape ``(B, C, T, H, W)``.
            boxes: Corners x1, y1, x2, y2 in pixels, shape ``(B, N, T, 4)``; only those of the first frame are used.

        Returns:
            Corners, shape ``(B, N, T, 4)``.
        """
        return decode_boxes(self.predict_changes(clips, boxes), boxes[:, :, 0], self.deviations)

    def pretext_scores(self, inputs: list[Tensor], batch: Batch) -> list[PretextScore]:
        """Overlap of predicted with true boxes over all frames, and that of boxes that stay where they were."""
        boxes = self._boxes(inputs[0], batch)
        still = boxes[:, :, :1].expand_as(boxes)
        predicted = box_overlap(self.predict_boxes(inputs[0], boxes), boxes)
        meaning = 'mean overlap (intersection over union, 0 to 1) of predicted with true boxes over all frames'
        return [
            PretextScore('trajectory IoU', predicted.mean(dim=(1, 2)), meaning),
            PretextScore('IoU of still boxes', box_overlap(still, boxes).mean(dim=(1, 2)), 'if no box ever moved'),
        ]

    def picture_sheets(self, inputs: list[Tensor], batch: Batch) -> list[PictureSheet]:
        """Frames of each clip with the true and the predicted boxes."""
        boxes = self._boxes(inputs[0], batch)
        found = self.predict_boxes(inputs[0], boxes)
        mean, std = (getattr(self.data_preprocessor, name).view(1, -1, 1, 1, 1) for name in ('mean', 'std'))
        clips = (inputs[0] * std + mean).round().clamp(0, 255).byte()
        rows = [_drawn(*clip) for clip in zip(clips.cpu(), boxes.cpu(), found.cpu())]
        text = (
            'Each row: frames of a clip with patches pasted along made-up paths. Green: where a patch is. Orange: '
            'where the network says that it goes, told only the box in the first frame.'
        )
        return [PictureSheet('Predicted trajectories', text, rows)]

    @staticmethod
    def _boxes(clips: Tensor, batch: Batch) -> Tensor:
        boxes = batch.extras.get('gt_trajs')
        if not isinstance(boxes, Tensor):
            raise ValueError(_NO_BOXES)
        return boxes.to(clips.dtype)


def _drawn(clip: Tensor, boxes: Tensor, found: Tensor) -> list[tuple[Tensor, str]]:
    """Evenly spaced frames of a clip, enlarged if they are small, with both kinds of boxes."""
    count = clip.shape[1]
    places = [place * (count - 1) // (min(_SHOWN, count) - 1 or 1) for place in range(min(_SHOWN, count))]
    factor = -(-_SHOWN_SIDE // min(clip.shape[-2:]))
    pictures = []
    for place in places:
        frame = interpolate(clip[:, place][None], scale_factor=factor)[0].expand(3, -1, -1)
        for own, colour in ((boxes, _TRUE), (found, _PREDICTED)):
            frame = draw_bounding_boxes(frame, _inside(own[:, place] * factor, frame), colors=colour, width=2)
        pictures.append((frame, f'frame {place + 1}'))
    return pictures


def _inside(boxes: Tensor, frame: Tensor) -> Tensor:
    """Boxes that lie in a frame and have at least a pixel, so that they can be drawn."""
    last = torch.tensor([frame.shape[-1], frame.shape[-2]]) - 1
    first = torch.minimum(boxes[:, :2].clamp_min(0), last - 1)
    return torch.cat([first, torch.maximum(torch.minimum(boxes[:, 2:], last), first + 1)], dim=1)
