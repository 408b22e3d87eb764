"""Learning curves of image classification: a fine-tuned network, and a linear probe on the frozen one."""

import logging
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmssl.datasets import EvalView, ImageFolder, UnreadableImageError
from mmssl.datasets.images import as_channels
from mmssl.evaluation import Classifier, FineTuning, draw_per_class, fine_tune, linear_probe
from mmssl.export import Architecture, empty_backbone
from mmssl.functional import hash_seed, random_state_kept, seed_cpu
from mmssl.label_efficiency.curves import Origin
from mmssl.label_efficiency.layouts import Layout
from mmssl.models import DataPreprocessor
from mmssl.probe import Recipe, load_trained

_PASSES = 10  # fewest draws per labelled image


class _Labelled(NamedTuple):
    """Images of a part in memory: uint8 ``(N, C, S, S)``, and their classes ``(N,)``."""

    images: Tensor
    labels: Tensor


class Classification:
    """Accuracy on the test part of a folder with ``train/`` and ``test/``, each with one folder per class.

    Labelled images are drawn at random, equally many of every class; a smaller number is part of a larger one.

    Args:
        layout: From :func:`find_layout`.
        network: How an untrained network is built if there are no weights.
        size: Side of the images in pixels.
        steps: Steps of a fine-tuning; more if ten passes over the labelled images take more.
        batch_size: Images per step.
        rates: Learning rates to choose from.

    Raises:
        ValueError: There are no class folders, or training and test part differ in their classes.
    """

    name = 'classification'
    unit = 'labelled images per class'
    measures: tuple[str, ...] = ('fine-tuned', 'linear probe')

    def __init__(
        self,
        layout: Layout,
        network: Recipe,
        size: int = 64,
        steps: int = 200,
        batch_size: int = 64,
        rates: tuple[float, ...] = (3e-4, 1e-3, 3e-3),
    ) -> None:
        self.layout, self.network, self.size, self.rates = layout, network, size, rates
        self.steps, self.batch_size = steps, batch_size
        self.sources = {part: ImageFolder(layout.root / getattr(layout, part)) for part in ('train', 'test')}
        self.classes = _same_classes(self.sources, layout)
        self.labels = self._images.labels
        self.settings = {
            'data': str(layout.root.resolve()),
            'size': size,
            'steps': steps,
            'batch_size': batch_size,
            'rates': list(rates),
            'untrained': self.describe(Origin()),
            'images': {'train': len(self._images.images), 'test': len(self._test.images)},
            'classes': len(self.classes),
            'protocol': PROTOCOL,
        }

    def count(self, labels: int | None) -> int:
        """Number of labelled images; None stands for all."""
        counts = self.labels.bincount()
        return int(sum(min(int(count), labels or int(count)) for count in counts))

    def effort(self, labels: int | None) -> dict[str, int]:
        """Steps and images drawn in a fine-tuning; the same for every start."""
        steps = max(self.steps, -(-_PASSES * self.count(labels) // self.batch_size))
        return {'steps': steps, 'images_drawn': steps * self.batch_size}

    def unlabelled(self, folder: Path) -> Path:
        """The training part."""
        return self.layout.root / self.layout.train

    def describe(self, origin: Origin) -> str:
        """Build the network and load the weights; describe the network."""
        backbone, recipe = self._network(origin, seed=0)
        if len(recipe.mean) != len(self.network.mean):
            raise ValueError(f'{origin.file} takes images of {len(recipe.mean)} channels: give weights for three.')
        millions = sum(parameter.numel() for parameter in backbone.parameters()) / 1e6
        return f'{type(backbone).__name__} with {millions:.2f} million weights'

    def drawn(self, labels: int | None, seed: int) -> Tensor:
        """Indices of the labelled images: balanced, and part of what a larger number draws with the same seed."""
        if labels is None:
            return torch.arange(len(self.labels))
        return draw_per_class(self.labels, labels, seed)

    def halves(self, labels: int | None, seed: int) -> list[Tensor]:
        """The labelled images in two halves of equally many images per class, for the choice of the learning rate."""
        drawn = self.drawn(labels, seed)
        classes = self.labels[drawn]
        mixed = torch.randperm(len(drawn), generator=torch.Generator().manual_seed(hash_seed(seed, 1)))
        sorted_by_class = mixed[classes[mixed].argsort(stable=True)]
        return [drawn[sorted_by_class[place::2]] for place in range(2)]

    def measure(self, origin: Origin, labels: int | None, seed: int, rate: float, folder: Path) -> dict[str, Any]:
        """Accuracy in percent on the test part, fine-tuned and with the linear probe."""
        drawn = self.drawn(labels, seed)
        images, classes = self._images.images[drawn], self.labels[drawn]
        test = self._test
        classifier = self._classifier(origin, seed)
        # Random weights get no statistics of batch norm: with them the untrained network is far worse (24.7 % instead
        # of 42.2 on all labels of the photos of clothes), which would flatter the others.
        rows = [classifier.features(part) for part in (images, test.images)]
        probe = linear_probe(rows[0], classes, rows[1], test.labels, seed=seed)
        self._fit(classifier, images, classes, labels, rate, seed)
        return {'fine-tuned': accuracy(classifier, *test), 'linear probe': probe.top1}

    def held_out(self, origin: Origin, labels: int | None, seed: int, rate: float, fold: int, folder: Path) -> float:
        """Accuracy in percent on one half of the labelled training images after fine-tuning on the other half."""
        halves = self.halves(labels, seed)
        kept, others = halves[1 - fold], halves[fold]
        classifier = self._classifier(origin, seed)
        self._fit(classifier, self._images.images[kept], self.labels[kept], labels, rate, seed)
        return accuracy(classifier, self._images.images[others], self.labels[others])

    def _fit(
        self, classifier: Classifier, images: Tensor, classes: Tensor, labels: int | None, rate: float, seed: int
    ) -> None:
        effort = self.effort(labels)
        fine_tune(classifier, images, classes, FineTuning(effort['steps'], self.batch_size, rate, seed=seed))

    def _network(self, origin: Origin, seed: int) -> tuple[nn.Module, Recipe]:
        """The network in the state that fine-tuning starts from, and how its images are normalised."""
        like = origin.file or origin.like
        trained = load_trained(like) if like else None
        recipe = trained.recipe if trained else self.network
        with random_state_kept():
            seed_cpu(hash_seed(seed))
            backbone = recipe.build()
        if trained and origin.file:
            trained.fill(backbone)
        return backbone, recipe

    def _classifier(self, origin: Origin, seed: int) -> Classifier:
        backbone, recipe = self._network(origin, seed)
        return Classifier(backbone, recipe.mean, recipe.std, len(self.classes))

    @cached_property
    def _images(self) -> _Labelled:
        return self._decoded('train')

    @cached_property
    def _test(self) -> _Labelled:
        return self._decoded('test')

    def _decoded(self, part: str) -> _Labelled:
        source, view = self.sources[part], EvalView(resize=self.size, crop=self.size)
        images, labels = [], []
        for index in range(len(source)):
            try:
                image = source.load(index)
            except UnreadableImageError as error:
                print_log(f'{error}; left out.', 'current', logging.WARNING)
                continue
            images.append(view(as_channels(image, len(self.network.mean)))[0])
            labels.append(source.label(index))
        return _Labelled(torch.stack(images), torch.tensor(labels))


PROTOCOL = (
    'all weights trained with AdamW (weight decay 0.05, warm-up and cosine), batch norm on the statistics of the '
    'batch, random crops of 40 to 100 % and flips, from a logistic regression on such features as last layer; the '
    'linear probe is fitted to frozen features without augmentation'
)


def accuracy(classifier: Classifier, images: Tensor, labels: Tensor) -> float:
    """Percent of the images whose class is right."""
    return 100 * int((classifier.predict(images) == labels).sum()) / len(labels)


def plain_recipe(blocks: tuple[int, int, int, int], base_channels: int) -> Recipe:
    """A ResNet of torchvision's layout for three channels, normalised as for ImageNet.

    Args:
        blocks: Basic blocks in each of the four stages.
        base_channels: Width of the first stage.
    """
    architecture, plain = Architecture(blocks, False, 3, base_channels, 'imagenet'), DataPreprocessor()
    mean, std = (tuple(part.flatten().tolist()) for part in (plain.mean, plain.std))
    return Recipe(partial(empty_backbone, architecture), mean, std, "ImageNet's")


def _same_classes(sources: dict[str, ImageFolder], layout: Layout) -> list[str]:
    train, test = sources['train'].classes, sources['test'].classes
    if not train or not test:
        part = layout.train if not train else layout.test
        raise ValueError(f'{layout.root / part} has no class folders: put the images of each class into one folder.')
    if train != test:
        differing = sorted(set(train) ^ set(test))[:3]
        raise ValueError(
            f'{layout.root}: {layout.train}/ and {layout.test}/ have different classes ({", ".join(differing)} are in '
            'only one of them): give both the same class folders.'
        )
    return train
