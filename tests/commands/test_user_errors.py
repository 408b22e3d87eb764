"""What goes wrong in train.py and test.py for a user is one sentence, and the config is in the log file."""

import subprocess
from pathlib import Path

import pytest

from tests.helpers.commands import run_command
from tests.tools.test_evaluation_tools import SWAV
from tests.training import make_images


@pytest.fixture(scope='module')
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config of seconds."""
    folder = tmp_path_factory.mktemp('errors')
    images = make_images(folder / 'images', 20)
    (folder / 'config.py').write_text(
        f'from mmengine.config import read_base\n'
        f'with read_base():\n    from mmssl.configs.{SWAV} import *\n'
        f"train_dataloader['dataset']['source'].update(root={str(images)!r})\n"
        f"for part in ('gallery', 'query'):\n    evaluation[part]['source'].update(root={str(images)!r})\n"
        f'del part\ntrain_dataloader.update(num_workers=0, persistent_workers=False, batch_size=10)\n'
        f'evaluation.update(num_workers=0)\ntrain_cfg.update(max_epochs=1)\n'
        f"model['prototypes'].update(num_prototypes=2)\n"
    )
    return folder / 'config.py'


def mmssl(*words: object) -> subprocess.CompletedProcess:
    return run_command('-m', 'mmssl', *words)


def lines_of(found: subprocess.CompletedProcess) -> list[str]:
    return (found.stdout + found.stderr).splitlines()


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        (
            ('--cfg-options', 'model.temperatur=1'),
            "ValueError: --cfg-options model.temperatur: SwAV takes no 'temperatur'",
        ),
        (('--cfg-options', 'train_dataloader.dataset.source.root=/none'), 'There is no folder /none'),
        (('--resume', '/none.pth'), 'FileNotFoundError: No checkpoint at /none.pth'),
    ],
)
def test_train_says_it_in_one_sentence_after_few_lines(words, sentence, config, tmp_path):
    found = mmssl('train', config, '--work-dir', tmp_path, *words)
    assert found.returncode == 1
    assert sentence in lines_of(found)[-1]
    assert len(lines_of(found)) < 15 and 'Traceback' not in found.stderr


def test_test_says_it_in_one_sentence_after_few_lines(config, tmp_path):
    found = mmssl('test', config, tmp_path / 'none.pth', '--work-dir', tmp_path)
    assert found.returncode == 1
    assert (
        lines_of(found)[-1]
        == f'FileNotFoundError: No checkpoint at {tmp_path}/none.pth: give the path of an existing file.'
    )
    assert len(lines_of(found)) < 15 and 'Traceback' not in found.stderr


def test_a_config_with_an_argument_that_no_class_takes_is_refused_in_a_sentence(config, tmp_path):
    wrong = tmp_path / 'wrong.py'
    wrong.write_text(config.read_text() + 'model.update(temperatur=1)\n')
    found = mmssl('train', wrong, '--work-dir', tmp_path)
    assert lines_of(found)[-1].startswith(f'ValueError: {wrong} cannot be built: ')
    assert "SwAV takes no 'temperatur' (near names: temperature)." in lines_of(found)[-1]
    assert 'Traceback' not in found.stderr
    assert 'Traceback' in mmssl('train', wrong, '--work-dir', tmp_path, '--verbose').stderr


def test_a_config_that_is_no_python_is_refused_in_a_sentence(tmp_path):
    (tmp_path / 'wrong.py').write_text('model = dict(\n')
    found = mmssl('train', tmp_path / 'wrong.py')
    assert f'{tmp_path}/wrong.py cannot be read as a config' in lines_of(found)[-1]
    assert 'Traceback' not in found.stderr


def test_the_config_is_in_the_log_file_and_on_the_console_only_if_asked_for(config, tmp_path):
    quiet = mmssl('train', config, '--work-dir', tmp_path / 'a')
    assert quiet.returncode == 0, quiet.stderr[-2000:]
    loud = mmssl('train', config, '--work-dir', tmp_path / 'b', '--verbose')
    for found, folder in ((quiet, 'a'), (loud, 'b')):
        (log,) = (tmp_path / folder).glob('*/*.log')
        assert 'num_prototypes' in log.read_text() and 'System environment' in log.read_text()
        assert ('num_prototypes' in found.stdout) == (found is loud)
        assert 'System environment' not in found.stdout
        assert 'Epoch' in found.stdout or 'epoch' in found.stdout
