"""The launch scripts, in a checkout of their own whose training script only notes how it was started."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.training import make_config, make_images

CONFIG = 'swav/swav_resnet10_1xb128_cpu_2e_cifar10.py'
# Variables of a launcher or of a user that would change what the scripts do.
PREFIXES = ('MASTER_', 'PORT', 'NNODES', 'NODE_RANK', 'RANK', 'OMP_', 'GPUS', 'CPUS_', 'SRUN_', 'PET_', 'MMSSL_')
TOOLS = Path(__file__).resolve().parents[2] / 'tools'
# Stands for train.py and test.py: writes down arguments and environment, a file a process.
NOTE = """
import json, os, signal, sys, time
from pathlib import Path
folder = Path(os.environ['NOTES'])
rank = os.environ.get('RANK', os.environ.get('SLURM_PROCID', 'none'))
if 'wait' in sys.argv:
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda *_: ((folder / f'{rank}.saved').touch(), sys.exit(0)))
(folder / f'{rank}.json').write_text(json.dumps({'argv': sys.argv, 'env': dict(os.environ)}))
time.sleep(60 if 'wait' in sys.argv else 0)
"""
SRUN = """
import json, os, subprocess, sys
from pathlib import Path
options = [word for word in sys.argv[1:] if word.startswith('-')]
tasks = int(next(word.split('=')[1] for word in options if word.startswith('--ntasks=')))
command = sys.argv[next(i for i, word in enumerate(sys.argv[1:], 1) if not word.startswith('-')):]
Path(os.environ['NOTES'], 'srun.json').write_text(json.dumps(sys.argv[1:]))
processes = []
for rank in range(tasks):
    slurm = dict(SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank), SLURM_NTASKS=str(tasks), SLURM_NODELIST='localhost')
    processes.append(subprocess.Popen(command, env={**os.environ, **slurm}))
sys.exit(max(process.wait() for process in processes))
"""
# Stands for a virtual environment's Python: answers what the scripts ask, and writes down what they run.
PYTHON = """#!/bin/sh
echo "$*" | head -n 1 >> "$NOTES/python.log"
[ "$1" = -V ] && echo 'Python 3.11.0'
exit 0
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the scripts and the stand-ins."""
    root = tmp_path / 'a checkout'  # the blank is on purpose
    shutil.copytree(TOOLS, root / 'tools', ignore=shutil.ignore_patterns('*.py', '__pycache__'))
    for name in ('train.py', 'test.py', 'benchmarks/transfer.py'):
        (root / 'tools' / name).write_text(NOTE)
    (root / 'requirements').mkdir()
    (root / 'requirements/runtime.txt').write_text('torch\n')
    (root / 'setup.py').write_text('\n')
    (root / 'notes').mkdir()
    return root


def environment(checkout: Path, **variables: str) -> dict[str, str]:
    """This process' environment without what a launcher or a user may have set, with the stand-ins' folder."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(PREFIXES)}
    return {**env, 'PYTHON': sys.executable, 'NOTES': str(checkout / 'notes'), **variables}


