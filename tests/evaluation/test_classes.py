"""Classes of two sets are matched by name, and images that cannot be read or have no class are left out."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from mmssl.datasets import ArraySource, Concat, EvalView, ImageDataset, ImageSource, UnreadableImageError, View
from mmssl.evaluation import (
    Features,
    FixedPart,
    RawPixels,
    Result,
    evaluate,
    extract_features,
    extract_views,
    has_labels,
    match_classes,
    probe_with_views,
)
from mmssl.evaluation.features import warn_once
from tests.evaluation.stand_ins import encoder
from tests.helpers.mutation import Mutation

ROWS = {'ape': 0, 'bee': 1, 'cat': 2, 'dog': 3, 'fox': 4}


def source(classes: Sequence[str], each: int = 8, labels: Sequence[int] | None = None) -> ArraySource:
    """Images with a bright row that says which class they show, class by class; no two are the same."""
    numbers = np.repeat(np.arange(len(classes)), each)
    array = np.full((len(numbers), 8, 8, 3), 20, np.uint8)
    for place, number in enumerate(numbers):
        array[place, ROWS[classes[number]]] = 200
        array[place, 7, place % each] = 60
    return ArraySource(array, numbers if labels is None else np.array(labels), classes)


def plain(images: ImageSource) -> ImageDataset:
    return ImageDataset(images, EvalView(8, 8))


class Broken(Concat):
    """Images of which some cannot be read."""

    def __init__(self, images: ImageSource, bad: Sequence[int]) -> None:
        super().__init__([images])
        self.bad = bad

    def load(self, index: int) -> torch.Tensor:
        if index in self.bad:
            raise UnreadableImageError(f'{self.name(index)} cannot be read')
        return super().load(index)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The warnings of this test."""
    warn_once.cache_clear()
    warnings: list[str] = []
    monkeypatch.setattr('mmssl.evaluation.features.print_log', lambda text, *_: warnings.append(text))
    return warnings


def top(gallery: ImageSource, query: ImageSource) -> tuple[Result, list[float]]:
    evaluation = {'gallery': plain(gallery), 'query': plain(query), 'knn': {'k': (5,)}}
    found = evaluate(RawPixels(), evaluation)
    return found, [found.measure(name).value for name in ('k-NN k=5', 'linear')]


def test_a_query_set_that_lacks_a_class_scores_as_the_same_images_do_with_all_classes(said: list[str]) -> None:
    found, accuracies = top(source(['ape', 'bee', 'cat', 'dog']), source(['ape', 'cat', 'dog']))
    assert accuracies == [100, 100]
    assert (found.notes, said) == ((), [])


def test_images_of_a_class_that_the_gallery_lacks_are_named_and_left_out(said: list[str]) -> None:
    found, accuracies = top(source(['bee', 'dog']), source(['ape', 'bee', 'cat', 'dog'], each=3))
    assert accuracies == [100, 100]
    assert found.query == 6
    (note,) = found.notes
    assert note == (
        '6 of 12 images of the query set are left out, since the training images do not have their class: ape, cat.'
    )
    assert said == [note]


def test_sets_without_a_common_class_are_refused() -> None:
    with pytest.raises(ValueError, match='no class in common: the query set has cat, dog, the other ape, bee'):
        top(source(['ape', 'bee']), source(['cat', 'dog']))


def test_images_without_a_class_are_left_out_of_accuracies_only(said: list[str]) -> None:
    labels = [0, 0, 0, 0, 0, 0, -1, -1, 1, 1, 1, 1, 1, 1, 1, -1]
    found, accuracies = top(source(['ape', 'bee'], labels=labels), source(['ape', 'bee'], labels=labels))
    assert accuracies == [100, 100]
    assert (found.gallery, found.query) == (13, 13)
    assert said == [
        '3 of 16 images of the gallery have no class and are left out.',
        '3 of 16 images of the query set have no class and are left out.',
    ]


def test_labels_of_minus_one_alone_are_no_labels() -> None:
    assert not has_labels(torch.tensor([-1, -1]))
    assert not evaluate(RawPixels(), {'gallery': plain(source(['ape'], labels=[-1] * 8))}).labelled


def test_classes_without_names_are_matched_by_number() -> None:
    images = source(['ape', 'bee', 'cat'])
    bare = ArraySource(images.images, images.labels)
    gallery, query = (extract_features(RawPixels(), plain(part)) for part in (images, bare))
    matched = match_classes(gallery, query)
    assert matched is not None
    assert torch.equal(matched.tensors[3], images.labels)


