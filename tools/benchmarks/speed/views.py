"""Images per second on one core, from JPEG bytes to views: mmssl, torchvision v2 and lightly side by side.

    python tools/benchmarks/speed/views.py [--rounds 7] [--images 64] [--json FILE]

Two settings: SwAV's 2x224 + 6x96 from images of 500x375, and the CPU config's 2x32 + 3x20 from images of 32x32. All
candidates decode the same files with Pillow and draw crops and colours from the same distributions. In every round they
take turns; CPU time of one thread is measured, and the median over the rounds is printed.

- mmssl: data set, uint8 views.
- torchvision-pil: v2 transforms on Pillow images, Pillow's blur (as in the SwAV authors' code), uint8 views.
- torchvision-tensor: v2 transforms on uint8 tensors, torchvision's blur with a kernel of a tenth of the view.
- lightly: its SwaVTransform without normalisation, float views (skipped if it is not installed).
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torchvision.transforms import v2

from mmssl.datasets import ImageDataset, ImageFolder, MultiView, View
from mmssl.files import write_json
from mmssl.ranges import COUNT, option

_SWAV = {'jitter': (0.8, 0.8, 0.8, 0.2), 'jitter_prob': 0.8, 'gray_prob': 0.2, 'blur_sigma': (0.1, 2.0)}
SETTINGS = {
    'swav_2x224_6x96': {'image': (375, 500), 'crops': [(2, 224, (0.14, 1.0)), (6, 96, (0.05, 0.14))], 'blur': 0.5},
    'cpu_2x32_3x20': {'image': (32, 32), 'crops': [(2, 32, (0.3, 1.0)), (3, 20, (0.08, 0.3))], 'blur': 0.0},
}


def write_images(folder: Path, shape: tuple[int, int], count: int) -> list[Path]:
    """JPEG files (quality 95) with detail at every scale, like photographs."""
    generator = np.random.default_rng(0)
    height, width = shape
    paths = []
    for number in range(count):
        total = np.zeros((height, width, 3))
        for cells in (2, 4, 8, 16, 32, 64, 128, 256):
            if cells > min(shape):
                break
            noise = generator.random((cells, cells, 3), dtype=np.float32)
            for channel in range(3):
                layer = Image.fromarray(noise[..., channel]).resize((width, height), Image.Resampling.BICUBIC)
                total[..., channel] += np.asarray(layer) / cells**0.15
        total = (total - total.min()) / (total.max() - total.min())
        paths.append(folder / f'{number:04d}.jpg')
        Image.fromarray((total * 255).astype(np.uint8)).save(paths[-1], quality=95)
    return paths


def ours(folder: Path, setting: dict) -> Callable[[int, int], list[Tensor]]:
    """From images to views, by mmssl."""
    kinds = [View(size, scale, blur_prob=setting['blur'], **_SWAV) for _, size, scale in setting['crops']]
    dataset = ImageDataset(ImageFolder(folder), MultiView([count for count, *_ in setting['crops']], kinds))
    return lambda index, draw: dataset[index, draw]['inputs']


def torchvision_v2(paths: list[Path], setting: dict, tensor: bool) -> Callable[[int, int], list[Tensor]]:
    """From images to views, by torchvision's v2 transforms on Pillow images or on uint8 tensors."""

    def pillow_blur(image: Image.Image) -> Image.Image:
        return image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))

    def kind(size: int, scale: tuple[float, float]) -> v2.Transform:
        blur = v2.GaussianBlur(size // 10 // 2 * 2 + 1, (0.1, 2.0)) if tensor else v2.Lambda(pillow_blur)
        return v2.Compose(
            [
                v2.RandomResizedCrop(size, scale, antialias=True),
                v2.RandomHorizontalFlip(),
                v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8),
                v2.RandomGrayscale(0.2),
                *([v2.RandomApply([blur], p=setting['blur'])] if setting['blur'] else []),
                v2.Identity() if tensor else v2.PILToTensor(),
            ]
        )

    views = [kind(size, scale) for count, size, scale in setting['crops'] for _ in range(count)]
    first = v2.PILToTensor() if tensor else v2.Identity()

    def load(index: int, _: int) -> list[Tensor]:
        with Image.open(paths[index]) as image:
            decoded = first(image.convert('RGB'))
        return [view(decoded) for view in views]

    return load


def lightly_swav(paths: list[Path], setting: dict) -> Callable[[int, int], list[Tensor]] | None:
    """From images to views, by lightly; None if it is not installed."""
    try:
        from lightly.transforms.swav_transform import SwaVTransform
    except ImportError:
        return None
    counts, sizes, scales = zip(*setting['crops'])
    transform = SwaVTransform(
        crop_sizes=sizes, crop_counts=counts, crop_min_scales=[low for low, _ in scales],
        crop_max_scales=[high for _, high in scales], cj_strength=1.0, gaussian_blur=setting['blur'],
        sigmas=(0.1, 2.0), normalize=None,
    )  # fmt: skip

    def load(index: int, _: int) -> list[Tensor]:
        with Image.open(paths[index]) as image:
            return transform(image.convert('RGB'))

    return load


def measure(candidates: dict[str, Callable], images: int, rounds: int) -> dict[str, list[float]]:
    """Images per second of each candidate in each round."""
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(-1, rounds):  # the first round warms up
        for name, load in candidates.items():
            start = time.process_time()
            for index in range(images):
                load(index, turn * images + index)
            if turn >= 0:
                rates[name].append(images / (time.process_time() - start))
    return rates


def run(name: str, setting: dict, images: int = 64, rounds: int = 7) -> dict[str, dict[str, float]]:
    """Measure one setting in CPU time of one thread, and print its table."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker of a data loader
    with tempfile.TemporaryDirectory() as temporary:
        paths = write_images(Path(temporary), setting['image'], images)
        size = statistics.mean(path.stat().st_size for path in paths)
        candidates = {
            'mmssl': ours(Path(temporary), setting),
            'torchvision-pil': torchvision_v2(paths, setting, tensor=False),
            'torchvision-tensor': torchvision_v2(paths, setting, tensor=True),
            'lightly': lightly_swav(paths, setting),
        }
        rates = measure({key: load for key, load in candidates.items() if load}, images, rounds)
    torch.set_num_threads(threads)
    print(f'{name}: {images} JPEG files of {size / 1000:.1f} kB, median of {rounds} rounds')
    table = {}
    for key, rate in rates.items():
        ratio = statistics.median(own / other for own, other in zip(rates['mmssl'], rate))
        table[key] = {'images_per_second': statistics.median(rate), 'mmssl_is_faster_by': ratio}
        print(f'  {key:20s} {statistics.median(rate):8.1f} images/s   mmssl / it: {ratio:.2f}')
    return table


def main() -> None:
    """Measure both settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=option(COUNT), default=7)
    parser.add_argument('--images', type=option(COUNT), default=64, help='images per round')
    parser.add_argument('--json', type=Path, help='file to write the figures to')
    args = parser.parse_args()
    tables = {name: run(name, setting, args.images, args.rounds) for name, setting in SETTINGS.items()}
    if args.json:
        write_json(args.json, tables)


if __name__ == '__main__':
    main()
