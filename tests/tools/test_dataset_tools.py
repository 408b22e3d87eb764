"""Data sets of the benchmarks, unpacked from tiny archives with the official names and the official inner layout."""

import importlib
import io
import json
import runpy
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mmssl.datasets import DomainFolder, ImageFolder, ListedImages
from tests.training import ROOT, environment

TOOLS = ROOT / 'tools/dataset_tools'
OBJECT = (
    '<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax>'
    '<ymax>{}</ymax></bndbox></object>'
)
CAT = ('cat', 0, 2, 3, 11, 9)
VOC_2007, VOC_2007_TEST = 'VOCtrainval_06-Nov-2007.tar', 'VOCtest_06-Nov-2007.tar'
VOC_2012, SBD = 'VOCtrainval_11-May-2012.tar', 'benchmark.tgz'
Tool = Callable[..., tuple[int, str]]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Iterator[Tool]:
    """Calls a script as its command line does, in this process; gives its exit status and all that it says."""
    monkeypatch.syspath_prepend(str(TOOLS))

    def call(script: str, *arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, 'argv', [script, *map(str, arguments)])
        try:
            runpy.run_path(str(TOOLS / script), run_name='__main__')
        except SystemExit as end:
            text, errors = capsys.readouterr()
            return (end.code, text + errors) if isinstance(end.code, int) else (1, f'{text}{errors}{end.code}')
        return 0, capsys.readouterr().out

    yield call
    for path in TOOLS.glob('*.py'):
        sys.modules.pop(path.stem, None)


