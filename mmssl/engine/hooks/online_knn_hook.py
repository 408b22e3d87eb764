"""Monitor of the k-NN accuracy of features during training."""

from typing import Any

from mmssl.engine.hooks.monitor_hook import MonitorHook
from mmssl.evaluation import knn_accuracy
from mmssl.registry import HOOKS


@HOOKS.register_module()
class OnlineKNNHook(MonitorHook):
    """Measure k-NN accuracy on images of the config's ``evaluation`` section, logged as ``knn_top1``.

    Without labels it does nothing, and logs this once. If the backbone started from weights (``init``), a fall below
    their accuracy in two measurements in a row is a warning.

    Args:
        interval: Epochs between two measurements.
        share: Maximum share of the time that measurements may take, 0 to 1; see :class:`MonitorHook`.
        gallery: Number of labelled gallery images that vote; by default a twentieth of the number of training images,
            but 1,000 to 5,000.
        query: Number of query images to classify; by default a hundredth of the number of training images, but 500 to
            1,000.
        k: Number of neighbours that vote; fewer if the gallery is smaller.
        temperature: Temperature of the votes.
    """

    name = 'knn'

    def __init__(
        self,
        interval: int = 1,
        share: float = 0.02,
        gallery: int | None = None,
        query: int | None = None,
        k: int = 20,
        temperature: float = 0.07,
    ) -> None:
        super().__init__(interval, share)
        self.gallery, self.query, self.k, self.temperature = gallery, query, k, temperature

    def prepare(self, runner: Any) -> bool:
        """Decode the images; return whether both gallery and query have labels."""
        parts = [runner.fixed_part(name) for name in ('gallery', 'query')]
        labelled = all(part is not None and part.labelled for part in parts)
        if not labelled:
            runner.logger.info('Online k-NN: the images have no labels, so no accuracy is measured.')
            return False
        trained = len(runner.train_dataloader.dataset)
        sizes = (self.gallery or min(max(trained // 20, 1000), 5000), self.query or min(max(trained // 100, 500), 1000))
        self.parts = list(zip(parts, sizes))
        for part, size in self.parts:
            part.load(size)
        return True

    def look(self, runner: Any, epoch: int) -> dict[str, float]:
        """Classify the queries."""
        gallery, query = (part.features(runner.algorithm, size, runner.iter) for part, size in self.parts)
        k = min(self.k, len(gallery))
        sets = (gallery.features, gallery.labels, query.features, query.labels)
        accuracy = knn_accuracy(*sets, k=(k,), temperature=self.temperature)[k]
        runner.logger.info(f'Epoch {epoch}: k-NN top-1 {accuracy:.1f} % (k {k}, {len(gallery)} in the gallery).')
        if runner.init:
            self.warn(runner, epoch, 'below the start', _below_start(runner, accuracy))
        return {'knn_top1': accuracy}


def _below_start(runner: Any, accuracy: float) -> str | None:
    """Say that the features have become worse than those of the weights that the run started from."""
    history = runner.message_hub.log_scalars  # a checkpoint keeps it: a resumed run knows how it began
    start = float(history['val/knn_top1'].data[0][0]) if 'val/knn_top1' in history else accuracy
    if accuracy >= start:
        return None
    return (
        f'k-NN top-1 {accuracy:.1f} % is below the {start:.1f} % of the start weights: the training makes them worse. '
        'Lower the learning rate, let the heads settle longer (default_hooks.warmup_heads.length), or pull the weights '
        'toward the start (PullToStartHook).'
    )
