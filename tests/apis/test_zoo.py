"""What the metafiles say is complete, typed, and true of the configs; and weights are fetched as they say."""

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
import yaml

import mmssl
from mmssl.apis import cached_weights, fetch_weights, find_entry, verify_weights, zoo, zoo_entries
from mmssl.apis.weights import cache_folder
from mmssl.models import ResNet
from tests.apis.server import serving
from tests.training import ROOT

METAFILES = sorted(ROOT.glob('configs/*/metafile.yml'))
LOADED = {path: yaml.safe_load(path.read_text()) for path in METAFILES}
COLLECTIONS = [(path, collection) for path, content in LOADED.items() for collection in content['Collections']]
MODELS = [(path, model) for path, content in LOADED.items() for model in content['Models']]
CONFIGS = [path for path in sorted(ROOT.glob('configs/*/*.py')) if path.parts[-2] not in ('_base_', 'benchmarks')]
DATA = {
    'imagenet': 'ImageNet-1k',
    'imagenet5': 'five classes of ImageNet',
    'cifar10': 'CIFAR-10',
    'cifar10_domains': 'CIFAR-10 in four renderings',
    'cifar100': 'CIFAR-100',
    'tiny_imagenet': 'Tiny ImageNet',
    'fashion_mnist': 'Fashion-MNIST',
    'pacs': 'PACS',
    'domainnet20': 'DomainNet (20 classes)',
    'folder': 'a folder of images',
    'scenes': '2000 scenes with reports',
    'mimic_cxr': 'MIMIC-CXR with reports',
    'moving_digits': 'moving digits',
    'ucf101': 'UCF101',
    'kinetics400': 'Kinetics-400',
    'syllables': 'generated sentences',
    'wikipedia': 'Wikipedia',
    'wiki1m': 'Wikipedia',
    'nli': 'AllNLI',
    'parallel': 'parallel sentences',
    'events': 'made-up sequences',
    'sequences': 'feature sequences',
    'sprites': 'sprites',
    'head_camera': 'made-up head camera',
    'head_frames': 'frames of videos',
    'frames': 'frames of videos',
}
NUMBERS = re.compile(r'_(\d+)xb(\d+)_.*?(\d+)([ek])_(\w+?)$')


def ids(case: tuple) -> str:
    return case[1]['Name'].replace(' ', '_')


def test_the_index_lists_every_metafile_and_every_method_has_one():
    listed = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    assert listed == [str(path.relative_to(ROOT)) for path in METAFILES]
    assert {path.parent for path in CONFIGS} == {path.parent for path in METAFILES}


@pytest.mark.parametrize('case', COLLECTIONS, ids=ids)
def test_a_collection_is_complete(case):
    path, collection = case
    assert collection.keys() == {'Name', 'Metadata', 'Paper', 'README', 'Code', 'Listed'}
    metadata = collection['Metadata']
    assert metadata.keys() == {'Training Data', 'Training Techniques', 'Training Resources', 'Architecture'}
    assert all(isinstance(name, str) for key in ('Training Techniques', 'Architecture') for name in metadata[key])
    assert collection['Paper'].keys() == {'Title', 'URL'} and collection['Paper']['URL'].startswith(
        ('https://arxiv.org/', 'https://doi.org/')
    )
    assert collection['README'] == str((path.parent / 'README.md').relative_to(ROOT))
    assert (ROOT / collection['README']).is_file() and (ROOT / collection['Code']).is_file()


def test_names_are_unique_and_every_config_is_listed_under_its_own():
    names = [model['Name'] for _, model in MODELS]
    assert len(set(names)) == len(names)
    assert {path.stem for path in CONFIGS} == {name for name in names if not name.endswith(('_authors', '_mmselfsup'))}


