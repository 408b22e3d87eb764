"""Make images that resemble given ones: tools/dataset_tools/generate_images.py SOURCE OUT.npz [--count N].

SOURCE is a folder of images, or an array in a .npy or .npz file. The generator is fitted within minutes on two cores
(scikit-learn): the coarse layout and the colours of an image, its first principal components, are drawn from a mixture
of Gaussians; the fine detail is that of a real image of the same Gaussian. So the images are no copies, but they show
what the real ones show. They stand in for those of a diffusion model, to try out what mixes generated with real images
(configs/adainf). The same seed gives the same images. The .npz file holds ``images`` (uint8, red first), ``labels``
(all -1: no class) and ``about``, a text that says how they were made.
"""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from mmssl.command_line import one_sentence
from mmssl.files import atomic_write
from mmssl.ranges import COUNT, INDEX, option
from mmssl.words import counted

PER_GAUSSIAN = 250  # images, by default: a covariance matrix has many entries
_CHUNK = 4096


class Generator(NamedTuple):
    """A distribution of images, as rows of P pixel values.

    Attributes:
        pixels: Real images, whose detail generated ones have, uint8, shape ``(N, P)``.
        components: Leading principal components, each as long as its standard deviation, shape ``(D, P)``.
        places: Position of every image along them, in standard deviations, shape ``(N, D)``.
        mixture: Mixture of Gaussians of these positions.
    """

    pixels: np.ndarray
    components: np.ndarray
    places: np.ndarray
    mixture: GaussianMixture


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', type=Path, help='folder of images, or .npy or .npz file')
    parser.add_argument('out', type=Path, help='file to write, .npz')
    parser.add_argument('--count', type=option(COUNT), default=50000, help='images to make (default: 50000)')
    parser.add_argument('--size', type=option(COUNT), default=32, help='their side in pixels (default: 32)')
    parser.add_argument(
        '--images', type=option(COUNT), help='learn from as many images, those of Subset(num=...) (default: all)'
    )
    parser.add_argument(
        '--gaussians', type=option(COUNT), help='Gaussians of the mixture (default: one per 250 images, 1 to 100)'
    )
    parser.add_argument(
        '--dimensions', type=option(COUNT), default=30, help='principal components that are drawn (default: 30)'
    )
    parser.add_argument('--seed', type=option(INDEX), default=0, help='seed of the fit and of the images (default: 0)')
    return parser.parse_args()


def read_pixels(source: Path, size: int, images: int | None) -> np.ndarray:
    """The images of a source as uint8, shape ``(N, size, size, 3)``, shrunk or enlarged to their middle square.

    Raises:
        ValueError: There is no such source, or it has fewer images than wanted.
    """
    from mmengine.logging import MMLogger

    from mmssl.datasets import ArraySource, EvalView, ImageFolder, ImageSource, Subset
    from mmssl.datasets.images import as_channels

    MMLogger.get_instance('generate_images', log_level='WARNING')  # the tool prints its result alone
    found: ImageSource = ImageFolder(source, labels=False) if source.is_dir() else ArraySource(source)
    found = found if images is None else Subset(found, num=images)
    view = EvalView(resize=size, crop=size)
    rows = (view(as_channels(found.load(index), 3))[0] for index in range(len(found)))
    return np.stack([row.permute(1, 2, 0).numpy() for row in rows])


def fit(pixels: np.ndarray, gaussians: int, dimensions: int, seed: int) -> Generator:
    """Fit the generator.

    Args:
        pixels: Rows of pixel values, uint8, shape ``(N, P)``.
        gaussians: Number of Gaussians in the mixture.
        dimensions: Number of principal components that are drawn.
        seed: Seed of the fit.

    Raises:
        ValueError: There are too few images.
    """
    most = min(len(pixels) - 1, pixels.shape[1])
    if not (1 <= dimensions <= most and 1 <= gaussians <= len(pixels) // 2):
        raise ValueError(
            f'{gaussians} Gaussians in {dimensions} dimensions, but {len(pixels)} images of {pixels.shape[1]} values: '
            f'set --gaussians to 1 to {len(pixels) // 2}, and --dimensions to 1 to {most}.'
        )
    pca = PCA(dimensions, whiten=True, svd_solver='randomized', random_state=seed)
    places = pca.fit_transform(pixels.astype(np.float32))
    components = pca.components_ * np.sqrt(pca.explained_variance_)[:, None]
    mixture = GaussianMixture(gaussians, reg_covar=1e-3, random_state=seed).fit(places)
    return Generator(pixels, components, places, mixture)


def sample(generator: Generator, number: int, seed: int) -> np.ndarray:
    """Draw images: each is a real one, moved along the leading components to a place drawn from its own Gaussian.

    Args:
        generator: From :func:`fit`.
        number: How many.
        seed: Seed of the images.

    Returns:
        uint8, shape ``(number, P)``.
    """
    random, mixture = np.random.default_rng(seed), generator.mixture
    chosen = random.integers(len(generator.pixels), size=number)
    places = random.standard_normal((number, len(generator.components)), np.float32)
    kinds = mixture.predict(generator.places)[chosen]
    for kind, (mean, covariance) in enumerate(zip(mixture.means_, mixture.covariances_)):
        places[kinds == kind] = mean + places[kinds == kind] @ np.linalg.cholesky(covariance).T
    made = np.empty((number, generator.pixels.shape[1]), np.uint8)
    for first in range(0, number, _CHUNK):
        part = slice(first, first + _CHUNK)
        real = chosen[part]
        moved = generator.pixels[real] + (places[part] - generator.places[real]) @ generator.components
        made[part] = moved.round().clip(0, 255)
    return made


def main() -> None:
    """Read, fit, draw and write."""
    args = parse_args()
    if args.out.suffix != '.npz':
        raise ValueError(f'{args.out}: give a file that ends in .npz.')
    start = time.perf_counter()
    pixels = read_pixels(args.source, args.size, args.images)
    gaussians = args.gaussians or min(max(len(pixels) // PER_GAUSSIAN, 1), 100)
    generator = fit(pixels.reshape(len(pixels), -1), gaussians, args.dimensions, args.seed)
    images = sample(generator, args.count, args.seed).reshape(-1, *pixels.shape[1:])
    about = (
        f'Generated from {counted(len(pixels), "image")} of {args.source.name}: {args.dimensions} principal components '
        f'from {counted(gaussians, "Gaussian")}, the rest from a real image; {args.size} pixels, seed {args.seed}.'
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(args.out) as file:
        np.savez(file, images=images, labels=np.full(len(images), -1), about=np.array(about))
    print(f'{counted(len(images), "image")} in {args.out}, after {time.perf_counter() - start:.0f} s. {about}')


if __name__ == '__main__':
    with one_sentence():
        main()
