"""Monitor of sentence similarity during training."""

from typing import Any

from mmssl.engine.hooks.monitor_hook import MonitorHook
from mmssl.evaluation import build_pairs, sentence_similarity
from mmssl.registry import HOOKS


@HOOKS.register_module()
class SimilarityHook(MonitorHook):
    """Measure Spearman's correlation on the pairs of ``evaluation.pairs``, logged as ``spearman``.

    The pairs must be those of a development split, or the curve tells about the test set.

    Args:
        interval: Epochs between two measurements.
        share: Maximum share of the time that measurements may take, at least 0; see :class:`MonitorHook`.
    """

    name = 'similarity'

    def prepare(self, runner: Any) -> bool:
        """Build the pairs."""
        self.pairs = build_pairs(runner.cfg)
        return True

    def look(self, runner: Any, epoch: int) -> dict[str, float]:
        """Measure on all pairs."""
        value = sentence_similarity(runner.algorithm, self.pairs).measure('spearman').value
        runner.logger.info(f'Epoch {epoch}: Spearman {value:.3f} on {len(self.pairs)} pairs.')
        return {'spearman': value}
