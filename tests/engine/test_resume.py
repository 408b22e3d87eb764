"""Stop anywhere, go on, and get the same bits: every algorithm, by its CPU config."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

import mmssl.models
from mmssl.checkpoint import latest_checkpoint
from mmssl.models import BaseAlgorithm
from mmssl.registry import MODELS
from mmssl.testing import differences
from tests.helpers.overrides import overrides
from tests.training import (
    CPU_CONFIGS,
    ROOT,
    command,
    environment,
    make_config,
    make_images,
    short_config,
    train,
    with_cpu_configs,
)

FIRST = next(path for path in CPU_CONFIGS if path.startswith('swav/'))
OVERRIDES = overrides()


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return make_images(tmp_path_factory.mktemp('images'))


def test_every_algorithm_has_a_cpu_config():
    algorithms = {
        name
        for name, cls in MODELS.module_dict.items()
        if isinstance(cls, type) and issubclass(cls, BaseAlgorithm) and cls.__module__.startswith(mmssl.models.__name__)
    }
    configs = (ROOT / 'configs').glob('*/*_cpu_*.py')
    covered = {Config.fromfile(path).model.type.__name__ for path in configs}
    assert algorithms - covered == set()


def test_overrides_name_a_method_that_has_a_cpu_config():
    assert OVERRIDES.keys() - {config.split('/')[0] for config in CPU_CONFIGS} == set()


@pytest.mark.parametrize(
    'files, said',
    [
        (["{'swav': 'a'}", "{'swav': 'b'}"], "tests/test_1.py and of tests/test_0.py both have lines for 'swav'"),
        (['dict(swav=TEXT)'], 'tests/test_0.py:2 is not read'),
    ],
)
def test_overrides_that_are_unclear_are_refused_with_their_files(files, said, tmp_path):
    (tmp_path / 'tests').mkdir()
    for number, entries in enumerate(files):
        (tmp_path / f'tests/test_{number}.py').write_text(f'\nRESUME = {entries}\n')
    with pytest.raises(ValueError, match=said):
        overrides(tmp_path / 'tests')


def _same(whole: Path, half: Path, *names: str) -> None:
    for name in names:
        assert differences(whole / f'{name}.pth', half / f'{name}.pth') == []


def _progress(run: Path) -> dict:
    return torch.load(run / 'epoch_2.pth', weights_only=True)['meta']['progress']


def pytest_generate_tests(metafunc):
    with_cpu_configs(metafunc)


@pytest.mark.slow
def test_two_processes_go_on_from_one_and_resume_bit_for_bit(cpu_config, images, tmp_path):
    whole = train(short_config(tmp_path / 'one.py', cpu_config, images), tmp_path / 'whole')
    two = short_config(tmp_path / 'two.py', cpu_config, images, workers=2, processes=2)
    longer = train(two, tmp_path / 'longer', '--resume', str(whole / 'iter_6.pth'), processes=2)
    shorter = train(two, tmp_path / 'shorter', '--resume', str(longer / 'iter_9.pth'), processes=2)
    _same(longer, shorter, 'iter_12', 'epoch_2')
    assert _progress(longer) == _progress(whole)


@pytest.mark.slow
@pytest.mark.parametrize('workers, processes', [(2, 1), (0, 2)])
def test_with_workers_or_processes_it_resumes_bit_for_bit(workers, processes, images, tmp_path):
    file = short_config(tmp_path / 'config.py', FIRST, images, workers, processes)
    whole = train(file, tmp_path / 'whole', processes=processes)
    half = train(file, tmp_path / 'half', '--resume', str(whole / 'iter_6.pth'), processes=processes)
    _same(whole, half, 'iter_9', 'epoch_2')


@pytest.mark.slow
@pytest.mark.parametrize(
    'method, part', [('deepcluster', "model['clusters']"), ('interclr', "model['additions'][0]['clusters']")]
)
def test_resumed_between_two_clusterings_it_clusters_again_only_when_due(method, part, images, tmp_path):
    config = next(path for path in CPU_CONFIGS if path.startswith(f'{method}/'))
    extra = f'{OVERRIDES[method]}\n{part}.update(prepare_every=2)\ntrain_cfg.update(max_epochs=3)\n'
    extra += "model['additions'][0]['clusters'].update(online=False)" if method == 'interclr' else ''
    file = make_config(tmp_path / 'config.py', config, images, extra=extra)
    whole = train(file, tmp_path / 'whole')
    half = train(file, tmp_path / 'half', '--resume', str(whole / 'iter_9.pth'))  # in the second of the two epochs
    assert differences(whole / 'epoch_3.pth', half / 'epoch_3.pth') == []
    prepared = [key for key in torch.load(half / 'epoch_3.pth', weights_only=True)['state_dict'] if 'prepared' in key]
    checkpoints = [torch.load(half / f'{name}.pth', weights_only=True)['state_dict'] for name in ('iter_12', 'epoch_3')]
    assert [int(state[prepared[0]]) for state in checkpoints] == [0, 2]


@pytest.mark.slow
def test_workers_change_nothing(images, tmp_path):
    runs = [
        train(make_config(tmp_path / f'config{workers}.py', FIRST, images, workers), tmp_path / str(workers))
        for workers in (0, 2)
    ]
    assert differences(runs[0] / 'epoch_2.pth', runs[1] / 'epoch_2.pth') == []


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_and_ends_and_the_run_goes_on(number, images, tmp_path):
    extra = """
