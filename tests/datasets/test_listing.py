"""Folders of images: what is found, and when the cached list is taken."""

import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torchvision

from mmssl.datasets import ImageFolder, listing, sources
from mmssl.datasets.sources import part_sources
from mmssl.files import file_lock
from tests.helpers.mutation import Mutation

Make = Callable[..., Path]


def names(source: ImageFolder) -> list[str]:
    return [source.name(index) for index in range(len(source))]


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were scanned; cached lists count as settled at once."""
    scanned: list[Path] = []
    scan = listing._scan
    monkeypatch.setattr(listing, '_scan', lambda root, cache: scanned.append(root) or scan(root, cache))
    monkeypatch.setattr(listing, '_YOUNG', -1_000_000_000)
    return scanned


def test_a_bare_folder_is_searched_in_depth_and_sorted(make_images: Make) -> None:
    root = make_images('b.png', 'a/z.JPG', 'a/b/c.tif', 'a.png', '10.jpeg', '9.bmp', 'a-b/x.webp')
    (root / 'notes.txt').write_text('no image')
    source = ImageFolder(root)
    assert names(source) == ['10.jpeg', '9.bmp', 'a/b/c.tif', 'a/z.JPG', 'a-b/x.webp', 'a.png', 'b.png']
    assert source.load(0).shape == (3, 10, 12)
    assert source.labels is None and source.classes is None and source.label(0) is None


def test_hidden_files_and_folders_are_left_out(make_images: Make) -> None:
    assert names(ImageFolder(make_images('a.png', '._a.png', '.trash/b.png', 'x/.c.png'))) == ['a.png']


def test_class_folders_are_numbered_as_in_torchvision(make_images: Make) -> None:
    root = make_images('cat/2.png', 'cat/1.png', 'ant/3.png', 'cat-like/1.png', 'cat/deep/0.png', 'bee/1.png')
    ours, theirs = ImageFolder(root), torchvision.datasets.ImageFolder(str(root))
    assert ours.classes == theirs.classes
    assert sorted((str(root / name), ours.label(i)) for i, name in enumerate(names(ours))) == sorted(theirs.samples)
    assert ours.labels.tolist() == [ours.label(index) for index in range(len(ours))]
    flat = [name for name in names(ours) if 'deep' not in name]
    assert flat == [os.path.relpath(path, root) for path, _ in theirs.samples if 'deep' not in path]


def test_folders_are_no_classes_where_an_image_lies_outside(make_images: Make) -> None:
    assert ImageFolder(make_images('a/1.png', 'b/1.png', 'z.png')).classes is None


def test_one_folder_is_no_class(make_images: Make) -> None:
    root = make_images('images/1.png', 'images/2.png')
    (root / 'empty').mkdir()
    assert ImageFolder(root).labels is None


def test_parts_are_no_classes_and_classes_are_matched_by_name_across_them(make_images: Make) -> None:
    root = make_images('Train/ant/1.png', 'Train/bee/1.png', 'Train/cat/1.png', 'valid/cat/1.png', 'valid/dog/2.png')
    source = ImageFolder(root)
    assert source.classes == ['ant', 'bee', 'cat']
    assert dict(zip(names(source), source.labels.tolist())) == {
        'Train/ant/1.png': 0, 'Train/bee/1.png': 1, 'Train/cat/1.png': 2, 'valid/cat/1.png': 2, 'valid/dog/2.png': -1,
    }  # fmt: skip


def test_a_train_folder_alone_is_a_part_and_among_others_a_class(make_images: Make) -> None:
    assert ImageFolder(make_images('training/ant/1.png', 'training/bee/1.png')).classes == ['ant', 'bee']
    vehicles = make_images('bus/1.png', 'car/1.png', 'train/1.png', folder='vehicles')
    assert ImageFolder(vehicles).classes == ['bus', 'car', 'train']
    assert listing.find_parts(vehicles) is None


@pytest.mark.parametrize(
    ('training', 'validation', 'test'),
    [('train', 'val', 'test'), ('training', 'validation', 'testing'), ('Train', 'Valid', 'TEST')],
)
def test_parts_are_found_by_their_usual_names(make_images: Make, training: str, validation: str, test: str) -> None:
    root = make_images(*(f'{part}/1.png' for part in (training, validation, test)))
    assert listing.find_parts(root) == listing.Parts(root / training, root / validation, root / test)
    assert ImageFolder(root).classes is None


def test_images_are_measured_on_the_part_that_has_classes(make_images: Make) -> None:
    classes = ('a/1.png', 'b/1.png')
    root = make_images(*(f'{part}/{name}' for part in ('train', 'val') for name in classes), 'test/1.png')
    training, query = part_sources(root)
    assert (training.root, query.root) == (root / 'train', root / 'val')  # those in test have no classes
    make_images('test/b/1.png', 'test/c/1.png')
    _, query = part_sources(root)
    assert query.root == root / 'test'
    assert query.classes == ['a', 'b', 'c']
    assert query.labels.tolist() == [-1, 1, 2]  # 1.png, b/1.png and c/1.png


def test_without_a_part_to_measure_on_there_are_training_images_alone(make_images: Make) -> None:
    for names_of, folder in ((('a/1.png', 'b/1.png'), 'plain'), (('train/a/1.png', 'train/b/1.png'), 'alone')):
        training, query = part_sources(make_images(*names_of, folder=folder))
        assert (training.classes, query) == (['a', 'b'], None)
    assert part_sources(make_images('train/1.png', 'val/1.png', folder='bare'))[1] is None


def test_given_classes_number_a_folder_that_has_only_one_of_them(make_images: Make) -> None:
    source = ImageFolder(make_images('b/1.png', 'Z/deep/1.png', '1.png'), classes=['a', 'b'])
    assert source.classes == ['a', 'b', 'Z']
    assert dict(zip(names(source), source.labels.tolist())) == {'1.png': -1, 'Z/deep/1.png': 2, 'b/1.png': 1}
    again = pickle.loads(pickle.dumps(source))
    assert [again.label(index) for index in range(3)] == source.labels.tolist()
    assert source.fingerprint != ImageFolder(source.root, classes=['b', 'a']).fingerprint


@pytest.mark.parametrize('folder', ['$RECYCLE.BIN', '@eaDir', '__MACOSX', 'System Volume Information', '.cache'])
def test_folders_of_systems_and_archivers_are_no_classes(make_images: Make, folder: str) -> None:
    root = make_images('a/1.png', 'b/1.png', f'{folder}/1.png', f'a/{folder}/2.png')
    source = ImageFolder(root)
    assert source.classes == ['a', 'b']
    assert names(source) == ['a/1.png', 'b/1.png']


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What image folders say."""
    sentences: list[str] = []
    sources.say_once.cache_clear()
    monkeypatch.setattr(sources, 'print_log', lambda text, *_: sentences.append(text))
    return sentences


