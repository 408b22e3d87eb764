"""Fine-tune a whole network on a few labelled images in memory, with a fixed number of steps."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from mmengine.device import get_device
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample

from mmssl.evaluation.classes import check_classes
from mmssl.evaluation.linear import fit_logistic
from mmssl.functional import hash_seed
from mmssl.models.algorithms.base import pooled

_L2 = 0.1  # of the classifier that fine-tuning starts from
_ROWS = 256  # images per forward pass without gradients


@dataclass(frozen=True)
class FineTuning:
    """Settings of a fine-tuning.

    Attributes:
        steps: Optimizer steps.
        batch_size: Images per step.
        rate: Highest learning rate of AdamW, after a tenth of the steps; then it falls along a cosine to 0.
        weight_decay: Decoupled weight decay of AdamW.
        smallest_crop: Least share of an image that a random crop shows.
        seed: Seed of the order and the crops.
    """

    steps: int
    batch_size: int = 64
    rate: float = 1e-3
    weight_decay: float = 0.05
    smallest_crop: float = 0.4
    seed: int = 0

    @property
    def draws(self) -> int:
        """Images drawn in all steps together."""
        return self.steps * self.batch_size


class Classifier(nn.Module):
    """A backbone and a linear layer on the mean of its last map.

    Args:
        backbone: Gives a tuple of feature maps.
        mean: Mean of each channel, in the units of the images.
        std: Standard deviation of each channel.
        num_classes: Number of classes.

    Attributes:
        layer: The linear layer, from :meth:`start_layer` on.
    """

    layer: nn.Linear
    mean: Tensor
    std: Tensor

    def __init__(self, backbone: nn.Module, mean: Sequence[float], std: Sequence[float], num_classes: int) -> None:
        super().__init__()
        self.backbone, self.num_classes = backbone.to(memory_format=torch.channels_last), num_classes
        self.register_buffer('mean', torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer('std', torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))

    def normalised(self, images: Tensor) -> Tensor:
        """Convert uint8 or uint16 images, shape ``(B, C, H, W)``, to what the backbone takes."""
        inputs = images.to(self.mean.device).to(torch.float32, memory_format=torch.channels_last)
        return (inputs - self.mean) / self.std

    def pooled(self, inputs: Tensor) -> Tensor:
        """Features of normalised images, shape ``(B, D)``."""
        return pooled(self.backbone, inputs)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Features in eval mode, float32 on the CPU.

        Args:
            images: uint8, shape ``(N, C, H, W)``.

        Returns:
            Shape ``(N, D)``.
        """
        self.eval()
        return torch.cat([self.pooled(self.normalised(part)).float().cpu() for part in images.split(_ROWS)])

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Classes of uint8 images, int64 on the CPU, shape ``(N,)``."""
        rows = self.features(images).to(self.layer.weight.device)
        return self.layer(rows).argmax(dim=1).cpu()

    @torch.no_grad()
    def calibrate(self, images: Tensor) -> None:
        """Set the statistics of batch norm to those of images.

        Training uses the statistics of the batch, whereas an untrained network has none of its own: a layer that is
        fitted to its features without them starts from features that never come again, and may not learn.

        Args:
            images: uint8, shape ``(N, C, H, W)``.
        """
        norms = [module for module in self.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
        self.train()
        for part in images.chunk(-(-len(images) // _ROWS)):  # of equal length: each counts the same
            self.pooled(self.normalised(part))
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
        self.eval()

    def start_layer(self, features: Tensor, labels: Tensor) -> None:
        """Set the linear layer to a logistic regression on the features.

        A random layer would send large gradients into the backbone before it can tell the classes apart.

        Args:
            features: Shape ``(N, D)``.
            labels: Shape ``(N,)``.
        """
        mean, std = features.mean(dim=0), features.std(dim=0, correction=0).clamp_min(1e-6)
        weight, bias = fit_logistic((features - mean) / std, labels, self.num_classes, _L2)
        self.layer = nn.Linear(features.shape[1], self.num_classes)
        with torch.no_grad():
            self.layer.weight.copy_(weight / std)
            self.layer.bias.copy_(bias - (weight / std) @ mean)


def fine_tune(classifier: Classifier, images: Tensor, labels: Tensor, how: FineTuning) -> None:
    """Train all weights of a classifier on labelled images.

    Batch norm uses the statistics of the batch, as in a training from scratch: an untrained network has no others. The
    linear layer starts from a logistic regression on the features that these statistics give. Images are flipped and
    cropped at random. The optimizer is AdamW, since SGD leaves an untrained network far behind in so few steps, and
    pre-training would seem to gain more than it does.

    Args:
        classifier: Changed in place; in eval mode afterwards.
        images: uint8, shape ``(N, C, H, W)``.
        labels: Classes from 0 upwards, shape ``(N,)``.
        how: Steps, batch size, rate and seed.

    Raises:
        ValueError: There are fewer than two images, or a label is negative.
    """
    check_classes(labels)
    if len(images) < 2:
        raise ValueError(f'{len(images)} labelled image: fine-tuning needs 2 or more, give more labels.')
    device = get_device()
    classifier.to(device)
    classifier.calibrate(images)
    classifier.start_layer(classifier.features(images), labels)
    classifier.to(device).train()
    optimizer = torch.optim.AdamW(classifier.parameters(), how.rate, weight_decay=how.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_cosine(step, how.steps))
    generator = torch.Generator().manual_seed(hash_seed(how.seed))
    for drawn in batches(len(images), how, generator):
        views = random_crops(classifier.normalised(images[drawn]).cpu(), how.smallest_crop, generator)
        scores = classifier.layer(classifier.pooled(views.to(device)))
        optimizer.zero_grad()
        cross_entropy(scores, labels[drawn].to(device)).backward()
        optimizer.step()
        schedule.step()
    classifier.eval()


def warm_cosine(step: int, steps: int) -> float:
    """Share of the highest learning rate: up over the first tenth of the steps, then down along a cosine."""
    warmup = max(steps // 10, 1)
    return min(1.0, (step + 1) / warmup) * (1 + math.cos(math.pi * step / steps)) / 2


def batches(length: int, how: FineTuning, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of the images of each step; every image is drawn once before any is drawn again.

    Args:
        length: Number of images.
        how: Number of steps, and images per step.
        generator: Random stream of the order.

    Yields:
        ``how.steps`` times ``how.batch_size`` indices.
    """
    rounds = -(-how.draws // length)
    order = torch.cat([torch.randperm(length, generator=generator) for _ in range(rounds)])
    yield from order[: how.draws].split(how.batch_size)


def random_crops(images: Tensor, smallest: float, generator: torch.Generator) -> Tensor:
    """Crop every image at random to its own size, and flip half of them.

    Args:
        images: Normalised, on the CPU, shape ``(B, C, H, W)``.
        smallest: Least share of the area that a crop shows.
        generator: Random stream.

    Returns:
        The same shape.
    """
    count = len(images)
    area, ratio, x, y, flip = torch.rand(5, count, generator=generator)
    area, ratio = smallest + (1 - smallest) * area, (0.6 * ratio - 0.3).exp()
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    zero = torch.zeros(count)
    rows = [[width * torch.where(flip < 0.5, -1.0, 1.0), zero, (2 * x - 1) * (1 - width)]]
    rows += [[zero, height, (2 * y - 1) * (1 - height)]]
    boxes = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)  # (B, 2, 3)
    grid = affine_grid(boxes, list(images.shape), align_corners=False)
    crops = grid_sample(images, grid, padding_mode='reflection', align_corners=False)
    return crops.contiguous(memory_format=torch.channels_last)