def test_unreadable_images_are_named_counted_and_have_no_row(said: list[str]) -> None:
    images = Broken(source(['ape', 'bee']), bad=(3, 9))
    found = extract_features(RawPixels(), plain(images))
    kept = [index for index in range(16) if index not in (3, 9)]
    assert found.indices.tolist() == kept
    assert torch.equal(found.labels, images.labels[kept])
    assert torch.equal(found.features, extract_features(RawPixels(), plain(images.parts[0])).features[kept])
    assert found.left_out == ('array[3]', 'array[9]')
    assert said == ['2 of 16 images cannot be read and are left out: array[3], array[9].']
    assert len(extract_views(RawPixels(), plain(images), views=1)[0]) == 14


def test_both_views_of_an_unreadable_image_are_left_out_of_retrieval() -> None:
    found = evaluate(RawPixels(), {'gallery': plain(source(['ape', 'bee']))}, plain(Broken(source(['ape']), bad=(2,))))
    assert found.measure('other view found').value == 100  # the image that replaced it would be there twice


def test_an_evaluation_notes_what_it_left_out() -> None:
    found, _ = top(Broken(source(['ape', 'bee']), bad=(0,)), Broken(source(['ape', 'bee']), bad=(15,)))
    assert (found.gallery, found.query) == (15, 15)
    assert [note.partition(':')[0] for note in found.notes] == [
        '1 of 16 images of the gallery cannot be read and are left out',
        '1 of 16 images of the query set cannot be read and are left out',
    ]


def test_a_monitor_leaves_unreadable_images_out_and_says_so_once(said: list[str]) -> None:
    part = FixedPart(plain(Broken(source(['ape', 'bee', 'cat']), bad=range(6))), batch_size=4)
    counts = [len(part.features(RawPixels(), 24, step)) for step in (0, 1)]
    assert counts == [18, 18]
    assert len(said) == 1


def test_the_fast_probe_on_views_matches_names_and_leaves_out_what_it_must(said: list[str]) -> None:
    labels = [0] * 8 + [1] * 7 + [-1]
    training = Broken(source(['bee', 'dog'], labels=labels), bad=(1,))
    found = probe_with_views(
        RawPixels(), ImageDataset(training, View(8)), plain(training), plain(source(['ape', 'bee', 'cat', 'dog'])), 2
    )
    assert found.top1 == 100
    assert any('ape, cat' in sentence for sentence in said)


def _kept_on_a_rank() -> list[int]:
    return extract_features(encoder(), plain(Broken(source(['ape', 'bee']), bad=(3, 9))), 4).indices.tolist()


def test_ranks_leave_out_the_same_images(ranks) -> None:
    assert ranks(3, _kept_on_a_rank) == [[0, 1, 2, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15]] * 3


def test_numbers_are_matched_with_classes_whose_names_are_numbers() -> None:
    gallery = Features(torch.zeros(3, 2), torch.tensor([0, 1, 2]), torch.arange(3), classes=['5', '88', '70123'])
    query = Features(torch.zeros(3, 2), torch.tensor([88, 5, 6]), torch.arange(3))
    assert match_classes(gallery, query).query.labels.tolist() == [1, 0]


MUTATIONS = [
    Mutation(
        'classes of two sets are compared by number',
        'mmssl/evaluation/classes.py',
        'known, more = in_classes_of(query, gallery.classes)',
        'known, more = in_classes_of(query, None)',
    ),
    Mutation(
        'images of an unknown class count as wrong',
        'mmssl/evaluation/classes.py',
        'classes=classes).rows(labels >= 0)',
        'classes=classes)',
    ),
    Mutation(
        'an image that replaced an unreadable one counts twice',
        'mmssl/evaluation/features.py',
        '    kept = unreadable < 0\n',
        '    kept = unreadable < unreadable + 1\n',
    ),
    Mutation(
        'views of unreadable images stay',
        'mmssl/evaluation/features.py',
        'found if (unreadable < 0).all() else found[unreadable < 0]',
        'found',
    ),
    Mutation(
        'ranks forget which images the others could not read',
        'mmssl/evaluation/features.py',
        "_NUMBERS = ('sample_idx', 'unreadable', 'gt_label')",
        "_NUMBERS = ('sample_idx', 'draw', 'gt_label')",
    ),
]
