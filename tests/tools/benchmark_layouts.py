"""Tiny labelled sets in the folders and files of the real ones: two classes, one dark and one light."""

import json
import pickle
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from tests.helpers.sounding import write_sounding

CLASSES = 2


def write_image(path: Path, label: int, side: int = 32) -> None:
    """Noise, light for class 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(_pixels(label, len(path.name) + sum(map(ord, path.name)), side)).save(path)


def write(path: Path, lines: Iterable[str]) -> None:
    """A text file, made with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(lines) + '\n')


def imagenet(root: Path) -> None:
    """Class folders of ``train`` and ``val``, and SimCLR's lists, which hold file names."""
    for label, name in enumerate(('n01440764', 'n01443537')):
        for number in range(4):
            write_image(root / f'train/{name}/{name}_{number}.JPEG', label)
            write_image(root / f'val/{name}/ILSVRC2012_val_0000000{2 * number + label}.JPEG', label)
    listed = [f'{name}_{number}.JPEG' for number in (1, 3) for name in ('n01440764', 'n01443537')]
    for percent in (1, 10):
        write(root / f'{percent}percent.txt', listed)


def places205(root: Path) -> None:
    """Images by the first letter of their class, and lists of paths and numbers."""
    for split in ('train', 'val'):
        names = [
            (f'{name[0]}/{name}/gsun_{number}.jpg', label)
            for number in range(4)
            for label, name in enumerate(('abbey', 'zoo'))
        ]
        for name, label in names:
            write_image(root / split / name, label)
        write(root / f'meta/{split}.txt', (f'{name} {label}' for name, label in names))


def inaturalist18(root: Path) -> None:
    """One folder of images for both splits, with the annotation files."""
    for split in ('train', 'val'):
        images = [
            {'id': 10 * number + label, 'file_name': f'train_val2018/Plantae/{label}/{split}{number}.jpg'}
            for number in range(4)
            for label in range(CLASSES)
        ]
        for image in images:
            write_image(root / image['file_name'], image['id'] % 10)
        annotations = [{'image_id': image['id'], 'category_id': image['id'] % 10} for image in images]
        write(root / f'{split}2018.json', [json.dumps({'images': images, 'annotations': annotations})])


def cifar10(root: Path) -> None:
    """Class folders whose files have the same names; lists of 1 % and 10 % of them hold paths."""
    for split in ('train', 'test'):
        for label, name in enumerate(('airplane', 'frog')):
            for number in range(4):
                write_image(root / f'{split}/{name}/{number:04d}.jpg', label)
    for percent in (1, 10):
        write(
            root / f'{percent}percent.txt',
            (f'{name}/000{number}.jpg' for name in ('airplane', 'frog') for number in (0, 2)),
        )


def ucf101(root: Path) -> None:
    """Videos in class folders, and the lists of the first split."""
    names = [f'{name}/v_{name}_g0{number}_c01.avi' for number in range(8) for name in ('Archery', 'YoYo')]
    for number, name in enumerate(names):
        _write_video(root / 'UCF-101' / name, number % CLASSES)
    lists = root / 'ucfTrainTestlist'
    write(lists / 'classInd.txt', ('1 Archery', '2 YoYo'))
    write(lists / 'trainlist01.txt', (f'{name} {1 + number % CLASSES}' for number, name in enumerate(names[:8])))
    write(lists / 'testlist01.txt', names[8:])


def hmdb51(root: Path) -> None:
    """Videos in class folders, and one list per class, which says the use of each video."""
    for label, name in enumerate(('run', 'wave')):
        files = [f'{name}_{number}.avi' for number in range(8)]
        for file in files:
            _write_video(root / 'hmdb51_org' / name / file, label)
        lines = (f'{file} {1 + number // 4} ' for number, file in enumerate(files))
        write(root / f'testTrainMulti_7030_splits/{name}_test_split1.txt', lines)


def ssv1(root: Path) -> None:
    """Frames in numbered folders, and tables of the classes and of both parts."""
    classes, prefix = ('Holding something', 'Pushing something, slowly'), 'something-something-v1'
    write(root / f'{prefix}-labels.csv', classes)
    for start, part in enumerate(('train', 'validation')):
        numbers = range(100 * start, 100 * start + 8)
        write(root / f'{prefix}-{part}.csv', (f'{number};{classes[number % CLASSES]}' for number in numbers))
        for number in numbers:
            for place in range(1, 35):
                write_image(root / f'20bn-{prefix}/{number}/{place:05}.jpg', number % CLASSES)


