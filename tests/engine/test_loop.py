"""The loop: unreadable images, learning rates by the batch, where a run stands, and who gets its seed."""

import json
import math
import os
import re
import signal

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from PIL import ExifTags, Image

from mmssl.datasets import ArraySource, ImageFolder
from mmssl.engine import Runner, WarmupCosineLR
from mmssl.engine.hooks import ScheduleHook
from mmssl.functional import hash_seed, seed_cpu
from mmssl.testing import differences
from tests.helpers.mutation import Mutation
from tests.small import small_config, small_runner


def _images(folder, broken):
    folder.mkdir()
    for index in range(40):
        path = folder / f'{index:02d}.png'
        Image.fromarray(np.full((16, 16, 3), index, np.uint8)).save(path)
        if index < broken:
            path.write_bytes(path.read_bytes()[:30])
    return {'type': ImageFolder, 'root': str(folder)}


def _runner(tmp_path, broken, **overrides):
    source = _images(tmp_path / 'images', broken)
    return small_runner(tmp_path, train_dataloader__dataset__source={**source, '_delete_': True}, **overrides)


def test_an_image_that_cannot_be_read_is_named_and_replaced(tmp_path, capsys):
    runner = _runner(tmp_path, broken=1)
    runner.train()
    assert runner.iter == 10
    assert '00.png cannot be read; another image took its place (' in capsys.readouterr().out


def test_images_that_pillow_warns_of_are_named_and_counted(tmp_path, capsys):
    runner, exif = _runner(tmp_path, broken=0), Image.Exif()
    exif[ExifTags.Base.Make] = 'a maker of cameras'
    for name in ('03.png', '04.png'):
        image = Image.open(tmp_path / 'images' / name).convert('RGB')
        image.save(tmp_path / 'images' / name, 'JPEG', exif=exif.tobytes()[:-9])
    runner.train()
    said = capsys.readouterr().out
    assert '03.png is read, but Pillow warns of it' in said
    assert 'Pillow warned of 2 images, which may be damaged' in said


def test_too_many_unreadable_images_stop_the_run(tmp_path):
    with pytest.raises(ValueError, match=r'\d+ of \d+ images could not be read, more than 1%.*max_unreadable'):
        _runner(tmp_path, broken=20).train()


def test_the_limit_of_unreadable_images_can_be_raised(tmp_path):
    runner = _runner(tmp_path, broken=20, train_cfg__max_unreadable=0.8)
    runner.train()
    assert runner.iter == 10


def test_batches_in_which_there_is_nothing_to_compare_are_refused(tmp_path):
    with pytest.raises(ValueError, match='compares the images of a batch, but a batch has 1: set .*batch_size to 2 or'):
        small_runner(tmp_path, train_dataloader__batch_size=1).train()
    last = {'train_dataloader__batch_size': 3, 'train_dataloader__batch_sampler__drop_last': False}
    with pytest.raises(ValueError, match='the last one of an epoch has 1: set .*drop_last=True'):
        small_runner(tmp_path, **last).train()


def test_images_of_16_bits_are_not_normalised_as_8_bit_photographs_are(tmp_path):
    pixels = np.random.default_rng(0).normal(1750, 800, (40, 16, 16)).clip(0, 4095).astype(np.uint16)
    np.save(tmp_path / 'gray.npy', pixels)
    source = {'type': ArraySource, 'images': str(tmp_path / 'gray.npy'), '_delete_': True}
    runner = small_runner(tmp_path, train_dataloader__dataset__source=source)
    with pytest.raises(
        ValueError, match=r'16 bits, .* by a mean of \[123.675,.* set model.data_preprocessor.mean='
    ) as told:
        runner.train()
    numbers = dict(re.findall(r'model.data_preprocessor.(mean|std)=(\[\S+?\])', str(told.value)))
    typed = {f'model__data_preprocessor__{name}': json.loads(text) for name, text in numbers.items()}
    runner = small_runner(tmp_path, train_dataloader__dataset__source=source, **typed)
    runner.train()
    values = runner.algorithm.data_preprocessor._normalise(torch.from_numpy(pixels)[:, None].expand(-1, 3, -1, -1))
    assert abs(float(values.mean())) < 0.01 and float(values.std()) == pytest.approx(1, abs=0.01)


def test_the_learning_rate_is_scaled_with_all_images_of_a_step(tmp_path):
    scale = {'enable': True, 'base_batch_size': 64}
    runner = small_runner(tmp_path, auto_scale_lr=scale, optim_wrapper__accumulative_counts=2)
    runner.train()
    assert runner.param_schedulers[0].base_values == pytest.approx([0.1 * 16 / 64])


