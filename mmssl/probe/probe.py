"""All measures of frozen features, taken on features that are computed once."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from mmssl.datasets import (
    ClipDataset,
    EvalView,
    ImageDataset,
    ImageFolder,
    ImageSource,
    LabelledFrames,
    MultiView,
    Subset,
    TimeSplit,
    UniformFrames,
    VideoFolder,
    View,
    frame_parts,
    holds_videos,
    part_sources,
    video_part_sources,
)
from mmssl.evaluation.classes import match_classes
from mmssl.evaluation.clustering import cluster_classes
from mmssl.evaluation.features import Features
from mmssl.evaluation.few_labels import few_labels_probe
from mmssl.evaluation.linear import linear_probe, sgd_probe
from mmssl.evaluation.measurement import (
    NO_LABELS,
    evenly_spaced,
    knn_measures,
    label_free_measures,
    left_out_notes,
    on_device,
)
from mmssl.evaluation.results import Result
from mmssl.evaluation.svm import low_shot_svm
from mmssl.registry import DATASETS

T = TypeVar('T')

MINIMUM_IMAGES = 10
_VIEWED = 2048  # images with random views
ONE_CLASS = 'The images to learn from are all of one class, so no accuracy was measured.'


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
        query: Features that classifiers are measured on, with classes matched by name; None without labels.
        views: Features of two views of some images, shape ``(M, 2, D)``.
        shots: Labelled images per class for the low-shot SVM.
        shares: Shares of the labels for the linear probe with few labels.
        draws: Draws per number of shots and per share.
        seed: Seed of everything that is drawn at random.
        name: Name of the result.

    Returns:
        The measures of :func:`~mmssl.evaluation.evaluate`; with labels also those of a linear classifier trained by
        SGD, of the linear probe with few labels, of the low-shot SVM and of clusters; and the seconds of each. Notes
        name what was left out, and say why there is no accuracy if there is none.

    """
    timed = _Stopwatch()
    pairs = () if views is None else views.unbind(dim=1)
    label_free = timed('label_free', label_free_measures, gallery.features, *pairs)
    result = Result(name, tuple(label_free), gallery=len(gallery), dim=gallery.features.shape[1])
    notes = left_out_notes(gallery)
    matched = None if query is None else match_classes(gallery, query)
    if query is None or matched is None:
        return replace(result, notes=(NO_LABELS, *notes), seconds=timed.seconds)
    notes += (*left_out_notes(query, 'query set'), *matched.notes)
    sets = on_device(matched.gallery, matched.query)
    if len(sets.train_labels.unique()) < 2:
        return replace(result, notes=(ONE_CLASS, *notes), seconds=timed.seconds)
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
    result = replace(result, measures=tuple(measures), notes=notes, seconds=timed.seconds)
    return replace(result, gallery=len(sets.train), query=len(sets.test))


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

    def datasets(
        self, size: int, channels: int, seed: int = 0, frames: UniformFrames | None = None
    ) -> dict[str, ImageDataset]:
        """Data sets of the views that a network gets.

        Args:
            size: Side of the views in pixels.
            channels: Channels of the network.
            seed: Seed of the random views.
            frames: Frames of a clip, for videos.

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
            name: ClipDataset(source, frames, view, channels, seed)
            if frames
            else ImageDataset(source, view, channels, seed)
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


def probe_data(folder: str | Path, images: tuple[int, int] | None = None, videos: bool = False) -> ProbeData:
    """Find the images of a folder, and split them if needed.

    Args:
        folder: Contains ``train`` and ``test`` or ``val`` with class folders (see
            :func:`~mmssl.datasets.part_sources`); or class folders, of whose images a random fifth is the query set,
            except that each class keeps an image to learn from; or images without classes. Or a video or a folder of
            videos, whose frames are the images (:func:`~mmssl.datasets.frame_parts`); or a table in CSV format of
            labelled segments of videos, split by time (:class:`~mmssl.datasets.TimeSplit`).
        images: Number of random images to use of the gallery and of the query set; by default all.
        videos: Whether the images are videos themselves, for a network on clips.

    Returns:
        The images.

    Raises:
        ValueError: There is no such folder, or it has too few images.
    """
    folder = Path(folder)
    if not folder.exists():
        raise ValueError(f'There is no folder {folder}: give the folder that holds the images as --data.')
    gallery, query, found = _frames_of(folder) if not videos and holds_videos(folder) else _found(folder, videos)
    if images:
        gallery = Subset(gallery, min(images[0], len(gallery)))
        query = query and Subset(query, min(images[1], len(query)))
    if len(gallery) < MINIMUM_IMAGES:
        raise ValueError(
            f'{folder} has {len(gallery)} {"videos" if videos else "images"} to learn from: give a folder with '
            f'{MINIMUM_IMAGES} or more.'
        )
    return ProbeData(gallery, query, (*found, *_remarks(gallery, query)))


def _found(folder: Path, videos: bool) -> tuple[ImageSource, ImageSource | None, list[str]]:
    """Gallery, query set and what they are, of a folder of images, or of videos."""
    if not folder.is_dir():
        raise ValueError(f'{folder} is no folder: give the folder that holds the videos as --data.')
    training, measured = video_part_sources(folder) if videos else part_sources(folder)
    found = [one.describe() for one in (training, measured) if one is not None]
    return *((training, measured) if measured is not None else _split(training)), found


def _frames_of(path: Path) -> tuple[ImageSource, ImageSource | None, list[str]]:
    """Gallery, query set and what they are, of frames of videos: no neighbours in time are in both."""
    if path.suffix.lower() == '.csv':
        frames = LabelledFrames(path)
        parts = TimeSplit(frames, 'train'), TimeSplit(frames, 'test')
        split = f'{len(parts[0]):,} to learn from and {len(parts[1]):,} to measure on, {parts[0].gap:g} seconds apart'
        return *parts, [f'{path}: {frames.describe()} {split}.']
    first, second = frame_parts(path)
    training, measured = DATASETS.build(first), DATASETS.build(second) if second else None
    named = {'to learn from': training, 'to measure on': measured}
    return training, measured, [f'{path}, {use}: {one.describe()}' for use, one in named.items() if one is not None]


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


def _split(source: ImageFolder | VideoFolder) -> tuple[ImageSource, ImageSource | None]:
    if source.labels is None:
        return source, None
    if len(source) < MINIMUM_IMAGES + 3:  # four fifths of 13 are 10
        raise ValueError(f'{source.root} has {len(source)} images: give a folder with {MINIMUM_IMAGES + 3} or more.')
    parts = split_one_fifth(len(source)).values()
    gallery, query = (Subset(source, num=part['num'], skip=part['skip']).indices.tolist() for part in parts)
    labels = source.labels.tolist()
    known = {labels[index] for index in gallery}
    moved = list({labels[index]: index for index in reversed(query) if labels[index] not in known}.values())
    rest = [index for index in query if index not in moved]
    return Subset(source, indices=sorted([*gallery, *moved])), Subset(source, indices=rest)


def _remarks(gallery: ImageSource, query: ImageSource | None) -> tuple[str, ...]:
    if query is None or gallery.labels is None or query.labels is None:
        return (NO_LABELS,)
    known, classes = set(gallery.labels.tolist()), gallery.classes or ()
    lacking = [classes[label] for label in sorted(set(query.labels.tolist()) - known) if 0 <= label < len(classes)]
    if not lacking:
        return ()
    names = ', '.join(lacking[:5]) + (' ...' if len(lacking) > 5 else '')
    return (f'Classes without a training image, whose test images are left out: {names}.',)
