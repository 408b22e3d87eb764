"""What a resumed run takes from its checkpoint, what from its config, and what it refuses."""

import shutil

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import MultiStepLR
from PIL import Image

from mmssl.checkpoint import CheckpointError
from mmssl.datasets import ImageFolder
from mmssl.engine.resuming import changed_options, told
from mmssl.models import NPID, MLPNeck
from mmssl.models.algorithms.base import build
from tests.helpers.mutation import Mutation
from tests.small import small_runner
from tests.training import CPU_CONFIGS, ROOT


class Rates(Hook):
    """Notes rate, decay and momentum of each iteration."""

    def before_train(self, runner):
        self.seen = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        group = runner.optim_wrapper.param_groups[0]
        self.seen[runner.iter] = [group[name] for name in ('lr', 'weight_decay', 'momentum')]


def rates(folder, **overrides):
    runner = small_runner(folder, **overrides)
    runner.register_hook(hook := Rates())
    runner.train()
    return hook.seen


@pytest.mark.parametrize('steps', [True, False])
def test_a_closed_form_schedule_follows_the_new_length(steps, tmp_path):
    schedule = {'param_scheduler__convert_to_iter_based': steps}
    rates(tmp_path / 'run', train_cfg__max_epochs=1, **schedule)
    resumed = rates(tmp_path / 'run', resume=True, train_cfg__max_epochs=4, **schedule)
    whole = rates(tmp_path / 'whole', train_cfg__max_epochs=4, **schedule)
    assert list(resumed) == list(range(5, 20)) and resumed == {step: whole[step] for step in resumed}


def test_new_settings_of_the_optimizer_are_used_and_the_others_stay(tmp_path):
    rates(tmp_path / 'run', train_cfg__max_epochs=1)
    new = {'optim_wrapper__optimizer__lr': 0.05, 'optim_wrapper__optimizer__weight_decay': 0.01}
    resumed = rates(tmp_path / 'run', resume=True, **new)
    whole = rates(tmp_path / 'whole', **new)
    assert resumed[5] == whole[5] and resumed[5][1:] == [0.01, 0.9] and list(resumed) == list(range(5, 10))


def test_a_schedule_of_mmengine_stays_where_it_ends_and_says_so_and_a_new_rate_scales_it(tmp_path, capsys):
    schedule = {'param_scheduler': {'type': MultiStepLR, 'milestones': [1], 'gamma': 0.1, '_delete_': True}}
    rates(tmp_path / 'run', train_cfg__max_epochs=1, **schedule)
    longer = {'train_cfg__max_epochs': 3, 'optim_wrapper__optimizer__lr': 0.2}
    resumed = rates(tmp_path / 'run', resume=True, **longer, **schedule)
    assert resumed[5][0] == pytest.approx(0.2) and resumed[14][0] == pytest.approx(0.2)
    assert 'MultiStepLR keeps the settings and the length that it has in the checkpoint' in capsys.readouterr().out


def test_what_changed_is_told_and_what_does_not_matter_is_not(tmp_path, capsys):
    rates(tmp_path / 'run', train_cfg__max_epochs=1)
    new = {'model__temperature': 0.2, 'train_dataloader__pin_memory': True}
    rates(tmp_path / 'run', resume=True, log_level='INFO', **new)
    (said,) = [line for line in capsys.readouterr().out.splitlines() if 'Changed since' in line]
    assert said.endswith(
        'INFO - Changed since the checkpoint, and used from here on: model.temperature (nothing -> 0.2), '
        'train_cfg.max_epochs (1 -> 2).'
    )


def test_a_config_that_did_not_change_has_no_changed_options():
    config = {'model': {'type': 'A', 'sizes': [1, {'b': 2}], 'empty': {}}, 'work_dir': 'a', 'train': {'num_workers': 1}}
    other = {'model': {'type': 'A', 'sizes': [1, {'b': 2}], 'empty': {}}, 'work_dir': 'b', 'train': {'num_workers': 2}}
    assert changed_options(config, other) == {}
    other['model']['sizes'] = [1, {'b': 3}, 4]
    assert changed_options(config, other) == {'model.sizes.1.b': (2, 3), 'model.sizes.2': ('nothing', 4)}
    assert told({f'a{number}': (1, 2) for number in range(10)}).endswith('a7 (1 -> 2) and 2 more.')


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (
            {'optim_wrapper__optimizer': {'type': 'Adam', '_delete_': True}},
            r'optimizer\.type was SGD .* it is now Adam',
        ),
        (
            {'optim_wrapper__accumulative_counts': 2},
            'accumulative_counts was nothing in the checkpoint, but it is now 2',
        ),
        (
            {'optim_wrapper__paramwise_cfg': {'custom_keys': {'backbone': {'lr_mult': 0.1}}}},
            'has other groups of parameters .*: resume with optim_wrapper.paramwise_cfg as before',
        ),
        ({'param_scheduler__convert_to_iter_based': False}, 'WarmupCosineLR counts epochs, but counted steps'),
        ({'param_scheduler': []}, 'The checkpoint has 1 schedule, but param_scheduler has 0'),
    ],
)
def test_what_cannot_be_followed_is_refused(options, sentence, tmp_path):
    small_runner(tmp_path, train_cfg__max_epochs=1).train()
    with pytest.raises(CheckpointError, match=sentence):
        small_runner(tmp_path, resume=True, **options).train()


