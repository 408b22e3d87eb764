"""Cost of PixPro's loss: its share of a step, and compared with the formula written out pixel by pixel.

    python tools/benchmarks/speed/pixels.py [--batch 16] [--rounds 5] [--json FILE]

ResNet-50, views of 224 pixels, maps of 7 x 7 with 256 channels, as in the paper. The loss is everything after the
projections: the pairs of pixels, the propagation with its 1 x 1 convolution, the cosines, and their gradients, in both
directions. The forms are timed in turns, and must give the same loss and gradients.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, normalize

from mmssl.datasets import Batch
from mmssl.files import write_json
from mmssl.models import ConvMLPNeck, PixelPropagation, PixPro, ResNet
from mmssl.ranges import COUNT, option

THRESHOLD, LITTLE = 0.7, 1e-6


def model_of_the_paper() -> PixPro:
    """PixPro without the instance branch."""
    neck = ConvMLPNeck(in_channels=2048, hidden_channels=4096, out_channels=256)
    return PixPro(ResNet(50), neck, PixelPropagation(256), threshold=THRESHOLD)


def random_boxes(batch: int) -> Tensor:
    """Random crops of at least 0.08 of the image, half of them flipped: ``(2, B, 4)``."""
    generator = torch.Generator().manual_seed(0)
    side = torch.empty(2, batch, 2).uniform_(0.3, 1.0, generator=generator)
    corner = torch.rand(2, batch, 2, generator=generator) * (1 - side)
    boxes = torch.cat([corner, corner + side], dim=2)
    flipped = torch.rand(2, batch, generator=generator) < 0.5
    boxes[flipped] = boxes[flipped][:, [2, 1, 0, 3]]
    return boxes


def ours(model: PixPro, projections: list[Tensor], taught: list[Tensor], boxes: Tensor) -> Tensor:
    """Both directions, as in :meth:`PixPro.loss`."""
    seen = [model.propagation(projection) for projection in projections]
    return sum(model.compare([seen[v]], [taught[1 - v]], boxes[[v, 1 - v]]) for v in (0, 1))


def plain(model: PixPro, projections: list[Tensor], taught: list[Tensor], boxes: Tensor) -> Tensor:
    """Both directions, image by image and pixel by pixel, in the order of the paper's equations 1, 4, 5 and 6."""
    total = torch.zeros(())
    for v in (0, 1):
        losses = []
        for x, target, box, other in zip(projections[v], taught[1 - v], boxes[v], boxes[1 - v]):
            y = propagate_plainly(x, model.propagation.transform)
            losses.append(compare_plainly(y, target.flatten(1), box, other, x.shape[1:]))
        total = total + torch.stack(losses).mean()
    return total


def propagate_plainly(x: Tensor, transform: nn.Module) -> list[Tensor]:
    """Equations 4 and 5 for one image, ``(D, H, W)``."""
    pixels = x.flatten(1).T
    values = normalize(transform(x[None])[0].flatten(1).T, dim=1)
    propagated = []
    for pixel in pixels:
        similarity = cosine_similarity(pixel[None], pixels).clamp_min(0) ** 2
        propagated.append((similarity[:, None] * values).sum(dim=0))
    return propagated


def compare_plainly(y: list[Tensor], target: Tensor, box: Tensor, other: Tensor, size: torch.Size) -> Tensor:
    """Equations 1 and 6 for one image."""
    first, second = centres(box, size), centres(other, size)
    bin_size = max(diagonal(box, size), diagonal(other, size))
    cosines, pairs = torch.zeros(()), 0
    for pixel, centre in zip(y, first):
        near = [j for j, place in enumerate(second) if (centre - place).norm() / bin_size < THRESHOLD]
        if near:
            cosines = cosines + cosine_similarity(pixel[None], target[:, near].T).sum()
            pairs += len(near)
    return -2 * cosines / (pairs + LITTLE)


def centres(box: Tensor, size: torch.Size) -> list[Tensor]:
    """Positions of a view's pixels in the image, row by row."""
    height, width = size
    step = (box[2:] - box[:2]) / torch.tensor([width, height])
    return [box[:2] + step * torch.tensor([u + 0.5, v + 0.5]) for v in range(height) for u in range(width)]


def diagonal(box: Tensor, size: torch.Size) -> float:
    """Diagonal of one pixel of a view."""
    height, width = size
    return float(((box[2:] - box[:2]) / torch.tensor([width, height])).norm())


def measure(batch: int, rounds: int) -> dict[str, float]:
    """Median seconds of a whole step, of the loss, and of the written-out loss."""
    torch.manual_seed(0)
    model, boxes = model_of_the_paper().train(), random_boxes(batch)
    views = [torch.randn(batch, 3, 224, 224) for _ in range(2)]
    projections = [torch.randn(batch, 256, 7, 7, requires_grad=True) for _ in range(2)]
    taught = [torch.randn(batch, 256, 7, 7) for _ in range(2)]

    def step() -> None:
        draws = Batch(sample_idx=torch.arange(batch), draw=torch.arange(batch), boxes=boxes)
        model.loss(views, draws)['loss_pixel'].backward()

    learned = [*projections, *model.propagation.parameters()]
    found: dict[str, list[Tensor]] = {}

    def loss(form: Callable) -> Callable[[], None]:
        def work() -> None:
            value = form(model, projections, taught, boxes)
            found[form.__name__] = [value.detach(), *torch.autograd.grad(value, learned)]

        return work

    works = {'step': step, 'loss': loss(ours), 'loss, written out': loss(plain)}
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - start)
    for mine, wanted in zip(found['ours'], found['plain'], strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-3, atol=1e-5)
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=option(COUNT), default=16)
    parser.add_argument('--rounds', type=option(COUNT), default=5)
    parser.add_argument('--json', type=Path, help='file to write the figures to')
    args = parser.parse_args()
    seconds = measure(args.batch, args.rounds)
    print(f'ResNet-50, {args.batch} images, median of {args.rounds}:')
    for name, value in seconds.items():
        print(f'  {name:18s} {1e3 * value:9.1f} ms   {value / seconds["step"]:8.4f} of the step')
    print(f'  the formula written out takes {seconds["loss, written out"] / seconds["loss"]:.0f} times as long')
    if args.json:
        write_json(args.json, seconds)


if __name__ == '__main__':
    main()