@pytest.mark.parametrize('case', MODELS, ids=ids)
def test_an_entry_is_complete_and_says_what_its_config_says(case):
    path, model = case
    assert model.keys() >= {'Name', 'In Collection', 'Config', 'Metadata'}
    assert model['In Collection'] == LOADED[path]['Collections'][0]['Name']
    config = ROOT / model['Config']
    assert config.is_file() and config.parent == path.parent
    gpus, batch, length, unit, data = NUMBERS.search(config.stem).groups()
    metadata = model['Metadata']
    assert metadata['Batch Size'] == int(gpus) * int(batch)
    said = {name: metadata[name] for name in ('Epochs', 'Iterations') if name in metadata}
    if 'Iterations' in said:  # names have thousands
        said['Iterations'] = (said['Iterations'] + 500) // 1000
    assert said == {'Epochs' if unit == 'e' else 'Iterations': int(length)}
    entry = find_entry(model['Name'])
    assert (entry.epochs, entry.iterations) == (metadata.get('Epochs', 0), metadata.get('Iterations', 0))
    data = max((name for name in DATA if data.startswith(name)), key=len)  # domains that are left out may follow
    assert metadata['Training Data'] == DATA[data]
    for result in model.get('Results', []):
        assert result.keys() == {'Task', 'Dataset', 'Metrics'} and result['Metrics']
        assert all(type(value) is float and 0 < value < 100 for value in result['Metrics'].values())


@pytest.mark.parametrize('case', MODELS, ids=ids)
def test_weights_and_results_of_others_are_labelled_and_their_addresses_are_safe(case):
    path, model = case
    stem = Path(model['Config']).stem
    addresses = [model[key] for key in ('Weights', 'Weights Page') if key in model]
    if not addresses:  # a recipe: what it reports was measured here, and stands on the page of the method
        assert model['Name'] == stem and 'Trained By' not in model
        page = (path.parent / 'README.md').read_text()
        figures = [value for result in model.get('Results', []) for value in result['Metrics'].values()]
        assert all(f'| {value} ' in page for value in figures)
        return
    assert re.fullmatch(rf'{stem}_(authors|mmselfsup)', model['Name'])
    assert len(addresses) == 1 and model['Trained By'].startswith('https://github.com/')
    assert urlsplit(addresses[0]).scheme == 'https' and urlsplit(addresses[0]).netloc
    assert re.fullmatch(r'(sha256|md5):[0-9a-f]{8,64}', model.get('Checksum', 'md5:00000000'))


def test_names_are_listed_by_pattern():
    assert mmssl.list_models('odc*') == [
        'odc_resnet10_1xb128_cpu_10e_cifar10', 'odc_resnet50_8xb64_440e_imagenet',
        'odc_resnet50_8xb64_440e_imagenet_mmselfsup',
    ]  # fmt: skip
    assert mmssl.list_models('odc*', pretrained=True) == ['odc_resnet50_8xb64_440e_imagenet_mmselfsup']
    assert mmssl.list_models() == list(zoo_entries()) and mmssl.list_models('nothing') == []


def test_an_unknown_name_is_refused_with_near_ones():
    with pytest.raises(ValueError, match=r"no 'swav_resnet50_800e' \(near names: swav_"):
        find_entry('swav_resnet50_800e')


@pytest.fixture(autouse=True)
def no_own_zoo(monkeypatch):
    monkeypatch.delenv('MMSSL_ZOO', raising=False)


@pytest.mark.parametrize('prefix', ['swav', 'moco_v2', 'MoCo_v2'])
def test_the_start_of_several_names_is_refused_with_some_of_them(prefix):
    with pytest.raises(ValueError, match=r'near names: (\w+, ){5}\w+ and \d+ more\)') as refused:
        find_entry(prefix)
    near = str(refused.value).partition('near names: ')[2].partition(' and ')[0].split(', ')
    assert all(name.startswith(prefix.lower()) for name in near)
    assert 'open a checkpoint or work directory of your own with mmssl.load(PATH)' in str(refused.value)


def test_a_part_of_names_is_refused_with_those_that_hold_it():
    with pytest.raises(ValueError, match=r'near names: \w*_200e_'):
        find_entry('_200e_')


