"""Image sources: a folder, a list file, an array, a part of a source, or several sources in a row."""

import codecs
import gzip
import hashlib
import json
import math
import re
import zlib
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from mmssl.datasets.feature_sequences import FeatureSequence
from mmssl.datasets.images import EXTENSIONS, UnreadableImageError, read_image
from mmssl.datasets.listing import Listing, Paths, find_parts, list_folder
from mmssl.datasets.videos import ARCHIVES, VIDEO_FILES, Video
from mmssl.functional import hash_seed
from mmssl.registry import DATASETS

_NUMBER = re.compile(r'[+-]?\d+(\.\d*)?')
_ENDING = '|'.join(map(re.escape, (*EXTENSIONS, *VIDEO_FILES, *ARCHIVES)))
_IMAGE = re.compile(f'({_ENDING})$', re.IGNORECASE)  # the whole line is a path
_NUMBERED = re.compile(rf'(?P<path>.*?[^\s,])\s*[\s,]\s*(?P<label>{_NUMBER.pattern})')
_NAMED = re.compile(rf'(?P<path>.*?({_ENDING}))\s*[\s,]\s*(?P<label>[^\s,].*)', re.IGNORECASE)
_NARROW = 8  # pixels; no image is narrower, and at most four pixels high
_SPARSE, _SHARE = 10_000, 10  # highest number, and numbers per class, from which numbers are names of classes
Array: TypeAlias = str | Path | np.ndarray | Tensor
_IMAGE_TYPES = (np.uint8, np.uint16)
_NEEDED = 'uint8 or uint16 of shape (N, H, W) or (N, H, W, C)'


class ImageSource(ABC):
    """Base class of sources: indexed images, with or without labels.

    Attributes:
        labels: Class of every image, int64, shape ``(N,)``, or None.
        classes: Names of the classes, or None.
        domain_labels: Domain of every image (photo, sketch, ...), int64, shape ``(N,)``, or None. A source that has
            them gives each image a field ``domain``.
        domains: Names of the domains, ordered by number, or None.
        fingerprint: Short text that differs between different data.
    """

    if TYPE_CHECKING:  # read-only for callers; a source sets an attribute or defines a property

        @property
        def labels(self) -> Tensor | None:
            """Class of every image, int64, shape ``(N,)``, or None."""

        @property
        def classes(self) -> list[str] | None:
            """Names of the classes, or None."""

        @property
        def domain_labels(self) -> Tensor | None:
            """Domain of every image, int64, shape ``(N,)``, or None."""

        @property
        def domains(self) -> list[str] | None:
            """Names of the domains, or None."""

        @property
        def fingerprint(self) -> str:
            """Short text that differs between different data."""

    else:
        labels = classes = domain_labels = domains = None

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def load(self, index: int) -> Tensor:
        """Load an image, uint8 or uint16, shape ``(C, H, W)``.

        Args:
            index: From 0 to ``len(self) - 1``.

        Raises:
            UnreadableImageError: The image cannot be decoded.
        """

    @abstractmethod
    def name(self, index: int) -> str:
        """Name of an image for messages."""

    def video(self, index: int) -> Video:
        """Open a video, for a source of videos; see :meth:`mmssl.datasets.VideoSource.video`.

        Raises:
            ValueError: The source holds images.
        """
        raise ValueError(
            f'Clips of {self.name(index)}, but {type(self).__name__} holds images: give ClipDataset a source of '
            'videos, such as VideoFolder, or take ImageDataset.'
        )

    def sequence(self, index: int) -> FeatureSequence:
        """Load a sequence of features; see :meth:`mmssl.datasets.SequenceSource.sequence`.

        Raises:
            ValueError: The source holds no sequences.
        """
        raise ValueError(
            f'A feature sequence of {self.name(index)}, but {type(self).__name__} holds none: give SequenceDataset a '
            'source of sequences, such as SequenceFolder.'
        )

    def label(self, index: int) -> int | None:
        """Class of an image, or None."""
        return None if self.labels is None else int(self.labels[index])

    def extras(self, index: int) -> dict[str, Any]:
        """Return the further fields of an image by name: tokens, audio, a trajectory; by default its domain, if any.

        The algorithm finds each field of the batch in ``batch.extras``, stacked, with the dtype that it has here. All
        images have the same fields.

        Args:
            index: From 0 to ``len(self) - 1``.

        Returns:
            Tensors, arrays, numbers or texts; ``domain``, an integer, if there are ``domain_labels``.

        Raises:
            UnreadableImageError: A field cannot be read; another image replaces this one.
        """
        return {} if self.domain_labels is None else {'domain': int(self.domain_labels[index])}

    def path(self, index: int) -> Path | None:
        """File of an image; None if it has no file of its own."""
        return None


