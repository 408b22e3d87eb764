"""Write the label images that MMSegmentation reads: Cityscapes' 19 classes, and VOC 2012 with SBD's labels."""

import io
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from files import first_three, names_below, write_whole
from PIL import Image
from voc import read_names, split_file

from mmssl.words import counted

IGNORE = 255
# Cityscapes' ids of the classes that are trained and scored, in the order of their training ids, 0 to 18.
CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
IDS, TRAIN_IDS = '_gtFine_labelIds.png', '_gtFine_labelTrainIds.png'
AUG = 'SegmentationClassAug'


def train_id_table() -> np.ndarray:
    """Map Cityscapes' ids to training ids; all but 19 classes are ignored.

    Returns:
        Shape ``(256,)``, bytes.
    """
    table = np.full(256, IGNORE, dtype=np.uint8)
    table[list(CITYSCAPES_IDS)] = np.arange(len(CITYSCAPES_IDS))
    return table


def _save(path: Path, labels: np.ndarray) -> None:
    """Write labels as a gray image, so that every reader gets the numbers themselves."""
    buffer = io.BytesIO()
    Image.fromarray(labels.astype(np.uint8)).save(buffer, format='PNG')
    write_whole(path, buffer.getvalue())


def _write_all(write: Callable[[str], None], names: Iterable[str]) -> int:
    """Write many images in threads, since Pillow releases Python's lock; returns their number."""
    with ThreadPoolExecutor() as pool:
        return len(list(pool.map(write, names)))


def write_train_ids(root: Path) -> int:
    """Write ``*_gtFine_labelTrainIds.png`` next to Cityscapes' ``*_gtFine_labelIds.png`` where it is missing.

    The test split is left out: its labels are not public, and those in the archive are empty.

    Args:
        root: Folder with ``gtFine/{train,val}``.

    Returns:
        Number of images written.
    """
    table = train_id_table()

    def write(name: str) -> None:
        try:
            with Image.open(f'{name}{IDS}') as image:
                _save(Path(f'{name}{TRAIN_IDS}'), table[np.asarray(image)])
        except (OSError, IndexError) as error:
            raise ValueError(f'{name}{IDS} cannot be converted ({error}): delete it and unpack it again.') from error

    folders = [root / 'gtFine' / split for split in ('train', 'val')]
    todo = [(folder, name) for folder in folders for name in names_below(folder, IDS) - names_below(folder, TRAIN_IDS)]
    return _write_all(write, [str(folder / name) for folder, name in todo])


def _sbd_labels(path: Path) -> np.ndarray:
    """Labels of an SBD file, the numbers of VOC's classes, shape ``(H, W)``."""
    # Imported here: only this conversion needs SciPy, one of the requirements for MMSegmentation.
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ValueError(
            "SBD's labels need SciPy, which is missing: type bash tools/install_transfer.sh or pip install scipy."
        ) from error
    try:
        return loadmat(path)['GTcls']['Segmentation'][0, 0]
    except (KeyError, IndexError, TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(f'{path} is not a label file of SBD ({error}): unpack benchmark.tgz again.') from error


def aug_names(voc: Path, sbd: Path) -> list[str]:
    """Images of SBD's train and val that VOC 2012 segments in neither train nor val, sorted.

    Raises:
        ValueError: SBD lacks the labels of one of them.
    """
    given = {name.strip() for split in ('train', 'val') for name in read_names(sbd / f'{split}.txt')}
    own = {name.strip() for split in ('train', 'val') for name in read_names(split_file(voc, split, 'Segmentation'))}
    names = sorted(given - own - {''})
    gone = [f'{name}.mat' for name in names if not (sbd / 'cls' / f'{name}.mat').is_file()]
    if gone:
        few = f'{counted(len(gone), "file")} with labels {"is" if len(gone) == 1 else "are"} not in {sbd / "cls"}'
        raise ValueError(
            f'{few}, {first_three(gone)}: repeat the command with --archives and the folder of benchmark.tgz.'
        )
    return names


def write_voc_aug(voc: Path, sbd: Path) -> int:
    """Write what VOC 2012 with SBD's labels needs: ``SegmentationClassAug``, and finally the split ``aug.txt``.

    For images with labels from both, VOC's own are copied: they are finer and mark borders with 255. Both contain class
    numbers, VOC's in an image with a palette. An existing ``aug.txt`` is kept.

    Args:
        voc: Folder VOC2012.
        sbd: SBD's folder ``dataset``, with ``cls``, ``train.txt`` and ``val.txt``.

    Returns:
        Number of files written.
    """
    names, there = aug_names(voc, sbd), names_below(voc / AUG, '.png')
    own = names_below(voc / 'SegmentationClass', '.png') - there
    for name in own:
        write_whole(voc / AUG / f'{name}.png', (voc / 'SegmentationClass' / f'{name}.png').read_bytes())
    todo = set(names) - there - own
    written = len(own) + _write_all(
        lambda name: _save(voc / AUG / f'{name}.png', _sbd_labels(sbd / 'cls' / f'{name}.mat')), todo
    )
    aug = split_file(voc, 'aug', 'Segmentation')
    if not aug.is_file():
        write_whole(aug, ''.join(f'{name}\n' for name in names).encode())
        written += 1
    return written
