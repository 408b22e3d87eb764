"""Hook that freezes parameters during the first steps."""

from typing import Any

from mmengine.hooks import Hook

from mmssl.ranges import INDEX, check_numbers
from mmssl.registry import HOOKS


@HOOKS.register_module()
class GradientDropHook(Hook):
    """Drop the gradients of some parameters before the first steps, so that the optimizer skips them.

    Neither weight decay nor momentum changes them then. They keep ``requires_grad``, so DDP need not search for unused
    parameters.

    Args:
        parameters: Prefix of their names, for example ``'prototypes'``.
        steps: Number of optimizer steps, from the start of the run, at least 0.
        epochs: Number of epochs, from the start of the run, at least 0; whichever lasts longer counts.

    Raises:
        ValueError: At the start of the run, if no parameter has that prefix.

    Source: facebookresearch/swav, ``main_swav.py`` (``freeze_prototypes_niters``); facebookresearch/dino
    (``freeze_last_layer``, in epochs).
    """

    def __init__(self, parameters: str, steps: int = 0, epochs: int = 0) -> None:
        check_numbers(INDEX, steps=steps, epochs=epochs)
        self.parameters, self.steps, self.epochs = parameters, steps, epochs

    def before_train(self, runner: Any) -> None:
        """Drop gradients in a pre-step hook of the optimizer, which runs after reduction and accumulation."""
        named = dict(runner.algorithm.named_parameters())
        chosen = [parameter for name, parameter in named.items() if name.startswith(self.parameters)]
        if not chosen:
            parts = sorted({name.split('.')[0] for name in named})
            raise ValueError(
                f'No parameter begins with {self.parameters!r}: set GradientDropHook.parameters to one of {parts}.'
            )

        def drop(*_: Any) -> None:
            if runner.steps < self.steps or runner.epoch < self.epochs:
                for parameter in chosen:
                    parameter.grad = None

        runner.optim_wrapper.optimizer.register_step_pre_hook(drop)