@DATASETS.register_module()
class ImageFolder(ImageSource):
    """All images in a folder and its subfolders, sorted.

    The top-level folder of an image is its class, if every image is in such a folder and there are at least two.
    Classes are then numbered as in torchvision. Folders named ``train`` (``training``), ``val`` (``valid``,
    ``validation``) and ``test`` (``testing``) beside each other are parts and no classes: the classes are the folders
    in ``train``, those of the same name in the other parts are the same classes, and an image in no such folder has
    none (-1). The folder is searched once; see :func:`~mmssl.datasets.listing.list_folder` for the cache. One line in
    the log says what was taken for classes, and which files were passed over.

    Args:
        root: The folder.
        labels: Whether to use the folders as classes.
        classes: Names of the first classes by number, for a folder that may lack some of them, or have only one; other
            top-level folders follow, and images in none have no class (-1). By default the folders of ``root``.

    Raises:
        ValueError: There is no such folder, or it holds no images.
    """

    def __init__(self, root: str | Path, labels: bool = True, classes: Sequence[str] | None = None) -> None:
        self.root = Path(str(root))  # --cfg-options turn a folder named 2024 into a number
        if not self.root.is_dir():
            raise ValueError(f'There is no folder {root}: give the folder that holds the images as root.')
        self._listing = list_folder(self.root)
        if len(self) == 0:
            raise ValueError(f'No images ({", ".join(EXTENSIONS)}) in {root} or below: give their folder as root.')
        if classes is not None:
            self._listing = _renumbered(self._listing, classes)
        self._labelled = labels and bool(self._listing.classes)
        if labels:
            say_once(self.describe())

    def __len__(self) -> int:
        return len(self._listing.paths)

    def describe(self) -> str:
        """Say in one line how many images there are, what was taken for classes, and which files were passed over."""
        return self._listing.describe(self.root)

    def load(self, index: int) -> Tensor:
        """Decode an image, uint8 or uint16, shape ``(C, H, W)``; see :func:`~mmssl.datasets.images.read_image`."""
        return read_image(self.path(index))

    def path(self, index: int) -> Path:
        """File of an image."""
        return self.root / self.name(index)

    def name(self, index: int) -> str:
        """Path of an image relative to the root."""
        return self._listing.paths[index]

    def label(self, index: int) -> int | None:
        """Class of an image, or None."""
        return int(self._listing.labels[index]) if self._labelled else None

    @property
    def labels(self) -> Tensor | None:
        """Class of every image, int64, shape ``(N,)``, or None."""
        return torch.from_numpy(self._listing.labels.astype(np.int64)) if self._labelled else None

    @property
    def classes(self) -> list[str] | None:
        """Names of the class folders, or None."""
        return self._listing.classes if self._labelled else None

    @property
    def fingerprint(self) -> str:
        """Hash of the relative paths and the labels; not of the pixels."""
        return self._listing.fingerprint


