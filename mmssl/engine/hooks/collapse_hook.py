"""Monitor of whether different images still have different features."""

from typing import Any

from mmssl.engine.hooks.monitor_hook import MonitorHook
from mmssl.evaluation import collapse_measures, collapse_warning, project_features
from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import HOOKS


@HOOKS.register_module()
class CollapseHook(MonitorHook):
    """Monitor deviation, effective rank and mean cosine of features and embeddings.

    Logged as ``features/deviation`` and so on, and ``embedding/deviation`` and so on. If the deviation falls below
    three tenths of that of the untrained network, or two directions hold nearly everything, a warning says so, with
    remedies, but not before iteration 500.

    Args:
        interval: Epochs between two measurements.
        share: Maximum share of the time that measurements may take, at least 0; see :class:`MonitorHook`.
        images: Number of gallery images to measure, at least 1.
    """

    name = 'collapse'

    def __init__(self, interval: int = 1, share: float = 0.01, images: int = 512) -> None:
        check_numbers(COUNT, images=images)
        super().__init__(interval, share)
        self.images = images

    def prepare(self, runner: Any) -> bool:
        """Return whether there are images to measure."""
        return runner.fixed_part('gallery') is not None

    def look(self, runner: Any, epoch: int) -> dict[str, float]:
        """Measure, compare with the start, and warn."""
        features = runner.fixed_part('gallery').features(runner.algorithm, self.images, runner.iter).features
        if len(features) < 2:
            return {}
        rows = {'features': features, 'embedding': project_features(runner.algorithm, features)}
        found = {kind: collapse_measures(part) for kind, part in rows.items() if part is not None}
        for kind, measures in found.items():
            self._judge(runner, epoch, kind, measures)
        return {f'{kind}/{name}': value for kind, measures in found.items() for name, value in measures.items()}

    def _judge(self, runner: Any, epoch: int, kind: str, measures: dict[str, float]) -> None:
        if runner.iter < self.first_judged:
            return
        start = {name: self.at_start(runner, f'{kind}/{name}', value) for name, value in measures.items()}
        warning = collapse_warning(measures, start, {'embedding': 'projected embeddings'}.get(kind, kind))
        self.warn(runner, epoch, kind, warning)
