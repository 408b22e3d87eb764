"""Every protocol of configs/benchmarks/classification by the commands a user types, on tiny data in real layouts."""

import json
import re
import runpy
import shutil
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmssl.evaluation import read_results
from mmssl.export import export_backbone
from mmssl.models import NIN, R3D, AlexNet, R2Plus1D, TimmBackbone
from mmssl.registry import MODELS
from mmssl.testing import differences
from tests.export.test_export import trained
from tests.tools import benchmark_layouts as layouts
from tests.tools.test_evaluation_tools import run
from tests.training import ROOT

FOLDER = ROOT / 'configs/benchmarks/classification'
CONFIGS = sorted(FOLDER.glob('*.py'))
SMALL = [path for path in CONFIGS if '_cpu_' in path.name]
TOOLS = ROOT / 'tools/benchmarks/classification'
SETS = ('cifar10', 'cifar100', 'flowers', 'pets', 'cars', 'aircraft', 'dtd')
NARROW = 16  # stands for the real width, so that a ResNet-50 takes moments
LAYOUTS = ('imagenet', 'places205', 'inaturalist18', 'cifar10', 'ucf101', 'hmdb51', 'ssv1')
NARROW_CLIPS = dict(channels=[NARROW] * 4, blocks=1, stem_channels=NARROW)
_RUNS = count()
Tool = Callable[..., tuple[int, str]]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.fixture(autouse=True)
def _no_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny files are not the published ones."""
    for module in ('cifar', 'flowers102'):
        monkeypatch.setattr(f'torchvision.datasets.{module}.check_integrity', lambda path, *_: Path(path).is_file())


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Iterator[Tool]:
    """Calls a script as its command line does, in this process; gives its exit status and all that it says."""
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.setenv('LOCAL_RANK', '0')

    def call(script: str, *arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, 'argv', [script, *map(str, arguments)])
        try:
            runpy.run_path(str(TOOLS / script), run_name='__main__')
        except SystemExit as end:
            text, errors = capsys.readouterr()
            return 1, f'{text}{errors}{end.code}'
        return 0, capsys.readouterr().out

    yield call
    sys.modules.pop('linear', None)


@pytest.fixture(scope='module')
def backbones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Exported backbones by what stands in a config's name."""
    folder = tmp_path_factory.mktemp('backbones')
    kinds = {'_resnet50_': {'depth': 50}, '_resnet10_': {'depth': 10, 'stem': 'small'}}
    files = {
        name: export_backbone(trained(base_channels=NARROW, **kind), folder / f'{name}.pth')
        for name, kind in kinds.items()
    }
    small = Config.fromfile(FOLDER / 'ctp_finetune_r3d_1xb32_cpu_2e_moving_digits.py').model.backbone
    others = {
        '_r3d_': MODELS.build(small), '_r3d18_': R3D(**NARROW_CLIPS), '_r2plus1d18_': R2Plus1D(**NARROW_CLIPS),
        '_vit_': TimmBackbone('vit_tiny_patch16_224'), '_alexnet_': AlexNet(fully_connected=False), '_nin_': NIN()
    }  # fmt: skip
    for name, network in others.items():
        files[name] = folder / f'{name}.pth'
        torch.save(network.state_dict(), files[name])
    return files


def prepare(path: Path, root: Path) -> tuple[str, ...]:
    """Make the data of a config; gives the arguments that lead to it."""
    if path.stem.endswith('small_sets'):
        layouts.small_set('dtd', root)
        return '--data-root', str(root), '--dataset', 'dtd'
    if path.stem.endswith('moving_digits'):
        return ()
    name = next(name for name in LAYOUTS if f'_{name}' in path.stem)
    getattr(layouts, name)(root)
    if name == 'inaturalist18':
        make_inaturalist_lists(root)
    return '--data-root', str(root)


def make_inaturalist_lists(root: Path) -> None:
    """The lists of both splits, by the script that the README names."""
    for split in ('train', 'val'):
        run('tools/dataset_tools/image_lists.py', 'inaturalist', root / f'{split}2018.json', root / f'meta/{split}.txt')


