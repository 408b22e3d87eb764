"""Domains as a field of the sample: folders of domains, lists with a column for them, the layouts of the protocols."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mmssl.datasets import (
    ArraySource,
    Concat,
    DomainFolder,
    DomainList,
    ImageDataset,
    ImageFolder,
    ImageSource,
    ShrunkImages,
    Subset,
    class_list,
    collate,
    domain_splits,
    leave_one_out,
)
from mmssl.models import DataPreprocessor
from mmssl.registry import DATASETS
from tests.helpers.mutation import Mutation

Make = Callable[..., Path]
PACS = [
    *(f'art_painting/{name}/pic_001.jpg' for name in ('dog', 'horse', 'person')),
    *(f'photo/{name}/056_000{number}.jpg' for name in ('dog', 'person') for number in (1, 2)),
    'sketch/horse/4.png',
]


def named(source: ImageSource) -> list[tuple[str, int | None, int]]:
    """Name, class and domain of every image."""
    return [(source.name(i), source.label(i), source.extras(i)['domain']) for i in range(len(source))]


def test_the_first_level_of_folders_is_the_domain_and_the_second_the_class(make_images: Make) -> None:
    source = DomainFolder(make_images(*PACS))
    assert source.domains == ['art_painting', 'photo', 'sketch'] and source.classes == ['dog', 'horse', 'person']
    assert source.domain_labels.tolist() == [0, 0, 0, 1, 1, 1, 1, 2] and source.domain_labels.dtype == torch.int64
    assert source.labels.tolist() == [0, 1, 2, 0, 0, 2, 2, 1]
    assert named(source)[3] == ('photo/dog/056_0001.jpg', 0, 1)
    assert source.load(7).shape == (3, 10, 12) and source.path(7).is_file()
    assert source.describe().endswith(
        '8 images, 3 domains (art_painting 3, photo 4, sketch 1), 3 classes (dog, horse, person).'
    )


def test_the_domain_travels_to_the_algorithm_as_whole_numbers(make_images: Make) -> None:
    dataset = ImageDataset(DomainFolder(make_images(*PACS)), views=lambda image: image)
    batch = DataPreprocessor()(collate([dataset[index] for index in (0, 4, 7)]))['batch']
    assert batch.extras['domain'].tolist() == [0, 1, 2] and batch.extras['domain'].dtype == torch.int64
    assert batch.gt_label.tolist() == [0, 0, 1]


def test_chosen_domains_and_classes_are_numbered_in_the_given_order(make_images: Make) -> None:
    config = {'type': 'DomainFolder', 'root': str(make_images(*PACS)), 'domains': ['sketch', 'photo']}
    source = DATASETS.build(config)
    assert source.domains == ['sketch', 'photo'] and source.domain_labels.tolist() == [1, 1, 1, 1, 0]
    assert source.classes == ['dog', 'horse', 'person']
    assert DATASETS.build({**config, 'domains': 'photo'}).domains == ['photo']
    source = DATASETS.build({**config, 'classes': ['person', 'horse']})
    assert named(source) == [
        ('photo/person/056_0001.jpg', 0, 1),
        ('photo/person/056_0002.jpg', 0, 1),
        ('sketch/horse/4.png', 1, 0),
    ]


def test_images_without_a_class_folder_have_no_class_and_those_without_a_domain_are_left_out(make_images: Make) -> None:
    root = make_images('photo/1.png', 'photo/dog/2.png', 'sketch/3.png', 'cover.png')
    assert named(DomainFolder(root)) == [('photo/1.png', -1, 0), ('photo/dog/2.png', 0, 0), ('sketch/3.png', -1, 1)]
    source = DomainFolder(make_images('photo/1.png', 'sketch/3.png', folder='bare'))
    assert source.labels is None and source.classes is None and source.domain_labels.tolist() == [0, 1]


def test_deeper_folders_belong_to_their_class(make_images: Make) -> None:
    assert named(DomainFolder(make_images('a/x/more/1.png', 'b/x/2.png')))[0] == ('a/x/more/1.png', 0, 0)


def test_lists_choose_among_the_images_and_their_numbers_are_ignored(make_images: Make, tmp_path: Path) -> None:
    root = make_images(*PACS)
    (tmp_path / 'photo.txt').write_text('photo/person/056_0002.jpg 7\nphoto/dog/056_0001.jpg 1\n')
    (tmp_path / 'sketch.txt').write_text('sketch/horse/4.png 5\nart_painting/dog/pic_001.jpg 1\n')
    source = DomainFolder(
        root, domains=['photo', 'sketch'], lists=[tmp_path / 'photo.txt', str(tmp_path / 'sketch.txt')]
    )
    assert named(source) == [
        ('photo/dog/056_0001.jpg', 0, 0),
        ('photo/person/056_0002.jpg', 2, 0),
        ('sketch/horse/4.png', 1, 1),
    ]


def test_the_fingerprint_tells_other_domains_apart_and_workers_get_the_same_source(make_images: Make) -> None:
    root = make_images(*PACS)
    whole, part = DomainFolder(root), DomainFolder(root, domains=['photo', 'art_painting', 'sketch'])
    assert whole.fingerprint == DomainFolder(root).fingerprint != part.fingerprint != ImageFolder(root).fingerprint
    assert named(pickle.loads(pickle.dumps(part))) == named(part)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'domains': ['Sketches', 'photo']}, r"has no domain 'Sketches' \(near names: sketch\)"),
        ({'domains': ['real']}, r"has no domain 'real' \(there are art_painting, photo, sketch\): write one"),
        ({'classes': ['dog', 'hors']}, r"has no class 'hors' \(near names: horse\)"),
        ({'domains': ['sketch'], 'classes': ['dog']}, r"has no class 'dog' \(there are horse\)"),
        (
            {'domains': ['photo', 'photo']},
            r"The domain names \['photo', 'photo'\] for .*: give one or more, and each once",
        ),
        ({'classes': []}, r'The class names \[\] for .*: give one or more'),
        ({'classes': 'domainnet20'}, r"mmssl has no class list 'domainnet20' \(near names: domainnet20_di"),
    ],
)
def test_what_the_folder_lacks_is_refused_with_near_names(make_images: Make, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DomainFolder(make_images(*PACS), **options)


def test_a_folder_without_domains_and_lists_that_choose_nothing_are_refused(make_images: Make, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'holds no folders of domains: images must lie in .*bare/DOMAIN/CLASS'):
        DomainFolder(make_images('1.png', folder='bare'))
    parts = make_images('train/photo/dog/1.png', 'test/photo/dog/2.png', folder='parts')
    with pytest.raises(ValueError, match=r'holds the parts test, train, no domains: give .*parts/train as root'):
        DomainFolder(parts)
    assert DomainFolder(parts / 'train').domains == ['photo']
    (tmp_path / 'none.txt').write_text('cartoon/dog/1.jpg 1\n')
    with pytest.raises(ValueError, match=r'No image below .*, which .*none.txt name'):
        DomainFolder(make_images(*PACS), lists=[tmp_path / 'none.txt'])


LIST = 'a b.png 2 photo\nc.png 0 sketch\n\nd.png 1 photo\n'


def test_the_last_column_of_a_list_is_the_domain(make_images: Make, tmp_path: Path) -> None:
    root, file = make_images('a b.png', 'c.png', 'd.png'), tmp_path / 'list.txt'
    file.write_text(LIST)
    source = DomainList(file, root)
    assert source.domains == ['photo', 'sketch'] and source.labels.tolist() == [2, 0, 1]
    assert named(source) == [('a b.png', 2, 0), ('c.png', 0, 1), ('d.png', 1, 0)]
    assert source.load(0).shape == (3, 10, 12)
    part = DATASETS.build({'type': 'DomainList', 'file': str(file), 'root': str(root), 'domains': ['sketch']})
    assert named(part) == [('c.png', 0, 0)] and part.fingerprint != source.fingerprint
    turned = DomainList(file, root, domains=['sketch', 'photo'])
    assert turned.domain_labels.tolist() == [1, 0, 1] and turned.fingerprint != source.fingerprint


def test_a_list_with_domains_needs_no_classes(make_images: Make, tmp_path: Path) -> None:
    (tmp_path / 'list.txt').write_text('a.png photo\nb.png sketch\n')
    source = DomainList(tmp_path / 'list.txt', make_images('a.png', 'b.png'))
    assert source.labels is None and source.domain_labels.tolist() == [0, 1] and source.label(1) is None


@pytest.mark.parametrize(
    ('text', 'domains', 'message'),
    [
        ('a.png 0\nb.png 1\n', None, 'gives no domain for a.png 0: write the name of a domain, not a number'),
        ('a.png\n', None, 'gives no domain for a.png'),
        ('a.png 0 photo\nb.png sketch\n', None, 'gives no class for b.png'),
        ('a.png 0 photo\n', ['photos'], r"has no domain 'photos' \(near names: photo\)"),
    ],
)
def test_a_list_that_cannot_work_is_refused(
    make_images: Make, tmp_path: Path, text: str, domains: list[str] | None, message: str
) -> None:
    (tmp_path / 'list.txt').write_text(text)
    with pytest.raises(ValueError, match=message):
        DomainList(tmp_path / 'list.txt', make_images('a.png', 'b.png'), domains)


def test_parts_rows_and_shrunk_images_keep_their_domains(make_images: Make) -> None:
    whole = DomainFolder(make_images(*PACS))
    part = Subset(whole, indices=[7, 0])
    assert part.domains == whole.domains and part.domain_labels.tolist() == [2, 0]
    assert part.extras(0) == {'domain': 2}
    row = Concat([whole, part], repeats=[1, 2])
    assert row.domains == whole.domains and row.domain_labels.tolist() == [*whole.domain_labels.tolist(), 2, 0, 2, 0]
    assert row.extras(8) == {'domain': 2}
    small = ShrunkImages(whole, 6)
    assert small.domains == whole.domains and torch.equal(small.domain_labels, whole.domain_labels)
    assert small.extras(7) == {'domain': 2} and small.load(7).shape[1:] == (6, 7)


def test_parts_with_other_domains_are_refused(make_images: Make) -> None:
    root = make_images(*PACS)
    one, other = (DomainFolder(root, domains=[name], classes=['dog']) for name in ('photo', 'art_painting'))
    with pytest.raises(ValueError, match=r"domains of the parts differ: \['photo'\] and \['art_painting'\]"):
        Concat([one, other])
    array = np.zeros((1, 3, 3), np.uint8)
    with pytest.raises(ValueError, match=r"domains of the parts differ: none and \['0'\]"):
        Concat([ArraySource(array), ArraySource(array, domain_labels=np.zeros(1, int))])


def test_an_array_of_images_has_an_array_of_domains(tmp_path: Path) -> None:
    images = np.zeros((4, 3, 3), np.uint8)
    np.save(tmp_path / 'domains.npy', np.array([1, 0, 2, 1], np.uint8))
    source = ArraySource(images, domain_labels=tmp_path / 'domains.npy')
    assert source.domains == ['0', '1', '2'] and source.extras(2) == {'domain': 2}
    assert source.fingerprint != ArraySource(images).fingerprint and ArraySource(images).extras(0) == {}
    with pytest.raises(ValueError, match=r'4 images, but domain_labels of shape \(3,\): give one per image'):
        ArraySource(images, domain_labels=np.zeros(3, int))


class Owned(ImageSource):
    """A source of a user, which says the domains of its images and nothing else about them."""

    domains, domain_labels, fingerprint = ['day', 'night'], torch.tensor([1, 0]), ''

    def __len__(self) -> int:
        return 2

    def load(self, index: int) -> Tensor:
        return torch.zeros(3, 4, 4, dtype=torch.uint8)

    def name(self, index: int) -> str:
        return str(index)


def test_a_source_of_a_user_with_domains_gives_the_field() -> None:
    assert ImageDataset(Owned(), views=lambda image: image)[0]['domain'] == 1


def test_the_class_lists_of_domainnet_are_two_with_their_names() -> None:
    domclp, dimae = class_list('domainnet20_domclp'), class_list('domainnet20_dimae')
    assert len(set(domclp)) == len(set(dimae)) == 20
    assert domclp[:3] == ('The_Eiffel_Tower', 'bee', 'bird') and domclp[-1] == 'zigzag'
    assert dimae[:3] == ('airplane', 'bird', 'cooler') and set(domclp) & set(dimae) == {'bird', 'sun'}
    assert len(class_list('pacs')) == 7


def test_pacs_leaves_each_domain_out_once_and_domainnet_exchanges_three_with_three() -> None:
    splits = domain_splits('pacs')
    assert [split.targets for split in splits] == [('art_painting',), ('cartoon',), ('photo',), ('sketch',)]
    assert splits[2].sources == ('art_painting', 'cartoon', 'sketch')
    one, other = domain_splits('domainnet')
    assert one.sources == other.targets == ('painting', 'real', 'sketch')
    assert other.sources == one.targets == ('clipart', 'infograph', 'quickdraw')
    with pytest.raises(ValueError, match=r"no protocol 'domain_net' \(near names: domainnet\)"):
        domain_splits('domain_net')
    with pytest.raises(ValueError, match=r'takes two or more, but there are 1 \(photo\)'):
        leave_one_out(['photo'])


@pytest.mark.parametrize('classes', ['domainnet20_domclp', 'domainnet20_dimae'])
def test_both_class_lists_find_their_folders_in_the_layout_of_domainnet(make_images: Make, classes: str) -> None:
    names = sorted({*class_list('domainnet20_domclp'), *class_list('domainnet20_dimae'), 'zebra'})
    sources, targets = domain_splits('domainnet')[0]
    root = make_images(*(f'{d}/{c}/{d}_001_000001.jpg' for d in (*sources, *targets) for c in names))
    lines = [f'{d}/{c}/{d}_001_000001.jpg {names.index(c)}\n' for d in sources for c in names]
    (root / 'train.txt').write_text(''.join(lines))
    source = DomainFolder(root, sources, classes, lists=[root / 'train.txt'])
    assert source.domains == list(sources) and source.classes == list(class_list(classes))
    assert source.labels.bincount().tolist() == [3] * 20 and source.domain_labels.bincount().tolist() == [20] * 3
    assert DomainFolder(root, targets, classes).classes == source.classes


def test_the_protocol_of_pacs_fits_its_layout(make_images: Make) -> None:
    names = [f'{d}/{c}/pic_001.jpg' for d in ('art_painting', 'cartoon', 'photo', 'sketch') for c in class_list('pacs')]
    root = make_images(*names, folder='PACS/kfold')
    for sources, (target,) in domain_splits('pacs'):
        training, unseen = DomainFolder(root, sources, 'pacs'), DomainFolder(root, [target], 'pacs')
        assert (len(training), len(unseen)) == (21, 7) and training.classes == unseen.classes
        assert not {training.name(i) for i in range(21)} & {unseen.name(i) for i in range(7)}


MUTATIONS = [
    Mutation(
        'domains are numbered in sorted order whatever was asked for',
        'mmssl/datasets/domains.py',
        'places = {name: number for number, name in enumerate(self.domains)}',
        'places = {name: number for number, name in enumerate(sorted(self.domains))}',
    ),
    Mutation(
        'a list for DomainFolder chooses nothing',
        'mmssl/datasets/domains.py',
        'if image.path in named] if lists else images',
        'if image.path in named] if not lists else images',
    ),
    Mutation(
        'a part of a source forgets which domains its images have',
        'mmssl/datasets/sources.py',
        'self.source.domain_labels[self.indices]',
        'self.source.domain_labels',
    ),
]
