"""Accuracies of a classifier on the query set, beside those that the whole network gives image by image."""

from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch
from mmengine.logging import MessageHub

from mmssl.datasets import ArraySource, EvalView, ImageDataset, ImageSource
from mmssl.evaluation import LinearAccuracyHook, LinearClassifier, MultiStageClassifier
from mmssl.models import DataPreprocessor, ResNet
from tests.evaluation.stand_ins import fixed, images

COUNT = 30
WINDOWS = {'stem': (4, 4, 0), 'stage4': (1, 1, 0)}


def classifier(kind: str, num_classes: int = 6) -> LinearClassifier:
    torch.manual_seed(0)
    parts = (ResNet(10, 3, 'small', base_channels=4), num_classes)
    preprocessor = DataPreprocessor(mean=[127.5] * 3, std=[60.0] * 3)
    if kind == 'stages':
        return MultiStageClassifier(*parts, WINDOWS, 16, data_preprocessor=preprocessor)
    return LinearClassifier(*parts, frozen=kind == 'frozen', batch_norm=True, data_preprocessor=preprocessor)


def started(
    model: LinearClassifier, training: ImageDataset | None = None, source: ImageSource | None = None
) -> tuple[LinearAccuracyHook, SimpleNamespace]:
    views = {'type': 'EvalView', 'resize': 16, 'crop': 16}
    query = {'type': ImageDataset, 'source': source or images(COUNT), 'views': views}
    runner = SimpleNamespace(
        algorithm=model,
        cfg=SimpleNamespace(evaluation=SimpleNamespace(query=query, batch_size=7, num_workers=0)),
        train_loop=SimpleNamespace(dataloader=SimpleNamespace(dataset=training or fixed(COUNT))),
        message_hub=MessageHub(f'hub {id(model)}'),
        visualizer=MagicMock(), logger=MagicMock(), epoch=0, iter=1,
    )  # fmt: skip
    hook = LinearAccuracyHook()
    hook.before_train(runner)
    return hook, runner


@pytest.mark.parametrize('kind', ['frozen', 'fine-tuned', 'stages'])
def test_accuracies_are_those_of_the_whole_network(kind: str) -> None:
    model = classifier(kind).train()
    hook, runner = started(model)
    with torch.no_grad():
        for parameter in model.classifier.parameters():  # learned since then
            parameter.add_(torch.randn(parameter.shape))
    hook.after_train_epoch(runner)
    assert model.training
    model.eval()
    inputs = torch.stack([fixed(COUNT)[index]['inputs'][0] for index in range(COUNT)])
    data = model.data_preprocessor({'inputs': [inputs], 'sample_idx': torch.arange(COUNT), 'draw': torch.arange(COUNT)})
    with torch.no_grad():
        scores = model.scores(model.features(data['inputs'][0]))
    labels = images(COUNT).labels
    for name, logits in zip(model.heads, scores):
        right = logits.argmax(dim=1) == labels
        among = (logits.topk(5).indices == labels[:, None]).any(dim=1)
        by_class = torch.stack([right[labels == label].double().mean() for label in range(3)]).mean()
        for measure, expected in (
            ('top1', right.double().mean()),
            ('top5', among.double().mean()),
            ('mean_class', by_class),
        ):
            found = runner.message_hub.get_scalar(f'val/{name}_{measure}').current()
            assert found == pytest.approx(100 * expected.item()), (name, measure)


def test_more_classes_in_the_data_than_in_the_model_are_refused() -> None:
    with pytest.raises(ValueError, match='The data has 3 classes, but model.num_classes is 2'):
        started(classifier('frozen', num_classes=2))


@pytest.mark.parametrize('kind', ['frozen', 'fine-tuned'])
def test_classes_are_matched_by_name_and_those_that_training_lacks_are_left_out(kind: str) -> None:
    array, numbers = images(COUNT).images, images(COUNT).labels
    training = ImageDataset(ArraySource(array, numbers, ['ape', 'bee', 'cat']), EvalView(16, 16))
    query = ArraySource(array[:20], numbers[:20].clamp(max=1), ['aardvark', 'cat'])
    model = classifier(kind, 3)
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([0.0, 0.0, 1e4]))  # everything is a cat
    hook, runner = started(model, training, query)
    hook.after_train_epoch(runner)
    assert runner.message_hub.get_scalar('val/linear_top1').current() == 100
