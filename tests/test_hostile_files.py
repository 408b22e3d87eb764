"""Files that would write a marker if anything in them were run go through every command that takes a checkpoint.

The list of commands is made from the tools: a new tool that takes a checkpoint joins by itself.
"""

import argparse
import json
import pickle
import re
import runpy
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import safetensors.torch
import torch
from mmengine.config import Config

from mmssl.evaluation import fit_reward
from mmssl.models import DataPreprocessor, ResNet
from mmssl.probe import FrameReward, ProbedNetwork, frame_features
from mmssl.registry import MODELS
from mmssl.weights import CONFIG_KEY
from tests.helpers.mutation import Mutation
from tests.probe.test_voc import make_voc
from tests.tools.test_evaluation_tools import LINEAR, SWAV
from tests.training import ROOT, make_images
from tests.transfer import layouts
from tests.visualization.test_report import write_log

TEXTS = {path: path.read_text().lower() for path in (ROOT / 'tools').rglob('*.py')}
FILES = re.compile('checkpoint|work_dir')
TOOLS = sorted(
    path for path, text in TEXTS.items() if 'run_tool(' in text or (FILES.search(text) and 'parse_args(' in text)
)
# What options need, by their names in a tool; of a tool of its own where that is not what others mean by them.
VALUES = {
    'config': '{folder}/config.py',
    'data': '{folder}/images',
    'out': '{work}/out.pth',
    'work_dir': '{work}',
    'cache': '{work}/cache',
    'size': '16',
    'shots': '1',
    'draws': '1',
    'num_workers': '0',
    'jobs': '1',
    'work': 'train',
}
OWN_VALUES = {
    'linear.py': {'config': '{folder}/linear.py'},
    'compare_linear.py': {'config': '{folder}/linear.py'},
    'finetune.py': {'config': '{folder}/finetune.py'},
    'model_zoo.py': {
        'out': '{work}/out.safetensors',
        'name': 'ours',
        'licence': 'MIT',
        'data_licence': 'MIT',
        'data': 'noise',
        'command': 'train',
    },
    'cluster_images.py': {'clusters': '2', 'out': '{work}/out.npz'},
    'svm.py': {'data': '{folder}/voc', 'splits': 'trainval test', 'costs': '1'},
    'transfer.py': {
        'config': str(ROOT / 'configs/benchmarks/mmdetection/bccd/fcos_r18_fpn_cpu_20e_bccd.py'),
        'data_root': '{folder}/bccd',
        'cfg_options': 'train_dataloader.num_workers=0 val_dataloader.num_workers=0 '
        'train_dataloader.persistent_workers=False val_dataloader.persistent_workers=False '
        'test_dataloader.num_workers=0 test_dataloader.persistent_workers=False',
    },
    'slots_rl.py': {'representations': 'slots', 'steps': '1', 'seeds': '0', 'episodes': '1'},
    'image_text.py': {'prompts': '{folder}/prompts.json'},
    'highlights.py': {
        'video': '{folder}/videos/0.npy',
        'root': '{folder}/highlights',
        'layout': 'youtube',
        'network': '{folder}/network.pth',
    },
    'perceptual_reward.py': {
        'videos': '{folder}/videos',
        'reward': '{folder}/reward.pth',
        'steps': '2',
        'min_size': '2',
    },
    'perceptual_rewards.py': {
        'demonstrations': '2',
        'others': '2',
        'steps': '8',
        'episodes': '1',
        'seeds': '0',
        'rewards': 'true',
    },
}


class Asked(BaseException):
    """A tool parses its command line."""


class Command(NamedTuple):
    """A tool, and its command line with ``{file}`` where the checkpoint stands."""

    tool: Path
    words: tuple[str, ...]
    wants_folder: bool = False