def launch(checkout: Path, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """Run one of the scripts to its end."""
    command = [shutil.which('bash'), str(checkout / 'tools' / script), *arguments]
    env = environment(checkout, **variables)
    return subprocess.run(command, env=env, capture_output=True, text=True, cwd=checkout.parent)


def notes(checkout: Path) -> dict[str, dict]:
    """What each process noted, by its rank."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((checkout / 'notes').glob('[0-9n]*.json'))}


def put_on_path(folder: Path, name: str, code: str) -> str:
    """Write an executable into a new folder; returns the PATH that finds it first."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(code)
    (folder / name).chmod(0o755)
    return f'{folder}{os.pathsep}{os.environ["PATH"]}'


def test_dist_train_starts_the_processes_with_the_users_arguments(checkout: Path) -> None:
    result = launch(checkout, 'dist_train.sh', 'my config.py', '2', '--work-dir', 'my work')
    assert result.returncode == 0, result.stderr
    ranks = notes(checkout)
    assert set(ranks) == {'0', '1'}
    for rank in ranks.values():
        assert rank['argv'][1:] == ['my config.py', '--launcher', 'pytorch', '--work-dir', 'my work']
        assert rank['env']['WORLD_SIZE'] == '2'
        assert rank['env']['OMP_NUM_THREADS'] == str(max(1, os.cpu_count() // 2))
        assert rank['env']['PYTHONPATH'].split(os.pathsep)[0] == str(checkout)


def test_dist_train_takes_the_port_it_is_given_and_all_cores_for_one_process(checkout: Path) -> None:
    assert launch(checkout, 'dist_train.sh', 'config.py', '1', MASTER_PORT='29871').returncode == 0
    env = notes(checkout)['0']['env']
    assert (env['MASTER_PORT'], env['OMP_NUM_THREADS']) == ('29871', str(os.cpu_count()))


def test_dist_test_hands_on_the_checkpoint(checkout: Path) -> None:
    assert launch(checkout, 'dist_test.sh', 'config.py', 'epoch_1.pth', '1').returncode == 0
    assert notes(checkout)['0']['argv'][1:] == ['config.py', 'epoch_1.pth', '--launcher', 'pytorch']


TORCHRUN = Path(find_spec('torch').origin).parent / 'distributed/run.py'
FORWARDED = [signal.SIGTERM, *([signal.SIGUSR1] if 'signals-to-handle' in TORCHRUN.read_text() else [])]


@pytest.mark.parametrize('number', FORWARDED)
def test_a_signal_to_save_reaches_every_process(checkout: Path, number: signal.Signals) -> None:
    command = ['bash', str(checkout / 'tools/dist_train.sh'), 'config.py', '2', 'wait']
    with subprocess.Popen(command, env=environment(checkout), stderr=subprocess.DEVNULL) as launcher:
        deadline = time.monotonic() + 120
        while len(list((checkout / 'notes').glob('*.json'))) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        launcher.send_signal(number)
        launcher.wait(timeout=120)
    assert {path.stem for path in (checkout / 'notes').glob('*.saved')} == {'0', '1'}


@pytest.mark.parametrize('processes', ['two', '0', ''])
def test_a_number_of_processes_that_is_none_is_refused(checkout: Path, processes: str) -> None:
    result = launch(checkout, 'dist_train.sh', 'config.py', processes)
    assert result.returncode == 1
    assert result.stderr == f"mmssl: '{processes}' processes: give a number, 1 or more.\n"


def test_several_nodes_need_a_port(checkout: Path) -> None:
    result = launch(checkout, 'dist_train.sh', 'config.py', '2', NNODES='2')
    assert result.returncode == 1
    assert 'type MASTER_PORT=29500 MASTER_ADDR=HOST' in result.stderr


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh'])
def test_too_few_arguments_print_the_usage(checkout: Path, script: str) -> None:
    result = launch(checkout, script, 'config.py')
    assert result.returncode == 2
    assert f'tools/{script}' in result.stderr


def test_slurm_train_starts_a_task_a_gpu(checkout: Path) -> None:
    path = put_on_path(checkout / 'bin', 'srun', f'#!{sys.executable}\n{SRUN}')
    arguments = ('gpu', 'job name', 'config.py', 'my work', '--resume')
    options = {'GPUS': '2', 'CPUS_PER_TASK': '3', 'SRUN_ARGS': '--requeue --signal=USR1@120'}
    result = launch(checkout, 'slurm_train.sh', *arguments, PATH=path, **options)
    assert result.returncode == 0, result.stderr
    given = json.loads((checkout / 'notes/srun.json').read_text())
    for option in ('--partition=gpu', '--job-name=job name', '--gres=gpu:2', '--ntasks=2', '--ntasks-per-node=2'):
        assert option in given
    assert {'--cpus-per-task=3', '--requeue', '--signal=USR1@120'} <= set(given)
    ranks = notes(checkout)
    assert set(ranks) == {'0', '1'}
    assert len({rank['env']['MASTER_PORT'] for rank in ranks.values()}) == 1
    for rank in ranks.values():
        assert rank['argv'][1:] == ['config.py', '--work-dir', 'my work', '--launcher', 'slurm', '--resume']


@pytest.mark.parametrize('work', ['train', 'test'])
@pytest.mark.parametrize('package', ['mmdetection', 'mmsegmentation'])
def test_scripts_for_other_packages_pass_on_config_and_checkpoint(checkout: Path, package: str, work: str) -> None:
    path = put_on_path(checkout / 'bin', 'srun', f'#!{sys.executable}\n{SRUN}')
    wanted = [work, 'config.py', 'the weights.pth', '--launcher']
    arguments = {
        'pytorch': (f'benchmarks/{package}/dist_{work}.sh', *wanted[1:3], '1', '--seed', '3'),
        'slurm': (f'benchmarks/{package}/slurm_{work}.sh', 'gpu', 'job', *wanted[1:3], '--seed', '3'),
    }
    for launcher, call in arguments.items():
        result = launch(checkout, *call, PATH=path, GPUS='1')
        assert result.returncode == 0, result.stderr
        assert notes(checkout)['0']['argv'][1:] == [*wanted, launcher, '--seed', '3']
        (checkout / 'notes/0.json').unlink()
        short = launch(checkout, *call[:2], PATH=path)
        assert short.returncode == 2
        assert f'tools/{call[0]}' in short.stderr


@pytest.mark.parametrize('name', ['linear', 'finetune', 'knn'])
def test_scripts_for_classification_pass_on_config_and_checkpoint(checkout: Path, name: str) -> None:
    folder = 'benchmarks/classification'
    (checkout / 'tools' / folder / f'{name}.py').write_text(NOTE)
    path = put_on_path(checkout / 'bin', 'srun', f'#!{sys.executable}\n{SRUN}')
    arguments = {
        'pytorch': (f'{folder}/dist_{name}.sh', 'config.py', '1', 'the weights.pth', '--seed', '3'),
        'slurm': (f'{folder}/slurm_{name}.sh', 'gpu', 'job', 'config.py', 'the weights.pth', '--seed', '3'),
    }
    checkpoint = ['the weights.pth'] if name == 'knn' else ['--checkpoint', 'the weights.pth']
    for launcher, call in arguments.items():
        result = launch(checkout, *call, PATH=path, GPUS='1')
        assert result.returncode == 0, result.stderr
        assert notes(checkout)['0']['argv'][1:] == ['config.py', *checkpoint, '--launcher', launcher, '--seed', '3']
        (checkout / 'notes/0.json').unlink()
        short = launch(checkout, *call[:3], PATH=path)
        assert short.returncode == 2
        assert f'tools/{call[0]}' in short.stderr


@pytest.mark.slow
def test_slurm_train_trains_on_two_tasks(tmp_path: Path) -> None:
    """The real training script, started by the stand-ins for srun and scontrol."""
    config = make_config(tmp_path / 'config.py', CONFIG, make_images(tmp_path / 'images'))
    put_on_path(tmp_path / 'bin', 'scontrol', '#!/bin/sh\necho localhost\n')
    path = put_on_path(tmp_path / 'bin', 'srun', f'#!{sys.executable}\n{SRUN}')
    command = ['bash', str(TOOLS / 'slurm_train.sh'), 'gpu', 'job', str(config), str(tmp_path / 'work')]
    env = {**environment(tmp_path, PATH=path, GPUS='2', OMP_NUM_THREADS='1'), 'NOTES': str(tmp_path)}
    result = subprocess.run(command, env=env, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / 'work/epoch_2.pth').is_file()


def test_without_srun_the_script_names_the_other_one(checkout: Path) -> None:
    folder = checkout / 'bin'
    folder.mkdir()
    for name in ('dirname', 'sed'):
        (folder / name).symlink_to(shutil.which(name))
    result = launch(checkout, 'slurm_train.sh', 'gpu', 'job', 'config.py', 'work', PATH=str(folder))
    assert result.returncode == 1
    assert 'type bash ' in result.stderr and 'dist_train.sh' in result.stderr


def commands_of(checkout: Path) -> list[str]:
    """What the stand-in for the environment's Python was told since the last call."""
    log = checkout / 'notes/python.log'
    lines = log.read_text().splitlines()
    log.unlink()
    return lines


def test_the_quickstart_installs_once_and_again_when_the_requirements_change(checkout: Path) -> None:
    put_on_path(checkout / 'bin', 'python', PYTHON)
    venv = {'MMSSL_VENV': str(checkout)}
    assert launch(checkout, 'quickstart.sh', '--data', 'my images', **venv).returncode == 0
    told = commands_of(checkout)
    assert [line for line in told if line.startswith('-m pip install') and line.endswith(f'--editable {checkout}')]
    assert told[-1] == f'{checkout}/tools/quickstart.py --data my images'
    assert launch(checkout, 'quickstart.sh', **venv).returncode == 0
    assert not [line for line in commands_of(checkout) if 'pip install' in line]
    (checkout / 'requirements/runtime.txt').write_text('torch>=2.5\n')
    assert launch(checkout, 'quickstart.sh', **venv).returncode == 0
    assert [line for line in commands_of(checkout) if 'pip install' in line]


def test_what_the_tests_install_serves_the_quickstart_too(checkout: Path) -> None:
    put_on_path(checkout / 'bin', 'python', PYTHON)
    assert launch(checkout, 'run_tests.sh', '--fast', '-x', MMSSL_VENV=str(checkout)).returncode == 0
    told = commands_of(checkout)
    assert [line for line in told if line.endswith(f'--editable {checkout}[tests]')]
    assert told[-1] == '-m pytest -n 2 -m not slow -x'
    assert launch(checkout, 'quickstart.sh', MMSSL_VENV=str(checkout)).returncode == 0
    assert not [line for line in commands_of(checkout) if 'pip install' in line]


def test_the_documentation_is_built_with_what_it_needs_and_a_warning_is_an_error(checkout: Path) -> None:
    put_on_path(checkout / 'bin', 'python', PYTHON)
    assert launch(checkout, 'build_docs.sh', '-E', MMSSL_VENV=str(checkout)).returncode == 0
    told = commands_of(checkout)
    assert [line for line in told if line.endswith(f'--editable {checkout}[docs]')]
    assert told[-1] == '-m sphinx --quiet --fail-on-warning --keep-going -c docs -E . docs/_build/html'


@pytest.mark.parametrize(('version', 'linked'), [('2.3.1', False), ('2.4.0', True), ('2.10.0+cpu', True)])
def test_an_active_environments_torch_is_used_from_2_4_on(checkout: Path, version: str, linked: bool) -> None:
    site = checkout / 'site-packages'
    (site / f'torch-{version}.dist-info').mkdir(parents=True)
    (site / f'torch-{version}.dist-info/METADATA').write_text(f'Name: torch\nVersion: {version}\n')
    code = f'source "{checkout}/tools/common.sh"; mmssl_linkable_torch "{sys.executable}"'
    env = environment(checkout, PYTHONPATH=str(site))
    result = subprocess.run(['bash', '-c', code], env=env, capture_output=True, text=True)
    assert (result.returncode == 0) == linked
    assert not linked or result.stdout.splitlines()[:2] == [version, str(site)]


def test_a_python_that_is_too_old_is_refused(checkout: Path) -> None:
    old = '#!/bin/sh\ncase "$2" in *platform*) echo 3.9.2 ;; *version_info*) exit 1 ;; esac\n'
    path = put_on_path(checkout / 'bin', 'python3', old)
    result = launch(checkout, 'quickstart.sh', PATH=path)
    assert result.returncode == 1
    assert 'Python 3.9.2 is too old: install 3.10 or newer' in result.stderr


def test_a_python_without_venv_names_the_debian_package(checkout: Path) -> None:
    bare = '#!/bin/sh\ncase "$2" in *platform*) echo 3.11.2 ;; *ensurepip*) exit 1 ;; esac\n'
    path = put_on_path(checkout / 'bin', 'python3', bare)
    result = launch(checkout, 'quickstart.sh', PATH=path)
    assert result.returncode == 1
    assert result.stderr == 'mmssl: python3 cannot make virtual environments: type apt install python3.11-venv\n'


@pytest.fixture
def with_commands(checkout: Path) -> Path:
    """A checkout that has the subcommands, too."""
    package = TOOLS.parent / 'mmssl'
    shutil.copytree(package / 'commands', checkout / 'mmssl/commands', ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('command_line.py', 'ranges.py', 'version.py'):
        shutil.copy(package / name, checkout / 'mmssl' / name)
    return checkout


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        (('--minuts', '3'), 'unrecognized arguments: --minuts 3'),
        (('--minutes', '0'), 'ValueError: --minutes 0: give a time above 0'),
        (('--data', 'no folder'), 'ValueError: --data no folder is no folder and no video: give the folder'),
    ],
)
def test_a_wrong_option_of_the_quickstart_is_refused_before_anything_is_made(
    with_commands: Path, words: tuple[str, ...], sentence: str
) -> None:
    bare = f'#!/bin/sh\nexec "{sys.executable}" -S -E "$@"\n'  # without packages, as a fresh Python is
    path = put_on_path(with_commands / 'bin', 'python3', bare)
    venv = with_commands / 'venv'
    result = launch(with_commands, 'quickstart.sh', *words, PATH=path, MMSSL_VENV=str(venv))
    assert result.returncode in (1, 2)
    assert sentence in result.stderr.splitlines()[-1]
    assert 'Traceback' not in result.stderr
    assert not venv.exists()


@pytest.mark.parametrize('words', [('--help',), ('--data', 'x', '-h')])
def test_the_help_of_the_quickstart_has_all_options(with_commands: Path, words: tuple[str, ...]) -> None:
    result = launch(with_commands, 'quickstart.sh', *words, MMSSL_VENV=str(with_commands / 'venv'))
    assert result.returncode == 0, result.stderr
    assert all(name in result.stdout for name in ('MMSSL_VENV', '--data', '--minutes', '--work-dir', '--seed'))
    assert not (with_commands / 'venv').exists()


def sourced(checkout: Path, code: str, **variables: str) -> subprocess.CompletedProcess:
    """Run functions of common.sh."""
    env = environment(checkout, MMSSL_PYTHON=sys.executable, MMSSL_VENV=str(checkout / 'venv'), **variables)
    env.pop('PYTHONPATH', None)
    command = ['bash', '-c', f'set -euo pipefail; source "{checkout}/tools/common.sh"; {code}']
    return subprocess.run(command, env=env, capture_output=True, text=True)


def test_an_environment_that_was_made_by_half_is_made_again(checkout: Path) -> None:
    (checkout / 'venv/bin').mkdir(parents=True)
    (checkout / 'venv/bin/python').symlink_to(checkout / 'gone')
    (checkout / 'venv/.mmssl-made').touch()
    result = sourced(checkout, 'mmssl_make_venv; "$mmssl_venv/bin/python" -m pip --version')
    assert result.returncode == 0, result.stderr
    assert (checkout / 'venv/.mmssl-made').exists()


def test_a_folder_that_had_files_before_keeps_them(checkout: Path) -> None:
    (checkout / 'venv').mkdir()
    (checkout / 'venv/mine.txt').write_text('mine')
    for _ in range(2):
        assert sourced(checkout, 'mmssl_make_venv').returncode == 0
    assert (checkout / 'venv/mine.txt').read_text() == 'mine'


def test_an_active_torch_is_used_after_a_first_try_that_was_interrupted(checkout: Path) -> None:
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(checkout / 'venv')], check=True)
    found = sourced(checkout, 'mmssl_choose_torch; mmssl_torch "$mmssl_venv/bin/python"')
    assert found.returncode == 0, found.stderr
    assert 'mmssl: using torch' in found.stderr
    again = sourced(checkout, 'mmssl_choose_torch')
    assert (again.returncode, again.stderr) == (0, '')


def test_the_torch_of_another_python_is_not_linked(checkout: Path) -> None:
    (checkout / 'venv').mkdir()
    other = '#!/bin/sh\ncase "$2" in *version_info*) echo 3.9 ;; *) exit 1 ;; esac\n'
    put_on_path(checkout / 'venv/bin', 'python', other)
    result = sourced(checkout, 'mmssl_choose_torch')
    assert 'which is not that of' in result.stderr and 'using torch' not in result.stderr


def test_a_torch_that_was_unpacked_by_half_is_none(checkout: Path) -> None:
    (checkout / 'site/torch').mkdir(parents=True)
    (checkout / 'site/torch/__init__.py').touch()
    bare = f'#!/bin/sh\nPYTHONPATH="{checkout}/site" exec "{sys.executable}" -S "$@"\n'
    put_on_path(checkout / 'bin', 'bare', bare)
    code = f'mmssl_has "{checkout}/bin/bare" torch && ! mmssl_torch "{checkout}/bin/bare"'
    assert sourced(checkout, code).returncode == 0
