"""Sources other than folders: list files, arrays, subsets, several in a row."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mmssl.datasets import (
    ArraySource,
    Concat,
    DrawSampler,
    EvalView,
    ImageDataset,
    ImageFolder,
    ImageList,
    ListedImages,
    Subset,
    UnreadableImageError,
)
from mmssl.registry import DATASETS
from tests.conftest import golden
from tests.helpers.mutation import Mutation

Make = Callable[..., Path]


def write_idx(path: Path, array: np.ndarray) -> Path:
    content = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, '>u4').tobytes() + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == '.gz' else content)
    return path


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (10, 5, 4), dtype=np.uint8)


@pytest.fixture
def labels() -> np.ndarray:
    return np.arange(10, dtype=np.uint8) % 3


def test_a_list_file_names_images_and_classes(make_images: Make, tmp_path: Path) -> None:
    root = make_images('a.png', 'with space 7.png', 'b/c.png')
    file = tmp_path / 'list.txt'
    file.write_text('b/c.png 2\n\n  with space 7.png 0\na.png 10  \n')
    source = ImageList(file, root)
    assert [source.name(i) for i in range(3)] == ['b/c.png', 'with space 7.png', 'a.png']
    assert source.labels.tolist() == [2, 0, 10] and source.labels.dtype == torch.int64 and source.label(2) == 10
    assert source.load(1).shape == (3, 10, 12) and source.classes is None


def test_a_list_of_a_windows_editor_begins_with_its_first_name(make_images: Make, tmp_path: Path) -> None:
    file = tmp_path / 'list.txt'
    file.write_text('a.png\nb.png\n', 'utf-8-sig')
    assert ImageList(file, make_images('a.png', 'b.png')).name(0) == 'a.png'


@pytest.mark.parametrize('between', [' ', '\t', ',', ', ', ' , '])
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_lists_come_from_other_programs(make_images: Make, tmp_path: Path, between: str, encoding: str) -> None:
    root = make_images('b/a, b.png', 'c d.PNG', 'x.png')
    (tmp_path / 'list.txt').write_text(
        '\r\n'.join(f'{name}{between}{label}' for name, label in {'b\\a, b.png': 2, 'c d.PNG': -1, 'x.png': 0}.items()),
        encoding,
    )
    source = ImageList(tmp_path / 'list.txt', root)
    assert [source.name(index) for index in range(3)] == ['b/a, b.png', 'c d.PNG', 'x.png']
    assert source.labels.tolist() == [2, -1, 0] and source.classes is None


def test_classes_of_a_list_may_be_names(make_images: Make, tmp_path: Path) -> None:
    (tmp_path / 'list.txt').write_text('a.png tabby cat\nb 2.png,ant\nc.png\ttabby cat\n')
    source = ImageList(tmp_path / 'list.txt', make_images('a.png', 'b 2.png', 'c.png'))
    assert (source.classes, source.labels.tolist()) == (['ant', 'tabby cat'], [1, 0, 1])


def test_a_list_of_names_that_are_no_text_finds_the_files(make_images: Make, tmp_path: Path) -> None:
    root = make_images('caf\udce9 1.png')
    (tmp_path / 'list.txt').write_bytes(b'caf\xe9 1.png 0\n')
    assert ImageList(tmp_path / 'list.txt', root).load(0).shape == (3, 10, 12)


def test_a_backslash_in_a_name_stays_where_there_is_such_a_file(make_images: Make, tmp_path: Path) -> None:
    (tmp_path / 'list.txt').write_text('a\\b.png\n')
    assert ImageList(tmp_path / 'list.txt', make_images('a\\b.png')).name(0) == 'a\\b.png'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a.png 0.5\n', 'holds the class 0.5: give whole numbers from 0'),
        ('a.png -2\n', 'holds the class -2: give whole numbers from 0'),
        ('a.png cat\nb.png 3\n', 'gives the class cat and the class 3: write numbers or names'),
        ('a\0.\0p\0n\0g\0\n', 'is no text in UTF-8'),
    ],
)
def test_classes_that_are_none_are_refused(make_images: Make, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / 'list.txt').write_text(text)
    with pytest.raises(ValueError, match=message):
        ImageList(tmp_path / 'list.txt', make_images('a.png', 'b.png'))


@pytest.mark.parametrize('wrong', [0.5, float('nan'), -2])
def test_labels_of_an_array_are_whole_numbers_from_minus_one(images: np.ndarray, wrong: float) -> None:
    assert ArraySource(images, np.arange(10.0) - 1).labels.tolist() == list(range(-1, 9))
    with pytest.raises(ValueError, match='labels holds the class .* give whole numbers from 0'):
        ArraySource(images, np.array([wrong] * 10))
    with pytest.raises(ValueError, match='labels holds <U3: give whole numbers from 0, and -1'):
        ArraySource(images, np.array(['cat'] * 10))


def test_large_numbers_with_gaps_are_names_of_classes(images: np.ndarray, make_images: Make, tmp_path: Path) -> None:
    source = ArraySource(images, np.array([70123, -1, 5, 70123, 5, 5, 5, 5, 88, -1]))
    assert source.labels.tolist() == [2, -1, 0, 2, 0, 0, 0, 0, 1, -1] and source.classes == ['5', '88', '70123']
    assert ArraySource(images, np.array([7, -1] * 5)).classes is None
    (tmp_path / 'list.txt').write_text('a.png 9999999999\nb.png 3\n')
    assert ImageList(tmp_path / 'list.txt', make_images('a.png', 'b.png')).classes == ['3', '9999999999']


def test_channels_in_second_place_are_refused_with_the_way_to_move_them() -> None:
    with pytest.raises(
        ValueError, match=r'\(20, 3, 32, 32\), with the channels in second place: .*transpose\(0, 2, 3, 1\)'
    ):
        ArraySource(np.zeros((20, 3, 32, 32), np.uint8))


def test_a_list_file_without_classes_has_no_labels(make_images: Make, tmp_path: Path) -> None:
    root = make_images('a.png', 'photo 12.png')
    (tmp_path / 'list.txt').write_text('a.png\nphoto 12.png')
    source = ImageList(tmp_path / 'list.txt', root)
    assert source.name(1) == 'photo 12.png' and source.labels is None and source.label(0) is None
    assert source.load(1).shape == (3, 10, 12)


@pytest.mark.parametrize(('text', 'message'), [('a.png 1\nb.png\n', 'no class for b.png'), (' \n', 'names no images')])
def test_a_list_file_that_cannot_work_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / 'list.txt').write_text(text)
    with pytest.raises(ValueError, match=message):
        ImageList(tmp_path / 'list.txt')


def test_a_list_whose_images_are_elsewhere_is_refused(make_images: Make, tmp_path: Path) -> None:
    root = make_images('a.png', 'b.png')
    (tmp_path / 'list.txt').write_text('a.png 0\nb.png 1\n')
    with pytest.raises(ValueError, match='names a.png, b.png, which are not in .*elsewhere'):
        ImageList(tmp_path / 'list.txt', tmp_path / 'elsewhere')
    (root / 'a.png').unlink()
    assert len(ImageList(tmp_path / 'list.txt', root)) == 2  # a single one that is missing is replaced later


CLASSES = ('n1/n1_0.png', 'n1/n1_1.png', 'n2/n2_0.png', 'n3/n3_0.png', 'n3/same.png', 'n1/same.png')


def test_a_list_of_names_keeps_the_classes_of_all_folders(make_images: Make, tmp_path: Path) -> None:
    root = make_images(*CLASSES)
    (tmp_path / '1percent.txt').write_text('n3_0.png\n\nn1_1.png\nn1/same.png')
    source = ListedImages({'type': 'ImageFolder', 'root': root}, tmp_path / '1percent.txt')
    assert [source.name(index) for index in range(3)] == ['n3/n3_0.png', 'n1/n1_1.png', 'n1/same.png']
    assert source.labels.tolist() == [2, 0, 0] and source.classes == ['n1', 'n2', 'n3']
    assert source.load(0).shape == (3, 10, 12)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (None, 'There is no list'),
        (' \n', 'names no images'),
        ('n1_0.png\nn1_9.png\nn4_0.png', '2 of the 3 images .* not in the folder, the first is n1_9.png'),
        ('same.png', 'which 2 classes have: write the path below the folder, as in n1/same.png'),
    ],
)
def test_a_list_of_names_that_cannot_work_is_refused(
    make_images: Make, tmp_path: Path, text: str | None, message: str
) -> None:
    root = make_images(*CLASSES)
    if text is not None:
        (tmp_path / 'list.txt').write_text(text)
    with pytest.raises(ValueError, match=message):
        ListedImages(ImageFolder(root), tmp_path / 'list.txt')


def test_a_list_for_a_folder_without_classes_is_refused(make_images: Make, tmp_path: Path) -> None:
    (tmp_path / 'list.txt').write_text('a.png')
    with pytest.raises(ValueError, match='one folder per class'):
        ListedImages(ImageFolder(make_images('a.png')), tmp_path / 'list.txt')


@pytest.mark.parametrize('suffix', ['idx', 'idx.gz', 'npy', 'npz', 'array', 'tensor'])
def test_arrays_come_from_memory_and_from_files(
    tmp_path: Path, images: np.ndarray, labels: np.ndarray, suffix: str
) -> None:
    given: list = [images, labels]
    for number, (name, array) in enumerate({'images': images, 'labels': labels}.items()):
        path = tmp_path / f'{name}.{suffix}'
        if 'idx' in suffix:
            given[number] = str(write_idx(path, array))
        elif suffix == 'npy':
            np.save(path, array)
            given[number] = path
        elif suffix == 'npz':
            np.savez(path, array)
            given[number] = path
        elif suffix == 'tensor':
            given[number] = torch.from_numpy(array)
    source = ArraySource(*given)
    assert len(source) == 10 and source.labels.tolist() == labels.tolist() and source.label(4) == 1
    image = source.load(3)
    assert image.dtype == torch.uint8 and image.tolist() == [images[3].tolist()]
    image.zero_()  # a copy: the array stays
    assert source.load(3).tolist() == [images[3].tolist()]
    assert isinstance(source.images, np.memmap) == (suffix == 'npy')
    assert source.fingerprint == ArraySource(images, labels).fingerprint


def test_one_npz_file_may_hold_images_and_labels(tmp_path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    np.savez(tmp_path / 'data.npz', images=images, labels=labels, more=images)
    source = ArraySource(tmp_path / 'data.npz')
    assert source.labels.tolist() == labels.tolist() and source.name(7) == 'data.npz[7]'
    np.savez(tmp_path / 'other.npz', x=images, y=labels)
    with pytest.raises(ValueError, match='holds x, y: name the array of images "images"'):
        ArraySource(tmp_path / 'other.npz')


def test_colour_and_sixteen_bit_arrays_keep_their_channels_and_type() -> None:
    colour = np.arange(2 * 3 * 4 * 5, dtype='>u2').reshape(2, 3, 4, 5) * 500
    image = ArraySource(colour).load(1)
    assert image.dtype == torch.uint16 and image.shape == (5, 3, 4)
    assert image.int().permute(1, 2, 0).tolist() == colour[1].tolist()


@pytest.mark.parametrize(
    ('array', 'given'),
    [
        (np.zeros((2, 3, 3), np.float32), 'float32'), (np.zeros((4, 9), np.uint8), r'\(4, 9\)'),
        (np.zeros((0, 3, 3), np.uint8), r'\(0, 3, 3\)'),
    ],
)  # fmt: skip
def test_arrays_that_are_no_images_are_refused(array: np.ndarray, given: str) -> None:
    with pytest.raises(ValueError, match=f'{given}.*needed is uint8 or uint16'):
        ArraySource(array)


def test_an_array_has_the_class_names_that_it_is_given(images: np.ndarray) -> None:
    labels = np.arange(len(images)) % 3
    assert Subset(ArraySource(images, labels, ['boot', 'bag', 'coat']), num=2).classes == ['boot', 'bag', 'coat']
    assert ArraySource(images, labels).classes is None
    with pytest.raises(ValueError, match='2 names of classes, but a label 2: give 3 names'):
        ArraySource(images, labels, ['boot', 'bag'])


def test_labels_that_do_not_match_are_refused(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r'10 images, but labels of shape \(9,\)'):
        ArraySource(images, np.zeros(9, int))


@pytest.mark.parametrize('content', [b'', b'\0\0\x08', b'\0\0\x08\x01\0\0\0\x05abc', b'\x01\0\x08\x01\0\0\0\x01a'])
def test_a_broken_idx_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / 'data.idx').write_bytes(content)
    with pytest.raises(ValueError, match='not a complete idx file'):
        ArraySource(tmp_path / 'data.idx')
    (tmp_path / 'data.gz').write_bytes(gzip.compress(b'12345')[:-3] if content else content)
    with pytest.raises(ValueError, match='not a complete idx file'):
        ArraySource(tmp_path / 'data.gz')


def test_a_missing_array_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'no file .*missing\.npy'):
        ArraySource(tmp_path / 'missing.npy')


def test_a_subset_maps_numbers_labels_and_names(images: np.ndarray, labels: np.ndarray) -> None:
    source = ArraySource(images, labels)
    part = Subset(source, indices=[8, 1])
    assert len(part) == 2 and part.labels.tolist() == [2, 1] and part.label(0) == 2 and part.name(0) == 'array[8]'
    assert torch.equal(part.load(1), source.load(1)) and part.classes is None
    assert Subset(ArraySource(images), num=2).labels is None


def test_a_random_subset_is_a_function_of_its_seed_without_repeats(images: np.ndarray) -> None:
    source = ArraySource(images)
    parts = [Subset(source, num=6, seed=seed).indices.tolist() for seed in (0, 0, 1)]
    assert parts[0] == parts[1] != parts[2]
    assert len(set(parts[0])) == 6 and parts[0] == sorted(parts[0])
    assert Subset(source, num=6).fingerprint != Subset(source, num=5).fingerprint != source.fingerprint


def test_two_subsets_of_one_seed_share_nothing_where_one_skips_the_other(images: np.ndarray) -> None:
    source = ArraySource(images)
    first, second = Subset(source, num=6).indices.tolist(), Subset(source, num=4, skip=6).indices.tolist()
    assert sorted(first + second) == list(range(10))


def test_a_subset_that_cannot_be_is_refused(images: np.ndarray) -> None:
    source = ArraySource(images)
    for options in ({'num': 11}, {'indices': [3, 10]}):
        with pytest.raises(ValueError, match='11 images asked for, but the source has 10'):
            Subset(source, **options)
    for options in ({'num': 0}, {'indices': []}, {'indices': [-1, 3]}):
        with pytest.raises(ValueError, match='images asked for, but the source has 10'):
            Subset(source, **options)
    for options in ({}, {'num': 1, 'indices': [1]}):
        with pytest.raises(ValueError, match='either num'):
            Subset(source, **options)


def test_fingerprints_tell_data_apart(images: np.ndarray, labels: np.ndarray, make_images: Make) -> None:
    changed = images.copy()
    changed[5] += 1
    sources = [
        ArraySource(images), ArraySource(images, labels), ArraySource(changed), ArraySource(images[:9]),
        ImageFolder(make_images('a/1.png', 'b/1.png')),
        ImageFolder(make_images('a/1.png', 'b/2.png', folder='other')),
    ]  # fmt: skip
    assert len({source.fingerprint for source in sources}) == len(sources)


def test_sources_are_built_from_configs(make_images: Make) -> None:
    folder = {'type': 'ImageFolder', 'root': str(make_images('a.png', 'b.png'))}
    assert len(DATASETS.build({'type': 'Subset', 'source': folder, 'num': 1})) == 1


def test_several_sources_follow_one_another_each_as_often_as_wanted(images: np.ndarray, labels: np.ndarray) -> None:
    one, other = ArraySource(images[:3], labels[:3]), ArraySource(images[3:5], labels[3:5])
    both = Concat([one, other], repeats=[2, 1])
    assert len(both) == 8
    expected = [(one, place) for place in (0, 1, 2, 0, 1, 2)] + [(other, place) for place in (0, 1)]
    for index, (part, place) in enumerate(expected):
        assert torch.equal(both.load(index), part.load(place)) and both.label(index) == part.label(place)
        assert both.name(index) == part.name(place) and both.path(index) is None
    assert both.labels.tolist() == [both.label(index) for index in range(8)]
    assert len(Concat([one, other])) == 5 and both.extras(0) == {}


def test_repetitions_are_part_of_the_fingerprint(images: np.ndarray) -> None:
    one, other = ArraySource(images[:3]), ArraySource(images[3:5])
    sources = [Concat([one, other]), Concat([one, other], [2, 1]), Concat([one, other], [1, 2]), Concat([other, one])]
    assert len({source.fingerprint for source in sources}) == 4
    assert Concat([one, other], [2, 1]).fingerprint == sources[1].fingerprint


def test_parts_keep_their_classes_where_they_agree_and_unlabelled_images_may_join(images: np.ndarray) -> None:
    real = ArraySource(images[:4], np.array([0, 1, 1, 0]), ['cat', 'dog'])
    made = ArraySource(images[4:6], np.array([-1, -1]))
    both = Concat([real, made], [3, 1])
    assert both.classes == ['cat', 'dog'] and both.labels.tolist() == [0, 1, 1, 0] * 3 + [-1, -1]
    other = ArraySource(images[4:6], np.array([0, 1]), ['dog', 'cat'])
    with pytest.raises(ValueError, match=r"\['cat', 'dog'\] and \['dog', 'cat'\]"):
        Concat([real, other])
    assert Concat([ArraySource(images), ArraySource(images)]).labels is None
    assert Concat([ArraySource(images), ArraySource(images)]).label(3) is None


def test_images_of_a_part_without_labels_have_no_class(images: np.ndarray) -> None:
    real = ArraySource(images[:4], np.array([0, 1, 1, 0]), ['cat', 'dog'])
    both = Concat([ArraySource(images[4:6]), real], [2, 1])
    assert both.labels.tolist() == [-1] * 4 + [0, 1, 1, 0] and both.classes == ['cat', 'dog']
    assert [both.label(index) for index in range(8)] == both.labels.tolist()


def test_folders_of_generated_images_that_are_no_classes_are_refused_with_what_to_set(make_images: Make) -> None:
    real = ImageFolder(make_images('cat/a.png', 'dog/b.png', folder='real'))
    made = make_images('00000/a.png', '01000/b.png', folder='made')
    with pytest.raises(ValueError, match=r"classes of the parts differ.*\['00000', '01000'\].*labels=False"):
        Concat([real, ImageFolder(made)])
    assert Concat([real, ImageFolder(made, labels=False)]).labels.tolist() == [0, 1, -1, -1]


def test_a_part_that_occurs_no_times_is_left_out(images: np.ndarray) -> None:
    one, other = ArraySource(images[:3]), ArraySource(images[3:5])
    for repeats, part in (([1, 0], one), ([0, 1], other)):
        source = Concat([one, other], repeats)
        assert len(source) == len(part)
        assert all(torch.equal(source.load(index), part.load(index)) for index in range(len(part)))


def test_generated_images_of_another_size_are_refused_at_the_start(make_images: Make) -> None:
    real = ArraySource(np.zeros((4, 10, 10, 3), np.uint8))
    assert len(Concat([real, real], size=10)) == 8
    made = make_images('a.png', 'b.png', size=(64, 48))
    with pytest.raises(ValueError, match=r'a.png has 64 x 48 pixels, but all images of Concat .* 10 x 10: .*Shrunk'):
        Concat([real, ImageFolder(made)], size=10)
    assert len(Concat([real, ImageFolder(made)])) == 6  # photographs of a folder may have any size


def test_a_later_image_of_another_size_counts_as_unreadable(make_images: Make) -> None:
    root = make_images('a.png', size=(10, 10))
    make_images('b.png', size=(10, 11))
    source = Concat([ImageFolder(root)], size=10)
    assert source.load(0).shape == (3, 10, 10)
    with pytest.raises(UnreadableImageError, match='b.png has 10 x 11 pixels'):
        source.load(1)


def test_a_first_image_that_cannot_be_read_does_not_stop_the_start(make_images: Make) -> None:
    root = make_images('a.png', 'b.png', size=(10, 10))
    (root / 'a.png').write_bytes(b'broken')
    assert len(Concat([ImageFolder(root)], size=10)) == 2


@pytest.mark.parametrize('case', golden('adainf/inflated_layout.json'), ids=lambda case: str(case['length']))
def test_the_layout_of_real_and_generated_images_equals_the_reference(case: dict) -> None:
    kinds = {'real': 0, 'generated': -1} if case['generated'] else {'real': 0}
    parts = {
        kind: ArraySource(np.broadcast_to(np.uint8(0), (case[kind], 1, 1)), np.broadcast_to(label, case[kind]))
        for kind, label in kinds.items()
    }
    source = Concat(list(parts.values()), [case['replicate'], 1][: len(parts)])
    assert len(source) == case['length']
    assert float((source.labels == 0).double().mean()) == pytest.approx(case['real_share'], abs=1e-12)
    for probe in case['probe']:
        part, place = source._find(probe['index'])
        assert part is parts[probe['kind']] and place == probe['source']
    assert case['steps_per_epoch_drop_last_512'] == len(source) // 512


def test_inflated_pixels_and_labels_equal_the_reference_with_the_colours_of_generated_images_in_order() -> None:
    case = {name: value.numpy() for name, value in golden('adainf/inflated_pixels.npz').items()}
    assert case['reference_generated_is_bgr'] == 1  # it mixes them with real images whose colours are in order
    real = ArraySource(case['real'], case['real_label'])
    source = Concat([real, ArraySource(case['reference_generated'], bgr=True)], [int(case['replicate']), 1], size=4)
    found = np.stack([source.load(index).permute(1, 2, 0).numpy() for index in range(len(source))])
    copies = len(real) * int(case['replicate'])
    assert np.array_equal(found[:copies], case['reference_data'][:copies])
    assert np.array_equal(found[copies:], case['reference_data'][copies:, ..., ::-1])
    assert np.array_equal(found[copies:], case['generated_rgb'][case['reference_file_order']])
    assert source.labels.tolist() == case['reference_targets'].tolist()


def test_files_of_adainfs_code_are_read_by_their_names(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)
    np.savez(tmp_path / 'made.npz', image=array, label=np.full(3, -1))
    plain, swapped = ArraySource(tmp_path / 'made.npz'), ArraySource(tmp_path / 'made.npz', bgr=True)
    assert plain.labels.tolist() == [-1] * 3
    assert torch.equal(swapped.load(1), plain.load(1).flip(0)) and plain.fingerprint != swapped.fingerprint
    with pytest.raises(ValueError, match=r'\(3, 5, 4\), no three channels: leave out bgr'):
        ArraySource(array[..., 0], bgr=True)


def test_an_epoch_visits_every_replica_once_and_each_has_its_own_index(images: np.ndarray) -> None:
    real, made = ArraySource(images[:4]), ArraySource(images[4:])
    dataset = ImageDataset(Concat([real, made], [3, 1]), EvalView(4, 4))
    seen = [dataset[key] for key in DrawSampler(dataset)]
    assert sorted(sample['sample_idx'] for sample in seen) == list(range(18))
    shown = [int(sample['sample_idx']) % 4 for sample in seen if sample['sample_idx'] < 12]
    assert sorted(shown) == sorted([0, 1, 2, 3] * 3)
    for sample in seen:
        if sample['sample_idx'] < 12:
            again = dataset[int(sample['sample_idx']) % 4]
            assert torch.equal(sample['inputs'][0], again['inputs'][0])


@pytest.mark.parametrize('repeats', [[1], [1, -1], [0, 0], [1, 1.5], [2, 1, 1]])
def test_repetitions_that_cannot_be_are_refused(images: np.ndarray, repeats: list) -> None:
    with pytest.raises(ValueError, match='2 parts with the repetitions .*: give Concat'):
        Concat([ArraySource(images), ArraySource(images)], repeats)
    with pytest.raises(ValueError, match='0 parts'):
        Concat([])


def test_files_of_several_folders_are_found_from_a_config(make_images: Make) -> None:
    roots = [make_images('a.png', folder='one'), make_images('a.png', 'b.png', folder='two')]
    parts = [{'type': 'ImageFolder', 'root': str(root)} for root in roots]
    source = DATASETS.build({'type': 'Concat', 'parts': parts, 'repeats': [2, 1]})
    assert [source.path(index) for index in range(4)] == [roots[0] / 'a.png'] * 2 + [
        roots[1] / 'a.png', roots[1] / 'b.png'
    ]  # fmt: skip
    part = Subset(source, indices=[3])
    assert part.path(0) == roots[1] / 'b.png' and part.name(0) == 'b.png'


MUTATIONS = [
    Mutation(
        'a repeated part is read beyond its end',
        'mmssl/datasets/sources.py',
        '(index - start) % len(part)',
        '(index - start)',
    ),
    Mutation(
        'the labels of a repeated part occur once',
        'mmssl/datasets/sources.py',
        'own.repeat(times) for own, times',
        'own for own, times',
    ),
    Mutation(
        'images of a part without labels are of the first class',
        'mmssl/datasets/sources.py',
        'torch.full((len(part),), -1)',
        'torch.full((len(part),), 0)',
    ),
    Mutation(
        'an image of another size is trained on',
        'mmssl/datasets/sources.py',
        'self._check_size(part, place, image, UnreadableImageError)',
        'pass',
    ),
    Mutation(
        'colours stay in the order blue, green, red',
        'mmssl/datasets/sources.py',
        'image[..., ::-1].copy() if self.bgr else image',
        'image',
    ),
]