@pytest.fixture
def small_zoo(tmp_path, monkeypatch):
    """A zoo of three entries for one narrow config, its server and its cache."""
    torch.manual_seed(0)
    weights = ResNet(10, stem='small', base_channels=16).state_dict()
    torch.save({'state_dict': {f'module.{key}': value for key, value in weights.items()}}, tmp_path / 'theirs.pth.tar')
    entry = find_entry('swav_resnet10_1xb128_cpu_2e_cifar10')
    with serving((tmp_path / 'theirs.pth.tar').read_bytes()) as server:
        entries = [
            entry,
            replace(entry, name='theirs', trained_by='https://x', weights=f'{server.url}/w/theirs.pth.tar'),
            replace(entry, name='by_hand', trained_by='https://x', page='https://example.org/page'),
        ]
        found = {entry.name: entry for entry in entries}
        for module in ('mmssl.apis.zoo', 'mmssl.apis.weights'):
            monkeypatch.setattr(f'{module}.zoo_entries', lambda: found)
        monkeypatch.setenv('MMSSL_CACHE', str(tmp_path / 'cache'))
        monkeypatch.delenv('MMSSL_MIRROR', raising=False)
        yield server, weights


def test_a_model_comes_with_the_weights_of_every_key_and_in_eval_mode(small_zoo):
    server, weights = small_zoo
    for _ in range(2):
        model = mmssl.get_model('theirs', pretrained=True)
        assert all(torch.equal(value, weights[key]) for key, value in model.backbone.state_dict().items())
    assert len(server.requests) == 1  # then from the cache
    assert not any(module.training for module in model.modules())
    assert model.cfg.model.backbone.depth == 10


def test_without_weights_the_seed_draws_the_same_model_and_nobody_is_asked(small_zoo):
    one, two = mmssl.get_model('theirs'), mmssl.get_model('swav_resnet10_1xb128_cpu_2e_cifar10')
    assert all(torch.equal(value, two.state_dict()[key]) for key, value in one.state_dict().items())
    assert not small_zoo[0].requests


def test_a_recipe_without_weights_is_refused_with_the_names_of_those_that_have_some(small_zoo):
    with pytest.raises(
        ValueError, match='is a recipe without published weights: use weights that others trained with it: theirs, by_h'
    ):
        mmssl.get_model('swav_resnet10_1xb128_cpu_2e_cifar10', pretrained=True)


def test_weights_that_only_a_browser_gets_are_taken_from_where_the_sentence_says(small_zoo, tmp_path):
    entry = zoo.zoo_entries()['by_hand']
    with pytest.raises(ValueError, match='open https://example.org/page in a browser and put the file into') as refused:
        fetch_weights(entry)
    folder = tmp_path / 'cache' / 'by_hand'
    assert str(folder) in str(refused.value)
    folder.mkdir(parents=True)
    (folder / 'any name.pth').write_bytes(small_zoo[0].content)
    assert torch.equal(mmssl.get_model('by_hand', pretrained=True).backbone.conv1.weight, small_zoo[1]['conv1.weight'])


def test_the_first_hash_is_remembered_and_another_file_refused(small_zoo, tmp_path):
    server, entry = small_zoo[0], zoo.zoo_entries()['theirs']
    path = fetch_weights(entry)
    assert 'unverified' in verify_weights(entry) and 'as at the first download' in verify_weights(entry)
    path.write_bytes(b'other')
    with pytest.raises(ValueError, match='is not the file of the first download'):
        verify_weights(entry)
    path.unlink()
    server.content = b'changed by its publisher'
    with pytest.raises(ValueError, match=r'If you trust the new file, delete .*theirs\.pth\.tar\.sha256 first'):
        fetch_weights(entry)
    assert cached_weights(entry) is None
    with pytest.raises(FileNotFoundError, match='download theirs first'):
        verify_weights(entry)


@pytest.mark.parametrize(
    ('variables', 'folder'),
    [
        ({'MMSSL_CACHE': '/own'}, '/own'),
        ({'XDG_CACHE_HOME': '/cache'}, '/cache/mmssl/weights'),
        ({'HOME': '/home/me'}, '/home/me/.cache/mmssl/weights'),
    ],
)
def test_the_cache_is_where_the_variables_say(variables, folder, monkeypatch):
    for name in ('MMSSL_CACHE', 'XDG_CACHE_HOME'):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(folder)
