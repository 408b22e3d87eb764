"""DINO: self-distillation with multi-crop, a centre and a sharpened teacher (Caron et al., ICCV 2021)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import self_distillation
from mmssl.models.algorithms.base import Assignment, BaseAlgorithm, build, pooled
from mmssl.models.heads import DINOHead
from mmssl.models.memories import BaseMemory, Centre, EMATeacher
from mmssl.models.memories.base import build_memory
from mmssl.models.modes import eval_mode
from mmssl.ranges import COUNT, POSITIVE, SHARE, check_numbers
from mmssl.registry import MODELS

_CHUNK = 4096  # images assigned at a time


@MODELS.register_module()
class DINO(BaseAlgorithm):
    """Predict the teacher's distribution over prototypes of each large view from every other view.

    The paper's schedules are hooks and schedulers of the config: momentum and temperature of the teacher by
    :class:`~mmssl.engine.hooks.ScheduleHook`, weight decay by :class:`~mmssl.engine.CosineWeightDecay`, the last layer
    frozen for the first epoch by :class:`~mmssl.engine.hooks.GradientDropHook`. Features are the student's; the authors
    evaluate the teacher.

    Args:
        backbone: Module or its config.
        head: Module or its config; features to scores of prototypes.
        momentum: Weight of the OLD teacher, 0 to 1; the paper moves it to 1 along a cosine.
        student_temperature: Divides the student's scores, above 0.
        teacher_temperature: Divides the teacher's scores, above 0; the paper raises it from 0.04 to 0.07 in 30 epochs.
        centre: Memory of the centre of the teacher's scores, or its config (``momentum``); without ``type`` it is a
            :class:`~mmssl.models.Centre`. Another memory needs a buffer ``value`` ``(K,)`` and ``stage(scores)``.
        taught_views: Number of large views, at least 1; they come first, and the teacher sees these alone.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Source: the paper, algorithm 1; facebookresearch/dino for the order of operations.
    """

    assigns_features = True

    def __init__(
        self,
        backbone: nn.Module | dict,
        head: DINOHead | dict,
        momentum: float = 0.996,
        student_temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        centre: BaseMemory | dict | None = None,
        taught_views: int = 2,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(SHARE, momentum=momentum)
        check_numbers(POSITIVE, student_temperature=student_temperature, teacher_temperature=teacher_temperature)
        check_numbers(COUNT, taught_views=taught_views)
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.head = build(head)
        self.student_temperature, self.teacher_temperature = student_temperature, teacher_temperature
        self.taught_views = taught_views
        self.centre = build_memory(centre or {}, Centre, dim=self.head.out_channels)
        self.teacher = EMATeacher(self.backbone, self.head, momentum=momentum)

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of every view with the teacher's distribution of every other large view (DINO, eq. 3).

        Args:
            inputs: Normalised views, the large ones first; views of one size are adjacent.
            batch: Not used; DINO needs no sample indices.

        Returns:
            ``loss``, and ``prototypes_used``, the share of prototypes that are the teacher's first choice of any image.

        Raises:
            ValueError: There are fewer than two views, or fewer than the teacher takes.
        """
        if len(inputs) < max(self.taught_views, 2):
            raise ValueError(
                f'DINO got {len(inputs)} views, but the teacher takes {self.taught_views} and the student another: set '
                'train_dataloader.dataset.views.counts to numbers that add up to more.'
            )
        seen = self.head(self.extract_views(inputs)).chunk(len(inputs))
        taught = self.teach(inputs[: self.taught_views])
        loss = self_distillation(
            seen, taught.chunk(self.taught_views), self.centre.value, self.student_temperature, self.teacher_temperature
        )
        self.centre.stage(taught)
        self.teacher.stage()
        return {
            'loss': loss,
            'prototypes_used': taught.argmax(dim=1).unique().numel() / loss.new_tensor(taught.shape[1]),
        }

    @torch.no_grad()
    def teach(self, views: list[Tensor]) -> Tensor:
        """The teacher's scores of ``T`` views of one size, ``(T * B, K)``, in one pass."""
        backbone, head = self.teacher.networks
        return head(pooled(backbone, torch.cat(views)))

    @torch.no_grad()
    def assignments(self, features: Callable[[], Tensor]) -> dict[str, Assignment]:
        """Add ``'prototypes'``: the first choice of each image of ``features`` in eval mode, on the CPU."""
        device = next(self.head.parameters()).device
        with eval_mode(self):
            chosen = [self.head(part.to(device)).argmax(dim=1).cpu() for part in features().split(_CHUNK)]
        own = Assignment(torch.cat(chosen), self.head.out_channels, 'prototypes')
        return {**super().assignments(features), 'prototypes': own}

    def chance_loss(self, batch_size: int) -> float:
        """Ln K for K prototypes."""
        return math.log(self.head.out_channels)
