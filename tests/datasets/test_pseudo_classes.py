"""Batches of one image per pseudo-class: clean over all processes, the same at every division, resumed exactly."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmssl.datasets import (
    ArraySource,
    ImageDataset,
    PseudoClassSampler,
    RankBatchSampler,
    View,
    samplers,
    write_pseudo_classes,
)
from mmssl.engine import Runner
from mmssl.functional import count_clean_batches
from mmssl.models import BYOL, BarlowTwins, MoCo, SimCLR, SimSiam
from mmssl.testing import differences
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.small import small_config

CASES = golden('g_simclr/rank_batches.json')
LABELS = [3] * 20 + [7] * 5 + [0] * 9 + [12, 2] * 6 + [5] * 14  # six classes, 60 images
MODES = [{'strict': strict, 'shuffle': shuffle} for strict in (True, False) for shuffle in (True, False)]


def made(labels: Any = LABELS, batch_size: int = 4, epoch: int = 0, **settings: Any) -> PseudoClassSampler:
    sampler = PseudoClassSampler(range(len(labels)), labels, **settings)
    sampler.set_batch_size(batch_size)
    sampler.set_epoch(epoch)
    return sampler


def cut(sampler: PseudoClassSampler) -> list[list[int]]:
    """The whole global batches of an epoch, as images."""
    rows, size = [index for index, _ in sampler], sampler.batch_size
    return [rows[start : start + size] for start in range(0, len(rows) - size + 1, size)]


def duplicates(labels: Any, batch: list[int]) -> int:
    return len(batch) - len({labels[index] for index in batch})


@pytest.mark.parametrize('case', CASES, ids=lambda case: case['name'])
def test_as_released_the_batches_are_those_of_the_notebooks_in_every_epoch(case: dict) -> None:
    for epoch in (0, 3):
        sampler = made(case['labels'], case['batch_size'], epoch, strict=False, shuffle=False)
        assert len(sampler) == len(case['labels'])
        assert cut(sampler) == case['batches_drop_last']
        assert [duplicates(case['labels'], batch) for batch in cut(sampler)] == case['duplicates_per_batch']


@pytest.mark.parametrize('case', CASES, ids=lambda case: case['name'])
@pytest.mark.parametrize('shuffle', [True, False])
def test_strictly_every_batch_is_clean_and_no_more_could_be(case: dict, shuffle: bool) -> None:
    for epoch in range(5):
        batches = cut(made(case['labels'], case['batch_size'], epoch, shuffle=shuffle))
        assert len(batches) == case['strict_upper_bound_batches']
        assert all(duplicates(case['labels'], batch) == 0 for batch in batches)


@pytest.mark.parametrize('settings', MODES)
@pytest.mark.parametrize('batch_size', [1, 3, 4, 6])
def test_no_image_is_drawn_twice_in_an_epoch_and_draws_go_on_from_epoch_to_epoch(
    settings: dict, batch_size: int
) -> None:
    for epoch in range(3):
        sampler = made(batch_size=batch_size, epoch=epoch, **settings)
        images, draws = zip(*sampler)
        assert len(set(images)) == len(images) == len(sampler)
        assert draws == tuple(range(60 * epoch, 60 * epoch + len(images)))  # N is the number of images in every mode


@pytest.mark.parametrize('shuffle', [True, False])
def test_a_batch_of_as_many_images_as_classes_is_clean_while_every_class_has_images(shuffle: bool) -> None:
    for epoch in range(3):
        found = [duplicates(LABELS, batch) for batch in cut(made(LABELS, 6, epoch, strict=False, shuffle=shuffle))]
        assert found[:5] == [0] * 5 and 0 not in found[5:]


@pytest.mark.parametrize('strict', [True, False])
def test_a_shuffled_order_is_a_function_of_seed_and_epoch(strict: bool) -> None:
    orders = {(seed, epoch): tuple(made(seed=seed, epoch=epoch, strict=strict)) for seed in (0, 1) for epoch in (0, 1)}
    assert len({tuple(index for index, _ in order) for order in orders.values()}) == 4
    assert orders[1, 1] == tuple(made(seed=1, epoch=1, strict=strict))
    plain = [[index for index, _ in made(epoch=epoch, strict=strict, shuffle=False)] for epoch in (0, 1)]
    assert plain[0] == plain[1]


def test_the_images_that_strict_batches_leave_out_are_others_in_every_epoch() -> None:
    drawn = torch.zeros(60)
    for epoch in range(200):
        images = [index for index, _ in made(epoch=epoch)]
        assert len(images) == 4 * count_clean_batches(torch.tensor(LABELS), 4) < 60
        drawn[images] += 1
    for label in set(LABELS):
        of_class = drawn[torch.tensor(LABELS) == label]
        assert of_class.min() > 0.6 * of_class.max(), label
    rare = drawn[torch.tensor(LABELS) == 7].mean()
    assert rare > drawn[torch.tensor(LABELS) == 3].mean()  # the largest class is the one that gives way


def test_the_small_classes_are_spread_over_the_epoch() -> None:
    sizes = [40] * 10 + [4] * 10
    labels = torch.arange(20).repeat_interleave(torch.tensor(sizes)).tolist()
    gaps = []
    for epoch in range(5):
        batches = cut(made(labels, 10, epoch))
        places = [place for place, batch in enumerate(batches) if any(labels[index] == 15 for index in batch)]
        assert len(places) == 4
        gaps.append(places[-1] - places[0])
    assert max(gaps) > 10


@pytest.mark.parametrize('settings', MODES)
@pytest.mark.parametrize('start', [0, 12, 24])
@pytest.mark.parametrize(('world_size', 'batch_size'), [(1, 6), (2, 3), (3, 2), (6, 1)])
def test_every_division_gives_the_same_global_batches_from_every_start(
    monkeypatch: pytest.MonkeyPatch, world_size: int, batch_size: int, start: int, settings: dict
) -> None:
    labels = LABELS + [20] * 12
    whole = cut(made(labels, 6, 1, **settings))
    of_ranks = []
    for rank in range(world_size):
        monkeypatch.setattr(samplers, 'get_dist_info', lambda rank=rank: (rank, world_size))
        sampler = PseudoClassSampler(range(len(labels)), labels, **settings)
        batch_sampler = RankBatchSampler(sampler, batch_size)
        sampler.set_epoch(1)
        sampler.set_start(start)
        assert len(batch_sampler) == len(whole) - start // 6
        of_ranks.append(list(batch_sampler))
    joined = [[key for part in batch for key in part] for batch in zip(*of_ranks, strict=True)]
    assert [[index for index, _ in batch] for batch in joined] == whole[start // 6 :]
    assert joined[0][0][1] == len(labels) + start


def test_clusters_with_gaps_in_their_numbers_are_classes() -> None:
    sampler = made()
    assert sampler.labels.unique().tolist() == [0, 1, 2, 3, 4, 5]
    assert sampler.labels[[0, 20, 25, 34, 35]].tolist() == [2, 4, 0, 5, 1]


# Files


@pytest.fixture
def images() -> ImageDataset:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 8, 8, 3), dtype=np.uint8)
    return ImageDataset(ArraySource(pixels), View(8))


def test_labels_come_from_the_file_of_the_command_or_from_an_array(images: ImageDataset, tmp_path: Path) -> None:
    expected = list(made())
    write_pseudo_classes(tmp_path / 'classes.npz', torch.tensor(LABELS), images.source.fingerprint)
    np.save(tmp_path / 'classes.npy', np.array(LABELS, np.int32))
    for labels in (tmp_path / 'classes.npz', str(tmp_path / 'classes.npy'), np.array(LABELS)):
        sampler = PseudoClassSampler(images, labels)
        sampler.set_batch_size(4)
        assert list(sampler) == expected
    assert [path.name for path in sorted(tmp_path.iterdir())] == ['classes.npy', 'classes.npz']


def test_what_cannot_be_drawn_is_refused_in_one_sentence(images: ImageDataset, tmp_path: Path) -> None:
    def refused(labels: Any, said: str, batch_size: int = 1) -> None:
        with pytest.raises(ValueError, match=said) as error:
            PseudoClassSampler(images, labels).set_batch_size(batch_size)
        assert '\n' not in str(error.value)

    refused(LABELS[1:], 'pseudo-classes of 59 images, but the data set has 60: make those of this data set with  mmssl')
    refused([0.5] * 60, r'float64 of shape \(60,\) are no pseudo-classes: give one integer per image')
    refused(np.zeros((60, 1), int), r'int64 of shape \(60, 1\) are no pseudo-classes')
    refused(LABELS, r'7 images per batch .* there are 6 pseudo-classes: make 28 with  mmssl cluster .* 28, or', 7)
    path = tmp_path / 'classes.npz'
    refused(path, rf'no file {re.escape(str(path))} .* WORK_DIR --clusters NUMBER --out {re.escape(str(path))}')
    write_pseudo_classes(path, torch.tensor(LABELS), 'of other images')
    refused(path, 'as many images, but of other ones: make those of this data set with  mmssl cluster')
    np.savez(path, classes=np.array(LABELS))
    refused(path, 'cannot be read .*give the file that mmssl cluster writes')
    np.save(tmp_path / 'objects.npy', np.array([{}] * 60, object), allow_pickle=True)
    refused(tmp_path / 'objects.npy', 'cannot be read')
    path.write_bytes(b'PK\x03\x04 broken')
    refused(path, 'cannot be read')


# In a training


def config_of(folder: Path, **changes: Any) -> Config:
    """SimCLR on 40 images of eight classes, of which three are larger; batches of five images."""
    config = small_config(folder, 40, **changes)
    labels = [place % 8 if place < 24 else place % 3 for place in range(40)]
    config.train_dataloader.update(batch_size=5, sampler={'type': PseudoClassSampler, 'labels': labels})
    for part in ('prototypes', 'queue'):
        config.model.pop(part)
    config.model.update(type=SimCLR)
    return config


def test_a_run_that_stops_within_an_epoch_resumes_with_the_same_bits_and_only_with_the_same_classes(
    tmp_path: Path,
) -> None:
    saving = {'interval': 3, 'by_epoch': False, 'max_keep_ckpts': -1}
    config = config_of(tmp_path / 'whole')
    config.default_hooks.checkpoint.update(saving)
    runner = Runner.from_cfg(config)
    runner.train()
    assert runner.train_loop.iters_per_epoch == 7  # 35 of 40 images: classes of 9, 8, 8 and five of 3
    saved = tmp_path / 'whole/iter_9.pth'
    resumed = config_of(tmp_path / 'half', resume=True, load_from=str(saved))
    resumed.default_hooks.checkpoint.update(saving)
    Runner.from_cfg(resumed).train()
    assert differences(tmp_path / 'whole/epoch_2.pth', tmp_path / 'half/epoch_2.pth') == []
    other = config_of(tmp_path / 'other', resume=True, load_from=str(saved))
    other.train_dataloader.sampler.labels[0] = 5
    with pytest.raises(
        ValueError, match='made with sampler fingerprint [0-9a-f]+, but it is now [0-9a-f]+: resume with'
    ):
        Runner.from_cfg(other).train()


PREDICTOR = {'predictor': {'type': 'MLPNeck', 'in_channels': 8, 'hidden_channels': 8, 'out_channels': 8}}
HOSTS = [
    (MoCo, {'queue': {'length': 16, 'dim': 8}}),
    (BYOL, PREDICTOR),
    (SimSiam, PREDICTOR),
    (BarlowTwins, {}),
]


@pytest.mark.parametrize('host, parts', HOSTS, ids=lambda entry: getattr(entry, '__name__', ''))
def test_any_contrastive_host_may_use_the_sampler(host: type, parts: dict, tmp_path: Path) -> None:
    config = config_of(tmp_path, train_cfg__max_epochs=1)
    config.model.update(type=host, **parts)
    labels, seen = config.train_dataloader.sampler.labels, []
    runner = Runner.from_cfg(config)
    loss = host.loss

    def watched(model: Any, inputs: list, batch: Any) -> dict:
        seen.append(batch.sample_idx.tolist())
        return loss(model, inputs, batch)

    runner.model.loss = watched.__get__(runner.model)
    runner.train()
    assert len(seen) == 7 and all(duplicates(labels, batch) == 0 for batch in seen)


RESUME = {'g_simclr': "train_dataloader['sampler'].update(labels=[place % 28 for place in range(112)])"}

MUTATIONS = [
    Mutation(
        'a batch is clean on every rank, and not as a whole',
        'mmssl/datasets/samplers.py',
        'sampler.set_batch_size(self._global_size)',
        'sampler.set_batch_size(self.batch_size)',
    ),
    Mutation(
        'strict batches leave out the same images in every epoch',
        'mmssl/datasets/pseudo_classes.py',
        'batches = clean_batches(labels, order, self.batch_size)',
        'batches = clean_batches(labels, torch.arange(len(order)), self.batch_size)',
    ),
    Mutation(
        'the images of a small class come one batch after the other',
        'mmssl/datasets/pseudo_classes.py',
        'batches = batches[torch.randperm(len(batches), generator=generator)]',
        'pass',
    ),
    Mutation(
        'labels of other images are taken',
        'mmssl/datasets/pseudo_classes.py',
        'if images not in (None, getattr(',
        'if False and images not in (None, getattr(',
    ),
    Mutation(
        'a run resumes with other pseudo-classes',
        'mmssl/engine/loops.py',
        'return size if fingerprint is None else',
        'return size if True else',
    ),
]