@pytest.fixture
def archives(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module that unpacks."""
    monkeypatch.syspath_prepend(str(TOOLS))
    yield importlib.import_module('archives')
    for name in ('archives', 'files'):
        sys.modules.pop(name, None)


def image_bytes(form: str = 'JPEG', pixels: np.ndarray | None = None, palette: bool = False) -> bytes:
    """An image file, 16 wide and 12 high where no pixels are given."""
    image = Image.fromarray(np.full((12, 16), 90, np.uint8) if pixels is None else pixels.astype(np.uint8))
    if palette:
        image.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
    buffer = io.BytesIO()
    image.save(buffer, format=form)
    return buffer.getvalue()


def annotation(*objects: tuple, size: tuple[int, int] | None = (16, 12)) -> bytes:
    """A VOC annotation: objects are (name, difficult, xmin, ymin, xmax, ymax)."""
    stated = f'<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>' if size else ''
    return f'<annotation>{stated}{"".join(OBJECT.format(*each) for each in objects)}</annotation>'.encode()


def write(folder: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def pack(path: Path, content: dict[str, bytes]) -> Path:
    """An archive, its kind told by the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.zip':
        with zipfile.ZipFile(path, 'w') as archive:
            for name, data in content.items():
                archive.writestr(name, data)
        return path
    with tarfile.open(path, 'w:gz' if path.suffix == '.tgz' else 'w') as archive:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def voc_files(split: str, names: list[str], *objects: tuple) -> dict[str, bytes]:
    """A split of VOC with its images and annotations."""
    return {
        f'ImageSets/Main/{split}.txt': ''.join(f'{name}\n' for name in names).encode(),
        **{f'JPEGImages/{name}.jpg': image_bytes() for name in names},
        **{f'Annotations/{name}.xml': annotation(*(objects or (CAT,))) for name in names},
    }


def below(prefix: str, content: dict[str, bytes]) -> dict[str, bytes]:
    return {f'{prefix}/{name}': data for name, data in content.items()}


def sbd_label(number: int) -> np.ndarray:
    labels = np.zeros((12, 16))
    labels[2:5, 3:9] = number
    return labels


def sbd_file(number: int) -> bytes:
    savemat = pytest.importorskip('scipy.io').savemat
    buffer = io.BytesIO()
    parts = {'Segmentation': sbd_label(number).astype(np.uint8), 'CategoriesPresent': np.array([[number]], np.uint8)}
    savemat(buffer, {'GTcls': parts})
    return buffer.getvalue()


def own_label(number: int) -> np.ndarray:
    """VOC's own label: finer, with a border of 255."""
    labels = np.zeros((12, 16))
    labels[2:6, 3:9] = 255
    labels[3:5, 4:8] = number
    return labels


@pytest.fixture
def voc_archives(tmp_path: Path) -> Path:
    """VOC 2007, VOC 2012 and SBD: VOC segments 2008_1 to train and 2008_2 to validate, SBD 2008_1 to 2008_4."""
    folder = tmp_path / 'archives'
    pack(folder / VOC_2007, below('VOCdevkit/VOC2007', voc_files('trainval', ['000001', '000002'])))
    pack(folder / VOC_2007_TEST, below('VOCdevkit/VOC2007', voc_files('test', ['000003'])))
    segmented = {
        'ImageSets/Segmentation/train.txt': b'2008_1\n',
        'ImageSets/Segmentation/val.txt': b'2008_2\n',
        **{f'SegmentationClass/2008_{i}.png': image_bytes('PNG', own_label(i), palette=True) for i in (1, 2)},
    }
    voc_2012 = {**voc_files('trainval', [f'2008_{i}' for i in range(1, 6)]), **segmented}
    pack(folder / VOC_2012, below('VOCdevkit/VOC2012', voc_2012))
    sbd = {
        'train.txt': b'2008_1\n2008_4\n',
        'val.txt': b'2008_2\n2008_3\n',
        'img/2008_3.jpg': image_bytes(),
        **{f'cls/2008_{i}.mat': sbd_file(i) for i in range(1, 5)},
    }
    pack(folder / SBD, below('benchmark_RELEASE/dataset', sbd))
    return folder


def stamps(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob('*')}


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_vocs_archives_become_the_layout_of_the_configs_with_the_labels_of_sbd(tool, voc_archives, tmp_path):
    root = tmp_path / 'VOCdevkit'
    code, text = tool('prepare.py', 'voc', '--root', root, '--archives', voc_archives)
    assert code == 0, text
    assert 'VOC2007 Main/trainval: 2 images, 2 in Annotations (the official set has 5011 images).' in text
    assert 'VOC2007 Main/test: 1 image, 1 in Annotations (the official set has 4952 images).' in text
    assert 'VOC2012 Segmentation/aug: 2 images, 2 in SegmentationClassAug' in text
    assert (root / 'VOC2012/ImageSets/Segmentation/aug.txt').read_text() == '2008_3\n2008_4\n'
    labels = root / 'VOC2012/SegmentationClassAug'
    assert sorted(path.name for path in labels.iterdir()) == [f'2008_{i}.png' for i in range(1, 5)]
    for number, expected in ((1, own_label), (2, own_label), (3, sbd_label), (4, sbd_label)):
        assert np.array_equal(read(labels / f'2008_{number}.png'), expected(number))
    assert not (root / 'benchmark_RELEASE/dataset/img').exists()  # VOC has these images


def test_a_second_call_writes_nothing(tool, voc_archives, tmp_path):
    arguments = ('prepare.py', 'voc', '--root', tmp_path / 'VOCdevkit', '--archives', voc_archives)
    tool(*arguments)
    before = stamps(tmp_path)
    code, text = tool(*arguments)
    assert code == 0
    assert stamps(tmp_path) == before
    assert f'{VOC_2007}: 0 files written, 5 already there.' in text
    assert 'with labels written' not in text


def test_a_call_that_was_interrupted_is_repeated_and_writes_the_rest(tool, voc_archives, tmp_path):
    root, whole = tmp_path / 'VOCdevkit', (voc_archives / VOC_2012).read_bytes()
    (voc_archives / VOC_2012).write_bytes(whole[: whole.rindex(b'\xff\xd8') + 99])  # within an image
    code, text = tool('prepare.py', 'voc', '--root', root, '--archives', voc_archives)
    assert code == 1
    assert f'{VOC_2012} is not a complete archive' in text.splitlines()[-1]
    assert not (root / 'VOC2012/JPEGImages/2008_5.jpg').exists()  # the one that was cut
    (voc_archives / VOC_2012).write_bytes(whole)
    (root / 'VOC2007/JPEGImages/000001.jpg').write_bytes(b'half')
    code, text = tool('prepare.py', 'voc', '--root', root, '--archives', voc_archives)
    assert code == 0, text
    assert f'{VOC_2007}: 1 file written, 4 already there.' in text
    assert read(root / 'VOC2007/JPEGImages/000001.jpg').shape == (12, 16)


@pytest.mark.parametrize('packed', ['zip', 'tgz'])
def test_an_archive_that_unpacks_to_far_more_than_it_has_bytes_is_refused(packed, archives, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, 'SMALL', 1_000_000)
    path = tmp_path / f'bomb.{packed}'
    if packed == 'zip':
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as opened:
            for number in range(9):
                opened.writestr(f'a/{number}', bytes(900_000))
    else:
        pack(path, {f'a/{number}': bytes(900_000) for number in range(9)})
    with pytest.raises(
        ValueError, match=r'bomb.* has [\d,]+ bytes and unpacks to more than [\d,]+, so unpacking stops'
    ):
        archives.unpack(path, archives.Archive(path.name, ('a/',)), tmp_path / 'root')
    assert sum(file.stat().st_size for file in (tmp_path / 'root').rglob('*') if file.is_file()) < 3_000_000


def test_an_archive_without_room_on_the_disk_is_refused_before_a_file_is_written(archives, tmp_path, monkeypatch):
    path = pack(tmp_path / 'a.zip', {'a/1': bytes(1000)})
    monkeypatch.setattr(archives.shutil, 'disk_usage', lambda _: SimpleNamespace(free=999))
    with pytest.raises(ValueError, match=r'has 999 bytes free, and the next file needs 1,000: free some space'):
        archives.unpack(path, archives.Archive('a.zip', ('a/',)), tmp_path / 'root')
    assert not list((tmp_path / 'root').iterdir())


def test_an_unpacked_benchmark_release_beside_the_archives_does_too(tool, voc_archives, tmp_path):
    with tarfile.open(voc_archives / SBD) as archive:
        archive.extractall(voc_archives, filter='data')
    (voc_archives / SBD).unlink()
    code, _ = tool('prepare.py', 'voc', '--root', tmp_path / 'VOCdevkit', '--archives', voc_archives)
    assert code == 0
    assert np.array_equal(read(tmp_path / 'VOCdevkit/VOC2012/SegmentationClassAug/2008_3.png'), sbd_label(3))


def test_without_sbd_voc_is_complete_and_the_split_is_said_to_be_optional(tool, voc_archives, tmp_path):
    (voc_archives / SBD).unlink()
    code, text = tool('prepare.py', 'voc', '--root', tmp_path / 'VOCdevkit', '--archives', voc_archives)
    assert code == 0
    assert 'VOC2012 Segmentation/aug: not there, which is fine; it is made from benchmark.tgz.' in text


def test_sbd_without_a_label_file_is_refused_before_anything_is_written(tool, voc_archives, tmp_path):
    root = tmp_path / 'VOCdevkit'
    tool('prepare.py', 'voc', '--root', root, '--archives', voc_archives)
    (root / 'benchmark_RELEASE/dataset/cls/2008_4.mat').unlink()
    code, text = tool('prepare.py', 'voc', '--root', root)
    assert code == 1
    assert '1 file with labels is not in' in text and '2008_4.mat' in text and 'benchmark.tgz' in text


@pytest.mark.parametrize(
    ('dataset', 'archive', 'name'),
    [
        ('voc', VOC_2007, 'VOCdevkit/../../outside.txt'),
        ('voc', VOC_2007, '/outside.txt'),
        ('coco', 'train2017.zip', '../outside.txt'),
        ('coco', 'train2017.zip', 'train2017/../../outside.txt'),
        ('cityscapes', 'gtFine_trainvaltest.zip', '/outside.txt'),
    ],
)
def test_a_member_that_would_land_outside_is_refused(tool, tmp_path, dataset, archive, name):
    pack(tmp_path / 'archives' / archive, {name: b'x'})
    code, text = tool('prepare.py', dataset, '--root', tmp_path / 'a/root', '--archives', tmp_path / 'archives')
    assert code == 1
    assert f'contains {name!r}, which would be written outside of' in text
    assert not list(tmp_path.rglob('outside.txt'))
    assert not Path('/outside.txt').exists()


def test_a_link_in_an_archive_leads_no_file_outside(tool, tmp_path):
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'archives').mkdir()
    with tarfile.open(tmp_path / 'archives' / VOC_2007, 'w') as archive:
        link = tarfile.TarInfo('VOCdevkit/VOC2007')
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / 'elsewhere')
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo('VOCdevkit/VOC2007/file.txt'), io.BytesIO())
    tool('prepare.py', 'voc', '--root', tmp_path / 'root', '--archives', tmp_path / 'archives')
    assert not list((tmp_path / 'elsewhere').iterdir())
    assert not (tmp_path / 'root/VOC2007').is_symlink() and (tmp_path / 'root/VOC2007/file.txt').is_file()


