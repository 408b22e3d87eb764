"""Hooks that look at the network while it is trained."""

import time
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook

from mmssl.engine import Runner
from mmssl.engine.hooks import (
    ChanceHook,
    ClusterHook,
    CollapseHook,
    MonitorHook,
    OnlineKNNHook,
    monitor_hook,
    online_knn_hook,
)
from mmssl.evaluation import Features, FixedPart, RawPixels
from mmssl.models import ODC, ODCNeck, SimCLR, SwAV
from mmssl.visualization import read_scalars
from tests.evaluation.stand_ins import Encoder
from tests.evaluation.test_classes import plain
from tests.evaluation.test_classes import source as labelled_images
from tests.helpers.mutation import Mutation
from tests.small import small_config, small_runner

NO_LIMIT = 1e9
CLUSTERS = {'num_clusters': 4, 'dim': 8, 'min_cluster': 5, 'centroid_interval': 2}


class Counter(MonitorHook):
    """Looks at nothing, and says when."""

    name = 'counter'

    def __init__(self, seconds=0.0, active=True, **settings):
        super().__init__(**settings)
        self.duration, self.ready, self.epochs = seconds, active, []

    def prepare(self, runner):
        return self.ready

    def look(self, runner, epoch):
        self.epochs.append(epoch)
        time.sleep(self.duration)
        return {'counted': len(self.epochs)}


class Collapsing(Encoder):
    """Learns to say the same of every image."""

    def loss(self, inputs, batch):
        features = torch.nn.functional.normalize(self.extract_feat(torch.cat(inputs)), dim=1)
        return {'loss': 100 * features.var(dim=0).sum()}


class Log(SimpleNamespace):
    """What a monitor writes to, beside a loop without training."""

    def __init__(self, max_epochs):
        super().__init__(iter=0, epoch=0, max_epochs=max_epochs, model=torch.nn.Linear(1, 1), scalars=[], said=[])
        self.message_hub = SimpleNamespace(update_scalar=lambda name, value: None)
        self.visualizer = SimpleNamespace(add_scalars=lambda found, step: self.scalars.append((step, found)))
        self.logger = SimpleNamespace(info=self.said.append, warning=self.said.append)


def loop(*hooks, epochs=5):
    """Epochs of five iterations in which nothing is trained."""
    runner = Log(epochs)
    for hook in hooks:
        hook.before_train(runner)
    for runner.epoch in range(epochs):
        runner.iter += 5
        for hook in hooks:
            hook.after_train_epoch(runner)
    return runner


def looks(monkeypatch, accuracies, state=None, first=0):
    """Looks of the k-NN hook that find these accuracies; return the runner and the hook."""
    values = iter(accuracies)
    monkeypatch.setattr(online_knn_hook, 'knn_accuracy', lambda *sets, k, temperature: {k[0]: float(next(values))})
    rows = Features(torch.zeros(200, 2), torch.zeros(200), torch.arange(200))
    part = SimpleNamespace(features=lambda *_: rows)
    hook, runner = OnlineKNNHook(), Log(10)
    hook.parts, runner.algorithm = [(part, 200), (part, 200)], None
    if state:
        hook.load_state_dict(state)
    for epoch, _ in enumerate(accuracies, first):
        hook.look(runner, epoch)
    return runner, hook


def run(tmp_path, *hooks, config=None, **overrides):
    runner = Runner.from_cfg(config) if config else small_runner(tmp_path, **overrides)
    runner.warnings = []
    runner.logger.warning = runner.warnings.append
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return runner


def config_of(tmp_path, model, **overrides):
    config = small_config(tmp_path, **overrides)
    kept = {key: config.model[key] for key in ('data_preprocessor', 'backbone')}
    config.model = {**kept, **model}
    return config


def test_a_monitor_looks_before_the_first_epoch_and_where_its_interval_says_and_after_the_last():
    hook = Counter(interval=2, share=NO_LIMIT)
    loop(hook)
    assert hook.epochs == [0, 2, 4, 5]


