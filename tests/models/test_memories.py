"""Memories: rings, epochs, skipped steps, and equal copies on every rank."""

import pytest
import torch
from torch import nn

from mmssl.datasets import Batch
from mmssl.functional import unit
from mmssl.models import BaseMemory, DomainQueue, EMATeacher, FeatureBank, FirstValue, MoCo, Queue
from mmssl.models.memories.base import build_memory
from mmssl.registry import MEMORIES
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Passing


def _filled(queue, *batches):
    for batch in batches:
        queue.stage(torch.as_tensor(batch, dtype=torch.float32).view(-1, 1))
        queue.commit()
    return queue


def _oldest_first(queue):
    return queue.rows.roll(-int(queue.head), dims=0).flatten().tolist()


def test_the_newest_rows_replace_the_oldest_for_any_batch_size():
    queue = _filled(Queue(5, 1), [1, 2], [3, 4], [5, 6])
    assert _oldest_first(queue) == [2, 3, 4, 5, 6]
    assert _oldest_first(_filled(queue, [7])) == [3, 4, 5, 6, 7]


def test_a_batch_longer_than_the_queue_leaves_its_last_rows():
    assert _oldest_first(_filled(Queue(3, 1), [1, 2], range(10, 20))) == [17, 18, 19]


def test_a_queue_is_full_once_every_row_holds_data():
    queue = _filled(Queue(4, 1), [1, 2, 3])
    assert not queue.full
    assert _filled(queue, [4]).full


def test_nothing_is_written_before_the_commit_nor_after_a_discard():
    queue = Queue(2, 1)
    queue.stage(torch.ones(2, 1))
    assert not queue.rows.any()
    queue.discard()
    queue.commit()
    assert not queue.rows.any() and not queue.filled


def test_rows_of_early_epochs_are_not_taken():
    queue = Queue(2, 1, start_epoch=3)
    queue.epoch = 2
    assert not _filled(queue, [1, 2]).filled
    queue.epoch = 3
    assert _filled(queue, [1, 2]).full


def test_staged_rows_carry_no_gradient():
    queue = Queue(2, 1)
    queue.stage(torch.ones(2, 1, requires_grad=True))
    queue.commit()
    assert not queue.rows.requires_grad


def test_a_queue_longer_than_the_data_is_refused_with_the_length_that_works():
    with pytest.raises(ValueError, match=r'100 rows.*64 images.*64 or less'):
        Queue(100, 8).allocate(64)


def test_a_restored_queue_goes_on_where_it_was():
    queue, other = _filled(Queue(4, 1), [1, 2, 3]), Queue(4, 1)
    other.load_state_dict(queue.state_dict())
    assert _oldest_first(_filled(other, [4, 5])) == _oldest_first(_filled(queue, [4, 5]))


def _keep(queue, rows, domains, samples=None):
    rows = torch.as_tensor(rows, dtype=torch.float32).view(len(domains), -1)
    queue.stage(rows, torch.tensor(domains), torch.arange(len(domains)) if samples is None else torch.tensor(samples))
    queue.commit()
    return queue


def test_every_domain_has_a_ring_of_its_own_that_starts_empty():
    queue = DomainQueue(3, 1, num_domains=2)
    assert not queue.usable(torch.tensor([5])).any()
    _keep(queue, [1, 2, 3], [1, 0, 1], samples=[10, 20, 30])
    assert queue.rows[..., 0].tolist() == [[2, 0, 0], [1, 3, 0]] and queue.heads.tolist() == [1, 2]
    assert queue.indices.tolist() == [[20, -1, -1], [10, 30, -1]]
    _keep(queue, [4, 5], [1, 1], samples=[40, 50])
    assert queue.rows[..., 0].tolist() == [[2, 0, 0], [5, 3, 4]] and queue.heads.tolist() == [1, 1]


def test_only_rows_that_are_there_and_of_other_images_are_usable():
    queue = _keep(DomainQueue(2, 1, num_domains=2), [1, 2, 3], [0, 1, 1], samples=[7, 8, 7])
    usable = queue.usable(torch.tensor([7, 8, 9]))
    assert usable.tolist() == [
        [[False, False], [True, False]],
        [[True, False], [False, True]],
        [[True, False], [True, True]],
    ]


