"""Rows cut over the processes: saved in parts, cut anew, and never mixed with those of another checkpoint."""

import pytest
import torch
from torch import nn

from mmssl.checkpoint import delete_checkpoint, latest_checkpoint, read_checkpoint, write_checkpoint
from mmssl.engine import Runner
from mmssl.engine.shards import own_part, restore_rows, write_part
from mmssl.functional import gather, rank, shard_of, world_size
from mmssl.models import ClassTable, InstanceClassification
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Smooth
from tests.small import small_config

NUM = 11
PROGRESS = {'epoch': 1, 'samples_seen': 0}


def _model(num_samples=NUM):
    model = InstanceClassification(Smooth(), nn.Linear(8, 5), {'dim': 5, 'start': 'random', 'num_hard': 2}, 0.1, 0.2)
    model.allocate(num_samples)
    return model


def _whole(seed):
    generator = torch.Generator().manual_seed(seed)
    numbers = [torch.randn(NUM, 5, generator=generator) for _ in range(2)]
    return *numbers, torch.randint(NUM, (NUM, 2), generator=generator).int()


def save(path, seed=0, progress=PROGRESS):
    """Fill this rank's part of the table and save it."""
    model = _model()
    first, length = shard_of(NUM, rank(), world_size())
    for name, rows in zip(ClassTable.sharded, _whole(seed)):
        getattr(model.table, name).copy_(rows[first : first + length])
    part = own_part(model, progress)
    write_part(part, path)
    if rank() == 0:
        write_checkpoint({'meta': {'progress': progress}, 'part': part}, path)


def load(path, num_samples=NUM):
    """Read this rank's part, and give the whole table."""
    model = _model(num_samples)
    restore_rows(model, read_checkpoint(path), path)
    return [gather(getattr(model.table, name)).clone() for name in ClassTable.sharded]


@pytest.mark.parametrize('now', [3, 2, 1])
@pytest.mark.parametrize('before', [3, 1])
def test_what_some_processes_saved_others_resume_and_nothing_is_lost(before, now, ranks, tmp_path):
    path = tmp_path / 'epoch_1.pth'
    ranks(before, save, path)
    assert len(list(tmp_path.iterdir())) == before
    for tables in ranks(now, load, path):
        for found, wanted in zip(tables, _whole(0)):
            assert torch.equal(found, wanted)


def test_a_checkpoint_without_one_of_its_parts_is_passed_over(ranks, tmp_path):
    ranks(3, save, tmp_path / 'epoch_1.pth')
    ranks(3, save, tmp_path / 'epoch_2.pth')
    assert latest_checkpoint(tmp_path)[0].name == 'epoch_2.pth'
    (tmp_path / 'epoch_2.pth.2of3').unlink()
    assert latest_checkpoint(tmp_path)[0].name == 'epoch_1.pth'
    with pytest.raises(RuntimeError, match=r'epoch_2.pth.2of3 is not a file'):
        ranks(2, load, tmp_path / 'epoch_2.pth')


def test_parts_of_two_checkpoints_are_not_mixed(ranks, tmp_path):
    ranks(2, save, tmp_path / 'epoch_1.pth')
    ranks(2, save, tmp_path / 'epoch_2.pth', 0, {'epoch': 2, 'samples_seen': 0})
    (tmp_path / 'epoch_2.pth.1of2').replace(tmp_path / 'epoch_1.pth.1of2')
    with pytest.raises(RuntimeError, match='1of2 is a part of another checkpoint than'):
        ranks(1, load, tmp_path / 'epoch_1.pth')


def test_a_table_of_other_data_is_refused(tmp_path):
    save(tmp_path / 'epoch_1.pth')
    with pytest.raises(ValueError, match=r'table.rows of shape \(11, 5\) instead of \(12, 5\)'):
        load(tmp_path / 'epoch_1.pth', 12)


def test_a_checkpoint_is_deleted_with_its_parts_and_others_stay(ranks, tmp_path):
    ranks(3, save, tmp_path / 'epoch_1.pth')
    ranks(2, save, tmp_path / 'epoch_10.pth')
    delete_checkpoint(tmp_path / 'epoch_1.pth')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['epoch_10.pth', 'epoch_10.pth.1of2']


def _runner(work_dir, **more):
    interval = {'default_hooks__checkpoint__interval': 3, 'default_hooks__checkpoint__by_epoch': False}
    config = small_config(work_dir, **interval, default_hooks__checkpoint__max_keep_ckpts=-1, **more)
    for name in ('prototypes', 'queue'):
        del config.model[name]
    config.model.update(type=InstanceClassification, table={'dim': 8, 'num_hard': 3}, smoothing=0.2)
    return Runner.from_cfg(config)


def test_a_resumed_training_goes_on_with_the_same_table(tmp_path):
    whole, checkpoint = _runner(tmp_path / 'whole'), str(tmp_path / 'whole/iter_6.pth')
    whole.train()
    half = _runner(tmp_path / 'half', load_from=checkpoint, resume=True)
    half.train()
    for name in ClassTable.sharded:
        assert torch.equal(getattr(whole.algorithm.table, name), getattr(half.algorithm.table, name))
    assert whole.algorithm.table.velocity.abs().sum() > 0
    saved = read_checkpoint(checkpoint)['part']['rows']['table.rows']
    assert not torch.equal(saved, whole.algorithm.table.rows)  # the later epoch has moved them


def test_weights_are_loaded_with_their_table(tmp_path):
    first = _runner(tmp_path / 'first', train_cfg__max_epochs=1)
    first.train()
    path = str(tmp_path / 'first/epoch_1.pth')
    second = _runner(tmp_path / 'second')
    second.algorithm.allocate(40)
    second.load_checkpoint(path)
    assert torch.equal(second.algorithm.table.rows, first.algorithm.table.rows)


MUTATIONS = [
    Mutation(
        'the velocity of the class table is not saved',
        'mmssl/models/memories/class_table.py',
        "sharded = ('rows', 'velocity', 'hard')",
        "sharded = ('rows', 'hard')",
    ),
    Mutation(
        'a checkpoint whose parts are missing counts as readable',
        'mmssl/checkpoint.py',
        '    read_parts(content, path)\n    return content',
        '    return content',
    ),
    Mutation(
        'resumed rows begin at the wrong class',
        'mmssl/engine/shards.py',
        'start += len(piece)',
        'start += 1',
    ),
]
