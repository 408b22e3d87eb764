"""Monitor of a loss that stays at the value of chance."""

from typing import Any

from mmengine.hooks import Hook

from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import HOOKS

_BLOCK = 100  # iterations whose mean is compared at once: reading the loss at every step would wait for the device
_NEAR = 0.01  # share of the value of chance; a run that did not learn stood at 4.585, and ln 100 is 4.605

STANDS = (
    'the loss has stood at {loss:.3f} for {steps} iterations, the value of chance ({chance:.3f}): the network has not '
    'begun to learn. What usually helps: a higher learning rate or a shorter warm-up; fewer prototypes or clusters (at '
    'most a tenth of the number of images); views that have more in common (a larger minimum of scale); a longer '
    'training. See docs/troubleshooting.md.'
)


@HOOKS.register_module()
class ChanceHook(Hook):
    """Warn once if the loss stays at the value of a network that cannot tell anything apart.

    The value comes from the method's :meth:`~mmssl.models.BaseAlgorithm.chance_loss`; a method without one costs
    nothing. The mean of every 100 iterations is compared.

    Args:
        steps: Iterations that the loss must stay within 1 % of the value before a warning, at least 1; rounded up to
            hundreds.
    """

    priority = 'BELOW_NORMAL'

    def __init__(self, steps: int = 500) -> None:
        check_numbers(COUNT, steps=steps)
        self.steps = steps
        self.total, self.count, self.standing = 0.0, 0, 0

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs: the running sum of the loss, and for how long it has stood still."""
        return {'total': float(self.total), 'count': self.count, 'standing': self.standing}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state returned by :meth:`state_dict`."""
        self.total, self.count, self.standing = state['total'], state['count'], state['standing']

    def before_train(self, runner: Any) -> None:
        """Ask the method for the value of chance."""
        self.chance = runner.algorithm.chance_loss(runner.train_loop.global_batch_size)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Add the loss, and compare the mean of every block."""
        if self.chance is None:
            return
        self.total = self.total + outputs['loss'].detach()
        self.count += 1
        if self.count == _BLOCK:
            self._compare(runner, float(self.total) / _BLOCK, self.chance)
            self.total, self.count = 0.0, 0

    def _compare(self, runner: Any, loss: float, chance: float) -> None:
        before = self.standing
        self.standing = before + _BLOCK if abs(loss - chance) <= _NEAR * chance else 0
        if before < self.steps <= self.standing:
            text = STANDS.format(loss=loss, steps=self.standing, chance=chance)
            runner.logger.warning(f'Step {runner.iter}: {text}')