def test_of_a_batch_longer_than_the_queue_the_last_rows_of_each_domain_stay():
    queue = _keep(DomainQueue(2, 1, num_domains=2), range(10), [0, 0, 0, 1, 0, 0, 1, 1, 0, 1])
    assert queue.rows[..., 0].sort().values.tolist() == [[5, 8], [7, 9]] and queue.heads.tolist() == [0, 0]
    assert torch.equal(queue.rows[..., 0].long(), queue.indices)
    _keep(queue, [11], [0])
    assert sorted(queue.rows[0, :, 0].tolist()) == [8, 11]


def test_a_domain_that_a_batch_lacks_keeps_its_rows_and_a_discard_keeps_all():
    queue = _keep(DomainQueue(2, 1, num_domains=2), [1, 2], [0, 1])
    _keep(queue, [3], [1])
    assert queue.rows[..., 0].tolist() == [[1, 0], [2, 3]]
    queue.stage(torch.ones(1, 1), torch.tensor([0]), torch.tensor([0]))
    queue.discard()
    queue.commit()
    assert queue.rows[..., 0].tolist() == [[1, 0], [2, 3]]


def test_with_one_domain_it_is_the_queue_of_moco():
    queue, other = Queue(5, 1), DomainQueue(5, 1, num_domains=1)
    for batch in ([1, 2], [3, 4], [5, 6], range(10, 20)):
        _filled(queue, batch)
        _keep(other, list(batch), [0] * len(batch))
        assert torch.equal(other.rows[0], queue.rows) and other.heads[0] == queue.head


@pytest.mark.parametrize(
    ('length', 'counts', 'per_batch', 'message'),
    [
        (2, {'photo': 9, 'sketch': 9, 'art': 9}, 1, r'for 2 domains, but the images have 3 \(photo, sketch, art\)'),
        (8, {'photo': 9, 'sketch': 7}, 1, r"8 rows per domain, but 'sketch' has 7 images: .* 7 or less"),
        (4, {'photo': 9, 'sketch': 7}, 5, r'5 images of each domain, but a queue holds 4 rows .* 5 or more'),
    ],
)
def test_domains_and_batches_that_the_queues_do_not_fit_are_refused(length, counts, per_batch, message):
    queue = DomainQueue(length, 1, num_domains=2)
    queue.check_domains({'photo': length, 'sketch': length + 1}, length)
    with pytest.raises(ValueError, match=message):
        queue.check_domains(counts, per_batch)


def test_queues_that_are_together_longer_than_the_data_are_refused_with_the_length_that_works():
    DomainQueue(20, 1, num_domains=3).allocate(60)
    with pytest.raises(ValueError, match=r'3 queues of 21 rows.*60 images.*20 or less'):
        DomainQueue(21, 1, num_domains=3).allocate(60)
    with pytest.raises(ValueError, match='length=0: set it to a whole number of at least 1'):
        DomainQueue(0, 1, num_domains=3)


def _fill_domains_on_ranks(sizes):
    queue, rank = DomainQueue(4, 2, num_domains=3), torch.distributed.get_rank()
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        parts = torch.randn(12, 2, generator=generator), torch.randint(3, (12,), generator=generator), torch.arange(12)
        queue.stage(*(part.split(sizes)[rank] for part in parts))
        queue.commit()
    return queue.state_dict(), queue.ranks_agree()


def test_every_rank_holds_the_queues_of_one_process_whatever_domains_its_batches_have(ranks):
    ((state, _),) = ranks(1, _fill_domains_on_ranks, [12])
    assert len(set(state['heads'].tolist())) > 1 and (state['indices'] >= 0).all()
    for sizes in ([6, 6], [12, 0], [5, 4, 3]):
        for rank_state, agree in ranks(len(sizes), _fill_domains_on_ranks, sizes):
            assert agree and all(torch.equal(rank_state[name], value) for name, value in state.items())


def _fill_on_ranks(sizes):
    queue, rank = Queue(7, 2), torch.distributed.get_rank()
    for step in range(3):
        queue.stage((torch.arange(24.0).view(12, 2) + 100 * step).split(sizes)[rank])
        queue.commit()
    return queue.rows, queue.head, queue.ranks_agree()