def test_what_is_missing_is_named_with_the_archive_that_holds_it(tool, voc_archives, tmp_path):
    root = tmp_path / 'VOCdevkit'
    tool('prepare.py', 'voc', '--root', root, '--archives', voc_archives)
    for number in range(1, 5):
        (root / f'VOC2012/JPEGImages/2008_{number}.jpg').unlink()
    (root / 'VOC2012/SegmentationClassAug/2008_4.png').unlink()
    (root / 'VOC2007/ImageSets/Main/test.txt').unlink()
    before = stamps(root)
    code, text = tool('prepare.py', 'voc', '--root', root, '--check')
    main, aug = (root / 'VOC2012/ImageSets' / name for name in ('Main/trainval.txt', 'Segmentation/aug.txt'))
    assert code == 1
    assert (
        f'Not on disk: 4 of the 5 images that {main} names, 2008_1, 2008_2, 2008_3 and 1 more (look in {VOC_2012}).'
    ) in text
    assert f'2 of the 2 images that {aug} names, 2008_3, 2008_4 (look in {VOC_2012}).' in text
    assert f'1 of the 2 files of SegmentationClassAug that {aug} names, 2008_4 (look in {SBD}).' in text
    assert f'{root}/VOC2007/ImageSets/Main/test.txt is not there (look in {VOC_2007_TEST}).' in text
    assert 'VOC2012 Main/trainval: 1 image, 5 in Annotations' in text
    assert stamps(root) == before