def options(path: Path, **more: object) -> list[str]:
    """Options that make a run small: narrow networks, small images, batches of two, two epochs."""
    cfg = Config.fromfile(path)
    small = {
        'experiment_name': f'protocol_{next(_RUNS)}',  # MMEngine shares logs between runs of one name
        'train_dataloader.batch_size': 2,
        'train_dataloader.num_workers': 0,
        'evaluation.num_workers': 0,
        'train_cfg.max_epochs': 2,
        'default_hooks.checkpoint.interval': 1,
    }
    views, query = 'train_dataloader.dataset.views.views.0', 'evaluation.query.views'
    if '_vit_' in path.stem:
        small |= {'model.backbone.name': 'vit_tiny_patch16_224'}
    elif '_r3d_' in path.stem:
        parts = ('train_dataloader.dataset', 'evaluation.gallery', 'evaluation.query')
        small |= {f'{part}.source.count': 8 for part in parts}
    elif '_r3d18_' in path.stem or '_r2plus1d18_' in path.stem:
        small |= {f'model.backbone.{name}': value for name, value in NARROW_CLIPS.items()}
        small |= {f'evaluation.{part}.views.crop': 32 for part in ('gallery', 'query')}
        small |= {f'evaluation.{part}.views.resize': 32 for part in ('gallery', 'query')}
        small |= {'train_dataloader.dataset.views.size': 32, 'train_dataloader.dataset.views.sides': [32, 36]}
    elif '_resnet' in path.stem:
        small |= {'model.backbone.base_channels': NARROW}
        if not stages_of(cfg):  # their windows are for whole images
            small |= {f'{views}.size': 32, f'{query}.crop': 32, f'{query}.resize': 32}
    return ['--cfg-options', *(f'{key}={value}' for key, value in (small | more).items())]


def stages_of(cfg: Config) -> list[str]:
    """The stages that a config puts a classifier on; none if it is for features of whole images."""
    return list(cfg.model.get('pools', cfg.model.get('classifiers', ())))


def script_of(path: Path) -> str:
    """The script that a config is for."""
    return 'linear.py' if Config.fromfile(path).model.get('frozen', True) else 'finetune.py'


def backbone_of(path: Path, backbones: dict[str, Path]) -> Path:
    """The file for the network of a config."""
    return next(file for name, file in backbones.items() if name in path.name)


def check(path: Path, tmp_path: Path, backbones: dict[str, Path], tool: Tool) -> None:
    """Trains two epochs of a few iterations from an exported backbone, and leaves its figures."""
    script, backbone = script_of(path), backbone_of(path, backbones)
    where = prepare(path, tmp_path / 'data')
    status, text = tool(script, path, '--checkpoint', backbone, '--work-dir', tmp_path, *where, *options(path))
    assert status == 0, text
    found = json.loads((tmp_path / f'{script[:-3]}.json').read_text())
    results = read_results(tmp_path / f'{script[:-3]}.json')
    by_class = results[-1].measure('mean over the classes')
    assert by_class.protocol == Config.fromfile(path).protocol
    assert by_class.protocol in text
    assert found['epochs'] == 2
    assert 0 <= by_class.value <= 100
    state = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)['state_dict']
    given = torch.load(backbone, weights_only=True)
    learned = [key for key in given if key.endswith('weight') and not torch.equal(given[key], state[f'backbone.{key}'])]
    assert bool(learned) == (script == 'finetune.py')
    layers = last_layers(state)
    classes = 10 if path.stem.endswith('moving_digits') else 2
    assert {len(layer) for layer in layers} == {classes}  # those of the data
    stages = stages_of(Config.fromfile(path))
    assert [result.layer for result in results] == (stages if len(stages) > 1 else [''])
    assert len(results) == len(layers)


