"""Pseudo-classes of images: their file, and a sampler whose batches hold at most one image of each."""

from collections.abc import Sequence, Sized
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from mmssl.datasets.samplers import DrawSampler
from mmssl.datasets.sources import hash_arrays
from mmssl.files import atomic_write
from mmssl.functional import Stream, clean_batches, count_clean_batches, hash_seed, ranked_order
from mmssl.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class PseudoClassSampler(DrawSampler):
    """Sampler whose global batches hold at most one image per pseudo-class, so that negatives are not of one kind.

    The command ``mmssl cluster`` makes the classes by k-means from the features of a trained network. The batches are
    those of all processes together, which :class:`~mmssl.datasets.RankBatchSampler` cuts.

    Args:
        dataset: Data set; the number of images counts, and which images they are.
        labels: Pseudo-class of each image: the file that the command has written, a ``.npy`` file, or integers, shape
            ``(N,)``.
        strict: Whether no batch holds two images of a class. An epoch then has as many such batches as can be made, and
            leaves out the other images, each time others. It pays to have more classes than images per batch. If False,
            all images are drawn as in the released code: the first of every class, then the second, and so on, so that
            the last batches hold several images of the larger classes.
        shuffle: Whether the order within the classes, the order of the classes and, if ``strict``, that of the batches
            are new in every epoch.
        seed: Seed of the run; set by the Runner.

    Attributes:
        labels: Pseudo-class of each image, from 0 without gaps, int64, shape ``(N,)``.
        fingerprint: Short text that differs between different classes; a run resumes only with the same.

    Raises:
        ValueError: There is no such file, its labels are no integers, or they are those of other images.

    Source: G-SimCLR (Chakraborty et al., ICDM-W 2020). The released code does not shuffle, and has as many
    classes as images per batch.
    """

    def __init__(
        self,
        dataset: Sized,
        labels: str | Path | Sequence[int] | np.ndarray,
        strict: bool = True,
        shuffle: bool = True,
        seed: int | None = 0,
    ) -> None:
        super().__init__(dataset, shuffle=shuffle, seed=seed)
        self.labels = _labels_of(labels, dataset)
        self.fingerprint = hash_arrays(self.labels)
        self.strict, self.batch_size, self._places = strict, 1, self.num_samples

    def set_batch_size(self, batch_size: int) -> None:
        """Tell the sampler the number of images per global batch.

        Raises:
            ValueError: There are fewer classes than images in a batch, of which no two may be of one class.
        """
        self.batch_size = batch_size
        if not self.strict:
            return
        batches, classes = count_clean_batches(self.labels, batch_size), int(self.labels.max()) + 1
        if not batches:
            enough = min(4 * batch_size, self.num_samples)
            raise ValueError(
                f'{batch_size} images per batch of all processes, no two of one pseudo-class, but there are {classes} '
                f'pseudo-classes: make {enough} with  mmssl cluster CHECKPOINT --clusters {enough}, or set '
                f'train_dataloader.batch_size to {classes} or less, divided by the number of processes.'
            )
        self._places = batches * batch_size
        print_log(
            f'{classes} pseudo-classes allow {batches} batches of {batch_size} images without two of one class: an '
            f'epoch draws {self._places / self.num_samples:.0%} of the images.',
            'current',
        )

    def __len__(self) -> int:
        """Number of places left in the epoch."""
        return self._places - self.start

    def _order(self) -> Tensor:
        generator = torch.Generator().manual_seed(hash_seed(self.seed, self.epoch, Stream.EPOCH_ORDER))
        labels, order = self.labels, torch.arange(self.num_samples)
        if self.shuffle:
            order = torch.randperm(self.num_samples, generator=generator)
            labels = torch.randperm(int(labels.max()) + 1, generator=generator)[labels]
        if not self.strict:
            return ranked_order(labels, order)
        batches = clean_batches(labels, order, self.batch_size)
        if self.shuffle:
            batches = batches[torch.randperm(len(batches), generator=generator)]
        return batches.flatten()


def write_pseudo_classes(path: str | Path, labels: Tensor, images: str) -> None:
    """Write the file that :class:`PseudoClassSampler` reads, atomically.

    Args:
        path: File to write, whose name ends in ``.npz``.
        labels: Pseudo-class of each image, int64, shape ``(N,)``.
        images: Fingerprint of the source of the images.
    """
    with atomic_write(path) as file:
        np.savez(file, labels=labels.cpu().numpy(), images=np.array(images))


def _labels_of(given: str | Path | Sequence[int] | np.ndarray, dataset: Any) -> Tensor:
    """Read the labels of a data set, and number the classes without gaps."""
    title, images = 'labels', None
    if isinstance(given, str | Path):
        title, (given, images) = str(given), _read(Path(given))
    found = np.asarray(given)
    if found.ndim != 1 or found.dtype.kind not in 'iu':
        raise ValueError(
            f'{title}: {found.dtype} of shape {found.shape} are no pseudo-classes: give one integer per image.'
        )
    if len(found) != len(dataset):
        raise ValueError(
            f'{title}: pseudo-classes of {len(found)} images, but the data set has {len(dataset)}: make those of this '
            'data set with  mmssl cluster CHECKPOINT --clusters NUMBER.'
        )
    if images not in (None, getattr(getattr(dataset, 'source', None), 'fingerprint', None)):
        raise ValueError(
            f'{title}: pseudo-classes of as many images, but of other ones: make those of this data set with  '
            'mmssl cluster CHECKPOINT --clusters NUMBER --data FOLDER.'
        )
    return torch.from_numpy(np.unique(found, return_inverse=True)[1].astype(np.int64))


def _read(path: Path) -> tuple[np.ndarray, str | None]:
    """Labels, and the fingerprint of their images if the file has one."""
    if not path.is_file():
        raise ValueError(
            f'There is no file {path} of pseudo-classes: train an autoencoder, for example, and make them with  '
            f'mmssl cluster WORK_DIR --clusters NUMBER --out {path}.'
        )
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            return stored, None
        with stored:
            return stored['labels'], str(stored['images'])
    except (BadZipFile, EOFError, KeyError, OSError, ValueError) as error:
        raise ValueError(
            f'{path} cannot be read ({error}): give the file that mmssl cluster writes, or integers in a .npy file.'
        ) from error