@pytest.mark.parametrize(
    ('accuracies', 'warned'), [((50, 40, 41, 39), ['Epoch 2']), ((50, 40, 51, 52), []), ((50, 49, 55, 60), [])]
)
def test_a_k_nn_below_the_start_at_two_looks_is_one_warning(monkeypatch, accuracies, warned):
    runner, _ = looks(monkeypatch, accuracies)
    assert [text.split(':')[0] for text in runner.said if 'before the first step' in text] == warned


def test_a_resumed_run_compares_the_k_nn_with_the_start_before_the_interruption(monkeypatch):
    _, before = looks(monkeypatch, (50, 40))
    resumed, _ = looks(monkeypatch, (40,), state=before.state_dict(), first=2)
    (warning,) = [text for text in resumed.said if 'before the first step' in text]
    assert warning.startswith('Epoch 2: k-NN top-1 is 40.0 %, below the 50.0 % before the first step')


def test_a_monitor_with_nothing_to_look_at_does_nothing():
    hook = Counter(active=False)
    assert loop(hook).scalars == [] and hook.epochs == []


def test_looks_that_take_more_than_their_share_are_put_off_but_not_the_last():
    dear, cheap = Counter(seconds=0.05, share=1e-6), Counter(share=NO_LIMIT)
    runner = loop(dear, cheap, epochs=4)
    assert dear.epochs == [0, 4] and cheap.epochs == [0, 1, 2, 3, 4]
    (said,) = runner.said
    assert 'Counter waits at epoch 1: with a measurement now and one at the end' in said
    assert 'its measurements would take 0.1' in said
    assert 'Raise its share' in said


@pytest.fixture
def clock(monkeypatch):
    """A clock that only ``sleep`` moves, for the hooks and for these tests."""
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    clock.sleep = lambda seconds: setattr(clock, 'now', clock.now + seconds)
    monkeypatch.setattr(monitor_hook, 'time', clock)
    monkeypatch.setattr('tests.engine.test_monitors.time', clock)
    return clock


def test_a_look_is_taken_once_there_is_time_for_it_and_the_last_beside_those_before(clock):
    runner = Log(10)
    hook = Counter(share=0.5)
    hook.wait_logged, hook.spent, hook.seconds, hook.started = True, 3.0, 1.0, 0.0
    clock.sleep(9.9)
    assert not hook._affordable(runner, 1)
    clock.sleep(0.2)
    assert hook._affordable(runner, 2)


def test_all_looks_together_keep_to_their_share(clock):
    hook, training = Counter(seconds=1.0, share=0.25), SimpleNamespace(before_train=id)
    training.after_train_epoch = lambda _: clock.sleep(2.0)
    loop(training, hook, epochs=20)
    assert hook.epochs[:2] == [0, 6] and hook.epochs[-1] == 20
    assert 0.2 < len(hook.epochs) / clock.now <= 0.25


def test_all_processes_do_what_the_clock_of_the_first_says(ranks):
    assert ranks(2, _decides, [0.0, 1e6]) == [True, True]
    assert ranks(2, _decides, [1e6, 0.0]) == [False, False]


def _decides(seconds):
    hook = Counter(share=0.5)
    hook.wait_logged, hook.spent, hook.seconds, hook.started = True, 0.0, seconds[torch.distributed.get_rank()], 0.0
    return hook._affordable(Log(10), 1)


def test_the_time_of_every_look_is_in_the_log():
    scalars = loop(Counter(seconds=0.02, share=NO_LIMIT), epochs=2).scalars
    assert [step for step, _ in scalars] == [0, 5, 10]
    assert all(found['counter_seconds'] >= 0.02 for _, found in scalars)
    assert [(found['epoch'], found['counted']) for _, found in scalars] == [(0, 1), (1, 2), (2, 3)]


def test_a_warning_needs_two_looks_and_comes_once_until_it_is_over():
    runner, hook = Log(10), Counter()
    said, hook.alarms = runner.said, {}
    for epoch, warning in enumerate(['bad', None, 'bad', 'bad', 'bad', None, 'bad', 'bad']):
        hook.warn(runner, epoch, 'features', warning)
    assert said == ['Epoch 3: bad', 'Epoch 7: bad']
    hook.warn(runner, 10, 'embedding', 'bad at the end')
    assert said[2:] == ['Epoch 10: bad at the end']