def _write_video(path: Path, label: int) -> None:
    """Forty frames."""
    write_sounding(path, 2, (0, 2) if label else None, fps=20)


def small_set(name: str, root: Path) -> None:
    """One of the sets that torchvision reads."""
    {
        'cifar10': _cifar10_batches, 'cifar100': _cifar100_batches, 'flowers': _flowers, 'pets': _pets, 'cars': _cars,
        'aircraft': _aircraft, 'dtd': _dtd,
    }[name](root)  # fmt: skip


def _pixels(label: int, seed: int, side: int = 32) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 60, (side, side, 3))
    return (noise + 150 * label).astype(np.uint8)


def _cifar10_batches(root: Path) -> None:
    names = [f'data_batch_{number}' for number in range(1, 6)] + ['test_batch']
    _batches(root / 'cifar-10-batches-py', names, 'labels', 'batches.meta', 'label_names')


def _cifar100_batches(root: Path) -> None:
    _batches(root / 'cifar-100-python', ['train', 'test'], 'fine_labels', 'meta', 'fine_label_names')


def _batches(folder: Path, files: list[str], labels: str, meta: str, names: str) -> None:
    folder.mkdir(parents=True)
    for place, file in enumerate(files):
        pixels = [_pixels(number % CLASSES, 10 * place + number).transpose(2, 0, 1).ravel() for number in range(8)]
        content = {'data': np.stack(pixels), labels: [number % CLASSES for number in range(8)]}
        (folder / file).write_bytes(pickle.dumps(content))
    (folder / meta).write_bytes(pickle.dumps({names: ['dark', 'light']}))


def _flowers(root: Path) -> None:
    folder = root / 'flowers-102'
    for number in range(1, 19):
        write_image(folder / f'jpg/image_{number:05d}.jpg', number % CLASSES)
    savemat(folder / 'imagelabels.mat', {'labels': [[1 + number % CLASSES for number in range(1, 19)]]})
    savemat(folder / 'setid.mat', {'trnid': [range(1, 7)], 'valid': [range(7, 13)], 'tstid': [range(13, 19)]})


def _pets(root: Path) -> None:
    folder = root / 'oxford-iiit-pet'
    for split in ('trainval', 'test'):
        names = [
            (f'{name}_{split}{number}', label)
            for number in range(4)
            for label, name in enumerate(('Abyssinian', 'pug'))
        ]
        for name, label in names:
            write_image(folder / f'images/{name}.jpg', label)
        write(folder / f'annotations/{split}.txt', (f'{name} {label + 1} {label + 1} 1' for name, label in names))


def _cars(root: Path) -> None:
    folder = root / 'stanford_cars'
    files = {'train': 'devkit/cars_train_annos.mat', 'test': 'cars_test_annos_withlabels.mat'}
    (folder / 'devkit').mkdir(parents=True)
    for split, file in files.items():
        names = [(f'{number:05d}.jpg', number % CLASSES) for number in range(8)]
        for name, label in names:
            write_image(folder / f'cars_{split}/{name}', label)
        rows = np.array([(name, label + 1) for name, label in names], dtype=[('fname', 'O'), ('class', 'O')])
        savemat(folder / file, {'annotations': rows})
    savemat(folder / 'devkit/cars_meta.mat', {'class_names': np.array(['a car', 'another'], dtype=object)})


def _aircraft(root: Path) -> None:
    folder = root / 'fgvc-aircraft-2013b/data'
    write(folder / 'variants.txt', ['707-320', 'Yak-42'])
    for split in ('trainval', 'test'):
        names = [(f'{split}{number}', number % CLASSES) for number in range(8)]
        for name, label in names:
            write_image(folder / f'images/{name}.jpg', label)
        write(
            folder / f'images_variant_{split}.txt', (f'{name} {("707-320", "Yak-42")[label]}' for name, label in names)
        )


def _dtd(root: Path) -> None:
    folder = root / 'dtd/dtd'
    for split in ('train', 'val', 'test'):
        names = [
            (f'{name}/{name}_{split}{number}.jpg', label)
            for number in range(4)
            for label, name in enumerate(('banded', 'woven'))
        ]
        for name, label in names:
            write_image(folder / 'images' / name, label)
        write(folder / f'labels/{split}1.txt', (name for name, _ in names))