@DATASETS.register_module()
class ImageList(ImageSource):
    """Images listed in a text file: one path per line, followed by its class on all lines or on none.

    A space, a tab or a comma stands between path and class. Classes are numbers from 0, with -1 for none, or names,
    which are numbered in sorted order. Large numbers with gaps, such as 70123, count as names.

    Args:
        file: The text file, UTF-8, or UTF-16 with a byte-order mark. Empty lines are ignored, paths may contain spaces,
            and backslashes in paths become slashes where no file of that name exists.
        root: Folder that the paths are relative to.

    Raises:
        ValueError: There is no such file, it lists no images, only some of them have a class, a class is neither a
            whole number from -1 nor a name, or none of its first, middle and last images is below the root. (Not every
            image is checked: a single missing one is replaced later.)
    """

    labels: Tensor | None
    classes: list[str] | None

    def __init__(self, file: str | Path, root: str | Path = '.') -> None:
        self._take(read_list(file), file, root)

    def _take(self, lines: Sequence[str], file: str | Path, root: str | Path) -> None:
        """Take paths and classes from the lines of a file, and look for some of the images."""
        self.root = Path(str(root))
        entries = [path_and_label(line) for line in lines]
        unlabelled = [path for path, label in entries if label is None]
        if 0 < len(unlabelled) < len(entries):
            raise ValueError(f'{file} gives no class for {unlabelled[0]}: write one on every line or on none.')
        paths = self._with_slashes([path for path, _ in entries])
        self._paths = Paths.pack([path.encode('utf-8', 'surrogateescape') for path in paths])
        self.labels, self.classes = classes_of([label for _, label in entries if label is not None], file)
        some = {paths[place]: None for place in (0, len(paths) // 2, -1)}
        if not any((self.root / path).is_file() for path in some):
            raise ValueError(
                f'{file} names {", ".join(some)}, which are not in {root}: give the folder that they are relative to.'
            )

    def _with_slashes(self, paths: list[str]) -> list[str]:
        """Paths as this system writes them: a list made on Windows has backslashes, which file names may have here."""
        first = next((path for path in paths if '\\' in path), None)
        if first is None or (self.root / first).is_file():
            return paths
        return [path.replace('\\', '/') for path in paths]

    def __len__(self) -> int:
        return len(self._paths)

    def load(self, index: int) -> Tensor:
        """Decode an image, uint8 or uint16, shape ``(C, H, W)``; see :func:`~mmssl.datasets.images.read_image`."""
        return read_image(self.path(index))

    def path(self, index: int) -> Path:
        """File of an image."""
        return self.root / self.name(index)

    def name(self, index: int) -> str:
        """Path as written in the list file."""
        return self._paths[index]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the paths and the labels; not of the pixels."""
        return hash_arrays(self._paths.text, self._paths.ends, self.labels)


@DATASETS.register_module()
class ArraySource(ImageSource):
    """Images in one array.

    Args:
        images: uint8 or uint16, shape ``(N, H, W)`` or ``(N, H, W, C)``: an array, or a file in ``.npy`` format
            (memory-mapped), ``.npz`` format (its ``images`` or ``image``, or its only array; read into memory) or
            MNIST's idx format, gzipped or not.
        labels: Integers from 0, -1 for an image without a class, shape ``(N,)``: an array or a file. By default the
            ``labels`` or ``label`` in the ``.npz`` file of the images are used, if there are any.
        classes: Names of the classes, ordered by class number.
        bgr: Whether colours are stored in the order blue, green, red, as OpenCV reads files; they are loaded as red,
            green, blue.
        domain_labels: Domain of each image, integers from 0, shape ``(N,)``: an array or a file. The numbers are their
            names.
        texts: Text of each image, which becomes its field ``text``: a list, or a ``.json`` file that holds one.

    Raises:
        ValueError: The arrays have other dtypes or shapes, there are not as many labels or texts as images, a label has
            no name, or ``bgr`` is set for images without three channels.
    """

    labels: Tensor | None = None
    classes: list[str] | None
    domain_labels: Tensor | None = None
    domains: list[str] | None = None

    def __init__(
        self,
        images: Array,
        labels: Array | None = None,
        classes: Sequence[str] | None = None,
        bgr: bool = False,
        domain_labels: Array | None = None,
        texts: str | Path | Sequence[str] | None = None,
    ) -> None:
        self._title = Path(images).name if isinstance(images, str | Path) else 'array'
        self.images = _read_array(images, 'images')
        if self.images.ndim not in (3, 4) or self.images.dtype not in _IMAGE_TYPES or not len(self.images):
            raise ValueError(f'{self._title} is {self.images.dtype} of shape {self.images.shape}; needed is {_NEEDED}.')
        if self.images.ndim == 4 and self.images.shape[1] <= 4 < _NARROW <= min(self.images.shape[2:]):
            raise ValueError(
                f'{self._title} has the shape {self.images.shape}, with the channels in second place: they belong '
                f'last, as images.transpose(0, 2, 3, 1) puts them. Needed is {_NEEDED}.'
            )
        self.bgr = bgr
        if bgr and self.images.shape[3:] != (3,):
            raise ValueError(f'{self._title} has the shape {self.images.shape}, no three channels: leave out bgr.')
        if labels is None and _has_labels(images):
            labels = images
        if labels is not None:
            self.labels = self._read_numbers(labels, 'labels')
        if domain_labels is not None:
            self.domain_labels = self._read_numbers(domain_labels, 'domain_labels')
            self.domains = [str(number) for number in range(int(self.domain_labels.max()) + 1)]
        self._name_classes(classes)
        self.texts = None if texts is None else self._read_texts(texts)

    def _read_texts(self, texts: str | Path | Sequence[str]) -> list[str]:
        found = json.loads(Path(texts).read_text('utf-8')) if isinstance(texts, str | Path) else list(texts)
        if len(found) != len(self) or not all(isinstance(text, str) for text in found):
            raise ValueError(f'{len(self)} images, but texts holds {len(found)} entries: give one text per image.')
        return found

    def _read_numbers(self, array: Array, key: str) -> Tensor:
        numbers = _read_array(array, key)
        if numbers.shape != (len(self),):
            raise ValueError(f'{len(self)} images, but {key} of shape {tuple(numbers.shape)}: give one per image.')
        if numbers.dtype.kind not in 'biuf':
            raise ValueError(
                f'{key} holds {numbers.dtype}: give whole numbers from 0, and -1 for an image without one.'
            )
        return _whole_numbers(numbers, key)

    def _name_classes(self, classes: Sequence[str] | None) -> None:
        self.classes = list(classes) if classes else None
        if self.labels is not None and not classes:
            self.labels, self.classes = _dense(self.labels)
            return
        highest = -1 if self.labels is None else int(self.labels.max())
        if classes and highest >= len(classes):
            raise ValueError(f'{len(classes)} names of classes, but a label {highest}: give {highest + 1} names.')

    def __len__(self) -> int:
        return len(self.images)

    def load(self, index: int) -> Tensor:
        """Return a copy of an image, uint8 or uint16, shape ``(C, H, W)``."""
        image = np.array(self.images[index], self.images.dtype.newbyteorder('='))
        image = image.reshape(*image.shape[:2], -1)
        return torch.from_numpy(image[..., ::-1].copy() if self.bgr else image).permute(2, 0, 1)

    def name(self, index: int) -> str:
        """File name and index."""
        return f'{self._title}[{index}]'

    def extras(self, index: int) -> dict[str, Any]:
        """Domain and text of an image, if there are any."""
        return super().extras(index) | ({} if self.texts is None else {'text': self.texts[index]})

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the shape, labels, order of colours and texts, and of 64 images spread over the array."""
        some = np.linspace(0, len(self) - 1, 64).astype(np.int64)
        order = np.array([True]) if self.bgr else None
        texts = None if self.texts is None else np.frombuffer(json.dumps(self.texts).encode(), np.uint8)
        return hash_arrays(
            np.array(self.images.shape), self.images[some], self.labels, order, self.domain_labels, texts
        )


@DATASETS.register_module()
class Subset(ImageSource):
    """Part of a source: images drawn at random, in the order of the source, or images with given indices.

    Args:
        source: Source or its config.
        num: Number of images, drawn at random without replacement.
        indices: Indices of the images, instead of ``num``.
        skip: Number of images at the start of the draw to leave to another subset with the same seed.
        seed: Seed of the draw.

    Raises:
        ValueError: Not exactly one of ``num`` and ``indices`` is given, or they ask for no images or for more than
            there are.
    """

    def __init__(
        self,
        source: ImageSource | dict,
        num: int | None = None,
        indices: Sequence[int] | None = None,
        skip: int = 0,
        seed: int = 0,
    ) -> None:
        self.source = build_source(source)
        if (num is None) == (indices is None):
            raise ValueError('A subset needs either num, how many images, or indices, which ones.')
        if num is not None:
            generator = torch.Generator().manual_seed(hash_seed(seed))
            indices = torch.randperm(len(self.source), generator=generator)[skip : skip + num].sort().values
        self.indices = torch.as_tensor(indices)
        numbers = self.indices.tolist()
        wanted = max(numbers, default=-1) + 1 if num is None else skip + num
        if wanted > len(self.source) or min(numbers, default=-1) < 0:
            given = len(self.source)
            raise ValueError(f'{wanted} images asked for, but the source has {given}: ask for 1 to {given}.')

    def __len__(self) -> int:
        return len(self.indices)

    def load(self, index: int) -> Tensor:
        """Load an image of the source, uint8 or uint16, shape ``(C, H, W)``."""
        return self.source.load(int(self.indices[index]))

    def video(self, index: int) -> Video:
        """Open a video of the source."""
        return self.source.video(int(self.indices[index]))

    def sequence(self, index: int) -> FeatureSequence:
        """Load a sequence of the source."""
        return self.source.sequence(int(self.indices[index]))

    def name(self, index: int) -> str:
        """Name of the image in the source."""
        return self.source.name(int(self.indices[index]))

    def extras(self, index: int) -> dict[str, Any]:
        """Further fields of the image in the source."""
        return self.source.extras(int(self.indices[index]))

    def path(self, index: int) -> Path | None:
        """File of the image, if it has one."""
        return self.source.path(int(self.indices[index]))

    def label(self, index: int) -> int | None:
        """Class of an image, or None."""
        return self.source.label(int(self.indices[index]))

    @property
    def labels(self) -> Tensor | None:
        """Class of every image, int64, shape ``(N,)``, or None."""
        return None if self.source.labels is None else self.source.labels[self.indices]

    @property
    def classes(self) -> list[str] | None:
        """Names of the source's classes, or None."""
        return self.source.classes

    @property
    def domain_labels(self) -> Tensor | None:
        """Domain of every image, int64, shape ``(N,)``, or None."""
        return None if self.source.domain_labels is None else self.source.domain_labels[self.indices]

    @property
    def domains(self) -> list[str] | None:
        """Names of the source's domains, or None."""
        return self.source.domains

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the source's fingerprint and the chosen indices."""
        return hash_arrays(np.frombuffer(self.source.fingerprint.encode(), np.uint8), self.indices)


@DATASETS.register_module()
class LabelledImages(Subset):
    """Images of a source that have a class, for a classifier to learn from.

    Args:
        source: Source or its config.

    Raises:
        ValueError: No image has a class.
    """

    def __init__(self, source: ImageSource | dict) -> None:
        source = build_source(source)
        if source.labels is None or not bool((source.labels >= 0).any()):
            raise ValueError(
                'None of the images has a class: give images in one folder per class, or an array or list of labels.'
            )
        super().__init__(source, indices=(source.labels >= 0).nonzero()[:, 0])


@DATASETS.register_module()
class ListedImages(Subset):
    """Images in class folders that a text file lists, in the order of the file.

    The classes and their numbers are those of all folders, even if the list covers only some of them. It reads SimCLR's
    lists of 1 % and 10 % of ImageNet, ``1percent.txt`` and ``10percent.txt``, which hold file names.

    Args:
        source: The folder (:class:`ImageFolder`) or its config.
        file: The text file, UTF-8: each line holds the name of an image, or its path relative to the folder if the name
            occurs in several classes. Empty lines are ignored.

    Raises:
        ValueError: The folder has no classes, or the list is missing, empty or ambiguous, or lists images that do not
            exist.
    """

    def __init__(self, source: ImageSource | dict, file: str | Path) -> None:
        source, wanted = build_source(source), read_list(file)
        if source.labels is None:
            raise ValueError(f'{file} is a list for images in one folder per class: give such a folder as root.')
        super().__init__(source, indices=_places(source, wanted, file))


@DATASETS.register_module()
class Concat(ImageSource):
    """Several sources in a row, each repeated as often as wanted: real and generated images, for example.

    Every repetition of an image has an index of its own: in a batch it is an image of its own, so contrastive methods
    take it for a negative of the others, and a bank keeps a row for each. If part ``p`` starts at ``s``, the image
    behind index ``i`` is number ``(i - s) % len(p)`` of that part.

    Args:
        parts: Sources or their configs.
        repeats: How many times each part occurs in a row; once by default, 0 leaves it out.
        size: Height and width in pixels that all images must have; None allows any. The first image of each part is
            looked at when the run starts, and a later one of another size counts as unreadable.

    Raises:
        ValueError: There are no parts, ``repeats`` has another length or entries that are no whole numbers from 0 or
            all 0, the names of the classes or of the domains differ, or images have another size. (Images of a part
            without labels, or with the label -1, have no class.)

    Source: AdaInf (Wang et al., ICLR 2024) for the repetition of real images beside generated ones.
    """

    classes: list[str] | None
    domains: list[str] | None

    def __init__(
        self, parts: Sequence[ImageSource | dict], repeats: Sequence[int] | None = None, size: int | None = None
    ) -> None:
        self.parts = [build_source(part) for part in parts]
        self.repeats = [1] * len(self.parts) if repeats is None else list(repeats)
        whole = all(type(times) is int and times >= 0 for times in self.repeats)
        if len(self.repeats) != len(self.parts) or not whole or not any(self.repeats):
            raise ValueError(
                f'{len(self.parts)} parts with the repetitions {self.repeats}: give Concat at least one part, and for '
                'each a whole number from 0, not 0 for all.'
            )
        self._ends = np.cumsum([len(part) * times for part, times in zip(self.parts, self.repeats)]).tolist()
        labels = [part.labels for part in self.parts]
        self._labelled = any(own is not None for own in labels)
        self.classes, self.domains = _common_classes(self.parts, labels), _common_domains(self.parts)
        self.size = size
        for part in self.parts if size else ():
            with suppress(UnreadableImageError):
                self._check_size(part, 0, part.load(0), ValueError)

    def __len__(self) -> int:
        return self._ends[-1]

    def load(self, index: int) -> Tensor:
        """Load an image of one of the parts, uint8 or uint16, shape ``(C, H, W)``.

        Raises:
            UnreadableImageError: The image cannot be decoded, or does not have the wanted size.
        """
        part, place = self._find(index)
        image = part.load(place)
        if self.size:
            self._check_size(part, place, image, UnreadableImageError)
        return image

    def video(self, index: int) -> Video:
        """Open a video of one of the parts."""
        part, place = self._find(index)
        return part.video(place)

    def _check_size(self, part: ImageSource, place: int, image: Tensor, error: type[Exception]) -> None:
        height, width = image.shape[-2:]
        if (height, width) != (self.size, self.size):
            raise error(
                f'{part.name(place)} has {width} x {height} pixels, but all images of Concat are to have {self.size} x '
                f'{self.size}: bring that part to this size (ShrunkImages shrinks the files of a folder), or set '
                'another size.'
            )

    def name(self, index: int) -> str:
        """Name of the image in its part."""
        part, place = self._find(index)
        return part.name(place)

    def label(self, index: int) -> int | None:
        """Class of an image (-1 if it has none), or None if no part has labels."""
        part, place = self._find(index)
        label = part.label(place)
        return -1 if label is None and self._labelled else label

    def extras(self, index: int) -> dict[str, Any]:
        """Further fields of the image in its part."""
        part, place = self._find(index)
        return part.extras(place)

    def path(self, index: int) -> Path | None:
        """File of the image, if it has one."""
        part, place = self._find(index)
        return part.path(place)

    @property
    def labels(self) -> Tensor | None:
        """Class of every image (-1 if it has none), int64, shape ``(N,)``, or None if no part has labels."""
        return self._joined([part.labels for part in self.parts])

    @property
    def domain_labels(self) -> Tensor | None:
        """Domain of every image, int64, shape ``(N,)``, or None."""
        return self._joined([part.domain_labels for part in self.parts])

    def _joined(self, labels: Sequence[Tensor | None]) -> Tensor | None:
        if all(own is None for own in labels):
            return None
        filled = [torch.full((len(part),), -1) if own is None else own for part, own in zip(self.parts, labels)]
        return torch.cat([own.repeat(times) for own, times in zip(filled, self.repeats)])

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the parts' fingerprints and their repetitions."""
        text = ' '.join(f'{part.fingerprint}x{times}' for part, times in zip(self.parts, self.repeats))
        return hash_arrays(np.frombuffer(text.encode(), np.uint8))

    def _find(self, index: int) -> tuple[ImageSource, int]:
        """Find the part that an image belongs to, and its index there."""
        number = bisect_right(self._ends, index)
        part, start = self.parts[number], self._ends[number - 1] if number else 0
        return part, (index - start) % len(part)


def _common_classes(parts: Sequence[ImageSource], labels: Sequence[Tensor | None]) -> list[str] | None:
    """Return the class names that all parts share; parts in which no image has a class do not count."""
    named = [part.classes for part, own in zip(parts, labels) if own is not None and bool((own >= 0).any())]
    for classes in named[1:]:
        if classes != named[0]:
            raise ValueError(
                f'The classes of the parts differ: {named[0]} and {classes}. Give all parts the same class folders or '
                'the same classes=, in the same order; a part whose folders are no classes needs labels=False.'
            )
    return named[0] if named else None


def _common_domains(parts: Sequence[ImageSource]) -> list[str] | None:
    """Return the names of the domains that all parts share; None if no part has domains."""
    first, *others = (part.domains for part in parts)
    for domains in others:
        if domains != first:
            raise ValueError(
                f'The domains of the parts differ: {first or "none"} and {domains or "none"}. Give all parts the same '
                'domains=, in the same order.'
            )
    return first


def part_sources(root: str | Path) -> tuple[ImageFolder, ImageFolder | None]:
    """Images to learn from and images to measure on, where a folder has parts for both.

    Args:
        root: Folder of a data set: with ``train`` and ``test`` or ``val`` (see
            :func:`~mmssl.datasets.listing.find_parts`), or any other folder of images.

    Returns:
        The training images, and those of ``test``, or of ``val`` if the images in ``test`` have no classes. Without a
        part to measure on, or without classes, the second is None; without parts, the first holds all images.

    Raises:
        ValueError: There is no such folder, or it holds no images.
    """
    parts = find_parts(root) if Path(root).is_dir() else None
    if parts is None:
        return ImageFolder(root), None
    training = ImageFolder(parts.train)
    known = range(len(training.classes or ()))
    for folder in (parts.test, parts.val):
        if folder is not None and known:
            with suppress(ValueError):  # it has no images
                query = ImageFolder(folder, classes=training.classes)
                if any(query.label(index) in known for index in range(len(query))):
                    return training, query
    return training, None


def _renumbered(listing: Listing, classes: Sequence[str]) -> Listing:
    """The same images with the given classes first, by their top-level folders."""
    tops = [listing.paths[index].rpartition('/')[0].partition('/')[0] for index in range(len(listing.paths))]
    names = [*classes, *sorted(set(tops) - {'', *classes})]
    numbers = {'': -1, **{name: number for number, name in enumerate(names)}}
    labels = np.array([numbers[top] for top in tops], np.int32)
    fingerprint = hash_arrays(np.frombuffer(listing.fingerprint.encode(), np.uint8), labels)
    return replace(listing, labels=labels, classes=names, fingerprint=fingerprint, parts=[], cache=None)


@cache
def say_once(sentence: str) -> None:
    """Log a sentence once per process; workers get their sources from the main process and say nothing."""
    print_log(sentence, 'current')


def build_source(source: ImageSource | dict) -> ImageSource:
    """Build a source from its config; a source is returned as it is."""
    return DATASETS.build(source) if isinstance(source, dict) else source


def read_list(file: str | Path) -> list[str]:
    """Read the lines of a text file that are not empty, stripped; names that are no UTF-8 keep their bytes."""
    if not Path(file).is_file():
        raise ValueError(f'There is no list {file}: give a text file that names one image per line.')
    content = Path(file).read_bytes()
    encoding = 'utf-16' if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else 'utf-8-sig'
    try:
        lines = [line.strip() for line in content.decode(encoding, 'surrogateescape').splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f'{file} is no text in UTF-16 ({error.reason}): save it as UTF-8.') from error
    entries = [line for line in lines if line]
    if not entries:
        raise ValueError(f'{file} names no images: write one path per line.')
    if any('\0' in line for line in entries):
        raise ValueError(f'{file} is no text in UTF-8: save it as UTF-8, one path per line.')
    return entries


def _places(source: ImageSource, wanted: Sequence[str], file: str | Path) -> list[int]:
    """Find the indices of images by name or path; refuse a name that no image or several images have."""
    paths = [source.name(index) for index in range(len(source))]
    by_path = {path: index for index, path in enumerate(paths)}
    by_name: dict[str, list[int]] = {}
    for index, path in enumerate(paths):
        by_name.setdefault(path.rpartition('/')[2], []).append(index)
    found = {name: [by_path[name]] if name in by_path else by_name.get(name, []) for name in dict.fromkeys(wanted)}
    missing = [name for name in found if not found[name]]
    several = [name for name in found if len(found[name]) > 1]
    if missing:
        raise ValueError(
            f'{len(missing)} of the {len(wanted)} images of {file} are not in the folder, the first is {missing[0]}: '
            f'give the folder that the list was made for.'
        )
    if several:
        raise ValueError(
            f'{file} names {several[0]}, which {len(found[several[0]])} classes have: write the path below the folder, '
            f'as in {paths[found[several[0]][0]]}.'
        )
    return [found[name][0] for name in wanted]


def path_and_label(line: str) -> tuple[str, str | None]:
    """Split a line of a list into the path and the class at its end, None if there is none.

    The class stands behind a space, tab or comma: a number, or anything else that follows the suffix of an image.
    """
    found = _NUMBERED.fullmatch(line) or (None if _IMAGE.search(line) else _NAMED.fullmatch(line))
    return (found['path'], found['label']) if found else (line, None)


def classes_of(labels: Sequence[str], file: str | Path) -> tuple[Tensor | None, list[str] | None]:
    """Numbers and names of the classes in a list; no names if the list gives numbers.

    Args:
        labels: What :func:`path_and_label` found; none for a list without classes.
        file: The list, for messages.

    Raises:
        ValueError: A number is no whole one from -1, or there are names and numbers.
    """
    if not labels:
        return None, None
    numbers = [label for label in labels if _NUMBER.fullmatch(label)]
    if numbers and len(numbers) < len(labels):
        odd = next(label for label in labels if not _NUMBER.fullmatch(label))
        raise ValueError(f'{file} gives the class {odd} and the class {numbers[0]}: write numbers or names, not both.')
    if numbers:
        return _dense(_whole_numbers(np.array(labels, np.float64), str(file)))
    names = sorted(set(labels))
    places = {name: place for place, name in enumerate(names)}
    return torch.tensor([places[label] for label in labels]), names


def _dense(labels: Tensor) -> tuple[Tensor, list[str] | None]:
    """Renumber classes whose numbers are no places in a list, such as 70123; the numbers become their names."""
    known = labels[labels >= 0].unique()
    if not len(known) or known[-1] < _SPARSE or known[-1] < _SHARE * len(known):
        return labels, None
    places = torch.searchsorted(known, labels)
    return torch.where(labels < 0, -1, places), [str(number) for number in known.tolist()]


def _whole_numbers(values: np.ndarray, title: str) -> Tensor:
    """Classes as int64; refuse what is no whole number from -1."""
    odd = values[~((values >= -1) & (values == np.round(values)) & (values < 2**53))]  # a NaN is odd, too
    if len(odd):
        raise ValueError(
            f'{title} holds the class {odd[0]:g}: give whole numbers from 0, and -1 for an image without a class.'
        )
    return torch.from_numpy(values.astype(np.int64))


def _has_labels(images: Array) -> bool:
    if not isinstance(images, str | Path) or Path(images).suffix != '.npz':
        return False
    with np.load(images, allow_pickle=False) as arrays:
        return _find_key(arrays, 'labels') is not None


def _find_key(arrays: Container[str], key: str) -> str | None:
    """Name of an array in an ``.npz`` file: plural, as here, or singular, as in AdaInf's files."""
    return next((name for name in (key, key.removesuffix('s')) if name in arrays), None)


def _read_array(array: Array, key: str) -> np.ndarray:
    """Return an array, or load it from a file; ``key`` names the array in an ``.npz`` file."""
    if not isinstance(array, str | Path):
        return np.asarray(array)
    path = Path(array)
    if not path.is_file():
        raise ValueError(f'There is no file {path}: give the .npy, .npz or idx file that holds the {key}.')
    if path.suffix == '.npy':
        return np.load(path, mmap_mode='r', allow_pickle=False)
    if path.suffix != '.npz':
        return _read_idx(path)
    with np.load(path, allow_pickle=False) as arrays:
        found = _find_key(arrays, key)
        if found is None and len(arrays.files) != 1:
            raise ValueError(f'{path} holds {", ".join(arrays.files)}: name the array of {key} "{key}".')
        return arrays[found or arrays.files[0]]


def _read_idx(path: Path) -> np.ndarray:
    """MNIST's format: two zeros, 8 for bytes, the number of dimensions, their lengths (32-bit big-endian), data."""
    content = path.read_bytes()
    with suppress(EOFError, OSError, zlib.error):
        content = gzip.decompress(content) if path.suffix == '.gz' else content
    dimensions = content[3] if content[:3] == b'\0\0\x08' and len(content) > 3 else 0
    start = 4 + 4 * dimensions
    shape = [int.from_bytes(content[place : place + 4], 'big') for place in range(4, start, 4)]
    if not shape or len(content) != start + math.prod(shape):
        raise ValueError(f"{path} is not a complete idx file of bytes: give .npy, .npz, or MNIST's idx (.gz).")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def hash_arrays(*arrays: np.ndarray | Tensor | None) -> str:
    """Hash arrays into a short text.

    Args:
        arrays: NumPy arrays or tensors; None counts as empty.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(b'' if array is None else np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
