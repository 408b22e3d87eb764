"""Pre-training on a folder, in one call."""

import time

import numpy as np
import pytest
from PIL import Image

import mmssl
from mmssl.apis import training
from mmssl.apis.training import Plan, fit_to_time, folder_config
from mmssl.datasets import ImageFolder, Subset
from mmssl.registry import DATASETS
from tests.helpers.mutation import Mutation


@pytest.fixture
def folder(tmp_path):
    generator = np.random.default_rng(0)
    for number in range(40):
        path = tmp_path / 'images' / 'ab'[number % 2] / f'{number}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(path)
    return tmp_path / 'images'


@pytest.mark.slow
def test_a_folder_becomes_a_model_that_gives_features(folder, tmp_path):
    model = mmssl.train_from_folder(folder, minutes=0.05, work_dir=tmp_path / 'run')
    assert list((tmp_path / 'run').glob('epoch_*.pth'))
    untrained = mmssl.get_model('simclr_resnet18_1xb128_cpu_60e_folder')
    features = mmssl.extract_features(model, folder).features
    assert features.shape == (40, model.backbone.out_channels) and not model.training
    assert not features.allclose(mmssl.extract_features(untrained, folder).features)


def test_16_bit_images_are_normalised_by_their_own_statistics(folder):
    before = folder_config(folder).model.data_preprocessor
    assert before.mean == [123.675, 116.28, 103.53]
    for number, path in enumerate(folder.rglob('*.png')):
        Image.fromarray(np.full((8, 8), 1000 + 1500 * (number % 2), np.uint16)).save(path)
    after = folder_config(folder).model.data_preprocessor
    assert (after.mean, after.std) == ([1750.0] * 3, [750.0] * 3)


