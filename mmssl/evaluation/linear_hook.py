"""How a linear classifier stands, while it is trained."""

from typing import Any

import torch
from mmengine.hooks import Hook
from torch.nn.functional import linear

from mmssl.evaluation.features import extract_features
from mmssl.evaluation.linear import top_k_accuracy
from mmssl.registry import DATASETS, HOOKS


@HOOKS.register_module()
class LinearAccuracyHook(Hook):
    """Accuracy of a :class:`~mmssl.models.LinearClassifier` on the query set after every epoch.

    The backbone is frozen, so the features of the query set are computed once, before training. The accuracies go into
    the message hub as ``val/linear_top1`` and ``val/linear_top5``, one entry an epoch.
    """

    priority = 'BELOW_NORMAL'

    def before_train(self, runner: Any) -> None:
        """Compute the features of the query set."""
        evaluation = runner.cfg.evaluation
        query = DATASETS.build(evaluation.query)
        self.query = extract_features(runner.algorithm, query, evaluation.batch_size, evaluation.num_workers)

    def after_train_epoch(self, runner: Any) -> None:
        """Classify the query set."""
        classifier = runner.algorithm.classifier
        with torch.no_grad():
            logits = linear(self.query.features, classifier.weight.float().cpu(), classifier.bias.float().cpu())
        accuracies = {f'linear_top{k}': top_k_accuracy(logits, self.query.labels, k) for k in (1, 5)}
        for name, accuracy in accuracies.items():
            runner.message_hub.update_scalar(f'val/{name}', accuracy)
        runner.visualizer.add_scalars({**accuracies, 'epoch': runner.epoch + 1}, step=runner.iter)
        runner.logger.info(f'Epoch {runner.epoch + 1}: linear top-1 {accuracies["linear_top1"]:.2f} %.')
