"""Hook that keeps the statistics of batch norm that a backbone started with."""

from typing import Any

from mmengine.hooks import Hook
from torch.nn.modules.batchnorm import _BatchNorm

from mmssl.models import EMATeacher
from mmssl.registry import HOOKS


@HOOKS.register_module()
class KeepStatisticsHook(Hook):
    """Let the backbone normalise by the running statistics of the weights it started from, in training too.

    Its batch norm, and that of its copies in teachers, works as in evaluation: the statistics of the batch are neither
    used nor averaged; scale and shift are trained. For weights whose statistics rest on more, or larger, images than
    this training has.
    """

    priority = 'LOWEST'  # after whatever sets the training mode

    def before_train(self, runner: Any) -> None:
        """Say so, since the log names no other difference to a run without this hook."""
        runner.logger.info('Batch norm of the backbone keeps the statistics that it started with.')

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Put batch norm into eval mode; the training loop sets the training mode anew in each epoch."""
        backbone = runner.algorithm.backbone
        teachers = [memory for memory in runner.algorithm.memories().values() if isinstance(memory, EMATeacher)]
        for network in (backbone, *(copy for teacher in teachers for copy in teacher.copies(backbone))):
            for module in network.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