def test_the_rates_of_a_run_follow_the_schedule_by_steps_of_the_optimizer(tmp_path):
    runner = small_runner(tmp_path, optim_wrapper__accumulative_counts=2)
    rates = []
    step = runner.call_hook

    def noted(name, **more):
        if name == 'before_train_iter':
            rates.append(runner.optim_wrapper.optimizer.param_groups[0]['lr'])
        step(name, **more)

    runner.call_hook = noted
    runner.train()
    assert rates[:4] == pytest.approx([0.0, 0.0, 0.05, 0.05])  # a warm-up of one epoch, two steps
    assert rates[4:6] == pytest.approx([0.1, 0.1])


@pytest.mark.parametrize('with_hook', [True, False])
def test_data_set_algorithm_memories_and_sampler_get_the_seed_of_the_run(tmp_path, with_hook):
    config = small_config(tmp_path, randomness__seed=5, train_cfg__max_epochs=1)
    if not with_hook:
        config.default_hooks.pop('memory')
        config.model.pop('queue')
    runner = Runner.from_cfg(config)
    runner.train()
    memories = list(runner.algorithm.memories().values())
    assert bool(memories) == with_hook
    loader = runner.train_dataloader
    assert {part.seed for part in (loader.dataset, loader.batch_sampler.sampler, runner.algorithm, *memories)} == {5}


def test_the_data_set_learns_its_evaluation_view_from_the_evaluation_section_unless_it_has_one(tmp_path):
    for own, side in ((None, 16), ({'type': 'EvalView', 'resize': 10, 'crop': 10}, 10)):
        config = small_config(tmp_path)
        config.train_dataloader.dataset.plain_views = own
        dataset = Runner.from_cfg(config).build_train_loop(config.train_cfg).dataloader.dataset
        assert dataset.plain()[0]['inputs'][0].shape == (3, side, side)


def _watched(folder, **overrides):
    """Train; gives by iteration the samples of the batch, and what is drawn that belongs to none of them."""
    often = {
        'default_hooks__checkpoint__interval': 3,
        'default_hooks__checkpoint__by_epoch': False,
        'default_hooks__checkpoint__max_keep_ckpts': -1,
    }
    runner = small_runner(folder, **often, **overrides)
    seen, loss = {}, runner.algorithm.loss

    def watched(inputs, batch):
        seen[runner.iter] = (batch.sample_idx.tolist(), float(torch.rand(())))
        return loss(inputs, batch)

    runner.algorithm.loss = watched
    runner.train()
    return seen


def test_a_resumed_epoch_goes_on_with_the_samples_and_the_draws_of_the_whole_one(tmp_path):
    whole = _watched(tmp_path / 'whole')
    half = _watched(tmp_path / 'half', resume=True, load_from=str(tmp_path / 'whole/iter_3.pth'))
    assert list(whole) == list(range(10)) and list(half) == list(range(3, 10))
    assert half == {iteration: whole[iteration] for iteration in half}
    for iteration, (_, drawn) in whole.items():
        seed_cpu(hash_seed(0, iteration, 0))
        assert drawn == float(torch.rand(()))