def _images(root):
    """Overrides: a folder of images, made if it is not there."""
    if not root.is_dir():
        root.mkdir(parents=True)
        for number in range(24):
            Image.fromarray(np.full((16, 16, 3), 10 * number, np.uint8)).save(root / f'{number:02}.png')
    return {'train_dataloader__dataset__source': {'type': ImageFolder, 'root': str(root), '_delete_': True}}


def _npid(source):
    """Overrides: a method with a bank on these images."""
    backbone = {'type': 'ResNet', 'depth': 10, 'stem': 'small', 'base_channels': 8}
    neck = {'type': MLPNeck, 'in_channels': 64, 'hidden_channels': 16, 'out_channels': 8}
    parts = {'data_preprocessor': {'type': 'DataPreprocessor'}, 'backbone': backbone, 'neck': neck, 'bank': {'dim': 8}}
    model = {'type': NPID, **parts, 'num_negatives': 4, '_delete_': True}
    return {'model': model, 'train_dataloader__dataset__views__counts': [1], **source}


def test_rows_of_a_bank_are_not_given_to_other_images(tmp_path):
    small_runner(tmp_path / 'run', train_cfg__max_epochs=1, **_npid(_images(tmp_path / 'images'))).train()
    shutil.move(tmp_path / 'images', tmp_path / 'moved')
    small_runner(tmp_path / 'run', train_cfg__max_epochs=2, resume=True, **_npid(_images(tmp_path / 'moved'))).train()
    (tmp_path / 'moved/00.png').rename(tmp_path / 'moved/99.png')
    with pytest.raises(CheckpointError, match='FeatureBank holds a row for each image: resume with the same data'):
        small_runner(
            tmp_path / 'run', train_cfg__max_epochs=3, resume=True, **_npid(_images(tmp_path / 'moved'))
        ).train()


def test_a_method_without_rows_goes_on_with_other_images_and_says_so(tmp_path, capsys):
    small_runner(tmp_path / 'run', train_cfg__max_epochs=1, **_images(tmp_path / 'images')).train()
    (tmp_path / 'images/00.png').rename(tmp_path / 'images/99.png')
    small_runner(tmp_path / 'run', resume=True, **_images(tmp_path / 'images')).train()
    assert 'was made with other images than those of this run: it goes on with these' in capsys.readouterr().out


def test_memories_with_a_row_for_each_image_say_so():
    seen = set()
    for path in CPU_CONFIGS:
        for memory in build(Config.fromfile(ROOT / 'configs' / path).model).memories().values():
            memory.allocate(9973)
            has_rows = any(9973 in buffer.shape[:1] for buffer in memory.buffers())
            assert memory.per_image == has_rows, (path, type(memory))
            seen.add((type(memory).__name__, has_rows))
    assert {('FeatureBank', True), ('ClassTable', True), ('ClusterMemory', True), ('Queue', False)} <= seen


MUTATIONS = [
    Mutation(
        'rows of a bank are given to other images',
        'mmssl/engine/runner.py',
        'if images is None or self._images in (None, images):',
        'if True:',
    ),
    Mutation(
        'a schedule keeps the length of the checkpoint',
        'mmssl/engine/schedules.py',
        'super().load_state_dict({name: state_dict[name] for name in _POSITION})',
        'super().load_state_dict(state_dict)',
    ),
    Mutation(
        'the first step after a change has the old rate',
        'mmssl/engine/resuming.py',
        'schedule.set_values() if share is None else schedule.follow(share)',
        'pass',
    ),
    Mutation(
        'a new weight decay has no effect',
        'mmssl/engine/resuming.py',
        "elif not name.startswith('initial_'):",
        'elif False:',
    ),
]