def test_one_line_says_what_was_taken_for_classes_and_which_files_were_passed_over(
    make_images: Make, said: list[str], scans: list[Path]
) -> None:
    root = make_images('a/1.png', 'a/2.jfif', 'b/1.png')
    for name in ('a/1.HEIC', 'b/2.heic', 'b/README', 'b/notes.txt'):
        (root / name).write_bytes(b'')
    sources_of_it = ImageFolder(root), ImageFolder(root)  # the second from the cache
    pickle.loads(pickle.dumps(sources_of_it))  # as in a worker
    passed = 'Files passed over: 2 .heic, 1 without a suffix, 1 .txt.'
    assert said == [f'{root}: 3 images, 2 classes (its folders a, b). {passed}']
    assert len(scans) == 1


def test_the_line_names_parts_and_the_lack_of_classes(make_images: Make, said: list[str]) -> None:
    root = make_images(*(f'{part}/c{number:02d}/1.png' for part in ('train', 'val') for number in range(12)))
    ImageFolder(root)
    bare = ImageFolder(make_images('1.png', folder=os.fsdecode(b'caf\xe9')))
    shown = ', '.join(f'c{number:02d}' for number in range(10))
    assert said == [
        f'{root}: 24 images, 12 classes (the folders in train, val: {shown} ...).',
        f'{bare.root.parent}/caf\ufffd: 1 images, no classes.',
    ]


def test_a_folder_whose_name_is_a_number_is_found(make_images: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(make_images('1.png', folder='2024').parent)
    assert len(ImageFolder(2024)) == 1  # as --cfg-options give it


def test_labels_can_be_ignored(make_images: Make) -> None:
    source = ImageFolder(make_images('a/1.png', 'b/1.png'), labels=False)
    assert source.labels is None and source.label(1) is None and source.classes is None


def test_a_folder_without_images_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'No images \(.*\.jpg.*\) in .* give their folder'):
        ImageFolder(tmp_path)
    with pytest.raises(ValueError, match='There is no folder'):
        ImageFolder(tmp_path / 'missing')


def test_links_are_followed_but_not_in_circles(make_images: Make) -> None:
    root, other = make_images('a/1.png'), make_images('2.png', folder='elsewhere')
    (root / 'linked').symlink_to(other)
    (other / 'back').symlink_to(root)
    found = names(ImageFolder(root))
    assert found == ['a/1.png', 'linked/2.png']


def test_names_that_are_no_text_come_back(make_images: Make) -> None:
    root = make_images('a.png')
    (root / 'a.png').rename(os.fsdecode(os.fsencode(root) + b'/\xff\xe4.png'))
    source = ImageFolder(root)
    assert os.fsencode(source.name(0)) == b'\xff\xe4.png' and source.load(0).shape == (3, 10, 12)


