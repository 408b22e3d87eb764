"""How good the features are, while they are trained."""

from typing import Any

from mmengine.hooks import Hook

from mmssl.registry import DATASETS, HOOKS


@HOOKS.register_module()
class OnlineKNNHook(Hook):
    """k-NN accuracy of the features on a part of the config's ``evaluation`` section, logged as ``knn_top1``.

    Without labels there it does nothing, and says so once.

    Args:
        interval: Epochs between two evaluations.
        gallery: Labelled pictures that vote, drawn from the gallery.
        query: Pictures that are classified, drawn from the query set.
        k: Neighbours that vote; fewer where the gallery is smaller.
        temperature: Of the votes.
    """

    priority = 'BELOW_NORMAL'

    def __init__(
        self, interval: int = 1, gallery: int = 5000, query: int = 1000, k: int = 20, temperature: float = 0.07
    ) -> None:
        self.interval, self.sizes = interval, {'gallery': gallery, 'query': query}
        self.k, self.temperature = k, temperature

    def before_train(self, runner: Any) -> None:
        """Load the two parts, and measure once before the first epoch."""
        parts = {name: size for name, size in self.sizes.items() if name in runner.cfg.evaluation}
        self.datasets = {name: _part(runner.cfg.evaluation[name], size) for name, size in parts.items()}
        labelled = [dataset.source.labels is not None for dataset in self.datasets.values()]
        self.labelled = len(labelled) == 2 and all(labelled)
        if not self.labelled:
            runner.logger.info('Online k-NN: the pictures have no labels, so no accuracy is measured.')
        elif runner.iter == 0:
            self._measure(runner, epoch=0)

    def after_train_epoch(self, runner: Any) -> None:
        """Measure after every ``interval``-th epoch and after the last."""
        epoch = runner.epoch + 1
        if self.labelled and (epoch % self.interval == 0 or epoch == runner.max_epochs):
            self._measure(runner, epoch)

    def _measure(self, runner: Any, epoch: int) -> None:
        from mmssl.evaluation import extract_features, knn_accuracy

        settings = runner.cfg.evaluation
        gallery, query = (
            extract_features(runner.algorithm, self.datasets[name], settings.batch_size, settings.num_workers)
            for name in ('gallery', 'query')
        )
        k = min(self.k, len(gallery.features))
        accuracy = knn_accuracy(
            gallery.features, gallery.labels, query.features, query.labels, k=(k,), temperature=self.temperature
        )[k]
        runner.message_hub.update_scalar('val/knn_top1', accuracy)
        runner.visualizer.add_scalars({'knn_top1': accuracy, 'epoch': epoch}, step=runner.iter)
        runner.logger.info(
            f'Epoch {epoch}: k-NN top-1 {accuracy:.1f} % (k {k}, {len(gallery.features)} in the gallery).'
        )


def _part(config: Any, size: int) -> Any:
    from mmssl.datasets import Subset

    dataset = DATASETS.build(config)
    dataset.source = Subset(dataset.source, num=min(size, len(dataset.source)))
    return dataset
