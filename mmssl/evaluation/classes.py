"""Match the classes of two sets of images by name."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from torch import Tensor

from mmssl.evaluation.features import Features, listed, warn_once


class Matched(NamedTuple):
    """Two labelled sets whose classes have the same numbers.

    Attributes:
        gallery: The images of the gallery that have a class.
        query: The images of the query set whose class the gallery has, numbered as there.
        notes: What was left out, one sentence each.
    """

    gallery: Features
    query: Features
    notes: tuple[str, ...]

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features and labels of the gallery, then of the query set."""
        assert self.gallery.labels is not None
        assert self.query.labels is not None
        return self.gallery.features, self.gallery.labels, self.query.features, self.query.labels


def match_classes(gallery: Features, query: Features) -> Matched | None:
    """Number the query set's classes as the gallery does, by name, and leave out what has no class there.

    Class folders are numbered in sorted order, so a folder that only one of the two sets has shifts all later numbers.
    Images of a class that the gallery does not know cannot be classified: they are left out, and a warning names their
    classes. So are images without a class (label -1). Sets whose classes have no names are compared by number.

    Args:
        gallery: Features of the images that classifiers are trained on.
        query: Features of the images that they are measured on.

    Returns:
        The two sets; None if one of them has no labels.

    Raises:
        ValueError: The sets have no class in common.
    """
    if not (has_labels(gallery.labels) and has_labels(query.labels)):
        return None
    labelled, notes = _with_class(gallery, 'gallery')
    known, more = in_classes_of(query, gallery.classes)
    return Matched(labelled, known, (*notes, *more))


def in_classes_of(query: Features, classes: Sequence[str] | None) -> tuple[Features, tuple[str, ...]]:
    """Number classes as a classifier does, by name, and leave out the images whose class it does not have.

    Args:
        query: Labelled features.
        classes: Names of the classifier's classes, by number; None leaves the numbers as they are.

    Returns:
        The images that have one of the classes, and what was left out, one sentence each, which is also logged.

    Raises:
        ValueError: No image has one of the classes.
    """
    query, notes = _with_class(query, 'query set')
    if query.classes is None and query.labels is not None and classes and all(map(str.isdecimal, classes)):
        names, labels = query.labels.unique(return_inverse=True)  # the other set has too few classes to be renumbered
        query = replace(query, labels=labels, classes=list(map(str, names.tolist())))
    if query.labels is None or classes is None or query.classes is None or list(query.classes) == list(classes):
        return query, notes
    numbers = {name: number for number, name in enumerate(classes)}
    labels = query.labels.new_tensor([numbers.get(name, -1) for name in query.classes])[query.labels]
    if not has_labels(labels):
        raise ValueError(
            f'The two sets have no class in common: the query set has {listed(query.classes)}, the other '
            f'{listed(classes)}. Give both the same class folders.'
        )
    missing, odd = int((labels < 0).sum()), [name for name in query.classes if name not in numbers]
    found = replace(query, labels=labels, classes=classes).rows(labels >= 0)
    if not missing:
        return found, notes
    note = (
        f'{missing} of {len(labels)} images of the query set are left out, since the training images do not have their '
        f'class: {listed(odd)}.'
    )
    warn_once(note)
    return found, (*notes, note)


def has_labels(labels: Tensor | None) -> bool:
    """Whether at least one image has a class.

    Args:
        labels: Classes, -1 for none; shape ``(N,)``.
    """
    return labels is not None and bool((labels >= 0).any())


def check_classes(*labels: Tensor) -> None:
    """Refuse labels of images without a class: what is fitted to them would learn a class of their own.

    Args:
        labels: Classes from 0 upwards, each of shape ``(N,)``.

    Raises:
        ValueError: A label is negative.
    """
    if any(len(some) and int(some.min()) < 0 for some in labels):
        raise ValueError(
            'A label is negative: number the classes from 0 upwards, and leave out images without a class (-1), as '
            'match_classes does.'
        )


def _with_class(found: Features, title: str) -> tuple[Features, tuple[str, ...]]:
    """Leave out the images without a class, and say how many."""
    if found.labels is None or bool((found.labels >= 0).all()):
        return found, ()
    labelled = found.rows(found.labels >= 0)
    note = f'{len(found) - len(labelled)} of {len(found)} images of the {title} have no class and are left out.'
    warn_once(note)
    return labelled, (note,)
