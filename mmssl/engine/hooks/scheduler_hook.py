"""Hook that updates learning rates after the optimizer's steps."""

from typing import Any

from mmengine.hooks import ParamSchedulerHook as MMEngineParamSchedulerHook

from mmssl.engine.schedules import WarmupCosineLR
from mmssl.registry import HOOKS


@HOOKS.register_module()
class ParamSchedulerHook(MMEngineParamSchedulerHook):
    """MMEngine's hook, but it waits for the optimizer's step if gradients are accumulated.

    In a run with ``train_cfg.minutes``, all schedules follow the share of the run that is over.
    """

    def before_train(self, runner: Any) -> None:
        """Refuse schedules that cannot follow a run of so many minutes, or move rates that are to stand still."""
        fixed = any(group.get('fix_lr') for group in runner.optim_wrapper.param_groups)
        for scheduler in runner.param_schedulers if fixed else []:
            if getattr(scheduler, 'param_name', '') == 'lr' and not isinstance(scheduler, WarmupCosineLR):
                raise ValueError(
                    f'fix_lr for some parameters, which {type(scheduler).__name__} does not know: set param_scheduler '
                    'to a WarmupCosineLR.'
                )
        for scheduler in runner.param_schedulers if runner.train_loop.budget else []:
            if not hasattr(scheduler, 'follow'):
                raise ValueError(
                    f'train_cfg.minutes, but {type(scheduler).__name__} counts steps, and how many there will be is '
                    'not known: set param_scheduler to a WarmupCosineLR, or leave out minutes.'
                )

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Advance the schedules that count steps."""
        if not runner.optim_wrapper.should_update():
            return
        if runner.train_loop.budget:
            for scheduler in runner.param_schedulers:
                scheduler.follow(runner.train_loop.share_done)
        else:
            super().after_train_iter(runner, batch_idx, data_batch, outputs)

    def after_train_epoch(self, runner: Any) -> None:
        """Advance the schedules that count epochs."""
        if not runner.train_loop.budget:
            super().after_train_epoch(runner)
