"""Images of several domains (photos, sketches, paintings), and the protocols of PACS and DomainNet."""

import os
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmssl.datasets.listing import Listing, Paths, printable
from mmssl.datasets.sources import ImageFolder, ImageList, hash_arrays, path_and_label, read_list, say_once
from mmssl.registry import DATASETS
from mmssl.words import counted

_NAMED = 10  # domains or classes that a message names

# Names of class folders by the name of the list. Two lists of 20 classes of DomainNet circulate: that of
# JINSUBY/DomCLP, which DisMAE uses too, and that of buxizhou3921/DiMAE-CycleMAE.
_CLASS_LISTS = {
    'pacs': ('dog', 'elephant', 'giraffe', 'guitar', 'horse', 'house', 'person'),
    'domainnet20_domclp': (
        'The_Eiffel_Tower', 'bee', 'bird', 'blueberry', 'broccoli', 'fish', 'flower', 'giraffe', 'grass', 'hamburger',
        'hexagon', 'horse', 'sun', 'tiger', 'toaster', 'tornado', 'train', 'violin', 'watermelon', 'zigzag',
    ),
    'domainnet20_dimae': (
        'airplane', 'bird', 'cooler', 'face', 'finger', 'fork', 'helmet', 'hot_dog', 'laptop', 'mouth', 'parrot',
        'pizza', 'postcard', 'potato', 'rainbow', 'sink', 'star', 'sun', 'table', 'truck',
    ),
}  # fmt: skip


class DomainSplit(NamedTuple):
    """Domains to train on, and domains that are seen only to measure.

    Attributes:
        sources: Names of the domains that networks and classifiers learn from.
        targets: Names of the unseen domains.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]


def leave_one_out(domains: Sequence[str]) -> list[DomainSplit]:
    """Let each domain be the unseen one in turn.

    Args:
        domains: Names of at least two domains.

    Returns:
        As many splits as domains, in their order.

    Raises:
        ValueError: There are fewer than two domains.
    """
    if len(domains) < 2:
        raise ValueError(
            f'To leave one domain out takes two or more, but there are {len(domains)} ({", ".join(domains)}): give '
            'images of more domains.'
        )
    return [DomainSplit(tuple(name for name in domains if name != unseen), (unseen,)) for unseen in domains]


def class_list(name: str) -> tuple[str, ...]:
    """Return a class list that papers on domain generalisation use.

    Args:
        name: ``'pacs'``, ``'domainnet20_domclp'`` or ``'domainnet20_dimae'``.

    Returns:
        Names of the class folders, in the order of the class numbers.

    Raises:
        ValueError: There is no such list; the message names near ones.
    """
    return _CLASS_LISTS[_known(name, list(_CLASS_LISTS), 'class list', 'mmssl')]


def domain_splits(name: str) -> list[DomainSplit]:
    """Return the splits of a protocol.

    Args:
        name: ``'pacs'``, where each of four domains is unseen once, or ``'domainnet'``, where three domains are sources
            and the other three targets, and the other way round.

    Returns:
        The splits, to be averaged over.

    Raises:
        ValueError: There is no such protocol; the message names near ones.
    """
    one, other = ('painting', 'real', 'sketch'), ('clipart', 'infograph', 'quickdraw')
    protocols = {
        'pacs': leave_one_out(['art_painting', 'cartoon', 'photo', 'sketch']),
        'domainnet': [DomainSplit(one, other), DomainSplit(other, one)],
    }
    return protocols[_known(name, list(protocols), 'protocol', 'mmssl')]


@DATASETS.register_module()
class DomainFolder(ImageFolder):
    """Images in one folder per domain, with one folder per class in each: the layout of PACS and DomainNet.

    The first level of folders holds the domains, the second the classes: ``root/photo/dog/1.jpg``. Every image has a
    field ``domain``, its domain's number. Images in no domain folder are left out; images directly in a domain folder
    have no class (-1). One line in the log says what was taken for domains and classes.

    Args:
        root: The folder that holds the domain folders.
        domains: Names of the domains to take, by number, or one name; all in sorted order by default.
        classes: Names of the classes to take, by number, or the name of a list of :func:`class_list`; all in sorted
            order by default.
        lists: Text files that name the images to take, one path below ``root`` per line, as the official splits of
            DomainNet and PACS do (a class number after the path is ignored: the folder says the class). All images by
            default.

    Attributes:
        domain_labels: Domain of every image, int64, shape ``(N,)``.
        domains: Names of the domains, by number.

    Raises:
        ValueError: There is no such folder, it holds no domains, a domain or class is unknown (the message names near
            ones), or no image is left.
    """

    domain_labels: Tensor
    domains: list[str]

    def __init__(
        self,
        root: str | Path,
        domains: Sequence[str] | str | None = None,
        classes: Sequence[str] | str | None = None,
        lists: Sequence[str | Path] = (),
    ) -> None:
        super().__init__(root, labels=False)
        whole = self._listing
        if whole.parts:
            raise ValueError(f'{root} holds the parts {", ".join(whole.parts)}, no domains: give {root}/train as root.')
        images = [_Placed.read(whole.paths[index]) for index in range(len(whole.paths))]
        self.domains = _chosen(domains, [image.domain for image in images], 'domain', root)
        images = [image for image in images if image.domain in self.domains]
        classes = class_list(classes) if isinstance(classes, str) else classes
        names = _chosen(classes, [image.class_name for image in images], 'class', root)
        if classes is not None:
            images = [image for image in images if image.class_name in names]
        self._take(_listed(images, lists, root), names, whole)
        self._labelled = bool(names)
        say_once(self.describe())

    def _take(self, images: Sequence['_Placed'], classes: list[str], whole: Listing) -> None:
        """Number classes and domains, and keep the paths as a list of their own."""
        numbers = {'': -1, **{name: number for number, name in enumerate(classes)}}
        places = {name: number for number, name in enumerate(self.domains)}
        labels = np.array([numbers[image.class_name] for image in images], np.int32)
        self.domain_labels = torch.tensor([places[image.domain] for image in images])
        paths = Paths.pack([os.fsencode(image.path) for image in images])
        fingerprint = hash_arrays(paths.text, paths.ends, labels, self.domain_labels)
        self._listing = Listing(paths, labels, classes, fingerprint, passed_over=whole.passed_over)

    def describe(self) -> str:
        """Say in one line how many images each domain has, and what was taken for classes."""
        counts = self.domain_labels.bincount(minlength=len(self.domains)).tolist()
        domains = ', '.join(f'{printable(name)} {count:,}' for name, count in zip(self.domains, counts))
        classes = f'{counted(len(self.classes), "class")} ({_few(self.classes)})' if self.classes else 'no classes'
        title = f'{printable(str(self.root))}: {counted(len(self), "image")}'
        return f'{title}, {counted(len(counts), "domain")} ({domains}), {classes}.'


@DATASETS.register_module()
class DomainList(ImageList):
    """Images listed in a text file with their domains: a path per line, a class number (or none), and a domain's name.

    Every image has a field ``domain``, its domain's number.

    Args:
        file: The text file, UTF-8: ``path class domain`` on every line, or ``path domain`` on every line. Empty lines
            are ignored; paths may contain spaces, names of domains may not.
        root: Folder that the paths are relative to.
        domains: Names of the domains to take, by number, or one name; all in sorted order by default.

    Attributes:
        domain_labels: Domain of every image, int64, shape ``(N,)``.
        domains: Names of the domains, by number.

    Raises:
        ValueError: A line has no domain, a domain is unknown (the message names near ones), or the list is one that
            :class:`ImageList` refuses.
    """

    domain_labels: Tensor
    domains: list[str]

    def __init__(self, file: str | Path, root: str | Path = '.', domains: Sequence[str] | str | None = None) -> None:
        entries = [_path_and_domain(line, file) for line in read_list(file)]
        self.domains = _chosen(domains, [domain for _, domain in entries], 'domain', file)
        numbers = {name: number for number, name in enumerate(self.domains)}
        kept = [(line, numbers[domain]) for line, domain in entries if domain in numbers]
        self._take([line for line, _ in kept], file, root)
        self.domain_labels = torch.tensor([number for _, number in kept])

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the paths, the labels and the domains; not of the pixels."""
        return hash_arrays(self._paths.text, self._paths.ends, self.labels, self.domain_labels)


