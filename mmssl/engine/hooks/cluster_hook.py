"""How evenly clusters and prototypes are used, and how fast they change."""

from typing import Any

from torch import Tensor

from mmssl.engine.hooks.monitor_hook import MonitorHook
from mmssl.evaluation import usage, usage_warning
from mmssl.functional import label_change
from mmssl.registry import HOOKS


@HOOKS.register_module()
class ClusterHook(MonitorHook):
    """The histogram of the assignments to clusters and prototypes, its entropy, dead ones, the largest, and changes.

    Logged as ``<clustering>/entropy``, ``/largest``, ``/dead``, ``/change`` (the share of images that left most of
    their cluster since the last look) and the histogram of :func:`~mmssl.evaluation.usage`. Memories have the
    assignments of the whole training set; prototypes are asked for images of the gallery. Where nearly everything is
    in one, or many are dead, a warning says so, with remedies. A method without clusters and prototypes costs nothing.

    Args:
        interval: Epochs between two looks.
        share: Most of the time that they may take, 0 to 1; see :class:`MonitorHook`.
        images: Images of the gallery that choose prototypes.
    """

    name = 'cluster'

    def __init__(self, interval: int = 1, share: float = 0.01, images: int = 1000) -> None:
        super().__init__(interval, share)
        self.images = images
        self.before: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        """As of every monitor, and the labels of the last look, from which changes are counted."""
        return {**super().state_dict(), 'before': {name: labels.int().cpu() for name, labels in self.before.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Remember what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        self.before = {name: labels.long() for name, labels in state['before'].items()}

    def prepare(self, runner: Any) -> bool:
        """Whether there is anything that could be a clustering."""
        model = runner.algorithm
        if model.assigns_features:
            return runner.fixed_part('gallery') is not None
        return any(memory.num_clusters for memory in model.memories().values())

    def look(self, runner: Any, epoch: int) -> dict[str, float]:
        """Count, compare with the last look, warn."""

        def features() -> Tensor:
            return runner.fixed_part('gallery').features(runner.algorithm, self.images, runner.iter).features

        scalars = {}
        for name, assignment in runner.algorithm.assignments(features).items():
            labels, found = assignment.labels, usage(assignment.labels, assignment.count)
            if epoch:
                images = int((labels >= 0).sum())
                self.warn(runner, epoch, name, usage_warning(found, images, assignment.count, assignment.kind))
            scalars |= {f'{name}/{key}': value for key, value in {**found, **self._change(name, labels)}.items()}
        return scalars

    def _change(self, name: str, labels: Tensor) -> dict[str, float]:
        before, self.before[name] = self.before.get(name), labels.clone()
        if before is None or len(before) != len(labels):  # a resumed run may look at other images
            return {}
        before = before.to(labels.device)
        known = (before >= 0) & (labels >= 0)
        return {'change': float(label_change(before[known], labels[known]))} if bool(known.any()) else {}