def test_a_folder_is_scanned_once(make_images: Make, scans: list[Path]) -> None:
    root = make_images('a/1.png', 'b/c/2.png', 'b/3.png')
    first, second = ImageFolder(root), ImageFolder(root)
    assert len(scans) == 1
    assert names(second) == names(first) and second.labels.tolist() == [0, 1, 1] and second.classes == ['a', 'b']
    assert second.fingerprint == first.fingerprint
    base = second._listing.paths.text
    while isinstance(base.base, np.ndarray):
        base = base.base
    assert isinstance(base, np.memmap)  # shared with every process of the machine


@pytest.mark.parametrize(
    'change',
    [
        lambda root: (root / 'b/c/2.png').unlink(),
        lambda root: (root / 'b/c/2.png').rename(root / 'b/c/4.png'),
        lambda root: (root / 'b/c').rename(root / 'b/d'),
        lambda root: (root / 'a/1.png').rename(root / 'b/1.png'),
        lambda root: (root / 'b/c/5.png').write_bytes((root / 'b/c/2.png').read_bytes()),
        lambda root: (root / 'e').symlink_to(root / 'a'),
    ],
    ids=['removed', 'renamed', 'folder renamed', 'moved', 'added', 'linked'],
)
def test_every_change_below_the_folder_is_noticed(
    make_images: Make, scans: list[Path], change: Callable[[Path], None]
) -> None:
    root = make_images('a/1.png', 'b/c/2.png')
    before = ImageFolder(root)
    time.sleep(0.02)  # a tick of the file system's clock
    change(root)
    after = ImageFolder(root)
    assert len(scans) == 2
    assert names(after) != names(before) and after.fingerprint != before.fingerprint