def test_a_folder_that_several_splits_need_is_missing_once(tool, voc_archives, tmp_path):
    root = tmp_path / 'VOCdevkit'
    tool('prepare.py', 'voc', '--root', root, '--archives', voc_archives)
    (root / 'VOC2012/JPEGImages').rename(root / 'VOC2012/images')
    code, text = tool('prepare.py', 'voc', '--root', root, '--check')
    assert code == 1
    assert text.splitlines()[-1] == f'- {root}/VOC2012/JPEGImages is not there (look in {VOC_2012}).'
    assert text.count('VOC2012/JPEGImages') == 1


def test_a_folder_that_is_not_there_is_told_as_two_years_with_their_archives(tool, tmp_path):
    code, text = tool('prepare.py', 'voc', '--root', tmp_path / 'none', '--check')
    assert code == 1
    assert text.splitlines()[1:] == [
        f'- {tmp_path}/none/VOC2007 is not there (look in {VOC_2007} and {VOC_2007_TEST}).',
        f'- {tmp_path}/none/VOC2012 is not there (look in {VOC_2012}).',
    ]
    assert not (tmp_path / 'none').exists()


def coco_archives(folder: Path, names: list[str], packed: list[str]) -> Path:
    for split in ('train2017', 'val2017'):
        pack(folder / f'{split}.zip', {f'{split}/': b'', **{f'{split}/{name}': image_bytes() for name in packed}})
    content = {
        'images': [{'id': number, 'file_name': name} for number, name in enumerate(names)],
        'annotations': [{'id': 1}],
        'categories': [{'id': 1}, {'id': 2}],
    }
    data = json.dumps(content).encode()
    files = {f'annotations/instances_{split}.json': data for split in ('train2017', 'val2017')}
    pack(folder / 'annotations_trainval2017.zip', files)
    return folder


def test_cocos_archives_are_unpacked_and_a_smaller_set_is_complete(tool, tmp_path):
    archives = coco_archives(tmp_path / 'archives', ['1.jpg', '2.jpg'], ['1.jpg', '2.jpg'])
    code, text = tool('prepare.py', 'coco', '--root', tmp_path / 'coco', '--archives', archives)
    assert code == 0, text
    assert 'train2017: 2 images and 1 annotation of 2 classes (the official set has 118287 images).' in text
    assert 'val2017: 2 images and 1 annotation of 2 classes (the official set has 5000 images).' in text
    assert sorted(path.name for path in (tmp_path / 'coco/train2017').iterdir()) == ['1.jpg', '2.jpg']


def test_cocos_images_and_annotations_that_are_missing_are_told(tool, tmp_path):
    archives = coco_archives(tmp_path / 'archives', [f'{i}.jpg' for i in range(6)], ['0.jpg', '1.jpg'])
    root = tmp_path / 'coco'
    tool('prepare.py', 'coco', '--root', root, '--archives', archives)
    path = root / 'annotations/instances_train2017.json'
    path.write_bytes(path.read_bytes()[:20])
    code, text = tool('prepare.py', 'coco', '--root', root, '--check')
    named = root / 'annotations/instances_val2017.json'
    assert code == 1
    assert f'4 of the 6 images that {named} names, 2.jpg, 3.jpg, 4.jpg and 1 more (look in val2017.zip)' in text
    assert f'{path} is not a complete COCO annotation file (look in annotations_trainval2017.zip).' in text


CITY = 'aachen/aachen_000000_000019'


@pytest.fixture
def cityscapes_archives(tmp_path: Path) -> Path:
    """Labels that hold every byte; the test split has some too, as the official archive does."""
    folder, splits = tmp_path / 'archives', ('train', 'val', 'test')
    labels = image_bytes('PNG', np.arange(256).reshape(16, 16))
    images = {f'leftImg8bit/{split}/{CITY}_leftImg8bit.png': image_bytes('PNG') for split in splits}
    pack(folder / 'leftImg8bit_trainvaltest.zip', {'README': b'of images', **images})
    files = {f'gtFine/{split}/{CITY}_gtFine_labelIds.png': labels for split in splits}
    pack(folder / 'gtFine_trainvaltest.zip', {'README': b'of labels', **files})
    return folder


