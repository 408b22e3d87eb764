"""PixPro and PixContrast: make pixels of two views agree if they show the same place (Xie et al., CVPR 2021)."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from mmssl.datasets.structures import Batch
from mmssl.functional import in_float32, pixel_contrast, pixel_positive_mask, pixel_to_propagation
from mmssl.models.algorithms.base import BaseAlgorithm, build
from mmssl.models.memories import EMATeacher
from mmssl.ranges import NOT_NEGATIVE, POSITIVE, SHARE, check_numbers
from mmssl.registry import MODELS


class _Keys(NamedTuple):
    """The teacher's maps of embeddings, one per level; its embedding of the whole image, if it has that branch."""

    levels: list[Tensor]
    whole: Tensor | None


@MODELS.register_module()
class PixPro(BaseAlgorithm):
    """Make propagated pixels of one view agree with the teacher's pixels of the other that show the same place.

    The data set must provide boxes: ``train_dataloader.dataset.views.boxes=True``.

    Args:
        backbone: Module or its config.
        neck: Module or its config; a feature map to a map of embeddings, shared by all levels.
        propagation: Module or its config, applied to the student's embeddings. None for PixContrast.
        pyramid: Module or its config, between backbone and neck: feature maps to a tuple of maps, whose losses are
            averaged; None for the last map alone. Our own version of the paper's head pre-training, whose code was not
            released.
        instance_neck: Module or its config; a second projection for whole images.
        instance_predictor: Module or its config, applied to the student's second projection.
        instance_weight: Weight of the loss on whole images, at least 0; needs the two modules above.
        objective: ``'propagation'``, or ``'contrast'`` for PixContrast, the paper's baseline.
        threshold: Maximum distance within a pair of pixels, in pixel diagonals, above 0.
        temperature: Temperature of PixContrast, above 0.
        momentum: Weight of the OLD teacher, 0 to 1; :class:`~mmssl.engine.hooks.ScheduleHook` raises it to 1.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: Unknown objective; or an instance weight without an instance branch, or the other way round.

    Source: the paper, and zdaxie/PixPro for the order of operations.
    """

    num_views = 2
    learns_from_maps = True

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        propagation: nn.Module | dict | None = None,
        pyramid: nn.Module | dict | None = None,
        instance_neck: nn.Module | dict | None = None,
        instance_predictor: nn.Module | dict | None = None,
        instance_weight: float = 0.0,
        objective: Literal['propagation', 'contrast'] = 'propagation',
        threshold: float = 0.7,
        temperature: float = 0.3,
        momentum: float = 0.99,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(NOT_NEGATIVE, instance_weight=instance_weight)
        check_numbers(POSITIVE, threshold=threshold, temperature=temperature)
        check_numbers(SHARE, momentum=momentum)
        super().__init__(backbone, data_preprocessor, init_cfg)
        if objective not in ('propagation', 'contrast'):
            raise ValueError(f"objective={objective!r} of PixPro: set it to 'propagation' or 'contrast'.")
        if bool(instance_weight) != bool(instance_neck) or bool(instance_neck) != bool(instance_predictor):
            raise ValueError(
                f'instance_weight={instance_weight} with instance_neck={instance_neck} and instance_predictor='
                f'{instance_predictor}: give all three, or none.'
            )
        self.pyramid = build(pyramid) if pyramid else _Last()
        self.neck, self.propagation = build(neck), build(propagation) if propagation else nn.Identity()
        self.instance_neck = build(instance_neck) if instance_neck else None
        self.instance_predictor = build(instance_predictor) if instance_predictor else None
        self.instance_weight, self.objective = instance_weight, objective
        self.threshold, self.temperature = threshold, temperature
        branch = [self.instance_neck] if self.instance_neck else []
        self.teacher = EMATeacher(self.backbone, self.pyramid, self.neck, *branch, momentum=momentum)

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Compute the loss on pixels in both directions, and the loss on whole images (PixPro, eq. 6 and section 3.3).

        Args:
            inputs: Two normalised views, each ``(B, C, H, W)``.
            batch: ``boxes`` in its extras are the boxes of the views, ``(B, 2, 4)``.

        Returns:
            ``loss_pixel``, and ``loss_instance`` if there is that branch.

        Raises:
            ValueError: The data set provides no boxes.
        """
        boxes = batch.extras.get('boxes')
        if not isinstance(boxes, Tensor):
            raise ValueError('PixPro compares positions in the image: set train_dataloader.dataset.views.boxes=True.')
        boxes = boxes.transpose(0, 1)  # (2, B, 4)
        maps = [self.pyramid(self.backbone(view)) for view in inputs]
        keys = [self.encode_keys(view) for view in inputs]
        self.teacher.stage()
        seen = [[self.propagation(self.neck(level)) for level in levels] for levels in maps]
        losses = {'loss_pixel': sum(self.compare(seen[v], keys[1 - v].levels, boxes[[v, 1 - v]]) for v in (0, 1))}
        if self.instance_neck and self.instance_predictor is not None:
            found = [self.instance_predictor(self.instance_neck(levels[-1])).mean(dim=(2, 3)) for levels in maps]
            instance = sum(agreement(found[v], keys[1 - v].whole) for v in (0, 1))
            losses['loss_instance'] = self.instance_weight * instance
        return losses

    def project(self, features: Tensor) -> Tensor | None:
        """Apply the neck to features as a map of one pixel; None with a pyramid, whose neck takes other maps."""
        return self.neck(features[:, :, None, None]).flatten(1) if isinstance(self.pyramid, _Last) else None

    @torch.no_grad()
    def encode_keys(self, view: Tensor) -> _Keys:
        """Encode a view with the teacher."""
        backbone, pyramid, neck, *instance = self.teacher.networks
        levels = pyramid(backbone(view))
        whole = instance[0](levels[-1]).mean(dim=(2, 3)) if instance else None
        return _Keys([neck(level) for level in levels], whole)

    def compare(self, seen: list[Tensor], keys: list[Tensor], boxes: Tensor) -> Tensor:
        """Mean over the levels of the loss of one view with the other."""
        losses = []
        for query, key in zip(seen, keys):
            mask = pixel_positive_mask(boxes[0], boxes[1], tuple(query.shape[2:]), self.threshold)
            if self.objective == 'contrast':
                losses.append(pixel_contrast(query, key, mask, self.temperature))
            else:
                losses.append(pixel_to_propagation(query, key, mask))
        return torch.stack(losses).mean()


class _Last(nn.Module):
    """Pyramid of a single level: the last feature map."""

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Return the last map in a tuple."""
        return (maps[-1],)


@in_float32
def agreement(predicted: Tensor, taught: Tensor) -> Tensor:
    """Mean cosine of whole images, times -2: ``(B, D)`` and ``(B, D)`` to a scalar."""
    return -2 * cosine_similarity(predicted, taught).mean()
