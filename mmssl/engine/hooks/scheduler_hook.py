"""Hook that updates learning rates after the optimizer's steps."""

from typing import Any

from mmengine.hooks import ParamSchedulerHook as MMEngineParamSchedulerHook

from mmssl.registry import HOOKS


@HOOKS.register_module()
class ParamSchedulerHook(MMEngineParamSchedulerHook):
    """MMEngine's hook, but it waits for the optimizer's step if gradients are accumulated."""

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Advance the schedules that count steps."""
        if runner.optim_wrapper.should_update():
            super().after_train_iter(runner, batch_idx, data_batch, outputs)
