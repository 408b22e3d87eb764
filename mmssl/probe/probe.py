"""All measures of frozen features, taken on features that are computed once."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from mmssl.datasets import EvalView, ImageDataset, ImageFolder, ImageSource, MultiView, Subset, View
from mmssl.evaluation.clustering import cluster_classes
from mmssl.evaluation.features import Features
from mmssl.evaluation.few_labels import few_labels_probe
from mmssl.evaluation.linear import linear_probe, sgd_probe
from mmssl.evaluation.measurement import NO_LABELS, evenly_spaced, knn_measures, label_free_measures, on_device
from mmssl.evaluation.results import Result
from mmssl.evaluation.svm import low_shot_svm

T = TypeVar('T')

MINIMUM_IMAGES = 10
_VIEWED = 2048  # images with random views
_GALLERY, _QUERY = ('train', 'training'), ('test', 'val', 'validation')


class _Stopwatch:
    """Measure the time of calls.

    Attributes:
        seconds: Time by the name of the call.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, measure: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Call ``measure`` and store how long it took."""
        start = time.perf_counter()
        found = measure(*arguments, **options)
        self.seconds[name] = time.perf_counter() - start
        return found


def probe_features(
    gallery: Features,
    query: Features | None = None,
    views: Tensor | None = None,
    shots: Sequence[int] = (1, 2, 4, 8, 16, 32, 64),
    shares: Sequence[float] = (0.01, 0.1),
    draws: int = 3,
    seed: int = 0,
    name: str = '',
) -> Result:
    """Measure features with and without labels.

    Args:
        gallery: Features that classifiers are trained on.
        query: Features that classifiers are measured on; None without labels.
        views: Features of two views of some images, shape ``(M, 2, D)``.
        shots: Labelled images per class for the low-shot SVM.
        shares: Shares of the labels for the linear probe with few labels.
        draws: Draws per number of shots and per share.
        seed: Seed of everything that is drawn at random.
        name: Name of the result.

    Returns:
        The measures of :func:`~mmssl.evaluation.evaluate`; with labels also those of a linear classifier trained by
        SGD, of the linear probe with few labels, of the low-shot SVM and of clusters; and the seconds of each.

    Raises:
        ValueError: There are fewer than two classes.
    """
    timed = _Stopwatch()
    pairs = () if views is None else views.unbind(dim=1)
    label_free = timed('label_free', label_free_measures, gallery.features, *pairs)
    result = Result(name, tuple(label_free), gallery=len(gallery), dim=gallery.features.shape[1])
    if query is None or gallery.labels is None or query.labels is None:
        return replace(result, notes=(NO_LABELS,), seconds=timed.seconds)
    sets = on_device(gallery, query)
    options = {'draws': draws, 'seed': seed}
    measures = [
        *timed('knn', knn_measures, sets),
        timed('linear', linear_probe, *sets, seed=seed).measure('linear', short='linear'),
        timed('sgd', sgd_probe, *sets, seed=seed).measure('linear by SGD'),
        *timed('few_labels', few_labels_probe, *sets, shares=shares, **options),
        *timed('low_shot', low_shot_svm, *(part.cpu() for part in sets), shots=shots, **options),
        *timed('clusters', cluster_classes, sets.test, sets.test_labels, seed=seed),
        *label_free,
    ]
    return replace(result, measures=tuple(measures), query=len(query), seconds=timed.seconds)


@dataclass(frozen=True)
class ProbeData:
    """Images to measure on.

    Attributes:
        gallery: Images that classifiers are trained on.
        query: Images that classifiers are measured on; None without labels.
        remarks: Remarks on the split, one sentence each.
    """

    gallery: ImageSource
    query: ImageSource | None
    remarks: tuple[str, ...]

    def datasets(self, size: int, channels: int, seed: int = 0) -> dict[str, ImageDataset]:
        """Data sets of the views that a network gets.

        Args:
            size: Side of the views in pixels.
            channels: Channels of the network.
            seed: Seed of the random views.

        Returns:
            ``gallery`` and ``query`` in one view, and ``views``: up to 2,048 images of the gallery in two random views.
        """
        plain = plain_view(size)
        several = Subset(self.gallery, indices=evenly_spaced(len(self.gallery), _VIEWED))
        parts: dict[str, tuple[ImageSource | None, Callable[[Tensor], Any]]] = {
            'gallery': (self.gallery, plain),
            'query': (self.query, plain),
            'views': (several, two_views(size)),
        }
        return {
            name: ImageDataset(source, view, channels, seed)
            for name, (source, view) in parts.items()
            if source is not None
        }


def plain_view(size: int) -> EvalView:
    """Centre crop of an image: seven eighths of the shorter side above 64 pixels (224 of 256), otherwise all of it."""
    return EvalView(size if size <= 64 else size * 8 // 7, size)


def two_views(size: int) -> MultiView:
    """Two random views by SimCLR's augmentation without blur: crops of at least a fifth, flips, jitter, gray."""
    view = View(size, scale=(0.2, 1.0), jitter=(0.4, 0.4, 0.4, 0.1), jitter_prob=0.8, gray_prob=0.2)
    return MultiView([2], [view])