class _Signal(Hook):
    """Sends this process a signal in its fourth iteration."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 3:
            os.kill(os.getpid(), signal.SIGUSR1)


def test_the_text_of_a_config_is_laid_out_once_and_again_only_where_it_has_changed(tmp_path, monkeypatch):
    laid_out = []
    monkeypatch.setattr('yapf.yapflib.yapf_api.FormatCode', lambda text, **_: (laid_out.append(text) or text, False))
    runner = small_runner(tmp_path, train_cfg__max_epochs=1)
    runner.train()
    assert len(laid_out) == 1 and 'max_epochs=1' in runner.cfg.pretty_text
    runner.cfg.train_cfg.max_epochs = 7
    assert 'max_epochs=7' in runner.cfg.pretty_text and len(laid_out) == 2


def test_a_signal_saves_where_no_checkpoint_is_due_and_ends_the_run(tmp_path):
    runner = small_runner(tmp_path, custom_hooks=[{'type': _Signal}])
    runner.train()
    assert runner.iter == 4 and [path.name for path in tmp_path.glob('*.pth')] == ['iter_4.pth']


def _iterations(folder, **overrides):
    """Train for 7 of the 10 iterations; gives the runner, and the rate and the scheduled value of each iteration."""
    rates, values = [], []

    class Watch(Hook):
        priority = 'LOWEST'

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            rates.append(runner.optim_wrapper.optimizer.param_groups[0]['lr'])
            values.append(runner.algorithm.temperature)

    curve = ScheduleHook('temperature', start=1.0, end=2.0, curve='linear')
    limit = {'train_cfg__max_epochs': None, 'train_cfg__max_iters': 7}
    runner = small_runner(folder, custom_hooks=[Watch(), curve], **{**limit, **overrides})
    runner.train()
    return runner, rates, values


def test_a_run_of_so_many_iterations_ends_within_an_epoch_and_its_schedules_with_it(tmp_path):
    runner, rates, values = _iterations(tmp_path / 'all', param_scheduler__warmup=0)
    assert (runner.iter, runner.max_iters, runner.max_epochs) == (7, 7, 2)
    assert values == pytest.approx([1 + step / 7 for step in range(7)])
    assert rates == pytest.approx([0.05 * (1 + math.cos(math.pi * step / 7)) for step in range(7)])
    steps = {'type': WarmupCosineLR, 'by_epoch': False, 'warmup': 2, '_delete_': True}
    _, rates, _ = _iterations(tmp_path / 'steps', param_scheduler=steps)
    assert rates[:3] == pytest.approx([0, 0.05, 0.1])
    assert rates[6] == pytest.approx(0.05 * (1 + math.cos(math.pi * 4 / 5)))


def test_trainings_on_sets_of_different_sizes_take_the_same_number_of_iterations_with_the_same_rates(tmp_path):
    _, expected, values = _iterations(tmp_path / '40', param_scheduler__warmup=0)
    for images, epochs in ((16, 4), (56, 1), (200, 1)):
        runner, rates, others = _iterations(tmp_path / str(images), num_samples=images, param_scheduler__warmup=0)
        assert (runner.iter, runner.max_epochs) == (7, epochs)
        assert rates == pytest.approx(expected) and others == pytest.approx(values)


def test_the_end_of_the_iterations_is_saved_and_a_longer_run_goes_on_from_there(tmp_path):
    first, *_ = _iterations(tmp_path)
    assert [path.name for path in sorted(tmp_path.glob('*.pth'))] == ['epoch_1.pth', 'epoch_2.pth']
    again, rates, _ = _iterations(tmp_path, resume=True)
    assert (again.iter, again.epoch, rates) == (7, first.epoch, [])
    longer, rates, _ = _iterations(tmp_path, resume=True, train_cfg__max_iters=9)
    assert longer.iter == 9 and len(rates) == 2


def test_a_run_of_iterations_that_is_resumed_within_an_epoch_ends_with_the_same_bits(tmp_path):
    often = {'default_hooks__checkpoint__interval': 3, 'default_hooks__checkpoint__by_epoch': False}
    _iterations(tmp_path / 'whole', **often)
    _iterations(tmp_path / 'half', resume=True, load_from=str(tmp_path / 'whole/iter_6.pth'), **often)
    assert differences(tmp_path / 'whole/epoch_2.pth', tmp_path / 'half/epoch_2.pth') == []


def test_of_epochs_and_iterations_the_smaller_number_counts_and_steps_stay_whole(tmp_path):
    both = {'train_cfg__max_epochs': 1, 'train_cfg__max_iters': 7}
    runner, *_ = _iterations(tmp_path / 'epochs', **both)
    assert (runner.iter, runner.epoch) == (5, 1)
    runner, *_ = _iterations(tmp_path / 'steps', optim_wrapper__accumulative_counts=2)
    assert (runner.iter, runner.max_iters) == (6, 6)  # epochs of 4
    with pytest.raises(ValueError, match='accumulative_counts is 2, but the run has 1 batches: set it to 1 or less'):
        _iterations(tmp_path / 'none', optim_wrapper__accumulative_counts=2, train_cfg__max_iters=1)


MUTATIONS = [
    Mutation(
        'a config that has changed has its old text',
        'mmssl/engine/runner.py',
        "('',))[0] != entries:",
        "('',))[0] == '':",
        'tests/engine/test_loop.py -k laid_out',
    ),
    Mutation(
        'a run of iterations ends with its epoch',
        'mmssl/engine/loops.py',
        'return self.share_done >= 1',
        'return self.budget is not None and self.share_done >= 1',
        'tests/engine/test_loop.py -k iterations',
    ),
    Mutation(
        'schedules end with the epoch instead of the last iteration',
        'mmssl/engine/loops.py',
        'self.planned_epochs = self._max_steps / self._steps',
        'self.planned_epochs = self.max_epochs',
        'tests/engine/test_loop.py -k iterations',
    ),
    Mutation(
        '16-bit images are normalised by numbers of 8-bit ones',
        'mmssl/engine/runner.py',
        "        _check_normalisation(dataset, getattr(self.algorithm, 'data_preprocessor', None))\n",
        '',
    ),
    Mutation(
        'the seed of the run reaches nobody',
        'mmssl/engine/runner.py',
        'part.seed = self.seed',
        'pass',
    ),
    Mutation(
        'an iteration is not seeded',
        'mmssl/engine/loops.py',
        '        _seed_iteration(self.runner.seed, self._iter)\n',
        '',
        'tests/engine/test_loop.py -k resumed',
    ),
    Mutation(
        'a resumed epoch starts at its beginning',
        'mmssl/engine/loops.py',
        'sampler.set_start(self.samples_seen)',
        'sampler.set_start(0)',
        'tests/engine/test_loop.py -k resumed',
    ),
    Mutation(
        'a signal ends the run without a checkpoint',
        'mmssl/engine/hooks/checkpoint_hook.py',
        'if runner.train_loop.interrupted:',
        'if False:',
        'tests/engine/test_loop.py -k signal',
    ),
]
