"""Wrong command lines and config values, each with the sentence that it must give: wrong_input.txt is the table.

All run in this process, as a user's words would in one of their own.
"""

import contextlib
import io
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import pytest
import torch
from PIL import Image

from mmssl.commands import main
from mmssl.models import ResNet
from tests.helpers.mutation import Mutation
from tests.tools.test_evaluation_tools import LINEAR
from tests.training import CPU_CONFIGS, ROOT, make_images

MUTATIONS = [
    Mutation(
        'numbers that other packages read are not checked', 'mmssl/options.py',
        '        check_given(allowed, **{entry: _entry(config, entry)})', '        pass',
        "tests/commands/test_wrong_input.py -k 'optimizer.lr and fast'",
    ),
    Mutation(
        'an option inside a number is left to MMEngine', 'mmssl/command_line.py',
        "            raise ValueError(f'--cfg-options {option}: {place} is {node!r}, which has no entries.')",
        '            return', 'tests/commands/test_wrong_input.py -k temperature.high',
    ),
    Mutation(
        'an option takes the place of a dictionary', 'mmssl/command_line.py',
        '    if node and isinstance(node, dict)', '    if False and isinstance(node, dict)',
        "tests/commands/test_wrong_input.py -k 'model.backbone and resnet'",
    ),
    Mutation(
        'a folder of results may be a file', 'mmssl/command_line.py',
        '        if place.is_file():', '        if False:',
        "tests/commands/test_wrong_input.py -k 'probe and work-dir'",
    ),
    Mutation(
        'an unknown class of a config gets the words of MMEngine', 'mmssl/options.py',
        '        return next(_unknown_type(found[1]), text)', '        return text',
        'tests/commands/test_wrong_input.py -k unknown_type',
    ),
    Mutation(
        'a refusal of the system keeps its own words', 'mmssl/command_line.py',
        '{_of_system(error) or error}', '{error}', 'tests/commands/test_wrong_input.py -k make_scenes',
    ),
    Mutation(
        'features of another width reach the product', 'mmssl/ranges.py', '    if given != width:', '    if False:',
        'tests/commands/test_wrong_input.py -k neck.in_channels',
    ),
    Mutation(
        'channels of images are not compared with those of the backbone', 'mmssl/models/algorithms/base.py',
        '        if images.dim() == 4 and images.shape[1] != channels:', '        if False:',
        'tests/commands/test_wrong_input.py -k backbone.in_channels',
    ),
    Mutation(
        'a launcher that started nothing is believed', 'mmssl/command_line.py',
        "    if launcher != 'none' and _SET_BY[launcher] not in os.environ:", '    if False:',
        "tests/commands/test_wrong_input.py -k 'launcher and slurm'",
    ),
]  # fmt: skip
# What wrong configs add to one that trains.
CHANGES = {
    'unknown_argument': 'model.update(temperatur=1)',
    'unknown_type': "model['neck'].update(type='MLPNek')",
    'no_type': "model['neck'].pop('type')",
    'no_width': "model['prototypes'].pop('dim')",
    'no_model': 'del model',
    'no_backbone': "model.pop('backbone')",
    'no_loader': 'del train_dataloader',
    'no_optimizer': 'del optim_wrapper',
    'no_evaluation': 'del evaluation',
    'unknown_name': 'model.update(temperature=warm)',
}
TABLE = Path(__file__).with_name('wrong_input.txt')


class Row(NamedTuple):
    """A line of the table and the next one.

    Attributes:
        words: The command line; ``{name}`` stands for one of the :class:`Places`.
        sentence: Regular expression of what it must say, at the end of what it prints.
    """

    words: str
    sentence: str


def rows() -> list[Row]:
    """Read the table: a line with words, then an indented one with the sentence; ``#`` begins a remark."""
    lines = [line for line in TABLE.read_text().splitlines() if line.strip() and not line.startswith('#')]
    assert all(not words.startswith(' ') for words in lines[::2]) and all(line[0] == ' ' for line in lines[1::2])
    return [Row(words, sentence.strip()) for words, sentence in zip(lines[::2], lines[1::2], strict=True)]