def test_every_rank_holds_the_queue_of_one_process_also_with_unequal_batches(ranks):
    queue = Queue(7, 2)
    for step in range(3):
        queue.stage(torch.arange(24.0).view(12, 2) + 100 * step)
        queue.commit()
    for sizes in ([6, 6], [12, 0], [5, 4, 3]):
        for rows, head, agree in ranks(len(sizes), _fill_on_ranks, sizes):
            assert torch.equal(rows, queue.rows) and head == queue.head and agree


def _part_ranks():
    queue = Queue(4, 2)
    if torch.distributed.get_rank() == 1:
        queue.rows[2, 1] = 1e-30
    return queue.ranks_agree()


def test_memories_that_have_parted_are_noticed_on_every_rank(ranks):
    assert ranks(2, _part_ranks) == [False, False]


def test_a_bank_row_is_the_moving_average_of_the_reference():
    case = golden('baselines/simple_memory.npz')
    bank = _bank(case['bank0'], momentum=1 - float(case['momentum']))
    for step in range(3):
        bank.stage(case[f's{step}_idx'], unit(case[f's{step}_feat']))
        bank.commit()
        torch.testing.assert_close(bank.rows, case[f's{step}_bank'])


def _bank(rows, **settings):
    bank = FeatureBank(rows.shape[1], **settings)
    bank.allocate(len(rows))
    bank.rows = rows.clone()
    return bank


def test_momentum_weighs_the_old_row():
    bank = _bank(torch.tensor([[1.0, 0.0]]), momentum=0.8)
    bank.stage(torch.tensor([0]), torch.tensor([[0.0, 1.0]]))
    bank.commit()
    torch.testing.assert_close(bank.rows, unit(torch.tensor([[0.8, 0.2]])))


def test_of_a_sample_that_occurs_twice_the_last_occurrence_counts():
    bank = _bank(torch.zeros(3, 2), momentum=0.0, num_neighbors=1)
    rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    bank.stage(torch.tensor([1, 2, 1]), rows, torch.tensor([[0], [1], [2]]))
    bank.commit()
    assert bank.rows.tolist() == [[0, 0], [-1, 0], [0, 1]]
    assert bank.neighbors.flatten().tolist() == [0, 2, 1]


def test_a_bank_learns_nothing_before_the_commit_nor_after_a_discard():
    bank = _bank(torch.zeros(3, 2))
    bank.stage(torch.tensor([1]), torch.ones(1, 2))
    assert not bank.rows.any()
    bank.discard()
    bank.commit()
    assert not bank.rows.any()


def test_the_first_rows_depend_on_the_seed_alone_and_have_an_expected_length_of_one():
    banks = [FeatureBank(128) for _ in range(3)]
    banks[2].seed = 1
    for bank in banks:
        torch.rand(5)
        bank.allocate(500)
    assert torch.equal(banks[0].rows, banks[1].rows) and not torch.equal(banks[0].rows, banks[2].rows)
    assert float(banks[0].rows.abs().max()) <= golden('invp/schedules.json')['bank_init_uniform_bound']
    assert float(banks[0].rows.square().sum(dim=1).mean()) == pytest.approx(1, abs=0.02)


def test_a_bfloat16_bank_takes_half_the_memory_and_holds_rounded_rows():
    bank = FeatureBank(8, momentum=0.5, dtype='bfloat16')
    bank.allocate(10)
    rows = unit(torch.randn(2, 8))
    old = bank.rows[:2].float()
    bank.stage(torch.tensor([0, 1]), rows)
    bank.commit()
    assert bank.rows.element_size() == 2
    assert torch.equal(bank.rows[:2], unit(0.5 * old + 0.5 * rows).bfloat16())
    with pytest.raises(ValueError, match=r"'float64'.*'float32' or 'bfloat16'"):
        FeatureBank(8, dtype='float64')