def test_cityscapes_labels_get_the_training_ids_of_19_classes(tool, cityscapes_archives, tmp_path):
    root = tmp_path / 'cityscapes'
    code, text = tool('prepare.py', 'cityscapes', '--root', root, '--archives', cityscapes_archives)
    assert code == 0, text
    assert 'train: 1 image and 1 label with training ids (the official set has 2975 images).' in text
    assert 'val: 1 image and 1 label with training ids (the official set has 500 images).' in text
    official = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13,
                27: 14, 28: 15, 31: 16, 32: 17, 33: 18}  # fmt: skip
    for split in ('train', 'val'):
        found = read(root / 'gtFine' / split / f'{CITY}_gtFine_labelTrainIds.png')
        assert found.dtype == np.uint8
        assert found.ravel().tolist() == [official.get(number, 255) for number in range(256)]
    assert not list((root / 'gtFine/test').rglob('*labelTrainIds.png'))
    assert not (root / 'README').exists()


def test_cityscapes_labels_are_converted_once_and_a_check_does_not_convert(tool, cityscapes_archives, tmp_path):
    root = tmp_path / 'cityscapes'
    tool('prepare.py', 'cityscapes', '--root', root, '--archives', cityscapes_archives)
    (root / 'gtFine/val' / f'{CITY}_gtFine_labelTrainIds.png').unlink()
    before = stamps(root)
    code, text = tool('prepare.py', 'cityscapes', '--root', root, '--check')
    assert code == 1
    assert f'1 label in {root}/gtFine/val without training ids, {CITY}: run the same command without --check' in text
    assert stamps(root) == before
    code, text = tool('prepare.py', 'cityscapes', '--root', root)
    assert code == 0
    assert text.startswith('1 file with labels written.')
    stays = root / 'gtFine/train' / f'{CITY}_gtFine_labelTrainIds.png'
    assert stays.stat().st_mtime_ns == before[stays]


def test_cityscapes_images_and_labels_without_each_other_are_told(tool, cityscapes_archives, tmp_path):
    root = tmp_path / 'cityscapes'
    tool('prepare.py', 'cityscapes', '--root', root, '--archives', cityscapes_archives)
    (root / 'leftImg8bit/train' / f'{CITY}_leftImg8bit.png').rename(
        root / 'leftImg8bit/train/aachen/other_leftImg8bit.png'
    )
    code, text = tool('prepare.py', 'cityscapes', '--root', root, '--check')
    images, labels = root / 'leftImg8bit/train', root / 'gtFine/train'
    assert code == 1
    assert f'1 of the 1 label that {images} names, aachen/other (look in gtFine_trainvaltest.zip)' in text
    assert f'1 of the 1 image that {labels} names, {CITY} (look in leftImg8bit_trainvaltest.zip)' in text


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A VOC folder of the user's own: b has boxes without area, c a difficult one and no size."""
    root = write(tmp_path / 'cells', voc_files('train', ['a', 'b', 'c']))
    flat = [('dog', 0, 5, 5, 5, 9), CAT, ('dog', 0, 4, 8, 9, 8), ('dog', 0, 9, 2, 8, 9)]
    write(root, {'Annotations/b.xml': annotation(*flat)})
    write(root, {'Annotations/c.xml': annotation(('dog', 1, 1, 1, 16, 12), ('ant', 0, 1.9, 2, 4, 5), size=None)})
    return root


def test_a_folder_of_the_users_own_is_checked_and_boxes_without_area_are_named(tool, own):
    code, text = tool('prepare.py', 'voc', '--root', own, '--check')
    assert code == 0
    assert text.splitlines() == [
        'cells Main/train: 3 images, 3 in Annotations.',
        f'3 boxes in {own} without area, which are not used for training:',
        f'  {own}/Annotations/b.xml, box 1 (dog): x 5 to 5, y 5 to 9',
        f'  {own}/Annotations/b.xml, box 3 (dog): x 4 to 9, y 8 to 8',
        f'  {own}/Annotations/b.xml, box 4 (dog): x 9 to 8, y 2 to 9',
        f'{own} is complete.',
    ]


def test_names_with_blanks_broken_annotations_and_other_formats_are_told(tool, own):
    (own / 'ImageSets/Main/train.txt').write_text('a \n\nb\nc\n')
    (own / 'JPEGImages/b.jpg').rename(own / 'JPEGImages/b.png')
    write(own, {'Annotations/c.xml': b'<annotation>', 'Annotations/b.xml': annotation(('dog', 0, 1, 'x', 3, 4))})
    code, text = tool('prepare.py', 'voc', '--root', own, '--check')
    assert code == 1
    assert f"2 of the 4 images that {own}/ImageSets/Main/train.txt names, 'a ', ''." in text
    assert '1 of them do not end in .jpg (b.png)' in text
    assert f'{own}/Annotations/c.xml is not XML' in text
    assert f'{own}/Annotations/b.xml cannot be read: each object needs a name' in text