def last_layers(state: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """Weights of the last layer of each classifier."""
    places = {key: re.match(r'classifier(\.\d)?\.(.*\.)?weight', key) for key in state}
    return list({place[1]: state[key] for key, place in places.items() if place}.values())


@pytest.mark.parametrize('path', SMALL, ids=lambda path: path.stem)
def test_small_protocols_train_from_an_exported_backbone(path, tmp_path, backbones, tool):
    check(path, tmp_path, backbones, tool)


@pytest.mark.parametrize(
    'stem, more',
    [
        ('finetune_resnet10_1xb128_cpu_5e', ()),
        *(('swav_linear_resnet10_1xb256_cpu_100e', m) for m in ((), ('--fast', 2))),
    ],
)
def test_images_without_a_class_are_left_out_of_a_training_with_labels(stem, more, tmp_path, backbones, tool):
    path, data = FOLDER / f'{stem}_cifar10.py', tmp_path / 'data'
    script = script_of(path)
    layouts.cifar10(data)
    for number in range(3):  # beside the class folders
        layouts.write_image(data / f'train/{number}.jpg', 1)
    sources = [f'{part}.source.classes' for part in ('train_dataloader.dataset', 'evaluation.gallery')]
    classes = dict.fromkeys(sources, '[airplane,frog]')
    arguments = ('--checkpoint', backbone_of(path, backbones), '--work-dir', tmp_path, '--data-root', data)
    status, text = tool(script, path, *arguments, *more, *options(path, **classes))
    assert status == 0, text
    assert (tmp_path / f'{script[:-3]}.json').is_file()
    assert '3 of 11 images of the training set have no class and are left out.' in text


@pytest.mark.slow
@pytest.mark.parametrize('path', [path for path in CONFIGS if path not in SMALL], ids=lambda path: path.stem)
def test_papers_protocols_train_from_an_exported_backbone(path, tmp_path, backbones, tool, monkeypatch):
    monkeypatch.setattr('mmssl.models.backbones.alexnet._WIDTH', NARROW)  # instead of 54 million weights
    check(path, tmp_path, backbones, tool)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_every_protocol_says_on_its_first_line_what_it_follows(path):
    first = path.read_text().splitlines()[0]
    assert first.startswith('"""')
    assert re.search(r'as in |as swav_|as multistage_|settings|protocol|script', first)
    readme = (FOLDER / 'README.md').read_text()
    assert f'`{path.name}`' in readme


PROTOCOLS = {  # the rows of a table made from the reference repositories
    'moco_linear_resnet50_8xb32_100e': ('SGD', 30.0, 0.0, 256),
    'simsiam_linear_resnet50_8xb512_90e': ('ApexLARC', 1.6, 0.0, 4096),
    'swav_linear_resnet50_8xb32_100e': ('SGD', 0.3, 1e-6, 256),
    'barlowtwins_linear_resnet50_8xb32_100e': ('SGD', 0.3, 1e-6, 256),
    'mocov3_linear_resnet50_8xb128_90e': ('SGD', 0.4, 0.0, 1024),
    'mae_linear_vit_base_16xb1024_90e': ('FacebookLARS', 6.4, 0.0, 16384),
    'obow_linear_resnet50_8xb128_100e': ('SGD', 10.0, 0.0, 1024),
    'coke_single_linear_resnet50_8xb128_90e': ('SGD', 0.2, 1e-6, 1024),
    'coke_multi_linear_resnet50_8xb128_90e': ('SGD', 0.4, 1e-6, 1024),
    'pic_linear_resnet50_8xb32_100e': ('SGD', 30.0, 0.0, 256),
    'multistage_resnet50_8xb32_90e': ('SGD', 0.01, 1e-4, 256),
    'rotnet_linear_alexnet_1xb192_35e': ('SGD', 0.01, 5e-4, 192),
    'rotnet_nonlinear_alexnet_1xb192_40e': ('SGD', 0.01, 5e-4, 192),
    'swav_finetune_resnet50_8xb32_20e': ('SGD', 0.01, 0.0, 256),
}


@pytest.mark.parametrize('stem', PROTOCOLS)
def test_protocols_have_the_numbers_of_their_sources(stem):
    path = next(path for path in CONFIGS if path.stem.startswith(f'{stem}_imagenet'))
    cfg = Config.fromfile(path)
    ranks, epochs = int(re.search(r'_(\d+)xb', stem)[1]), int(re.search(r'_(\d+)e', stem)[1])
    optimizer, batch = cfg.optim_wrapper.optimizer, ranks * cfg.train_dataloader.batch_size
    assert (optimizer.type.__name__, optimizer.lr, optimizer.weight_decay, batch) == PROTOCOLS[stem]
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.auto_scale_lr.base_batch_size == batch


@pytest.mark.parametrize('percent, rates', [(1, (0.02, 5.0)), (10, (0.01, 0.2))])
def test_layer_and_backbone_learn_at_the_rates_of_swavs_script(percent, rates):
    from mmengine.optim import build_optim_wrapper

    from mmssl.registry import MODELS

    cfg = Config.fromfile(FOLDER / f'swav_finetune_resnet50_8xb32_20e_imagenet_{percent}percent.py')
    assert cfg.train_dataloader.dataset.source.file == f'data/imagenet/{percent}percent.txt'
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    for (name, _), group in zip(model.named_parameters(), groups):
        assert group['lr'] == pytest.approx(rates['classifier' in name]), name


@pytest.mark.slow
@pytest.mark.parametrize('name', SETS)
@pytest.mark.parametrize('kind', ['linear', 'finetune'])
def test_each_small_set_is_one_option(name, kind, tmp_path, backbones, tool):
    layouts.small_set(name, tmp_path / 'data')
    path = next(path for path in CONFIGS if path.stem.startswith(f'invp_{kind}_'))
    status, text = tool(
        f'{kind}.py', path, '--checkpoint', backbones['_resnet50_'], '--work-dir', tmp_path, '--dataset', name,
        '--data-root', tmp_path / 'data', *options(path),
    )  # fmt: skip
    assert status == 0, text
    found = json.loads((tmp_path / f'{kind}.json').read_text())
    by_class = name in ('flowers', 'pets', 'aircraft')
    assert found['dataset'] == name
    assert bool(found['results'][0]['notes']) == by_class
    assert ('mean over the classes' in text) == by_class


RESUMED = [
    'swav_linear_resnet10_1xb256_cpu_100e_cifar10',
    'multistage_resnet10_1xb256_cpu_10e_cifar10',
    'rotnet_nonlinear_resnet10_1xb128_cpu_5e_cifar10',
    'finetune_resnet10_1xb128_cpu_5e_cifar10',
]


@pytest.mark.parametrize('stem', RESUMED)
def test_a_resumed_run_gives_the_bits_of_one_that_went_through(stem, tmp_path, backbones, tool):
    path = FOLDER / f'{stem}.py'
    layouts.cifar10(tmp_path / 'data')
    arguments = (path, '--checkpoint', backbones['_resnet10_'], '--data-root', tmp_path / 'data')
    status, text = tool(script_of(path), *arguments, '--work-dir', tmp_path / 'whole', *options(path))
    assert status == 0, text
    (tmp_path / 'half').mkdir()
    shutil.copy(tmp_path / 'whole/epoch_1.pth', tmp_path / 'half')
    status, text = tool(script_of(path), *arguments, '--work-dir', tmp_path / 'half', '--resume', *options(path))
    assert status == 0, text
    assert differences(tmp_path / 'whole/epoch_2.pth', tmp_path / 'half/epoch_2.pth') == []
    name = f'{script_of(path)[:-3]}.json'
    whole, half = (read_results(tmp_path / run / name) for run in ('whole', 'half'))
    assert [result.measures for result in half] == [result.measures for result in whole]


@pytest.mark.slow
@pytest.mark.parametrize('stem', RESUMED)
def test_two_processes_give_what_one_does_where_no_batch_norm_learns(stem, tmp_path, backbones):
    path = FOLDER / f'{stem}.py'
    layouts.cifar10(tmp_path / 'data')
    script, backbone = script_of(path)[:-3], backbones['_resnet10_']
    where = ('--data-root', tmp_path / 'data', '--work-dir')
    one = {'train_dataloader.batch_size': 4}
    folder = 'tools/benchmarks/classification'
    run(f'{folder}/{script}.py', path, '--checkpoint', backbone, *where, tmp_path / '1', *options(path, **one))
    run(f'{folder}/dist_{script}.sh', path, 2, backbone, *where, tmp_path / '2', *options(path))
    found = [json.loads((tmp_path / name / f'{script}.json').read_text()) for name in '12']
    assert found[1]['epochs'] == 2
    if script == 'linear' and len(found[0]['results']) == 1:
        assert found[0]['results'][0]['measures'] == found[1]['results'][0]['measures']
        states = [torch.load(tmp_path / name / 'epoch_2.pth', weights_only=True)['state_dict'] for name in '12']
        torch.testing.assert_close(states[0], states[1])


def test_rates_follow_the_batch_where_that_is_asked_for(tmp_path, backbones, tool):
    path = FOLDER / 'finetune_resnet10_1xb128_cpu_5e_cifar10.py'
    layouts.cifar10(tmp_path / 'data')
    status, text = tool(
        'finetune.py', path, '--checkpoint', backbones['_resnet10_'], '--data-root', tmp_path / 'data', '--work-dir',
        tmp_path, '--auto-scale-lr', *options(path),
    )  # fmt: skip
    assert status == 0, text
    groups = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)['optimizer']['param_groups']
    rates = sorted({group['initial_lr'] for group in groups})
    assert rates == pytest.approx([0.05 * 2 / 128, 0.5 * 2 / 128])