class _Placed(NamedTuple):
    """An image of a folder of domains; names are empty where there is no folder."""

    path: str
    domain: str
    class_name: str

    @classmethod
    def read(cls, path: str) -> '_Placed':
        """Read a path relative to the root."""
        folders = path.split('/')[:-1]
        return cls(path, *[*folders, '', ''][:2])


def _chosen(wanted: Sequence[str] | str | None, found: Sequence[str], kind: str, place: str | Path) -> list[str]:
    """Names that were asked for, each of which must have been found; without any, all found, sorted.

    An empty name stands for an image without a domain or class.
    """
    known = sorted(set(found) - {''}, key=os.fsencode)
    if kind == 'domain' and not known:
        raise ValueError(f'{place} holds no folders of domains: images must lie in {place}/DOMAIN/CLASS, or DOMAIN.')
    if wanted is None:
        return known
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    if len(set(names)) < max(len(names), 1):
        raise ValueError(f'The {kind} names {names} for {place}: give one or more, and each once.')
    return [_known(name, known, kind, place) for name in names]


def _known(name: str, known: Sequence[str], kind: str, place: str | Path) -> str:
    """Return a name if it is known; otherwise refuse it, and say which names are near, or which there are."""
    if name in known:
        return name
    lowered = {entry.lower(): entry for entry in known}
    near = [lowered[low] for low in get_close_matches(str(name).lower(), list(lowered), n=3)]
    choice = f'near names: {", ".join(map(printable, near))}' if near else f'there are {_few(known) or "none"}'
    raise ValueError(f'{place} has no {kind} {name!r} ({choice}): write one that it has.')


def _few(names: Sequence[str]) -> str:
    return ', '.join(map(printable, names[:_NAMED])) + (' ...' if len(names) > _NAMED else '')


def _listed(images: Sequence[_Placed], lists: Sequence[str | Path], root: str | Path) -> Sequence[_Placed]:
    """Images that the lists name; all without lists."""
    named = {path_and_label(line)[0] for file in lists for line in read_list(file)}
    kept = [image for image in images if image.path in named] if lists else images
    if not kept:
        files = f', which {", ".join(map(str, lists))} name' if lists else ''
        raise ValueError(f'No image below {root} has one of the domains and classes{files}: take other ones.')
    return kept


def _path_and_domain(line: str, file: str | Path) -> tuple[str, str]:
    """Split a line into what :class:`ImageList` reads and the domain."""
    rest, _, domain = line.rpartition(' ')
    if not rest or domain.isdecimal():
        raise ValueError(
            f'{file} gives no domain for {line}: write the name of a domain, not a number, at the end of every line.'
        )
    return rest.strip(), domain