def test_a_folder_without_splits_is_not_complete(tool, own):
    (own / 'ImageSets/Main/train.txt').rename(own / 'ImageSets/Main/all.txt')
    code, text = tool('prepare.py', 'voc', '--root', own, '--check')
    assert code == 1
    assert 'ImageSets/Main needs one of train.txt, val.txt, trainval.txt, test.txt' in text


def test_boxes_in_coco_are_those_of_mmdetections_reader(tool, own, tmp_path):
    code, text = tool('voc_to_coco.py', own, tmp_path / 'out')
    found = json.loads((tmp_path / 'out/instances_train.json').read_text())
    assert code == 0
    assert found['categories'] == [{'id': 1, 'name': 'ant'}, {'id': 2, 'name': 'cat'}, {'id': 3, 'name': 'dog'}]
    assert [image['file_name'] for image in found['images']] == ['a.jpg', 'b.jpg', 'c.jpg']
    assert {(image['width'], image['height']) for image in found['images']} == {(16, 12)}
    # XMLDataset: whole numbers, then 1 off each edge, here as left, top, right, bottom.
    expected = [(1, 2, [1, 2, 10, 8], 0), (2, 2, [1, 2, 10, 8], 0), (3, 3, [0, 0, 15, 11], 1), (3, 1, [0, 1, 3, 4], 0)]
    for entry, (image, label, (left, top, right, bottom), crowd) in zip(found['annotations'], expected, strict=True):
        assert (entry['image_id'], entry['category_id'], entry['iscrowd']) == (image, label, crowd)
        assert entry['bbox'] == [left, top, right - left, bottom - top]
        assert entry['area'] == (right - left) * (bottom - top)
    assert len({entry['id'] for entry in found['annotations']}) == 4
    assert 'instances_train.json: 3 images, 4 boxes (1 difficult), 3 classes.' in text
    assert 'left out 3 boxes without area, by file (position in it): b.xml (1), b.xml (3), b.xml (4).' in text


@pytest.mark.slow
def test_mmdetection_reads_the_same_from_both(tool, own, tmp_path):
    pytest.importorskip('mmcv.ops', reason='bash tools/install_transfer.sh installs MMDetection')
    from mmdet.datasets import CocoDataset, XMLDataset

    tool('voc_to_coco.py', own, tmp_path / 'out')
    common = dict(data_root=str(own), metainfo={'classes': ('ant', 'cat', 'dog')}, test_mode=True, pipeline=[])
    xml = XMLDataset(ann_file='ImageSets/Main/train.txt', data_prefix={'sub_data_root': ''}, **common)
    coco = CocoDataset(
        ann_file=str(tmp_path / 'out/instances_train.json'), data_prefix={'img': 'JPEGImages/'}, **common
    )
    assert len(xml) == len(coco) == 3
    for index in range(3):
        one, two = xml.get_data_info(index), coco.get_data_info(index)
        assert all(one[key] == two[key] for key in ('img_path', 'width', 'height'))
        kept = [each for each in one['instances'] if each['bbox'][2] > each['bbox'][0]]
        kept = [each for each in kept if each['bbox'][3] > each['bbox'][1]]
        assert kept == two['instances']


def test_classes_that_are_given_set_the_numbers_and_leave_others_out(tool, own, tmp_path):
    code, text = tool('voc_to_coco.py', own, tmp_path / 'out', '--classes', 'dog', 'cat', 'cow')
    found = json.loads((tmp_path / 'out/instances_train.json').read_text())
    assert code == 0
    assert [entry['name'] for entry in found['categories']] == ['dog', 'cat', 'cow']
    assert [entry['category_id'] for entry in found['annotations']] == [2, 2, 1]
    assert 'left out 1 box of other classes' in text
    assert 'Warning: no annotation has the class cow; the classes are ant, cat, dog.' in text


def test_the_years_of_a_vocdevkit_become_one_file(tool, voc_archives, tmp_path):
    root = tmp_path / 'VOCdevkit'
    tool('prepare.py', 'voc', '--root', root, '--archives', voc_archives)
    code, _ = tool('voc_to_coco.py', root, tmp_path / 'out', '--splits', 'trainval', 'test')
    found = json.loads((tmp_path / 'out/instances_trainval.json').read_text())
    assert code == 0
    assert len(found['images']) == len({image['id'] for image in found['images']}) == 7
    assert found['images'][0]['file_name'] == 'VOC2007/JPEGImages/000001.jpg'
    assert all((root / image['file_name']).is_file() for image in found['images'])
    assert len(json.loads((tmp_path / 'out/instances_test.json').read_text())['images']) == 1


