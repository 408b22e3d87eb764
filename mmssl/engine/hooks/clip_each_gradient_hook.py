"""Hook that limits the length of each gradient."""

from typing import Any

from mmengine.hooks import Hook
from torch.nn.utils import clip_grad_norm_

from mmssl.ranges import POSITIVE, check_numbers
from mmssl.registry import HOOKS


@HOOKS.register_module()
class ClipEachGradientHook(Hook):
    """Shorten the gradient of each parameter to a maximum length, for each on its own.

    (``optim_wrapper.clip_grad`` of MMEngine limits the length of all gradients together.)

    Args:
        max_norm: Maximum Euclidean length, above 0.

    Source: facebookresearch/dino, ``utils.py`` (``clip_gradients``).
    """

    def __init__(self, max_norm: float) -> None:
        check_numbers(POSITIVE, max_norm=max_norm)
        self.max_norm = max_norm

    def before_train(self, runner: Any) -> None:
        """Clip in a pre-step hook of the optimizer, which runs after reduction, accumulation and unscaling."""
        optimizer = runner.optim_wrapper.optimizer

        def clip(*_: Any) -> None:
            for group in optimizer.param_groups:
                for parameter in group['params']:
                    clip_grad_norm_(parameter, self.max_norm)

        optimizer.register_step_pre_hook(clip)