LINEAR = FOLDER / 'swav_linear_resnet10_1xb256_cpu_100e_cifar10.py'
FEW = FOLDER / 'swav_finetune_resnet10_1xb64_cpu_20e_cifar10_1percent.py'


def refused(tool: Tool, path: Path, root: Path, *arguments: object, script: str = '') -> str:
    """The sentence that a call ends with."""
    status, text = tool(
        script or script_of(path), path, '--work-dir', root / 'work', '--data-root', root, *arguments, *options(path)
    )
    sentence = text.splitlines()[-1]
    assert status == 1 and re.match('(Value|Checkpoint)Error: .', sentence), text
    return sentence


def test_a_missing_list_is_named(tmp_path, backbones, tool):
    layouts.cifar10(tmp_path)
    (tmp_path / '1percent.txt').unlink()
    assert 'There is no list' in refused(tool, FEW, tmp_path, '--checkpoint', backbones['_resnet10_'])


def test_a_list_of_images_that_are_not_there_is_refused(tmp_path, backbones, tool):
    layouts.cifar10(tmp_path)
    layouts.write(tmp_path / '1percent.txt', ['airplane/0000.jpg', 'yacht/0001.jpg'])
    text = refused(tool, FEW, tmp_path, '--checkpoint', backbones['_resnet10_'])
    assert '1 of the 2 images' in text and 'yacht/0001.jpg' in text