def test_a_change_that_hides_its_time_is_noticed(make_images: Make, scans: list[Path]) -> None:
    root = make_images('a.png')
    ImageFolder(root)
    stat = root.stat()
    time.sleep(0.02)
    (root / 'b.png').write_bytes((root / 'a.png').read_bytes())
    os.utime(root, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as archivers do
    assert names(ImageFolder(root)) == ['a.png', 'b.png']


def test_the_list_of_a_folder_that_has_just_changed_is_not_kept_for_later_runs(
    make_images: Make, scans: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, '_YOUNG', 2_000_000_000)
    root = make_images('a.png')
    asked = time.time_ns()
    ImageFolder(root)
    cache = listing._cache_of(root)
    assert listing._load(cache, root, asked) is not None  # by who was waiting for this very scan
    assert listing._load(cache, root, time.time_ns()) is None
    ImageFolder(root)
    assert len(scans) == 2


@pytest.mark.parametrize(
    'damage', [lambda c: c[:-1], lambda c: c + b'x', lambda _: b'', lambda _: b'{}\n', lambda c: c[:9]]
)
def test_a_damaged_cache_is_made_anew(make_images: Make, scans: list[Path], damage: Callable[[bytes], bytes]) -> None:
    root = make_images('a.png', 'b.png')
    ImageFolder(root)
    cache = listing._cache_of(root)
    cache.write_bytes(damage(cache.read_bytes()))
    assert names(ImageFolder(root)) == ['a.png', 'b.png'] and len(scans) == 2


def test_without_a_place_for_the_cache_the_list_stays_in_memory(
    make_images: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_images('a/1.png', 'b/2.png')
    monkeypatch.setenv('XDG_CACHE_HOME', str(root / 'a/1.png'))
    source = ImageFolder(root)
    assert names(source) == ['a/1.png', 'b/2.png'] and names(pickle.loads(pickle.dumps(source))) == names(source)


def test_a_write_that_fails_leaves_no_file_behind(make_images: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError('disk full')

    monkeypatch.setattr(Path, 'replace', fail)
    root = make_images('a.png')
    assert names(ImageFolder(root)) == ['a.png']
    assert [path.suffix for path in listing._cache_of(root).parent.iterdir()] == ['.lock']


def test_a_pickled_source_maps_the_cache_again(make_images: Make, scans: list[Path]) -> None:
    source = ImageFolder(make_images(*(f'{n % 2}/{n:03d}_with_a_long_name.png' for n in range(200))))
    text = pickle.dumps(source)
    assert len(text) < 1000
    again = pickle.loads(text)
    assert names(again) == names(source) and again.labels.tolist() == source.labels.tolist() and len(scans) == 1


def test_a_pickled_source_refuses_the_list_of_another_scan(make_images: Make, scans: list[Path]) -> None:
    root = make_images('a.png')
    text = pickle.dumps(ImageFolder(root))
    time.sleep(0.02)
    (root / 'a.png').rename(root / 'b.png')
    ImageFolder(root)
    with pytest.raises(RuntimeError, match='start again'):
        pickle.loads(text)


def _list_and_note(root: Path, log: Path, start: object) -> None:
    scan = listing._scan

    def slow(root: Path, cache: Path) -> listing.Listing:
        with log.open('a') as file:
            file.write('scan\n')
        time.sleep(0.2)
        return scan(root, cache)

    listing._scan = slow
    start.wait()
    assert len(ImageFolder(root)) == 2


def test_of_several_processes_one_scans(make_images: Make, tmp_path: Path) -> None:
    root, log = make_images('a.png', 'b.png'), tmp_path / 'log'
    context = multiprocessing.get_context('fork')
    start = context.Barrier(3)
    processes = [context.Process(target=_list_and_note, args=(root, log, start)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(20)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert log.read_text().splitlines() == ['scan']


def _hold(cache: Path, held: object) -> None:
    with file_lock(cache.with_suffix('.lock')):
        held.set()
        time.sleep(60)


def test_nobody_waits_for_a_process_that_died_while_scanning(make_images: Make) -> None:
    root = make_images('a.png')
    context = multiprocessing.get_context('fork')
    held = context.Event()
    process = context.Process(target=_hold, args=(listing._cache_of(root), held))
    process.start()
    assert held.wait(10)
    os.kill(process.pid, signal.SIGKILL)
    start = time.perf_counter()
    assert names(ImageFolder(root)) == ['a.png']
    assert time.perf_counter() - start < 10
    process.join()


def test_pipes_and_links_that_lead_nowhere_are_passed_over_by_name(make_images: Make, said: list[str]) -> None:
    root = make_images('a/1.png', 'a/2.png')
    (root / 'a/loop.png').symlink_to('loop.png')
    (root / 'loop').symlink_to('loop')
    (root / 'a/lost.png').symlink_to('elsewhere.png')
    (root / 'a/3.png').symlink_to('1.png')
    os.mkfifo(root / 'pipe.png')
    for _ in range(2):  # the second time from the cache
        assert names(ImageFolder(root)) == ['a/1.png', 'a/2.png', 'a/3.png']
        (sentence,) = said
        for kind in (
            'a/loop.png (a link that leads nowhere)',
            'loop (a link',
            'a/lost.png (a link',
            'pipe.png (a pipe',
        ):
            assert kind in sentence
        said.clear()
        sources.say_once.cache_clear()


def test_images_are_found_by_further_suffixes_and_without_one(make_images: Make, said: list[str]) -> None:
    root = make_images('1.avif', '2.JP2', '3.Jpe', '4.JFIF', '5.tga', '6.dib', '7')
    (root / 'README').write_text('no image')
    source = ImageFolder(root)
    assert names(source) == ['1.avif', '2.JP2', '3.Jpe', '4.JFIF', '5.tga', '6.dib', '7']
    assert all(source.load(index).shape == (3, 10, 12) for index in range(7))
    assert 'Files passed over: 1 without a suffix.' in said[0]


def test_a_folder_that_cannot_be_listed_is_named(make_images: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    root, scan = make_images('a/1.png', 'b/1.png'), os.scandir

    def scandir(folder: bytes) -> object:
        if folder.endswith(b'/b'):
            raise PermissionError(13, 'Permission denied')
        return scan(folder)

    monkeypatch.setattr(os, 'scandir', scandir)
    with pytest.raises(ValueError, match=r'images/b cannot be listed \(Permission denied\): make it readable'):
        ImageFolder(root)


MUTATIONS = [
    Mutation(
        'train and val are taken for classes',
        'mmssl/datasets/listing.py',
        '        parts = _parts_among([span.name for span in tops])\n',
        '        parts = []\n',
    ),
    Mutation(
        'a class named train is taken for a part',
        'mmssl/datasets/listing.py',
        "(kinds == {'train'} and len(names) == 1)",
        "(kinds == {'train'})",
    ),
    Mutation(
        'a folder of a recycle bin is a class',
        'mmssl/datasets/listing.py',
        '        if title.lower() in _NOT_DATA:\n',
        '        if False:\n',
    ),
    Mutation(
        'nothing says what was taken for classes',
        'mmssl/datasets/sources.py',
        '            say_once(self.describe())\n',
        '            pass\n',
    ),
    Mutation(
        'accuracy is measured on a part without classes',
        'mmssl/datasets/sources.py',
        'if any(query.label(index) in known for index in range(len(query))):',
        'if len(query):',
    ),
    Mutation(
        'a link to itself ends the scan',
        'mmssl/datasets/listing.py',
        '    except OSError:  # a link to itself\n',
        '    except ZeroDivisionError:\n',
    ),
    Mutation(
        'a pipe is taken for an image',
        'mmssl/datasets/listing.py',
        '            elif entries[name] != _FILE:\n',
        '            elif False:\n',
    ),
]
