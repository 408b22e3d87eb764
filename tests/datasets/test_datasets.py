"""The data set: views as a function of (seed, draw), and what happens to unreadable images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from torch.utils.data import DataLoader

from mmssl.datasets import (
    ArraySource,
    DrawSampler,
    EvalView,
    ImageDataset,
    ImageFolder,
    MultiView,
    RankBatchSampler,
    UnreadableImageError,
    View,
    collate,
)
from mmssl.datasets.transforms import views
from mmssl.registry import DATASETS
from tests.datasets.test_bands import ramp, tiff
from tests.helpers.mutation import Mutation

Make = Callable[..., Path]


def random_views() -> MultiView:
    kind = {'flip': 0.5, 'jitter': (0.8, 0.8, 0.8, 0.2), 'gray_prob': 0.2, 'blur_prob': 0.5}
    return MultiView([2, 2], [View(16, (0.2, 1.0), **kind), View(8, (0.1, 0.3), **kind)])


@pytest.fixture
def dataset() -> ImageDataset:
    images = np.random.default_rng(0).integers(0, 256, (12, 20, 24, 3), dtype=np.uint8)
    return ImageDataset(ArraySource(images, np.arange(12)), random_views())


def same(one: dict, other: dict) -> bool:
    equal = all(torch.equal(a, b) for a, b in zip(one['inputs'], other['inputs'], strict=True))
    return equal and all(torch.equal(one[key], other[key]) for key in one if key not in ('inputs', 'extras'))


def test_a_sample_has_what_the_contract_says(dataset: ImageDataset) -> None:
    sample = dataset[5, 77]
    assert [tuple(view.shape) for view in sample['inputs']] == [(3, 16, 16)] * 2 + [(3, 8, 8)] * 2
    assert all(view.dtype == torch.uint8 for view in sample['inputs'])
    numbers = {key: value for key, value in sample.items() if key != 'inputs'}
    assert numbers == {'sample_idx': 5, 'draw': 77, 'unreadable': -1, 'warned': -1, 'gt_label': 5}
    assert all(type(value) is int for value in numbers.values())


def test_without_labels_there_is_no_label() -> None:
    source = ArraySource(np.zeros((2, 8, 8), np.uint8))
    assert 'gt_label' not in ImageDataset(source, EvalView(8, 8))[0]


def test_a_plain_index_is_its_own_draw(dataset: ImageDataset) -> None:
    assert same(collate([dataset[3]]), collate([dataset[3, 3]]))


def test_views_depend_on_seed_and_draw_and_nothing_else(dataset: ImageDataset) -> None:
    first = collate([dataset[3, 40]])
    torch.manual_seed(99)
    dataset[4, 41]
    assert same(collate([dataset[3, 40]]), first)
    variants = [(3, 41), (3, 40 + 12)]
    for key in variants:
        assert not torch.equal(dataset[key]['inputs'][0], first['inputs'][0][0])
    dataset.seed = 1
    assert not torch.equal(dataset[3, 40]['inputs'][0], first['inputs'][0][0])


def test_seed_and_draw_do_not_overlap(dataset: ImageDataset) -> None:
    boxes = set()
    for seed in range(4):
        dataset.seed = seed
        boxes |= {dataset[0, draw]['inputs'][0].numpy().tobytes() for draw in range(4)}
    assert len(boxes) == 16


def test_views_are_the_same_with_any_number_of_workers(dataset: ImageDataset) -> None:
    batches = []
    for workers in (0, 1, 2):
        sampler = RankBatchSampler(DrawSampler(dataset, seed=3), batch_size=4)
        torch.manual_seed(workers)
        batches.append(list(DataLoader(dataset, batch_sampler=sampler, collate_fn=collate, num_workers=workers)))
    assert len(batches[0]) == 3
    for others in batches[1:]:
        assert all(same(one, other) for one, other in zip(batches[0], others, strict=True))


def test_an_image_is_decoded_once_for_all_its_views(dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[int] = []
    load = dataset.source.load
    dataset[0]  # a look at some images
    monkeypatch.setattr(dataset.source, 'load', lambda index: loaded.append(index) or load(index))
    dataset[2, 9]
    assert loaded == [2]


def test_an_unreadable_image_is_replaced_by_hash_and_told(make_images: Make) -> None:
    root = make_images(*(f'{n % 2}/{n}.png' for n in range(10)), size=(16, 16))
    (root / '0/4.png').write_bytes(b'broken')
    dataset = ImageDataset(ImageFolder(root), EvalView(16, 16))
    bad = next(index for index in range(10) if dataset.source.name(index) == '0/4.png')
    samples = [dataset[bad, draw] for draw in range(40)]
    replaced_by = {sample['sample_idx'] for sample in samples}
    assert bad not in replaced_by and len(replaced_by) > 4
    for sample in samples:
        other = dataset[sample['sample_idx'], 0]
        assert sample['unreadable'] == bad and other['unreadable'] == -1
        assert sample['gt_label'] == other['gt_label']
        assert torch.equal(sample['inputs'][0], other['inputs'][0])
    assert same(collate([dataset[bad, 7]]), collate([samples[7]]))


def test_the_views_of_a_replacement_are_those_of_its_draw(make_images: Make) -> None:
    root = make_images('0.png', '1.png', size=(40, 40))
    (root / '0.png').write_bytes(b'')
    dataset = ImageDataset(ImageFolder(root), random_views())
    replaced = dataset[0, 5]
    assert replaced['sample_idx'] == 1
    assert all(torch.equal(*pair) for pair in zip(replaced['inputs'], dataset[1, 5]['inputs'], strict=True))


def test_a_folder_that_cannot_be_read_at_all_ends_the_search(make_images: Make) -> None:
    root = make_images('0.png', '1.png', '2.png')
    for path in root.iterdir():
        path.write_bytes(b'')
    with pytest.raises(UnreadableImageError, match=r'10 images in a row cannot be read; the last: .*png'):
        ImageDataset(ImageFolder(root), EvalView(8, 8))[0]


@pytest.mark.parametrize(
    ('stored', 'channels'), [((9, 9), 1), ((9, 9), 3), ((9, 9, 3), 1), ((9, 9, 4), 3), ((9, 9, 12), 12)]
)
def test_images_arrive_with_the_channels_of_the_network(stored: tuple[int, ...], channels: int) -> None:
    dataset = ImageDataset(ArraySource(np.zeros((2, *stored), np.uint8)), random_views(), channels=channels)
    assert [len(view) for view in dataset[0]['inputs']] == [channels] * 4


def test_what_is_left_out_is_said_once_when_the_data_set_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(views, 'print_log', lambda message, **_: said.append(message))
    views._warn_once.cache_clear()
    source = ArraySource(np.zeros((2, 9, 9, 4), np.uint8))
    ImageDataset(source, random_views(), channels=3)
    assert said == []
    for _ in range(2):
        ImageDataset(source, random_views(), channels=4)[0]
    assert len(said) == 1


def test_a_wrong_number_of_channels_is_no_unreadable_image() -> None:
    dataset = ImageDataset(ArraySource(np.zeros((2, 9, 9, 12), np.uint8)), random_views())
    with pytest.raises(ValueError, match=r'12 channels.*set channels=12'):
        dataset[0]


def test_an_image_that_does_not_exist_is_refused(dataset: ImageDataset) -> None:
    for index in (-1, 12):
        with pytest.raises(IndexError, match=f'Image {index} of 12'):
            dataset[index]
    assert len(list(dataset)) == 12


def test_a_data_set_is_built_from_its_config(make_images: Make) -> None:
    config = {
        'type': 'ImageDataset',
        'source': {'type': 'ImageFolder', 'root': str(make_images('a.png'))},
        'views': {'type': 'EvalView', 'resize': 8, 'crop': 8},
        'channels': 1,
    }
    assert DATASETS.build(config)[0]['inputs'][0].shape == (1, 8, 8)


def test_sixteen_bit_samples_travel_through_workers() -> None:
    source = ArraySource(np.full((4, 9, 9), 40000, np.uint16))
    dataset = ImageDataset(source, View(6, (0.5, 1.0), jitter=(0.4, 0.4, 0, 0)), channels=1)
    (batch,) = DataLoader(dataset, batch_size=4, collate_fn=collate, num_workers=1)
    assert batch['inputs'][0].dtype == torch.uint16 and batch['inputs'][0].shape == (4, 1, 6, 6)


def test_the_plain_form_is_the_evaluation_view_of_every_image_in_order(dataset: ImageDataset) -> None:
    for view in (EvalView(10, 8), {'type': 'EvalView', 'resize': 10, 'crop': 8}):
        dataset.plain_views, dataset.seed = view, 7
        plain = dataset.plain()
        assert len(plain) == 12
        for index in range(12):
            expected = EvalView(10, 8)(dataset.source.load(index))
            assert all(torch.equal(*pair) for pair in zip(plain[index, 99]['inputs'], expected, strict=True))
    assert len(dataset[0]['inputs']) == 4 and dataset.seed == 7


def test_without_an_evaluation_view_the_plain_form_says_what_to_set(dataset: ImageDataset) -> None:
    with pytest.raises(ValueError, match=r'no evaluation view.*evaluation\.gallery\.views.*plain_views'):
        dataset.plain()
    own = ImageDataset(dataset.source, random_views(), plain_views=EvalView(8, 8))
    assert own.plain()[0]['inputs'][0].shape == (3, 8, 8)


def test_a_data_set_names_its_images(dataset: ImageDataset) -> None:
    assert dataset.name(3) == 'array[3]'


def write_odd(root: Path, names: list[str], odd: Image.Image) -> ImageDataset:
    """A folder of gray images, of which the first is another kind."""
    root.mkdir()
    for name in names:
        Image.new('L', (9, 9), 90).save(root / name)
    odd.save(root / names[0])
    return ImageDataset(ImageFolder(root), EvalView(8, 8), channels=1)


def test_an_image_of_16_bits_among_others_is_replaced_and_named(tmp_path: Path) -> None:
    deep = Image.fromarray(np.full((9, 9), 4000, np.uint16))
    dataset = write_odd(tmp_path / 'gray', [f'{number}.png' for number in range(9)], deep)
    batch = collate([dataset[index] for index in range(9)])
    assert batch['inputs'][0].dtype == torch.uint8 and batch['unreadable'].tolist() == [0] + [-1] * 8
    assert dataset.reason(0) == '0.png has 16 bits per value, but most images have 8; convert it to 8'
    assert dataset.reason(1) == ''


def test_an_image_of_other_channels_among_others_is_replaced_and_named(tmp_path: Path) -> None:
    pytest.importorskip('tifffile')
    dataset = write_odd(tmp_path / 'gray', [f'{number}.tif' for number in range(9)], Image.new('L', (9, 9)))
    (tmp_path / 'gray/0.tif').write_bytes(tiff(ramp(6, np.uint8, 255), rgb=False, extra=(0,) * 5))
    assert dataset[0]['unreadable'] == 0
    assert '0.tif has 6 channels, which do not become 1' in dataset.reason(0)


def test_an_image_that_pillow_warns_of_is_told(make_images: Make) -> None:
    root, exif = make_images('0.png', '1.png', '2.png'), Image.Exif()
    exif[ExifTags.Base.Make] = 'a maker of cameras'
    Image.new('RGB', (9, 9)).save(root / '1.jpg', exif=exif.tobytes()[:-9])
    dataset = ImageDataset(ImageFolder(root), EvalView(8, 8))
    samples = DataLoader(dataset, batch_size=4, collate_fn=collate, num_workers=1)
    assert next(iter(samples))['warned'].tolist() == [-1, 1, -1, -1]


MUTATIONS = [
    Mutation(
        'an image of 16 bits among others reaches the batch',
        'mmssl/datasets/datasets.py',
        'if dtype is not None and image.dtype != dtype:',
        'if False:',
    ),
    Mutation(
        'nobody hears of the warnings of Pillow',
        'mmssl/datasets/datasets.py',
        "'warned': shown if warnings and",
        "'warned': shown if not warnings and",
    ),
]