def test_too_few_images_are_refused_before_anything_is_written(folder, tmp_path):
    for path in list(folder.rglob('*.png'))[:20]:
        path.unlink()
    with pytest.raises(ValueError, match=r'20 images in .*: pre-training needs 32 or more'):
        mmssl.train_from_folder(folder, work_dir=tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('minutes', [0, -1, float('nan')])
def test_no_time_at_all_is_refused_with_what_to_give(folder, tmp_path, minutes):
    with pytest.raises(ValueError, match=r'give a time above 0'):
        mmssl.train_from_folder(folder, minutes=minutes, work_dir=tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
    ('minutes', 'images', 'steps'),
    [(1, 40, 30), (100, 40, 1000), (0.001, 20, 1)],
    ids=['fits', 'the maximum of draws', 'no time for each image'],
)
def test_the_plan_follows_from_time_and_images(folder, monkeypatch, minutes, images, steps):
    monkeypatch.setattr(training, '_seconds_per_step', lambda *_: 2.0)  # 40 images are 2 steps of 20
    monkeypatch.setattr(training.time, 'monotonic', lambda: 0.0)
    config = folder_config(folder)
    plan = fit_to_time(config, minutes)
    assert (plan.images, plan.steps, config.train_dataloader.dataset.source.num) == (images, steps, images)
    assert plan.draws_per_image == steps * 20 / images
    assert plan.training_minutes == pytest.approx(steps * 2 / 60)
    loop = config.train_cfg
    assert (loop.max_epochs, loop.minutes, loop.seconds_spent, loop.seconds_after) == (500, minutes, 0, 0)
    assert config.param_scheduler.warmup == 50  # a tenth of the run


def test_time_that_is_over_and_time_for_the_work_afterwards_are_no_time_for_steps(folder, monkeypatch):
    monkeypatch.setattr(training, '_seconds_per_step', lambda *_: 2.0)
    monkeypatch.setattr(training.time, 'monotonic', lambda: 0.0)
    config = folder_config(folder)
    assert fit_to_time(config, minutes=1, spent=10, after=30).steps == 10
    assert (config.train_cfg.seconds_spent, config.train_cfg.seconds_after) == (10, 30)


@pytest.mark.parametrize(
    ('side', 'purpose', 'grid'),
    [
        (300, 'detection', 5),
        (300, 'segmentation', 5),
        (120, 'detection', 4),
        (32, 'detection', 1),
        (300, 'features', 1),
    ],
)
def test_detectors_and_segmenters_learn_from_tiles_no_smaller_than_a_view(folder, side, purpose, grid):
    for path in folder.rglob('*.png'):
        Image.fromarray(np.zeros((side, side + 20, 3), np.uint8)).save(path)
    config = folder_config(folder, purpose=purpose)
    source = DATASETS.build(config.train_dataloader.dataset.source)
    assert len(source) == 40 * grid**2 and config.train_dataloader.batch_size == min(20 * grid**2, 128)
    assert min(source.load(0).shape[1:]) >= min(side, 48)
    assert config.evaluation.gallery.source.source.type is training.ShrunkImages  # whole images are measured


def test_of_more_images_than_there_is_time_to_decode_some_are_drawn(folder, monkeypatch):
    monkeypatch.setattr(training, '_IN_ANY_CASE', 4)
    monkeypatch.setattr(training.os, 'cpu_count', lambda: 2)
    source = {'type': ImageFolder, 'root': str(folder)}
    clock = iter([0.0, 32.0, 0.0, 32.0])  # 32 images in 32 seconds, by one of two cores
    monkeypatch.setattr(training.time, 'monotonic', lambda: next(clock))
    assert training._decodable(source, 1) == {'type': Subset, 'source': source, 'num': 24}
    assert training._decodable(source, 2) == source


def test_checkpoints_are_written_ten_times_though_one_epoch_is_the_whole_run(folder, monkeypatch):
    monkeypatch.setattr(training, '_seconds_per_step', lambda *_: 2.0)
    monkeypatch.setattr(training.time, 'monotonic', lambda: 0.0)
    config = folder_config(folder)
    fit_to_time(config, 2)
    assert (config.default_hooks.checkpoint.by_epoch, config.default_hooks.checkpoint.interval) == (False, 6)


def test_one_unreadable_image_of_few_never_ends_a_run(folder):
    assert folder_config(folder).train_cfg.max_unreadable == 1.5 / 40


def test_a_plan_of_tiles_counts_photographs_too(folder, monkeypatch):
    for path in folder.rglob('*.png'):
        Image.fromarray(np.zeros((300, 320, 3), np.uint8)).save(path)
    monkeypatch.setattr(training, '_seconds_per_step', lambda *_: 2.0)
    monkeypatch.setattr(training.time, 'monotonic', lambda: 0.0)
    plan = fit_to_time(folder_config(folder, purpose='detection'), minutes=1)
    assert '; 1,000 tiles of 40 images, 30 steps of 128, 3.84 draws per tile; ' in str(plan)
    assert plan.photographs == 40


def test_the_plan_says_what_will_be_done_and_whether_it_can_teach_anything():
    settings = {'method': 'SimCLR', 'network': 'ResNet-18', 'resolution': 48, 'available': 4000, 'batch_size': 128}
    plan = Plan(**settings, images=3200, steps=1000, seconds_per_step=0.3, minutes=6)
    assert str(plan) == (
        'Plan: SimCLR, ResNet-18 at 48 pixels; 3,200 of 4,000 images, 1,000 steps of 128, 40 draws per image; '
        'about 5.0 minutes of training.'
    )
    short = Plan(**settings, images=4000, steps=100, seconds_per_step=0.3, minutes=1)
    assert 'it takes 500 steps, here 3 minutes in all' in str(short)


def test_steps_are_timed_also_on_a_folder_of_two_batches(folder, monkeypatch):
    taken = []
    monkeypatch.setattr(mmssl.models.SimCLR, 'train_step', lambda *_: taken.append(time.sleep(0.05)))
    config = folder_config(folder)
    config.train_dataloader.update(num_workers=0, persistent_workers=False)
    dataset = DATASETS.build(config.train_dataloader.dataset)
    assert 0.05 < training._seconds_per_step(config, dataset) < 0.5
    assert len(taken) == 15


MUTATIONS = [
    Mutation(
        'detectors learn from whole photographs',
        'mmssl/apis/training.py',
        'if purpose in _DENSE else shrunk',
        'if False else shrunk',
        'tests/apis/test_training.py -k detectors_and_segmenters',
    ),
    Mutation(
        'the warm-up of a run of so many minutes is next to nothing',
        'mmssl/apis/training.py',
        'cfg.param_scheduler.warmup *= _MOST_DRAWS / cfg.train_cfg.max_epochs',
        'cfg.param_scheduler.warmup *= 1',
        'tests/apis/test_training.py -k the_plan_follows',
    ),
    Mutation(
        'a plan forgets the time that is over',
        'mmssl/apis/training.py',
        '(minutes * 60 - spent - after) / seconds',
        '(minutes * 60 - after) / seconds',
        'tests/apis/test_training.py -k time_that_is_over',
    ),
]