class Places(dict):
    """Files and folders by their names in the table; a config is written when a row asks for it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder=folder, none=folder / 'none', images=make_images(folder / 'images', 40))
        self.folder = folder
        for name in ('empty', 'one', 'halves'):
            (folder / name).mkdir()
        Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(folder / 'one' / 'a.png')
        make_images(folder / 'halves' / 'train', 40)
        make_images(folder / 'halves' / 'test', 20)
        (folder / 'text').write_text('A text.\n')
        (folder / 'text.json').write_text('["A text."]')
        weights = {f'backbone.{key}': value for key, value in _resnet().state_dict().items()}
        torch.save({'meta': {}, 'state_dict': weights}, folder / 'weights.pth')
        (folder / 'broken.py').write_text('model = dict(\n')
        names = {name: folder / name for name in ('empty', 'one', 'halves', 'text')}
        self.update(names, weights=folder / 'weights.pth', broken=folder / 'broken.py')

    def __missing__(self, name: str) -> Path:
        """Write the CPU config of a folder of configs, or train it for an epoch where the name ends in ``_run``."""
        if name.endswith('_run'):
            place = self.folder / name
            assert said('train', self[name.removesuffix('_run')], '--work-dir', place) == ''
        elif name in CHANGES:
            place = self.folder / f'{name}.py'
            place.write_text(f'{self["swav"].read_text()}{CHANGES[name]}\n')
        elif name == 'linear':
            place = _write_config(self.folder / 'linear.py', LINEAR, self['images'])
        else:
            base = next(path for path in CPU_CONFIGS if path.startswith(f'{name}/'))
            module = base.removesuffix('.py').replace('/', '.')
            place = _write_config(self.folder / f'{name}.py', module, self['images'])
        self[name] = place
        return place


def _resnet() -> ResNet:
    torch.manual_seed(1)
    return ResNet(10, stem='small', base_channels=16)


def _write_config(path: Path, base: str, images: Path) -> Path:
    few = "model['prototypes'].update(num_prototypes=4)\n" if 'prototypes' in base or 'swav' in path.name else ''
    path.write_text(
        f'from mmengine.config import read_base\nwith read_base():\n    from mmssl.configs.{base} import *\n'
        f"for part in ('gallery', 'query'):\n    evaluation[part]['source'].update(root={str(images)!r})\n"
        "train_dataloader['dataset']['source'] = dict(evaluation['gallery']['source'])\n"
        'train_dataloader.update(batch_size=10, num_workers=0, persistent_workers=False)\n'
        f'evaluation.update(num_workers=0)\ntrain_cfg.update(max_epochs=1)\ndel part\n{few}'
    )
    return path


def said(*words: object) -> str:
    """What a command says as it ends, its whole error output where argparse refuses it; nothing where it succeeds.

    Args:
        words: The script or the subcommand of ``mmssl``, and its arguments.
    """
    first, *rest = map(str, words)
    script = first.endswith('.py')
    printed = io.StringIO()
    with (
        patch.object(sys, 'path', [str((ROOT / first).parent), *sys.path]),
        patch.object(sys, 'argv', [first, *rest] if script else ['mmssl', first, *rest]),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
    ):
        try:
            runpy.run_path(str(ROOT / first), run_name='__main__') if script else main([first, *rest])
        except SystemExit as end:
            return str(end.code) if isinstance(end.code, str) else printed.getvalue() if end.code else ''
    return ''


@pytest.fixture(scope='module')
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """What the table names, in a folder that the commands run in."""
    folder = tmp_path_factory.mktemp('wrong')
    with contextlib.chdir(folder):
        yield Places(folder)


def cases() -> list:
    """All rows; two of three trainings are slow, since test_ranges.py gives wrong numbers to every class."""
    return [
        pytest.param(row, id=row.words, marks=[pytest.mark.slow] * (row.words.startswith('train ') and place % 3 > 0))
        for place, row in enumerate(rows())
    ]


@pytest.mark.parametrize('row', cases())
def test_wrong_input_gets_one_sentence(row: Row, places: Places):
    text = said(*shlex.split(row.words.format_map(places)))
    assert re.search(row.sentence, ' '.join(text.split()[-120:])), text
    assert 'Traceback' not in text
