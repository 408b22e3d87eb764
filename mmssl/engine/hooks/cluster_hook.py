"""Monitor of how evenly clusters and prototypes are used, and how fast they change."""

from typing import Any

from torch import Tensor

from mmssl.engine.hooks.monitor_hook import MonitorHook
from mmssl.evaluation import usage, usage_warning
from mmssl.functional import label_change
from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import HOOKS


@HOOKS.register_module()
class ClusterHook(MonitorHook):
    """Monitor assignments to clusters and prototypes: histogram, entropy, largest and dead ones, and changes.

    Logged as ``<clustering>/entropy``, ``/largest``, ``/dead``, ``/change`` (the share of images that did not go where
    most of their cluster went since the last measurement) and the histogram of :func:`~mmssl.evaluation.usage`.
    Memories hold the assignments of the whole training set; prototypes are assigned to images of the gallery. If nearly
    all images are in one cluster, or many clusters are dead, and it was no worse at the start, a warning says so, with
    remedies, but not before iteration 500. A method without
    clusters and prototypes costs nothing.

    Args:
        interval: Epochs between two measurements.
        share: Maximum share of the time that measurements may take, at least 0; see :class:`MonitorHook`.
        images: Number of gallery images that are assigned to prototypes, at least 1.
    """

    name = 'cluster'

    def __init__(self, interval: int = 1, share: float = 0.01, images: int = 1000) -> None:
        check_numbers(COUNT, images=images)
        super().__init__(interval, share)
        self.images = images
        self.before: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of a monitor, and the labels of the last measurement, to which changes refer."""
        return {**super().state_dict(), 'before': {name: labels.int().cpu() for name, labels in self.before.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state returned by :meth:`state_dict`."""
        super().load_state_dict(state)
        self.before = {name: labels.long() for name, labels in state['before'].items()}

    def prepare(self, runner: Any) -> bool:
        """Return whether there are clusters or prototypes to measure."""
        model = runner.algorithm
        if model.assigns_features:
            return runner.fixed_part('gallery') is not None
        return any(memory.num_clusters for memory in model.memories().values())

    def look(self, runner: Any, epoch: int) -> dict[str, float]:
        """Count, compare with the last measurement, and warn."""

        def features() -> Tensor:
            return runner.fixed_part('gallery').features(runner.algorithm, self.images, runner.iter).features

        scalars: dict[str, float] = {}
        for name, assignment in runner.algorithm.assignments(features).items():
            labels, found = assignment.labels, usage(assignment.labels, assignment.count)
            if epoch and runner.iter >= self.first_judged:
                images = int((labels >= 0).sum())
                start = {key: self.at_start(runner, f'{name}/{key}', found[key]) for key in ('largest', 'dead')}
                self.warn(runner, epoch, name, usage_warning(found, images, assignment.count, assignment.kind, start))
            scalars |= {f'{name}/{key}': value for key, value in {**found, **self._change(name, labels)}.items()}
        return scalars

    def _change(self, name: str, labels: Tensor) -> dict[str, float]:
        before, self.before[name] = self.before.get(name), labels.clone()
        if before is None or len(before) != len(labels):  # a resumed run may measure other images
            return {}
        before = before.to(labels.device)
        known = (before >= 0) & (labels >= 0)
        return {'change': float(label_change(before[known], labels[known]))} if bool(known.any()) else {}
