"""Cluster the training images by the features of a checkpoint: pseudo-classes for batches without two of one kind.

Writes the class of each image into a file for the sampler PseudoClassSampler, by default beside the checkpoint. The
features are those of any network that mmssl trained, such as a denoising autoencoder; k-means makes the classes.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmssl.command_line import add_trained_options, load_trained_options
from mmssl.ranges import INDEX, SEVERAL, option

if TYPE_CHECKING:
    from torch import Tensor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_trained_options(parser, 'the training images of the config')
    parser.add_argument(
        '--clusters',
        type=option(SEVERAL),
        required=True,
        help='number of classes, for example four times the images per batch',
    )
    parser.add_argument('--out', type=Path, help='file to write (default: pseudo_classes.npz beside the checkpoint)')
    parser.add_argument('--seed', type=option(INDEX), default=0, help='seed of k-means')


def check(args: argparse.Namespace) -> None:
    """Refuse a file that could not be read back."""
    if args.out and args.out.suffix != '.npz':
        raise ValueError(f'--out {args.out}: give a name that ends in .npz.')


def training_images(cfg: Any, folder: str | None) -> Any:
    """The images to cluster, with the evaluation view: those of ``--data``, else those of the training."""
    from mmssl.evaluation import build_dataset

    gallery = cfg.evaluation.gallery
    return build_dataset(gallery if folder else {**cfg.train_dataloader.dataset, 'views': gallery.views})


def latents(model: Any, images: Any, cfg: Any) -> 'Tensor':
    """Features of every image, ``(N, D)``; an unreadable image gets those of its replacement."""
    from mmssl.evaluation import feature_batches, joined

    loading = cfg.evaluation.get('batch_size', 256), cfg.evaluation.get('num_workers', 0)
    parts = ((features[:, 0],) for features, *_ in feature_batches(model, images, *loading))
    return joined(parts, len(images))[0]


def describe(labels: 'Tensor') -> None:
    """Print the sizes of the classes, and how much of an epoch batches without two images of one class have."""
    from mmssl.functional import count_clean_batches

    sizes = labels.bincount().sort().values
    print(f'Classes of {sizes[0]} to {sizes[-1]} images, half of them below {sizes[len(sizes) // 2]}.')
    for batch_size in sorted({max(len(sizes) // part, 1) for part in (8, 4, 2, 1)}):
        share = count_clean_batches(labels, batch_size) * batch_size / len(labels)
        print(f'Batches of {batch_size} images without two of one class: {share:.0%} of the images per epoch.')


def run(args: argparse.Namespace) -> None:
    """Extract features, cluster and write."""
    model, cfg = load_trained_options(args)
    from mmssl.datasets import write_pseudo_classes
    from mmssl.functional import Stream, hash_seed, kmeans

    images = training_images(cfg, args.data)
    if not 1 <= args.clusters <= len(images):
        raise ValueError(
            f'{args.clusters} clusters of {len(images)} images: set --clusters to {max(len(images) // 10, 1)} or less '
            '(ten images per cluster).'
        )
    print(f'Features of {len(images):,} images, then k-means into {args.clusters:,} classes ...', flush=True)
    labels = kmeans(latents(model, images, cfg), args.clusters, seed=hash_seed(args.seed, Stream.KMEANS)).labels
    given = Path(args.checkpoint)
    path = args.out or (given if given.is_dir() else given.parent) / 'pseudo_classes.npz'
    write_pseudo_classes(path, labels, images.source.fingerprint)
    describe(labels)
    print(
        f'Written: {path}. Train with  --cfg-options train_dataloader.sampler.type=PseudoClassSampler '
        f'train_dataloader.sampler.labels={path}'
    )
