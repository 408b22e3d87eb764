"""Measure a classifier during its training."""

from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor, nn

from mmssl.evaluation.classes import in_classes_of
from mmssl.evaluation.features import Features, extract_features, share_statistics
from mmssl.evaluation.linear import count_classes, mean_class_accuracy
from mmssl.models.modes import eval_mode
from mmssl.registry import DATASETS, HOOKS

_ROWS = 4096  # rows of cached features that are classified at once


@HOOKS.register_module()
class LinearAccuracyHook(Hook):
    """Accuracy of a :class:`~mmssl.evaluation.LinearClassifier` on the query set after every epoch.

    Classes are matched by name; images of the query set whose class the training images lack are left out.

    Of a video with several clips (:class:`~mmssl.datasets.UniformFrames`), the scores of the clips are averaged.

    If the backbone is frozen and the features of an image are one row, those of the query set are computed once, before
    training. The accuracies go into the message hub, one entry per epoch: ``val/linear_top1``, ``val/linear_top5`` and
    ``val/linear_mean_class`` (averaged over the classes); with a classifier on each stage, ``val/stem_top1`` and so on.
    """

    priority = 'BELOW_NORMAL'

    def before_train(self, runner: Any) -> None:
        """Compute the features of the query set, if they stay the same during training.

        Raises:
            ValueError: Training and query set have no class in common, or the data has more classes than the model.
        """
        model, evaluation = runner.algorithm, runner.cfg.evaluation
        self.query = DATASETS.build(evaluation.query)
        training = runner.train_loop.dataloader.dataset.source
        classes, self.classes = count_classes(training, self.query.source), training.classes
        if classes > model.num_classes:
            raise ValueError(f'The data has {classes} classes, but model.num_classes is {model.num_classes}.')
        self.loading = {'batch_size': evaluation.batch_size, 'num_workers': evaluation.num_workers}
        self.clips = getattr(self.query, 'clips', 1)
        constant = model.frozen and model.keeps_features and self.clips == 1
        self.features = self._known(extract_features(model, self.query, **self.loading)) if constant else None

    def after_train_epoch(self, runner: Any) -> None:
        """Classify the query set."""
        model = runner.algorithm
        predicted, labels = self._classify(model)
        right = predicted == labels[:, None, None]  # (N, heads, 5)
        accuracies: dict[str, float] = {}
        for name, hits in zip(model.heads, right.unbind(dim=1)):
            accuracies[f'{name}_top1'] = 100 * hits[:, 0].double().mean().item()
            accuracies[f'{name}_top5'] = 100 * hits.any(dim=1).double().mean().item()
            accuracies[f'{name}_mean_class'] = mean_class_accuracy(hits[:, 0], labels)
        for name, accuracy in accuracies.items():
            runner.message_hub.update_scalar(f'val/{name}', accuracy)
        runner.visualizer.add_scalars({**accuracies, 'epoch': runner.epoch + 1}, step=runner.iter)
        shown = ', '.join(f'{name} {accuracies[f"{name}_top1"]:.2f} %' for name in model.heads)
        runner.logger.info(f'Epoch {runner.epoch + 1}: top-1 of {shown}.')

    def _classify(self, model: nn.Module) -> tuple[Tensor, Tensor]:
        """The five likeliest classes ``(N, heads, 5)``, and the labels."""
        if self.features:
            return _top_classes(model, self.features), self.features.labels
        if self.clips > 1:
            return self._classify_clips(model)
        whole = extract_features(
            model, self.query, **self.loading, forward=lambda images: model.top_classes(model.features(images))
        )
        known = self._known(whole)
        return known.features.long(), known.labels

    def _classify_clips(self, model: nn.Module) -> tuple[Tensor, Tensor]:
        def scores(clips: Tensor) -> Tensor:
            return model.scores(model.features(clips)).transpose(0, 1)

        known = self._known(extract_features(model, self.query, **self.loading, forward=scores, views=self.clips))
        return known.features.topk(min(5, model.num_classes), dim=2).indices, known.labels

    def _known(self, found: Features) -> Features:
        """Number the classes as in training, by name, and leave out images of any other class."""
        return in_classes_of(found, self.classes)[0]


@torch.no_grad()
def _top_classes(model: nn.Module, cached: Features) -> Tensor:
    share_statistics(model)
    device = next(model.parameters()).device
    with eval_mode(model):
        return torch.cat([model.top_classes([part.to(device)]).cpu() for part in cached.features.split(_ROWS)])