def parser_of(tool: Path, patch: pytest.MonkeyPatch) -> argparse.ArgumentParser | None:
    """The parser of a tool, as the tool makes it; None where it makes none."""

    def ask(parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        raise Asked(parser)

    patch.setattr(argparse.ArgumentParser, 'parse_args', ask)
    patch.setattr(sys, 'argv', [str(tool)])
    patch.syspath_prepend(str(tool.parent))
    try:
        runpy.run_path(str(tool), run_name='__main__')
    except Asked as asked:
        return asked.args[0]
    return None


def takes_checkpoint(action: argparse.Action) -> bool:
    names = f'{action.dest} {action.metavar or ""}'.upper()
    return action.nargs != 0 and ('CHECKPOINT' in names or '=]WORK_DIR' in names)


def commands_of(tool: Path, parser: argparse.ArgumentParser, before: tuple[str, ...] = ()) -> Iterator[Command]:
    """One for each argument that takes a checkpoint."""
    actions = [action for action in parser._actions if not isinstance(action, argparse._SubParsersAction)]
    for part in parser._actions:
        if isinstance(part, argparse._SubParsersAction):
            for name, choice in part.choices.items():
                yield from commands_of(tool, choice, (*before, name))
    for taken in filter(takes_checkpoint, actions):
        words = list(before)
        values = {**VALUES, **OWN_VALUES.get(tool.name, {})}
        for action in actions:
            value = '{file}' if action is taken else values.get(action.dest)
            needed = action.required or (not action.option_strings and action.nargs not in ('*', '?'))
            assert value or not needed, f'{tool.name} needs {action.dest}: say in VALUES what to give it'
            if value and (needed or action is taken or action.dest != 'config'):
                words += [*action.option_strings[-1:], *value.split()]
        if tool.name == 'average_weights.py':
            words.insert(1, '{folder}/plain.pth')
        yield Command(tool, tuple(words), 'WORK_DIR' in (taken.metavar or ''))
        if tool.name == 'train.py':  # load_from is a key of its config
            yield Command(tool, (*words[: words.index('--resume')], '--cfg-options', 'load_from={file}'))
        if tool.name == 'transfer.py':
            yield Command(tool, tuple('test' if word == 'train' else word for word in words))


def all_commands() -> list[Command]:
    with pytest.MonkeyPatch.context() as patch:
        found = [(tool, parser_of(tool, patch)) for tool in TOOLS]
    return [command for tool, parser in found if parser for command in commands_of(tool, parser)]


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return open, (str(self.marker), 'w')


@cache
def backbone() -> Mapping[str, torch.Tensor]:
    torch.manual_seed(0)
    return {f'backbone.{key}': tensor for key, tensor in ResNet(10, stem='small', base_channels=4).state_dict().items()}


def hostile_config(kind: str, marker: Path) -> dict[str, Any]:
    """Plain data of which everything that is built would write the marker."""
    call = {'type': 'os.system', 'command': f'touch {marker}'}
    data = {'type': 'os.mkdir', 'path': str(marker)}
    network = {'type': 'mmssl.models.ResNet', 'depth': 10, 'stem': 'small', 'base_channels': 4}
    model = {'type': 'mmssl.models.SimCLR', 'backbone': network, 'neck': call}
    if kind == 'plain':
        model = call
    if kind == 'no_resnet':  # its backbone cannot be read off the weights, so the config is asked
        model = {**model, 'backbone': call}
    if kind == 'initial':  # MMEngine unpickles what it finds there
        payload = marker.parent / 'hidden' / 'payload.pth'
        torch.save({'state_dict': Payload(marker)}, payload)
        neck = {'type': 'mmssl.models.MLPNeck', 'in_channels': 32, 'hidden_channels': 4, 'out_channels': 4}
        model = {**model, 'neck': neck, 'init_cfg': {'type': 'Pretrained', 'checkpoint': str(payload)}}
    return {
        'model': model,
        'evaluation': {'gallery': data, 'query': data},
        'train_dataloader': {'dataset': data},
        'custom_imports': {'imports': ['hostile_module'], 'allow_failed_imports': False},
        'custom_hooks': [call, data],
        'optim_wrapper': call,
    }


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images and configs for the tools."""
    folder = tmp_path_factory.mktemp('tools')
    images = make_images(folder / 'images', 20)
    few, learning = "model['prototypes'].update(num_prototypes=2)\n", 'model.update(frozen=False)\n'
    for name, base, more in (('config', SWAV, few), ('linear', LINEAR, ''), ('finetune', LINEAR, learning)):
        (folder / f'{name}.py').write_text(
            f'from mmengine.config import read_base\n'
            f'with read_base():\n    from mmssl.configs.{base} import *\n'
            f"for part in ('gallery', 'query'):\n    evaluation[part]['source'].update(root={str(images)!r})\n"
            f"train_dataloader['dataset']['source'].update(root={str(images)!r})\n"
            f'del part\ntrain_dataloader.update(num_workers=0, persistent_workers=False, batch_size=10)\n{more}'
        )
    numbers = [str(number) for number in range(8)]
    shown = {number: [(('cat', 'dog')[int(number) % 2], 0)] for number in numbers}
    make_voc(folder / 'voc', shown, {'trainval': numbers[:4], 'test': numbers[4:]})
    layouts.bccd(folder / 'bccd')
    (folder / 'prompts.json').write_text('{}')
    torch.save(backbone(), folder / 'plain.pth')
    (folder / 'videos').mkdir()
    frames = np.random.default_rng(0).integers(0, 255, (6, 16, 16, 3), dtype=np.uint8)
    np.save(folder / 'videos/0.npy', frames)
    network = ProbedNetwork('small', ResNet(10, stem='small', base_channels=4), DataPreprocessor(), 16)
    rows = frame_features(network, torch.from_numpy(frames).permute(0, 3, 1, 2))
    FrameReward(network, fit_reward([rows], 2, 2)).save(folder / 'reward.pth')
    return folder


KINDS = ('pickle', 'old_pickle', 'text', 'plain', 'nested', 'initial', 'no_resnet', 'metadata', 'metadata_config')


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a file would write; a module that would write it too can be imported."""
    (tmp_path / 'hidden').mkdir()
    hidden = tmp_path / 'hidden' / 'hostile_module.py'
    hidden.write_text(f'open({str(tmp_path / "marker")!r}, "w")\n')
    monkeypatch.syspath_prepend(str(hidden.parent))
    return tmp_path / 'marker'


def config_of(file: Path) -> Path:
    """The config that MMEngine writes beside the logs of a run."""
    return file.parent / '20200101_000000/vis_data/config.py'


def make_file(kind: str, marker: Path) -> Path:
    """A checkpoint whose texts and objects would write the marker, in a work directory whose config would, too."""
    path = marker.parent / 'run' / ('weights.safetensors' if kind.startswith('metadata') else 'epoch_1.pth')
    path.parent.mkdir(exist_ok=True)
    code = f'import os\nos.system("touch {marker}")\n'
    write_log(path.parent)
    config_of(path).write_text(code)
    hub = {'log_scalars': code, 'runtime_info': {'cfg': code}, 'resumed_keys': code}
    texts = {'cfg': code, 'seed': 0, 'progress': code, 'mmssl_version': code, 'epoch': 1, 'iter': 1}
    content = {
        'meta': texts,
        'state_dict': {'backbone.patch_embed.weight': torch.ones(1)} if kind == 'no_resnet' else backbone(),
        'message_hub': hub,
        'optimizer': code,
        'param_schedulers': [code],
    }
    if kind in ('plain', 'nested', 'initial', 'no_resnet'):
        texts['config'] = hostile_config(kind, marker)
    if kind == 'metadata':
        safetensors.torch.save_file(backbone(), path, metadata={'config': code, 'cfg': code, 'format': code})
    elif kind == 'metadata_config':
        tensors = {'backbone.patch_embed.weight': torch.ones(1)}  # so that the config is asked
        metadata = {CONFIG_KEY: json.dumps(hostile_config('no_resnet', marker))}
        safetensors.torch.save_file(tensors, path, metadata=metadata)
    elif kind == 'old_pickle':
        with path.open('wb') as file:
            pickle.dump({**content, 'payload': Payload(marker)}, file, protocol=2)
    else:
        torch.save({**content, **({'payload': Payload(marker)} if kind == 'pickle' else {})}, path)
    return path


def run(command: Command, file: Path, folder: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a tool says when it refuses a file; '' where it works with its weights."""
    places = {'file': file, 'folder': folder, 'work': work}
    words = [word.format(**places) for word in command.words]
    monkeypatch.setattr(sys, 'argv', [str(command.tool), *words])
    monkeypatch.syspath_prepend(str(command.tool.parent))
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.chdir(work)
    try:
        runpy.run_path(str(command.tool), run_name='__main__')
    except SystemExit as end:
        return str(end.code or '')
    return ''


def watched_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read from now on."""
    reads: list[str] = []

    def watched(load: Any) -> Any:
        return lambda *args, **options: reads.append(str(args[0])) or load(*args, **options)

    monkeypatch.setattr(torch, 'load', watched(torch.load))
    monkeypatch.setattr(safetensors.torch, 'load_file', watched(safetensors.torch.load_file))
    return reads


COMMANDS = all_commands()


def test_every_tool_that_reads_checkpoints_is_among_the_commands():
    names = {command.tool.name for command in COMMANDS}
    assert names >= {
        'test.py', 'train.py', 'probe.py', 'knn.py', 'linear.py', 'finetune.py', 'compare_linear.py', 'svm.py',
        'features.py', 'report.py', 'cluster_images.py', 'cluster_health.py', 'compare_runs.py', 'export_backbone.py',
        'model_zoo.py', 'transfer.py',
    }  # fmt: skip


@pytest.mark.parametrize('kind', KINDS)
def test_the_files_would_write_the_marker_if_they_were_run(kind, marker):
    file = make_file(kind, marker)
    if kind == 'pickle':
        torch.load(file, weights_only=False)
    elif kind == 'old_pickle':
        pickle.loads(file.read_bytes())
    elif kind == 'metadata':
        exec(safetensors.safe_open(file, 'pt').metadata()['config'])
    elif kind == 'metadata_config':
        with suppress(AttributeError, TypeError):  # what the call gave is no network
            MODELS.build(json.loads(safetensors.safe_open(file, 'pt').metadata()[CONFIG_KEY])['model']).init_weights()
    elif kind == 'text':
        exec(torch.load(file, weights_only=True)['meta']['cfg'])
    else:
        with suppress(AttributeError, TypeError):  # what the call gave is no network
            MODELS.build(torch.load(file, weights_only=True)['meta']['config']['model']).init_weights()
    assert marker.exists()


def test_the_config_in_the_work_directory_would_write_the_marker_if_it_were_run(marker):
    Config.fromfile(config_of(make_file('text', marker)))
    assert marker.exists()


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('command', COMMANDS, ids=lambda command: '_'.join((command.tool.stem, *command.words[:1])))
def test_nothing_in_a_file_is_run(command: Command, kind: str, marker: Path, folder: Path, monkeypatch):
    if command.tool.name == 'transfer.py':
        pytest.importorskip('mmcv._ext', reason='bash tools/install_transfer.sh installs what is missing')
    file = make_file(kind, marker)
    reads = watched_reads(monkeypatch)
    given = file.parent if command.wants_folder else file
    said = run(command, given, folder, marker.parent, monkeypatch)
    assert not marker.exists(), said
    searched = command.wants_folder and kind.startswith('metadata')  # checkpoints in a work directory end in .pth
    assert (str(file) in reads) == (not searched), f'read {reads.count(str(file))} times: {said}'
    assert '\n' not in said and len(said) < 700
    if kind in ('pickle', 'old_pickle') and command.tool.name != 'compare_runs.py':  # which goes on without a config
        assert ('none can be read' if command.wants_folder else 'need unpickling') in said


MUTATIONS = [
    Mutation(
        'a detector that is tested is unpickled',
        'mmssl/transfer/runner.py',
        '            return read_file(filename)\n',
        '            torch.load(filename, weights_only=False)\n            return read_file(filename)\n',
    ),
    Mutation(
        'the config in a work directory that is compared is run',
        'mmssl/visualization/runs.py',
        '        return read_file(folder).config\n',
        "        import runpy\n        runpy.run_path(str(max(folder.glob('*/vis_data/config.py'))))\n"
        '        return read_file(folder).config\n',
    ),
    Mutation(
        'the config in a file is built unchecked',
        'mmssl/probe/trained.py',
        'registered_config(self.file.config, self.file.path)',
        'self.file.config',
    ),
]
