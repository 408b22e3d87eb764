"""Teacher: a moving average of a student network."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from mmssl.models.memories.base import BaseMemory
from mmssl.ranges import SHARE, check_numbers
from mmssl.registry import MEMORIES


@MEMORIES.register_module()
class EMATeacher(BaseMemory):
    """Moving average of the weights of a student: the momentum encoder of MoCo, BYOL and PixPro.

    Only parameters are averaged. The running statistics of batch norm are the teacher's own: they start as the
    student's and are updated in the teacher's forward pass, as in the papers' code. torch's dropout layers
    and timm's stochastic depth are off in the teacher.

    The papers' code averages before the forward pass of the keys, with the momentum of that step. Here the average is
    taken at the end of the previous step, so a scheduled momentum is set one step ahead (``ahead=1`` of
    :class:`~mmssl.engine.hooks.ScheduleHook`); the values are the same.

    Args:
        students: The modules to follow, applied in this order; their weights are copied.
        momentum: Weight of the OLD teacher, 0 to 1.

    Attributes:
        held: Students that stand still: their copies keep their bits, which an average would round.

    Source: MoCo, eq. 2 (He et al., CVPR 2020).
    """

    def __init__(self, *students: nn.Module, momentum: float = 0.999) -> None:
        check_numbers(SHARE, momentum=momentum)
        super().__init__()
        self.networks = nn.ModuleList(copy.deepcopy(student) for student in students).requires_grad_(False)
        for module in self.networks.modules():
            if isinstance(module, _DropoutNd):
                module.p = 0.0
            elif hasattr(module, 'drop_prob'):  # stochastic depth of timm
                module.drop_prob = 0.0
        self.momentum = momentum
        self._students = students  # in a tuple: as submodules they would be in the state dict twice
        self.held: tuple[nn.Module, ...] = ()

    def allocate(self, num_samples: int) -> None:
        """Copy the initialised students, including their running statistics."""
        for network, student in zip(self.networks, self._students):
            network.load_state_dict(student.state_dict())

    def copies(self, student: nn.Module) -> list[nn.Module]:
        """Return the networks that follow a student."""
        return [network for network, followed in zip(self.networks, self._students) if followed is student]

    def stage(self) -> None:
        """Mark the teacher to follow the students at the next commit."""
        self.keep()

    @torch.no_grad()
    def commit(self) -> None:
        """Move every weight towards the student's: ``momentum * old + (1 - momentum) * student``."""
        pairs = zip(self.networks, self._students) if self._staged else ()
        for network, student in ((slow, fast) for slow, fast in pairs if not any(fast is held for held in self.held)):
            for slow, fast in zip(network.parameters(), student.parameters()):
                slow.lerp_(fast, 1 - self.momentum)  # exact where both are equal, as for parameters that are frozen
        self.discard()

    def compared(self) -> list[Tensor]:
        """Weights only: running statistics of batch norm differ between ranks, like the student's."""
        return list(self.parameters())