def test_monitors_change_no_bit_of_the_training_and_log_what_they_see(tmp_path):
    hooks = [OnlineKNNHook(share=NO_LIMIT, k=5), CollapseHook(share=NO_LIMIT), ClusterHook(share=NO_LIMIT)]
    states = [run(tmp_path / str(len(some)), *some).algorithm.state_dict() for some in ([], hooks)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    scalars = read_scalars(tmp_path / '3')
    for name in ('knn_top1', 'features/deviation', 'embedding/effective_rank', 'prototypes/entropy'):
        assert len(scalars[name][1]) == 3
    assert len(scalars['prototypes/change'][1]) == 2


def test_online_knn_matches_classes_by_name():
    classes = ['ape', 'bee', 'cat', 'dog']
    query = labelled_images(['ape', 'cat', 'dog', 'fox'], 5)  # without bees: numbers would be off by one
    parts = {'gallery': FixedPart(plain(labelled_images(classes, 8))), 'query': FixedPart(plain(query))}
    runner = Log(1)
    runner.train_dataloader = SimpleNamespace(dataset=range(32))
    runner.fixed_part, runner.algorithm = parts.get, RawPixels()
    hook = OnlineKNNHook(k=5)
    assert hook.prepare(runner)
    assert hook.look(runner, 0) == {'knn_top1': 100}


def test_images_go_through_the_network_once_for_all_monitors(tmp_path, monkeypatch):
    rows, extract = [], SwAV.extract_feat

    def counted(self, images):
        rows.append(0 if self.training else len(images))
        return extract(self, images)

    monkeypatch.setattr(SwAV, 'extract_feat', counted)
    knn = OnlineKNNHook(share=NO_LIMIT, gallery=30, query=10)
    hooks = [knn, CollapseHook(share=NO_LIMIT, images=20), ClusterHook(share=NO_LIMIT, images=40)]
    run(tmp_path, *hooks, train_cfg__max_epochs=1)
    assert sum(rows) == 2 * (40 + 20)  # before and after: two batches of the gallery, one of the queries


def test_no_collapse_is_warned_of_before_the_minimum_of_iterations(tmp_path):
    config = config_of(tmp_path, {'type': Collapsing}, train_cfg__max_epochs=4)
    assert run(tmp_path, CollapseHook(share=NO_LIMIT), config=config).warnings == []


@pytest.mark.parametrize(('first_judged', 'count'), [(10, 1), (11, 0)])
def test_dead_prototypes_are_warned_of_only_from_the_minimum_of_iterations(tmp_path, monkeypatch, first_judged, count):
    monkeypatch.setattr(MonitorHook, 'first_judged', first_judged)
    monkeypatch.setattr('mmssl.engine.hooks.cluster_hook.usage_warning', lambda *_: 'many are dead')
    assert len(run(tmp_path, ClusterHook(share=NO_LIMIT)).warnings) == count


def steps_of(hook, losses, chance=4.605, first=0):
    """Iterations with these losses; return what was said."""
    algorithm = SimpleNamespace(chance_loss=lambda batch_size: chance and chance * batch_size)
    runner = Log(10)
    runner.algorithm, runner.train_loop = algorithm, SimpleNamespace(global_batch_size=1)
    hook.before_train(runner)
    for runner.iter, loss in enumerate(losses, first):
        hook.after_train_iter(runner, 0, outputs={'loss': torch.tensor(loss)})
    return runner.said


def test_a_loss_that_stays_at_the_value_of_chance_is_warned_of_once_with_remedies():
    (warning,) = steps_of(ChanceHook(), [4.585] * 1200)
    assert warning.startswith('Step 499: the loss has stood at 4.585 for 500 iterations, the value of chance (4.605)')
    assert 'higher learning rate' in warning and 'docs/troubleshooting.md' in warning


def test_a_loss_that_leaves_the_value_of_chance_in_time_brings_no_warning():
    assert steps_of(ChanceHook(), [4.6] * 400 + [4.5] * 800) == []
    assert steps_of(ChanceHook(), [4.6] * 499) == []
    assert steps_of(ChanceHook(), [4.6] * 1200, chance=None) == []


def test_a_resumed_run_counts_the_iterations_at_chance_before_the_interruption():
    first, again = ChanceHook(), ChanceHook()
    assert steps_of(first, [4.6] * 250) == []
    again.load_state_dict(first.state_dict())
    assert len(steps_of(again, [4.6] * 250, first=250)) == 1


def test_a_network_that_collapses_is_noticed_and_remedies_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(MonitorHook, 'first_judged', 0)
    config = config_of(tmp_path, {'type': Collapsing}, train_cfg__max_epochs=4)
    runner = run(tmp_path, CollapseHook(share=NO_LIMIT), config=config)
    (warning,) = runner.warnings
    assert 'Different images have nearly the same features: a collapse' in warning
    assert 'lower learning rate' in warning and 'stop-gradient' in warning and 'at the start' in warning
    scalars = read_scalars(tmp_path)
    assert scalars['features/deviation'][1][-1] < 0.3 * scalars['features/deviation'][1][0]
    assert scalars['features/mean_cosine'][1][-1] > scalars['features/mean_cosine'][1][0]
    assert 'embedding/deviation' not in scalars  # there is no neck


def test_a_sound_network_brings_no_warning(tmp_path):
    assert run(tmp_path, CollapseHook(share=NO_LIMIT), optim_wrapper__optimizer__lr=0.01).warnings == []


def test_a_resumed_run_still_knows_the_untrained_network(tmp_path):
    first = run(tmp_path / 'one', CollapseHook(share=NO_LIMIT), train_cfg__max_epochs=1)
    start = first.message_hub.get_scalar('val/features/deviation').data[0][0]
    again = small_runner(
        tmp_path / 'two', train_cfg__max_epochs=2, resume=True, load_from=str(tmp_path / 'one/epoch_1.pth')
    )
    again.register_hook(CollapseHook(share=NO_LIMIT))
    again.train()
    history = again.message_hub.get_scalar('val/features/deviation').data[0]
    assert history[0] == start and len(history) == 3


def test_clusters_of_a_memory_are_counted_and_their_changes(tmp_path):
    model = {'type': ODC, 'neck': {'type': ODCNeck, 'in_channels': 32, 'hidden_channels': 16, 'out_channels': 8}}
    config = config_of(tmp_path, {**model, 'clusters': CLUSTERS}, train_dataloader__dataset__views__counts=[1])
    runner = run(tmp_path, ClusterHook(share=NO_LIMIT), config=config)
    scalars, counts = read_scalars(tmp_path), runner.algorithm.clusters.counts
    assert scalars['clusters/largest'][0] == [5, 10]  # none before the first k-means
    assert scalars['clusters/largest'][1][-1] == pytest.approx(int(counts.max()) / 40)
    assert scalars['clusters/change'][0] == [10] and 0 <= scalars['clusters/change'][1][0] < 1


def test_a_method_without_clusters_is_left_alone(tmp_path):
    neck = {'type': 'MLPNeck', 'in_channels': 32, 'hidden_channels': 16, 'out_channels': 8}
    run(tmp_path, ClusterHook(share=NO_LIMIT), config=config_of(tmp_path, {'type': SimCLR, 'neck': neck}))
    assert 'cluster_seconds' not in read_scalars(tmp_path)


def test_without_an_evaluation_section_nothing_is_watched(tmp_path):
    config = small_config(tmp_path)
    config.pop('evaluation')
    runner = run(tmp_path, OnlineKNNHook(), CollapseHook(), ClusterHook(), config=config)
    assert runner.epoch == 2
    assert not [name for name in read_scalars(tmp_path) if name.endswith('_seconds')]


def history(runner, name):
    return runner.message_hub.get_scalar(f'val/{name}').data[0].tolist()


def resumed(tmp_path, *hooks, **overrides):
    """Go on from the first epoch of the run in ``one``."""
    overrides = {
        'train_cfg__max_epochs': 3,
        'resume': True,
        'load_from': str(tmp_path / 'one/epoch_1.pth'),
        **overrides,
    }
    return run(tmp_path / 'two', *hooks, **overrides)


def test_a_resumed_run_logs_the_changes_that_the_whole_one_logs(tmp_path):
    whole = run(tmp_path / 'one', ClusterHook(share=NO_LIMIT), train_cfg__max_epochs=3)
    again = resumed(tmp_path, ClusterHook(share=NO_LIMIT))
    assert len(history(whole, 'prototypes/change')) == 3
    assert history(again, 'prototypes/change') == history(whole, 'prototypes/change')


def test_a_monitor_goes_on_with_its_alarms_and_its_time(clock):
    first, runner = Counter(share=0.5), Log(10)
    first.before_train(runner)
    clock.sleep(20.0)
    first.warn(runner, 1, 'features', 'bad')
    first.spent, first.seconds, first.wait_logged = 9.0, 1.0, True
    clock.sleep(1000.0)  # between the two runs; it counts for neither
    state = first.state_dict() | {'elapsed': 20.0}
    again = Counter(share=0.5)
    again.load_state_dict(state)
    runner.iter = 5
    again.before_train(runner)
    assert not again._affordable(runner, 2) and runner.said == []  # 9 + 2 of 20 seconds, and that it waits is known
    clock.sleep(3.0)
    assert again._affordable(runner, 3)
    again.warn(runner, 3, 'features', 'bad')
    assert runner.said == ['Epoch 3: bad']


def test_what_a_monitor_has_spent_is_counted_up_to_the_checkpoint(clock):
    hook = Counter()
    hook.before_train(Log(10))
    clock.sleep(7.0)
    assert hook.state_dict()['elapsed'] == 7.0


class Remembering(Hook):
    """A hook of somebody else that remembers something."""

    def __init__(self, note):
        self.note = note

    def state_dict(self):
        return {'note': self.note}

    def load_state_dict(self, state):
        self.note = state['note']


def test_any_hook_may_remember_also_two_of_one_class_and_what_is_unknown_is_passed_over(tmp_path):
    run(tmp_path / 'one', Remembering([1, 'a']), Remembering(torch.ones(2)), Counter(), train_cfg__max_epochs=1)
    stored = torch.load(tmp_path / 'one/epoch_1.pth', weights_only=True)['monitors']
    assert sorted(stored) == ['Counter', 'Remembering', 'Remembering.1']
    hooks = [Remembering('new'), Remembering('new'), CollapseHook(share=NO_LIMIT)]
    resumed(tmp_path, *hooks)
    assert hooks[0].note == [1, 'a'] and hooks[1].note.tolist() == [1, 1]


def test_a_checkpoint_without_what_monitors_remember_is_resumed(tmp_path):
    run(tmp_path / 'one', ClusterHook(share=NO_LIMIT), train_cfg__max_epochs=1)
    path = tmp_path / 'one/epoch_1.pth'
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint['monitors']
    torch.save(checkpoint, path)
    assert resumed(tmp_path, ClusterHook(share=NO_LIMIT)).iter == 15


def test_other_images_after_a_resume_give_no_change_and_no_error(tmp_path):
    run(tmp_path / 'one', ClusterHook(share=NO_LIMIT, images=40), train_cfg__max_epochs=1)
    again = resumed(tmp_path, ClusterHook(share=NO_LIMIT, images=20))
    assert len(history(again, 'prototypes/change')) == 2  # of the first run, and between the two later looks


def test_what_a_checkpoint_cannot_hold_is_refused_when_it_is_saved(tmp_path):
    with pytest.raises(TypeError, match='state_dict.. of Remembering holds a set: give tensors, numbers'):
        run(tmp_path, Remembering([{1}]))


MUTATIONS = [
    Mutation(
        'a resumed monitor has forgotten everything',
        'mmssl/engine/runner.py',
        '                monitor.load_state_dict(remembered[name])',
        '                pass',
    ),
    Mutation(
        'monitors look however long it takes',
        'mmssl/engine/hooks/monitor_hook.py',
        'needed <= self.share * passed',
        'needed < float("inf")',
    ),
    Mutation(
        'each process decides by its own clock whether a monitor looks',
        'mmssl/engine/hooks/monitor_hook.py',
        'bool(broadcast(cheap.int(), 0))',
        'bool(cheap)',
    ),
]
