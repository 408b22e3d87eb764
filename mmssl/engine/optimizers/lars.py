"""Layer-wise adaptive rate scaling (LARS), in the forms that the reference implementations use.

They share an idea (You et al., 2017: scale a layer's step by the norm of its weights over the norm of its gradient) and
differ in where weight decay and learning rate enter, so they are named after their origin.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

from mmssl.ranges import NOT_NEGATIVE, SHARE, check_numbers
from mmssl.registry import OPTIMIZERS


class _LayerwiseSGD(Optimizer):
    """SGD with momentum on gradients that a subclass scales layer by layer."""

    def __init__(
        self,
        params: Iterable,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
        eps: float = 1e-8,
        **more: float,
    ) -> None:
        check_numbers(NOT_NEGATIVE, lr=lr, weight_decay=weight_decay, trust_coefficient=trust_coefficient, eps=eps)
        check_numbers(SHARE, momentum=momentum)
        settings = {'lr': lr, 'momentum': momentum, 'weight_decay': weight_decay}
        super().__init__(params, {**settings, 'trust_coefficient': trust_coefficient, 'eps': eps, **more})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step; parameters without a gradient are skipped.

        Args:
            closure: Computes the loss again and returns it.

        Returns:
            The loss from the closure, if there is one.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group['params']:
                if parameter.grad is not None:
                    self._move(parameter, group)
        return loss

    def _move(self, parameter: Tensor, group: dict) -> None:
        parameter.sub_(self._momentum(parameter, self._scaled(parameter, group), group), alpha=group['lr'])

    def _momentum(self, parameter: Tensor, update: Tensor, group: dict) -> Tensor:
        state = self.state[parameter]
        if 'momentum_buffer' not in state:
            state['momentum_buffer'] = update.clone()
        else:
            state['momentum_buffer'].mul_(group['momentum']).add_(update)
        return state['momentum_buffer']

    def _scaled(self, parameter: Tensor, group: dict) -> Tensor:
        raise NotImplementedError


@OPTIMIZERS.register_module()
class ApexLARC(_LayerwiseSGD):
    """LARC as in NVIDIA's apex with ``clip=False``; SwAV's optimizer.

    Scale: ``trust * |w| / (|g| + weight_decay * |w| + eps)`` on ``g + weight_decay * w``. Every parameter is scaled,
    biases and batch norm too. If ``|w|`` or ``|g|`` is zero, the gradient is used as it is, without weight decay.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate, at least 0, applied after the momentum.
        momentum: Weight of the old value, 0 to 1.
        weight_decay: At least 0; also part of the denominator.
        trust_coefficient: The factor ``trust``, at least 0.
        eps: Added to the denominator, at least 0.

    Source: NVIDIA/apex, ``apex/parallel/LARC.py``.
    """

    def _scaled(self, parameter: Tensor, group: dict) -> Tensor:
        scale, nonzero = _trust_ratio(parameter, parameter.grad, group)
        decayed = parameter.grad.add(parameter, alpha=group['weight_decay'])
        return torch.where(nonzero, decayed * scale, parameter.grad)


@OPTIMIZERS.register_module()
class SoloLearnLARS(_LayerwiseSGD):
    """LARS as in solo-learn, with its ``clip_lr`` and ``exclude_bias_n_norm``.

    Scale: ``min(trust * |w| / (|g| + weight_decay * |w| + eps) / lr, 1)`` on ``g + weight_decay * w``, as in apex's
    LARC with ``clip=True``: no layer learns faster than at the learning rate. One-dimensional parameters (biases, batch
    norm) are neither decayed nor scaled.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate, at least 0, applied after the momentum; also the maximum of a layer's own rate.
        momentum: Weight of the old value, 0 to 1.
        weight_decay: Weight decay of parameters with two or more dimensions; also part of the denominator.
        trust_coefficient: The factor ``trust``, at least 0.
        eps: Added to the denominator, at least 0.

    Source: PKU-ML/adainf (a fork of vturrisi/solo-learn), ``solo/utils/lars.py``.
    """

    def _scaled(self, parameter: Tensor, group: dict) -> Tensor:
        if parameter.ndim <= 1:
            return parameter.grad
        scale, nonzero = _trust_ratio(parameter, parameter.grad, group)
        decayed = parameter.grad.add(parameter, alpha=group['weight_decay'])
        return torch.where(nonzero, decayed * (scale / group['lr']).clamp(max=1), parameter.grad)


@OPTIMIZERS.register_module()
class FacebookLARS(_LayerwiseSGD):
    """LARS as in the code of MoCo v3, Barlow Twins, VICReg and PixPro.

    Weight decay is folded into the gradient first: ``g' = g + weight_decay * w``, scale ``trust * |w| / |g'|``.
    One-dimensional parameters (biases, batch norm) are neither decayed nor scaled.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate, at least 0, applied after the momentum.
        momentum: Weight of the old value, 0 to 1.
        weight_decay: Weight decay of parameters with two or more dimensions.
        trust_coefficient: The factor ``trust``, at least 0.
        eps: Added to the denominator, at least 0; 0 in Facebook's code, 1e-8 in PixPro's.

    Source: facebookresearch/moco-v3, ``moco/optimizer.py``; zdaxie/PixPro for ``eps``.
    """

    def __init__(self, params: Iterable, lr: float, eps: float = 0.0, **settings: float) -> None:
        super().__init__(params, lr, eps=eps, **settings)

    def _scaled(self, parameter: Tensor, group: dict) -> Tensor:
        if parameter.ndim <= 1:
            return parameter.grad
        decayed = parameter.grad.add(parameter, alpha=group['weight_decay'])
        weight_norm, norm = parameter.norm(), decayed.norm()
        scale = group['trust_coefficient'] * weight_norm / (norm + group['eps'])
        return decayed * torch.where((weight_norm > 0) & (norm > 0), scale, torch.ones_like(scale))


@OPTIMIZERS.register_module()
class OpenMMLabLARS(_LayerwiseSGD):
    """LARS as in mmselfsup: apex's scale, but the learning rate is inside the momentum buffer, as in Caffe.

    A change of the learning rate therefore takes effect with the delay of the momentum. Groups with
    ``lars_exclude=True`` are not scaled; they use their own weight decay.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate, at least 0, applied before the momentum.
        momentum: Weight of the old value, 0 to 1.
        weight_decay: At least 0; also part of the denominator.
        trust_coefficient: The factor ``trust``, at least 0.
        eps: Added to the denominator, at least 0.
        lars_exclude: Whether to skip the scaling; usually set for parameter groups.

    Source: open-mmlab/mmselfsup, ``mmselfsup/engine/optimizers/lars.py``.
    """

    def __init__(self, params: Iterable, lr: float, lars_exclude: bool = False, **settings: float) -> None:
        super().__init__(params, lr, lars_exclude=lars_exclude, **settings)

    def _move(self, parameter: Tensor, group: dict) -> None:
        parameter.sub_(self._momentum(parameter, self._scaled(parameter, group) * group['lr'], group))

    def _scaled(self, parameter: Tensor, group: dict) -> Tensor:
        decayed = parameter.grad.add(parameter, alpha=group['weight_decay'])
        if group['lars_exclude']:
            return decayed
        scale, nonzero = _trust_ratio(parameter, parameter.grad, group)
        return decayed * torch.where(nonzero, scale, torch.ones_like(scale))


def _trust_ratio(parameter: Tensor, gradient: Tensor, group: dict) -> tuple[Tensor, Tensor]:
    """Scale of the step, and whether both norms are positive (otherwise it is undefined); no synchronisation."""
    weight_norm, norm = parameter.norm(), gradient.norm()
    scale = group['trust_coefficient'] * weight_norm / (norm + group['weight_decay'] * weight_norm + group['eps'])
    return scale, (weight_norm > 0) & (norm > 0)