def test_class_folders_that_differ_are_matched_by_name_or_refused(tmp_path, backbones, tool):
    layouts.cifar10(tmp_path)
    (tmp_path / 'test/frog').rename(tmp_path / 'test/toad')
    arguments = (LINEAR, '--checkpoint', backbones['_resnet10_'], '--work-dir', tmp_path / 'work')
    status, text = tool('linear.py', *arguments, '--data-root', tmp_path, *options(LINEAR))
    assert status == 0
    assert '4 of 8 images of the query set are left out' in text and 'their class: toad.' in text
    (tmp_path / 'test/airplane').rename(tmp_path / 'test/plane')
    text = refused(tool, LINEAR, tmp_path, '--checkpoint', backbones['_resnet10_'])
    assert 'no class in common: airplane, frog and plane, toad' in text


@pytest.mark.parametrize('path', [LINEAR, FEW], ids=['linear', 'finetune'])
def test_a_checkpoint_of_another_architecture_is_refused(path, tmp_path, backbones, tool):
    layouts.cifar10(tmp_path)
    assert 'all are needed' in refused(tool, path, tmp_path, '--checkpoint', backbones['_resnet50_'])


def test_a_config_is_sent_to_the_script_that_it_is_for(tmp_path, tool):
    layouts.cifar10(tmp_path)
    assert 'finetune.py in the same folder' in refused(tool, FEW, tmp_path, script='linear.py')
    assert 'linear.py in the same folder' in refused(tool, LINEAR, tmp_path, script='finetune.py')


def test_a_name_of_a_set_is_for_configs_of_small_sets(tmp_path, tool):
    layouts.cifar10(tmp_path)
    assert 'small_sets.py' in refused(tool, LINEAR, tmp_path, '--dataset', 'dtd')
    small = next(path for path in CONFIGS if path.stem.startswith('invp_linear'))
    assert "'flowers', 'pets'" in refused(tool, small, tmp_path, '--dataset', 'birds')
    assert 'download=True' in refused(tool, small, tmp_path, '--dataset', 'pets')


@pytest.mark.slow
def test_knn_on_two_processes_gives_what_one_does(tmp_path, backbones):
    layouts.cifar10(tmp_path / 'data')
    more = {
        f'evaluation.{part}.source.root': tmp_path / f'data/{split}'
        for part, split in (('gallery', 'train'), ('query', 'test'))
    }
    arguments = ('--k', 1, 3, *options(LINEAR, **more), '--work-dir')
    folder = 'tools/benchmarks/classification'
    run(f'{folder}/knn.py', LINEAR, backbones['_resnet10_'], *arguments, tmp_path / '1')
    run(f'{folder}/dist_knn.sh', LINEAR, 2, backbones['_resnet10_'], *arguments, tmp_path / '2')
    found = [read_results(tmp_path / name / 'knn.json')[0].measures for name in '12']
    assert found[0] == found[1]
    assert [measure.name for measure in found[0]] == ['k-NN k=1', 'k-NN k=3']
