"""Read a data set in the layout of PASCAL VOC: Annotations, ImageSets/Main, JPEGImages."""

from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from files import names_below

SPLITS = ('train', 'val', 'trainval', 'test')
SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp')


class Box(NamedTuple):
    """A box as in the file: pixels counted from 1, both ends included.

    Attributes:
        number: Its place in the file, from 1.
        label: Name of the class.
        xmin, ymin, xmax, ymax: Integers, truncated as in MMDetection's XMLDataset.
        difficult: Whether the evaluation skips it.
    """

    number: int
    label: str
    xmin: int
    ymin: int
    xmax: int
    ymax: int
    difficult: bool

    @property
    def has_area(self) -> bool:
        """Whether the box has an area."""
        return self.xmax > self.xmin and self.ymax > self.ymin


class Annotation(NamedTuple):
    """An annotation file.

    Attributes:
        path: The file.
        size: Width and height of the image; None if the file does not say.
        boxes: Its boxes, in their order.
    """

    path: Path
    size: tuple[int, int] | None
    boxes: list[Box]


def _box(number: int, element: ElementTree.Element) -> Box:
    """The box of an ``object`` element; AttributeError or ValueError if a part of it is missing."""
    bounds = element.find('bndbox')
    edges = [int(float(bounds.find(edge).text)) for edge in ('xmin', 'ymin', 'xmax', 'ymax')]
    label = element.findtext('name')
    if not label:
        raise ValueError('no name')
    return Box(number, label, *edges, difficult=bool(int(element.findtext('difficult') or 0)))


def read_annotation(path: Path) -> Annotation:
    """Read an annotation file.

    Raises:
        ValueError: It is not XML, or an object lacks its name or an edge of its box.
    """
    try:
        root = ElementTree.parse(path).getroot()
        boxes = [_box(number, element) for number, element in enumerate(root.findall('object'), start=1)]
        size = tuple(int(root.findtext(f'size/{side}') or 0) for side in ('width', 'height'))
    except ElementTree.ParseError as error:
        raise ValueError(f'{path} is not XML ({error}): unpack it again, or write it again.') from error
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f'{path} cannot be read: each object needs a name and, in its bndbox, xmin, ymin, xmax and ymax as '
            f'numbers; width and height, if present, must be integers. Correct the file.'
        ) from error
    return Annotation(path, size if all(size) else None, boxes)


def read_names(path: Path) -> list[str]:
    """Names of the images of a split; spaces around them are kept, as in MMDetection."""
    try:
        return path.read_text(encoding='utf-8').splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not UTF-8 text with one image name per line: write it again.') from error


def split_file(folder: Path, split: str, task: str = 'Main') -> Path:
    """The file with the image names of a split."""
    return folder / 'ImageSets' / task / f'{split}.txt'


def annotation_files(folder: Path) -> list[Path]:
    """All annotation files, sorted."""
    return [folder / 'Annotations' / f'{name}.xml' for name in sorted(names_below(folder / 'Annotations', '.xml'))]


def images_below(folder: Path) -> dict[str, str]:
    """Map the names used in splits to file names; ``.jpg`` has priority over other formats."""
    files = sorted(names_below(folder), key=lambda file: (file.endswith('.jpg'), file))
    return {file.rpartition('.')[0]: file for file in files if file.lower().endswith(SUFFIXES)}


def voc_folders(root: Path) -> list[Path]:
    """The folders with annotations: ``root`` itself, or the years in a VOCdevkit."""
    if (root / 'Annotations').is_dir():
        return [root]
    return sorted(path.parent for path in root.glob('VOC*/Annotations'))
