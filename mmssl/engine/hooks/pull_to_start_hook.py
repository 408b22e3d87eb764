"""Hook that pulls the backbone toward the weights that it started from."""

from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor

from mmssl.ranges import POSITIVE, check_numbers
from mmssl.registry import HOOKS


@HOOKS.register_module()
class PullToStartHook(Hook):
    """Pull the backbone's parameters toward their start, instead of toward zero as weight decay does (L2-SP).

    The gradient of ``0.5 * alpha * ||w - w0||^2`` is added before the optimizer's step, after reduction and
    accumulation; like weight decay, it is not part of the loss that is logged. The start weights ``w0`` are those at
    step 0, and checkpoints keep them: a resumed run goes on with the same. If only the checkpoint of a run without this
    hook is resumed, ``w0`` are its weights.

    Args:
        alpha: Strength of the pull, above 0; 0.01 to 0.1 in the paper.

    Raises:
        ValueError: ``alpha`` is not positive.

    Source: L2-SP, eq. 3 (Li et al., ICML 2018).
    """

    def __init__(self, alpha: float = 0.01) -> None:
        check_numbers(POSITIVE, alpha=alpha)
        self.alpha = alpha
        self.start: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return the start weights, by the backbone's keys."""
        return {'start': self.start}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the start weights; called before the training continues."""
        self.start = dict(state['start'])

    def before_train(self, runner: Any) -> None:
        """Remember the start, and add the pull in a pre-step hook of the optimizer."""
        parameters = dict(runner.algorithm.backbone.named_parameters())
        start = self.start or {name: parameter.detach().clone() for name, parameter in parameters.items()}
        self.start = {name: start[name].to(parameter.device) for name, parameter in parameters.items()}

        @torch.no_grad()
        def pull(*_: Any) -> None:
            for name, parameter in parameters.items():
                if parameter.grad is not None:  # dropped gradients leave a parameter where it is
                    parameter.grad.add_(parameter - self.start[name], alpha=self.alpha)

        runner.optim_wrapper.optimizer.register_step_pre_hook(pull)