from tests.slow_write import Sleep, Started
custom_hooks = [*custom_hooks, dict(type=Started)]
train_cfg.update(max_epochs=1000)
default_hooks['checkpoint'].update(interval=7000)
"""
    file = make_config(tmp_path / 'config.py', FIRST, images, extra=extra)
    assert _interrupted(file, tmp_path / 'work', number) == 0
    (path,) = (tmp_path / 'work').glob('*.pth')
    saved = int(path.stem.removeprefix('iter_'))
    progress = latest_checkpoint(tmp_path / 'work')[1]['meta']['progress']
    assert progress['epoch'] * 7 + progress['samples_seen'] // 16 == saved > 0
    assert _interrupted(file, tmp_path / 'work', number, '--resume') == saved


@pytest.mark.slow
def test_killed_while_it_writes_it_goes_on_from_the_last_whole_checkpoint(images, tmp_path):
    slow_write = 'custom_hooks = [*custom_hooks, dict(type=SlowWrite)]'
    file = make_config(
        tmp_path / 'config.py', FIRST, images, extra=f'from tests.slow_write import SlowWrite\n{slow_write}'
    )
    process = _start(file, tmp_path / 'work')
    _wait_for(tmp_path / 'work/writing', process)
    process.kill()
    process.wait()
    assert (tmp_path / 'work/.checkpoint.tmp').exists(), 'the kill did not fall into a write'
    assert latest_checkpoint(tmp_path / 'work')[0].name == 'iter_3.pth'
    plain = make_config(tmp_path / 'plain.py', FIRST, images)
    resumed = train(plain, tmp_path / 'work', '--resume')
    whole = train(plain, tmp_path / 'whole')
    assert differences(resumed / 'epoch_2.pth', whole / 'epoch_2.pth') == []


@pytest.mark.slow
@pytest.mark.parametrize(('number', 'status'), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
@pytest.mark.parametrize('to', ['process', 'group', 'all'])
def test_a_signal_to_a_run_with_workers_saves_and_says_how_to_go_on(number, status, to, images, tmp_path):
    process = _long_run(images, tmp_path)
    workers = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()
    for worker in workers if to == 'all' else ():  # as schedulers send it
        os.kill(int(worker), number)
    (os.killpg if to == 'group' else os.kill)(process.pid, number)
    _, said = process.communicate(timeout=90)
    assert process.returncode == status and 'Traceback' not in said
    assert len(list((tmp_path / 'work').glob('iter_*.pth'))) == 1
    assert said.count('Go on with: ') == 1 and str(tmp_path / 'config.py') in said.split('Go on with: ')[1]
    assert said.rstrip().endswith(' --resume')


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once(images, tmp_path):
    process = _long_run(images, tmp_path, 'custom_hooks = [*custom_hooks, dict(type=Sleep)]')
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130 and 'Traceback' not in said and not list((tmp_path / 'work').glob('*.pth'))


def _long_run(images: Path, folder: Path, extra: str = '') -> subprocess.Popen:
    """A training with two workers in a group of its own, which has done its first iteration."""
    lines = f"""
from tests.slow_write import Sleep, Started
custom_hooks = [*custom_hooks, dict(type=Started)]
train_cfg.update(max_epochs=1000)
default_hooks['checkpoint'].update(interval=7000)
{extra}
"""
    file = make_config(folder / 'config.py', FIRST, images, 2, extra=lines)
    words = command(file, folder / 'work')
    to = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.PIPE, 'text': True}
    process = subprocess.Popen(words, cwd=ROOT, env=environment(), start_new_session=True, **to)
    _wait_for(folder / 'work/started', process)
    return process


def _start(config: Path, work_dir: Path, *options: str) -> subprocess.Popen:
    return subprocess.Popen(
        command(config, work_dir, *options),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _wait_for(path: Path, process: subprocess.Popen, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, 'the training has ended'
        assert time.monotonic() < end, f'{path} did not come'
        time.sleep(0.05)


def _interrupted(config: Path, work_dir: Path, number: signal.Signals, *options: str) -> int:
    """Train until the first iteration is done, then send a signal; gives the iteration that the run began with."""
    process = _start(config, work_dir, *options)
    _wait_for(work_dir / 'started', process)
    process.send_signal(number)
    assert process.wait(timeout=60) == 0
    first = int((work_dir / 'started').read_text())
    (work_dir / 'started').unlink()
    return first
