"""Monitor of the k-NN accuracy of features during training."""

from typing import Any

from mmssl.engine.hooks.monitor_hook import MonitorHook
from mmssl.evaluation import knn_accuracy, knn_warning, match_classes
from mmssl.ranges import COUNT, POSITIVE, check_given, check_numbers
from mmssl.registry import HOOKS


@HOOKS.register_module()
class OnlineKNNHook(MonitorHook):
    """Measure k-NN accuracy on images of the config's ``evaluation`` section, logged as ``knn_top1``.

    Classes are matched by name. Without labels it does nothing, and logs this once. The accuracy before the first step
    is kept in the state; if two measurements in a row fall below it by more than their standard error, a warning says
    so, with remedies.

    Args:
        interval: Epochs between two measurements.
        share: Maximum share of the time that measurements may take, at least 0; see :class:`MonitorHook`.
        gallery: Number of labelled gallery images that vote, at least 1; by default a twentieth of the number of
            training images, but 1,000 to 5,000.
        query: Number of query images to classify, at least 1; by default a hundredth of the number of training images,
            but 500 to 1,000.
        k: Number of neighbours that vote, at least 1; fewer if the gallery is smaller.
        temperature: Temperature of the votes, above 0.
    """

    name = 'knn'
    start: float | None = None  # accuracy before the first step, in %

    def __init__(
        self,
        interval: int = 1,
        share: float = 0.02,
        gallery: int | None = None,
        query: int | None = None,
        k: int = 20,
        temperature: float = 0.07,
    ) -> None:
        check_numbers(COUNT, k=k)
        check_given(COUNT, gallery=gallery, query=query)
        check_numbers(POSITIVE, temperature=temperature)
        super().__init__(interval, share)
        self.gallery, self.query, self.k, self.temperature = gallery, query, k, temperature

    def state_dict(self) -> dict[str, Any]:
        """Return the state of a monitor, and the accuracy before the first step."""
        return {**super().state_dict(), 'start': self.start}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state returned by :meth:`state_dict`; states of earlier versions have no start."""
        super().load_state_dict(state)
        self.start = state.get('start')

    def prepare(self, runner: Any) -> bool:
        """Decode the images; return whether both gallery and query have labels."""
        parts = [runner.fixed_part(name) for name in ('gallery', 'query')]
        if None in parts:
            runner.logger.info(
                'Online k-NN: the config has no evaluation.query (or no gallery), so no accuracy is measured.'
            )
            return False
        if not all(part.labelled for part in parts):
            runner.logger.info('Online k-NN: the images have no labels, so no accuracy is measured.')
            return False
        trained = len(runner.train_dataloader.dataset)
        sizes = (self.gallery or min(max(trained // 20, 1000), 5000), self.query or min(max(trained // 100, 500), 1000))
        self.parts = list(zip(parts, sizes))
        for part, size in self.parts:
            part.load(size)
        return True

    def look(self, runner: Any, epoch: int) -> dict[str, float]:
        """Classify the queries whose class is in the gallery."""
        found = [part.features(runner.algorithm, size, runner.iter) for part, size in self.parts]
        matched = match_classes(*found)
        if matched is None:  # all images with a class are beyond these first ones
            return {}
        gallery = len(matched.gallery)
        k = min(self.k, gallery)
        accuracy = knn_accuracy(*matched.tensors, k=(k,), temperature=self.temperature)[k]
        runner.logger.info(f'Epoch {epoch}: k-NN top-1 {accuracy:.1f} % (k {k}, {gallery} in the gallery).')
        if epoch == 0:
            self.start = accuracy
        if self.start is not None:
            self.warn(runner, epoch, 'start', knn_warning(accuracy, self.start, len(matched.query)))
        return {'knn_top1': accuracy}