def _fill_bank_on_ranks(sizes):
    bank, rank = _bank(torch.zeros(10, 2), num_neighbors=1), torch.distributed.get_rank()
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        samples = torch.randint(10, (12,), generator=generator)
        rows = unit(torch.randn(12, 2, generator=generator))
        bank.stage(*(part.split(sizes)[rank] for part in (samples, rows, samples[:, None] // 2)))
        bank.commit()
    return bank.rows, bank.neighbors, bank.ranks_agree()


def test_every_rank_holds_the_bank_of_one_process_also_with_unequal_batches(ranks):
    rows, neighbors, _ = ranks(1, _fill_bank_on_ranks, [12])[0]
    for sizes in ([6, 6], [12, 0], [5, 4, 3]):
        for rank_rows, rank_neighbors, agree in ranks(len(sizes), _fill_bank_on_ranks, sizes):
            assert torch.equal(rank_rows, rows) and torch.equal(rank_neighbors, neighbors) and agree


def test_a_teacher_averages_weights_and_leaves_statistics_to_its_own_forward_pass():
    student = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    teacher = EMATeacher(student, momentum=0.9)
    before = teacher.networks[0][0].weight.clone()
    nn.init.ones_(student[0].weight)
    student(torch.randn(8, 3))
    teacher.stage()
    assert torch.equal(teacher.networks[0][0].weight, before)
    teacher.commit()
    torch.testing.assert_close(teacher.networks[0][0].weight, 0.9 * before + 0.1)
    assert not teacher.networks[0][1].running_mean.any() and student[1].running_mean.any()
    teacher.commit()  # nothing is staged
    torch.testing.assert_close(teacher.networks[0][0].weight, 0.9 * before + 0.1)


def test_a_teacher_stays_where_it_is_after_a_discard():
    student = nn.Linear(3, 3)
    teacher = EMATeacher(student, momentum=0.5)
    before = student.weight.clone()
    nn.init.ones_(student.weight)
    teacher.stage()
    teacher.discard()
    teacher.commit()
    assert torch.equal(teacher.networks[0].weight, before)


def test_a_teacher_asks_for_no_gradient_and_is_saved_with_the_model():
    teacher = EMATeacher(nn.Linear(2, 2))
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert 'networks.0.weight' in teacher.state_dict()


def _first_value():
    memory = FirstValue()
    for value in (1.0, 5.0):
        memory.stage(torch.tensor(value))
        memory.stage(torch.tensor(9.0))  # of a further micro-batch
        memory.commit()
    return float(memory.value), memory.ranks_agree()


def test_the_first_value_stays(ranks):
    assert ranks(2, _first_value) == [(1.0, True)] * 2


def test_neighbours_that_the_bank_does_not_keep_are_refused():
    with pytest.raises(ValueError, match='2 neighbours per image for a bank of 0: set num_neighbors of the bank to 2'):
        FeatureBank(4).stage(torch.tensor([0]), torch.ones(1, 4), torch.zeros(1, 2, dtype=torch.long))


def test_as_many_neighbours_as_samples_are_refused_with_the_number_that_works():
    with pytest.raises(ValueError, match=r'10 neighbours.*10 images.*9 or less'):
        FeatureBank(4, num_neighbors=10).allocate(10)


@MEMORIES.register_module()
class Newest(BaseMemory):
    """A test's own memory in the place of a queue: the rows of the last step alone."""

    def __init__(self, width):
        super().__init__()
        self.register_buffer('rows', torch.ones(1, width))

    def stage(self, rows):
        self.keep(rows)

    def commit(self):
        if self._staged:
            (self.rows,) = self.take_staged()


@pytest.mark.parametrize('kind', [Newest, 'Newest'])
def test_a_memory_of_one_s_own_goes_in_by_its_name_and_gets_the_arguments_of_the_config_alone(kind):
    model = MoCo(Passing(6), nn.Identity(), {'type': kind, 'width': 6})
    model.allocate(30)
    views = [torch.randn(4, 6, 1, 1), torch.randn(4, 6, 1, 1)]
    for _ in ('first micro-batch', 'second'):
        model.loss(views, Batch(sample_idx=torch.arange(4), draw=torch.arange(4)))
    for memory in model.memories().values():
        memory.commit()
    torch.testing.assert_close(model.queue.rows, unit(views[1].flatten(1)).repeat(2, 1))


def test_a_config_without_a_type_is_of_the_method_s_kind_and_a_kind_that_inherits_gets_what_the_method_asks_for():
    class Longer(Queue):
        pass

    plain, longer = build_memory({'length': 4, 'dim': 2}, Queue, random=True), {'type': Longer, 'length': 4, 'dim': 2}
    assert type(plain) is Queue and plain.full
    assert build_memory(longer, Queue, random=True).full
    assert not build_memory({**longer, 'random': False}, Queue, random=True).full
    assert build_memory(plain, Queue) is plain


def test_rows_staged_in_several_micro_batches_are_joined_and_taken_once():
    memory = Newest(2)
    memory.stage(torch.zeros(3, 2, requires_grad=True))
    memory.stage(torch.ones(1, 2))
    (rows,) = memory.take_staged()
    assert rows.shape == (4, 2) and not rows.requires_grad
    assert memory.take_staged() == ()


MUTATIONS = [
    Mutation(
        "a memory of one's own gets what the method asks of its own kind",
        'mmssl/models/memories/base.py',
        'isinstance(kind, type) and issubclass(kind, default)',
        'True',
    ),
    Mutation(
        'rows of other ranks do not reach a memory',
        'mmssl/models/memories/base.py',
        'torch.cat([gather(part) for part in parts])',
        'torch.cat(parts)',
    ),
    Mutation(
        'all domains share one ring',
        'mmssl/models/memories/domain_queue.py',
        '(chosen,) = (domains == domain).nonzero(as_tuple=True)',
        '(chosen,) = (domains >= 0).nonzero(as_tuple=True)',
    ),
    Mutation(
        'an earlier row of an image is its negative',
        'mmssl/models/memories/domain_queue.py',
        '(self.indices >= 0) & (self.indices != samples[:, None, None])',
        '(self.indices >= 0).expand(len(samples), -1, -1)',
    ),
    Mutation(
        'places of a domain without a row are usable',
        'mmssl/models/memories/domain_queue.py',
        '(self.indices >= 0) & ',
        '',
    ),
    Mutation(
        'the ring does not move',
        'mmssl/models/memories/queue.py',
        'self.head.copy_((self.head + len(rows)) % len(self))',
        'pass',
    ),
    Mutation(
        'staging writes at once',
        'mmssl/models/memories/queue.py',
        '            self.keep(rows)\n',
        '            self.keep(rows)\n            self.commit()\n',
    ),
    Mutation(
        'the first of two occurrences counts',
        'mmssl/functional/bank.py',
        'last[:-1] = ordered[1:] != ordered[:-1]',
        'last[1:] = ordered[1:] != ordered[:-1]',
    ),
    Mutation(
        'momentum weighs the new row',
        'mmssl/functional/bank.py',
        'seen.lerp(old.to(seen.dtype), momentum)',
        'seen.lerp(old.to(seen.dtype), 1 - momentum)',
    ),
    Mutation(
        'rows of a bank are not made unit',
        'mmssl/functional/bank.py',
        'unit(seen.lerp(old.to(seen.dtype), momentum))',
        'seen.lerp(old.to(seen.dtype), momentum)',
    ),
    Mutation(
        'the teacher forgets at the pace of its momentum',
        'mmssl/models/memories/ema_teacher.py',
        'slow.lerp_(fast, 1 - self.momentum)',
        'slow.lerp_(fast, self.momentum)',
    ),
    Mutation(
        'the teacher moves after a skipped step',
        'mmssl/models/memories/base.py',
        'called on every rank after a skipped step."""\n        self._staged.clear()\n',
        'called on every rank after a skipped step."""\n',
    ),
    Mutation(
        'the neighbours of another occurrence are kept',
        'mmssl/models/memories/feature_bank.py',
        'self.neighbors[sample_idx] = neighbors[last]',
        'self.neighbors[sample_idx] = neighbors[: len(sample_idx)]',
    ),
    Mutation(
        'a sample may have itself for a neighbour',
        'mmssl/models/memories/feature_bank.py',
        'if self.num_neighbors >= num_samples:',
        'if self.num_neighbors > num_samples:',
    ),
]