def test_bad_input_is_refused_in_a_sentence(tool, own, tmp_path):
    (tmp_path / 'empty').mkdir()
    out = tmp_path / 'out'
    cases = {
        'has none of train2017.zip, val2017.zip': ('prepare.py', 'coco', '--archives', tmp_path / 'empty'),
        'leave out --archives to check it': ('prepare.py', 'voc', '--root', own, '--archives', tmp_path),
        'not allowed with argument': ('prepare.py', 'voc', '--check', '--archives', tmp_path),
        'has a folder Annotations': ('voc_to_coco.py', tmp_path / 'empty', out),
        'no split test in': ('voc_to_coco.py', own, out, '--splits', 'test'),
    }
    pack(tmp_path / VOC_2007, {})
    for sentence, arguments in cases.items():
        code, text = tool(*arguments)
        assert code in (1, 2) and sentence in text, text
    (own / 'JPEGImages/a.jpg').unlink()
    code, text = tool('voc_to_coco.py', own, out)
    assert code == 1 and 'not on disk: 1 image that' in text and 'names, a:' in text
    assert not out.exists()


def test_the_commands_work_as_typed(own, tmp_path):
    for arguments in (('prepare.py', 'voc', '--root', own, '--check'), ('voc_to_coco.py', own, tmp_path / 'out')):
        found = subprocess.run(
            [sys.executable, str(TOOLS / arguments[0]), *map(str, arguments[1:])],
            cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert found.returncode == 0 and not found.stderr, found.stderr
    assert (tmp_path / 'out/instances_train.json').is_file()


def test_a_share_of_every_class_is_drawn_the_same_in_every_run(tool: Tool, tmp_path: Path) -> None:
    for name, size in (('cat', 20), ('dog', 40), ('emu', 3)):
        for number in range(size):
            (tmp_path / 'set' / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / 'set' / name / f'{number:02d}.jpg').write_bytes(image_bytes())
    lists = []
    for out, seed in (('a', 0), ('b', 0), ('c', 1)):
        arguments = (tmp_path / 'set', 10, tmp_path / out, '--seed', seed)
        assert tool('image_lists.py', 'percent', *arguments) == (0, f'7 images in {tmp_path / out}\n')
        lists.append((tmp_path / out).read_text().split())
    assert lists[0] == lists[1] != lists[2]
    assert [line.split('/')[0] for line in lists[0]] == ['cat'] * 2 + ['dog'] * 4 + ['emu']
    source = ListedImages(ImageFolder(tmp_path / 'set'), tmp_path / 'a')
    assert source.labels.tolist() == [0, 0, 1, 1, 1, 1, 2]


def test_an_annotation_file_of_inaturalist_becomes_a_list(tool: Tool, tmp_path: Path) -> None:
    images = [
        {'id': 9, 'file_name': 'train_val2018/Aves/3/a.jpg'},
        {'id': 2, 'file_name': 'train_val2018/Aves/1/b.jpg'},
    ]
    classes = [{'image_id': 2, 'category_id': 1}, {'image_id': 9, 'category_id': 3}]
    (tmp_path / 'train2018.json').write_text(json.dumps({'images': images, 'annotations': classes}))
    status, text = tool('image_lists.py', 'inaturalist', tmp_path / 'train2018.json', tmp_path / 'meta/train.txt')
    assert status == 0, text
    assert (tmp_path / 'meta/train.txt').read_text() == 'train_val2018/Aves/3/a.jpg 3\ntrain_val2018/Aves/1/b.jpg 1\n'


def test_what_no_list_can_be_made_of_is_refused(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / 'a.jpg').write_bytes(image_bytes())
    (tmp_path / 'a.json').write_text('{}')
    assert 'no classes' in tool('image_lists.py', 'percent', tmp_path, 1, tmp_path / 'out')[1]
    assert 'above 0' in tool('image_lists.py', 'percent', tmp_path, 0, tmp_path / 'out')[1]
    for part in ('train', 'val'):
        (tmp_path / part).mkdir()
    assert f'give {tmp_path}/train' in tool('image_lists.py', 'percent', tmp_path, 1, tmp_path / 'out')[1]
    assert 'give train2018.json' in tool('image_lists.py', 'inaturalist', tmp_path / 'a.json', tmp_path / 'out')[1]
    assert not (tmp_path / 'out').exists()


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Images of two classes in two parts: noise in colours, one of them gray, and one that cannot be read."""
    generator = np.random.default_rng(0)
    for part, count in (('train', 8), ('test', 4)):
        for name in ('cat', 'dog'):
            pixels = [generator.integers(0, 256, (12, 16, 3)) for _ in range(count)]
            write(tmp_path / 'own' / part / name, {f'{i}.png': image_bytes('PNG', p) for i, p in enumerate(pixels)})
    write(tmp_path / 'own/train/dog', {'0.png': image_bytes('PNG', np.full((12, 16), 40)), '7.png': b'broken'})
    return tmp_path / 'own'


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def test_images_are_rendered_in_four_domains_that_share_every_class_equally(
    classes: Path, tmp_path: Path, tool: Tool
) -> None:
    out = tmp_path / 'domains'
    code, text = tool('render_domains.py', classes, out)
    assert code == 0 and 'own/train/dog/7.png cannot be read' in text
    assert f'{out}/train: 15 files written, 0 already there (original 4, edges 4, posterised 4, inverted 4), 1' in text
    source, test = (
        DomainFolder(out / part, ['original', 'edges', 'posterised', 'inverted']) for part in ('train', 'test')
    )
    assert source.classes == ['cat', 'dog'] and test.domain_labels.bincount().tolist() == [2] * 4
    assert [source.labels[source.domain_labels == d].bincount().tolist() for d in range(4)].count([2, 2]) == 3
    names = [Path(source.name(index)).name for index in range(15)]
    assert len(set(names)) == 15, 'an image is in one domain alone'
    before = stamps(out)
    assert tool('render_domains.py', classes, out)[1].count('0 files written') == 2 and stamps(out) == before
    source.path(3).unlink()
    assert '1 file written, 14 already there' in tool('render_domains.py', classes, out)[1]


def test_each_rendering_is_what_its_name_says(classes: Path, tmp_path: Path, tool: Tool) -> None:
    code, _ = tool('render_domains.py', classes / 'train', tmp_path / 'out', '--all')
    assert code == 0
    original, edges, posterised, inverted = (
        pixels_of(tmp_path / 'out' / domain / 'cat/0000003.png')
        for domain in ('original', 'edges', 'posterised', 'inverted')
    )
    assert np.array_equal(original, pixels_of(classes / 'train/cat/3.png')) and original.shape == (12, 16, 3)
    assert np.array_equal(inverted, 255 - original)
    assert set(np.unique(posterised)) == {0, 85, 170, 255} and np.abs(posterised - original).max() <= 63
    assert edges.min() == 0 and np.array_equal(edges[..., 0], edges[..., 2])
    assert len(list((tmp_path / 'out/edges').rglob('*.png'))) == 15
    flat = pixels_of(tmp_path / 'out/edges/dog/0000008.png')  # the image of one gray has no outlines
    assert (flat == 255).all()


def test_outlines_are_dark_where_the_brightness_changes(classes: Path, tmp_path: Path, tool: Tool) -> None:
    halves = np.full((12, 16, 3), 20)
    halves[:, 8:] = 220
    write(tmp_path / 'halves', {'1.png': image_bytes('PNG', halves)})
    assert tool('render_domains.py', tmp_path / 'halves', tmp_path / 'out', '--all')[0] == 0
    edges = pixels_of(tmp_path / 'out/edges/0000000.png')
    assert (edges[:, 7:9] == 0).all() and (edges[:, :7] == 255).all() and (edges[:, 9:] == 255).all()


def test_what_cannot_be_rendered_is_refused_in_one_sentence(classes: Path, tmp_path: Path, tool: Tool) -> None:
    write(tmp_path / 'out/train/photo', {'1.png': image_bytes('PNG')})
    code, text = tool('render_domains.py', classes, tmp_path / 'out')
    assert code == 1 and 'holds 1 image that is not to be written, such as photo/1.png: give another folder' in text
    code, text = tool('render_domains.py', tmp_path / 'nothing', tmp_path / 'new')
    assert code == 1 and text.startswith('ValueError: There is no folder')
    code, text = tool('render_domains.py', 'torchvision:cifar11', tmp_path / 'new', '--root', tmp_path)
    assert code == 1 and "No set 'cifar11'" in text
    write(tmp_path / 'deep', {'1.png': b''})
    Image.fromarray(np.full((4, 4), 9000, np.uint16)).save(tmp_path / 'deep/1.png')
    code, text = tool('render_domains.py', tmp_path / 'deep', tmp_path / 'new')
    assert code == 1 and 'has 16 bits, but renderings are made of 8' in text


def test_the_frames_of_videos_become_folders_of_images(tool, tmp_path):
    for name, count in (('run/a', 3), ('jump/b', 2)):
        (tmp_path / 'videos' / name).parent.mkdir(parents=True)
        np.save(tmp_path / f'videos/{name}.npy', np.full((count, 8, 8, 3), 90, np.uint8))
    (tmp_path / 'videos/run/broken.zip').write_bytes(b'')
    code, said = tool('video_frames.py', tmp_path / 'videos', tmp_path / 'frames', '--quality', 90)
    assert code == 0 and 'broken.zip cannot be read' in said and '5 frames of 3 videos written' in said
    source = ImageFolder(tmp_path / 'frames')
    assert len(source) == 5 and source.classes == ['jump', 'run'] and source.name(4) == 'run/a/000003.jpg'
    assert abs(int(source.load(0).float().mean()) - 90) < 3