def probe_data(folder: str | Path, images: tuple[int, int] | None = None) -> ProbeData:
    """Find the images of a folder, and split them if needed.

    Args:
        folder: Contains ``train`` and ``test`` (or ``val``, ``validation``) with class folders; or class folders, of
            whose images a random fifth is the query set; or images without classes.
        images: Number of random images to use of the gallery and of the query set; by default all.

    Returns:
        The images.

    Raises:
        ValueError: There is no such folder, it has too few images, or the two parts have different classes.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f'There is no folder {folder}: give the folder that holds the images as --data.')
    train, test = _below(folder, _GALLERY), _below(folder, _QUERY)
    gallery: ImageSource
    query: ImageSource | None
    if train and test:
        folders = ImageFolder(train), ImageFolder(test)
        _check_classes(*folders)
        gallery, query = folders
    else:
        gallery, query = _split(train or folder)
    if gallery.labels is None:
        query = None
    if images:
        gallery = Subset(gallery, min(images[0], len(gallery)))
        query = query and Subset(query, min(images[1], len(query)))
    if len(gallery) < MINIMUM_IMAGES:
        raise ValueError(
            f'{folder} has {len(gallery)} images to learn from: give a folder with {MINIMUM_IMAGES} or more.'
        )
    return ProbeData(gallery, query, _remarks(gallery, query))


def split_one_fifth(length: int, most: tuple[int, int] | None = None) -> dict[str, dict[str, int]]:
    """Split off one fifth as the query set: arguments of two subsets that share no image.

    Args:
        length: Number of images.
        most: Maximum size of gallery and query set.

    Returns:
        ``num`` and ``skip`` for ``gallery`` and ``query``.
    """
    most = most or (length, length)
    gallery, query = min(length * 4 // 5, most[0]), min(length // 5, most[1])
    return {'gallery': {'num': gallery, 'skip': 0}, 'query': {'num': query, 'skip': gallery}}


def _split(folder: Path) -> tuple[ImageSource, ImageSource | None]:
    source = ImageFolder(folder)
    if source.labels is None:
        return source, None
    if len(source) < MINIMUM_IMAGES + 3:  # four fifths of 13 are 10
        raise ValueError(f'{folder} has {len(source)} images: give a folder with {MINIMUM_IMAGES + 3} or more.')
    parts = split_one_fifth(len(source)).values()
    gallery, query = (Subset(source, num=part['num'], skip=part['skip']) for part in parts)
    return gallery, query


def _below(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _check_classes(gallery: ImageFolder, query: ImageFolder) -> None:
    if gallery.classes != query.classes:
        odd = sorted(set(gallery.classes or []) ^ set(query.classes or []))
        raise ValueError(
            f'{gallery.root} and {query.root} have different classes ({", ".join(odd[:5])} in one of them only): give '
            'them the same class folders.'
        )


def _remarks(gallery: ImageSource, query: ImageSource | None) -> tuple[str, ...]:
    if query is None or gallery.labels is None or query.labels is None:
        return (NO_LABELS,)
    known, classes = set(gallery.labels.tolist()), gallery.classes or ()
    lacking = [classes[label] for label in sorted(set(query.labels.tolist()) - known)]
    if not lacking:
        return ()
    names = ', '.join(lacking[:5]) + (' ...' if len(lacking) > 5 else '')
    return (f'Classes without a training image, so always wrong: {names}.',)
