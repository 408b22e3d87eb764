"""Own runs are published into a folder, and come back from it: by its path, by its URL, and without mmssl."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import modelindex
import pytest
import safetensors
import safetensors.torch
import torch
import yaml
from torch.nn.functional import normalize

import mmssl
from mmssl.apis import Terms, fetch_weights, find_entry, list_models, publish_checkpoints, verify_weights
from mmssl.apis.zoo import INDEX, PACKAGED
from mmssl.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from mmssl.datasets import ArraySource, EvalView, ImageDataset, Subset
from mmssl.datasets.fashion_mnist import _SYSTEM_FOLDER
from mmssl.engine import Runner
from mmssl.evaluation import Measure, RawPixels, Result, evaluate, write_results
from mmssl.models import NPID, FeatureBank, MLPNeck
from mmssl.probe import load_trained
from tests.helpers.mutation import Mutation
from tests.small import small_config
from tests.training import ROOT, environment

TERMS = Terms('CC0-1.0', 'MIT', data='noise', author='A. N. Author', command='python train_it.py')
OURS = 'swav_resnet10_fashion_mnist'
IMAGES = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8, generator=torch.manual_seed(0))


@pytest.fixture(scope='module')
def runs(tmp_path_factory) -> dict[str, Path]:
    """Checkpoints of a SwAV with a queue and of an NPID with a row per image."""
    folder = tmp_path_factory.mktemp('runs')
    bank = {
        'type': NPID, 'backbone': {'type': 'ResNet', 'depth': 10, 'stem': 'small', 'base_channels': 4},
        'neck': {'type': MLPNeck, 'in_channels': 32, 'hidden_channels': 16, 'out_channels': 8},
        'bank': {'type': FeatureBank, 'dim': 8}, 'num_negatives': 4,
    }  # fmt: skip
    configs = {'swav': small_config(folder / 'swav'), 'npid': small_config(folder / 'npid')}
    configs['npid'].model = bank
    configs['npid'].train_dataloader.dataset.views = {'type': 'View', 'size': 12}
    for config in configs.values():
        config.train_cfg.max_epochs = 1
        Runner.from_cfg(config).train()
    return {name: folder / name / 'epoch_1.pth' for name in configs}


@pytest.fixture(autouse=True)
def own_places(monkeypatch, tmp_path):
    monkeypatch.setenv('MMSSL_CACHE', str(tmp_path / 'cache'))
    for name in ('MMSSL_ZOO', 'MMSSL_MIRROR'):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def zoo(runs, tmp_path, monkeypatch) -> Path:
    """A folder with one entry, named in MMSSL_ZOO."""
    publish_checkpoints([runs['swav']], tmp_path / 'zoo', TERMS, 'ours')
    monkeypatch.setenv('MMSSL_ZOO', str(tmp_path / 'zoo'))
    return tmp_path / 'zoo'


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url(zoo, monkeypatch):
    """The folder behind http.server on the loopback address, named in MMSSL_ZOO."""
    with ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(zoo))) as server:
        threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01}, daemon=True).start()
        monkeypatch.setenv('MMSSL_ZOO', f'http://127.0.0.1:{server.server_port}/')
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def index_of(folder: Path) -> dict:
    return yaml.safe_load((folder / INDEX).read_text())


def edit(folder: Path, **changes: str) -> None:
    index = index_of(folder)
    index['Models'][0].update({key.replace('_', ' '): value for key, value in changes.items()})
    (folder / INDEX).write_text(yaml.safe_dump(index))


def test_backbone_and_heads_are_the_tensors_of_the_checkpoint_in_two_files(zoo, runs):
    model, tensors = index_of(zoo)['Models'][0], read_checkpoint(runs['swav'])['state_dict']
    backbone, heads = (safetensors.torch.load_file(zoo / model[key]) for key in ('Weights', 'Heads'))
    stored = {f'backbone.{key}': tensor for key, tensor in backbone.items()} | heads
    assert stored.keys() == tensors.keys() and {'queues.1.rows', 'prototypes.weight'} < heads.keys()
    assert all(torch.equal(stored[key], tensor) for key, tensor in tensors.items())


def test_the_metadata_say_how_to_build_and_feed_the_network(zoo):
    with safetensors.safe_open(zoo / index_of(zoo)['Models'][0]['Weights'], 'pt') as file:
        metadata = file.metadata()
    kind = 'mmssl.models.backbones.resnet.ResNet'
    built = {'type': kind, 'depth': 10, 'stem': 'small', 'base_channels': 4}
    assert json.loads(metadata['architecture']) == built and metadata['licence'] == 'CC0-1.0'
    assert json.loads(metadata['mean']) == [123.675, 116.28, 103.53] and json.loads(metadata['input_size']) == 16
    assert json.loads(metadata['std']) == [58.395, 57.12, 57.375]
    assert str(zoo.parent) not in str(metadata)  # no folder of this machine


def test_the_file_alone_gives_the_network_and_its_normalisation(zoo, runs):
    file = load_trained(zoo / index_of(zoo)['Models'][0]['Weights'])
    wanted = load_trained(runs['swav']).recipe
    assert (file.recipe.mean, file.recipe.std, file.recipe.size) == (wanted.mean, wanted.std, 16)
    assert repr(file.recipe.build()) == repr(wanted.build())
    assert file.recipe.source == 'recorded in the checkpoint'


def test_a_model_of_a_folder_gives_the_features_of_the_run(zoo, runs):
    trained = load_trained(runs['swav'])
    original = trained.algorithm()
    original.cfg = trained.config
    model = mmssl.get_model('ours', pretrained=True)
    wanted = mmssl.extract_features(original, IMAGES).features
    assert torch.equal(mmssl.extract_features(model, IMAGES).features, wanted)
    assert not torch.equal(mmssl.extract_features(mmssl.get_model('ours'), IMAGES).features, wanted)
    whole = mmssl.get_model('ours', pretrained=True, heads=True).state_dict()
    assert all(torch.equal(whole[key], tensor) for key, tensor in original.state_dict().items())


def test_a_model_is_downloaded_from_a_url_once(url, tmp_path, runs, monkeypatch):
    monkeypatch.setenv('MMSSL_MIRROR', 'http://127.0.0.1:9')  # for the addresses of others
    model = mmssl.get_model('ours', pretrained=True)
    stored = read_checkpoint(runs['swav'])['state_dict']
    assert torch.equal(model.backbone.conv1.weight, stored['backbone.conv1.weight'])
    path = fetch_weights(find_entry('ours'))
    assert path.parent == tmp_path / 'cache' / 'ours' and 'as published' in verify_weights(find_entry('ours'))
    assert find_entry('ours').weights == f'{url}/{path.name}'


def test_entries_stand_beside_the_built_in_ones(zoo):
    names = list_models(pretrained=True)
    assert {'ours', OURS, 'swav_resnet50_64xb64_800e_imagenet_authors'} <= set(names)
    entry = find_entry('ours')
    assert (entry.method, entry.epochs, entry.batch_size, entry.training_data) == ('SwAV', 1, 8, 'noise')
    assert (entry.licence, entry.data_licence, entry.author) == ('CC0-1.0', 'MIT', 'A. N. Author')


def test_a_zoo_that_cannot_be_reached_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv('MMSSL_ZOO', 'http://127.0.0.1:9')
    with pytest.raises(ConnectionError, match=r'The zoo at http://127\.0\.0\.1:9 cannot be reached .*unset MMSSL_ZOO'):
        list_models()
    monkeypatch.setenv('MMSSL_ZOO', str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r'has no model-index\.yml that can be read: set MMSSL_ZOO to a folder'):
        find_entry('ours')


def test_a_file_that_is_not_the_published_one_is_refused_in_place_and_in_the_cache(url, zoo, monkeypatch):
    cached = fetch_weights(find_entry('ours'))
    cached.write_bytes(cached.read_bytes()[:-1] + b'x')
    with pytest.raises(ValueError, match='is not the published file'):
        mmssl.get_model('ours', pretrained=True)
    shutil.copy(cached, zoo / cached.name)
    cached.unlink()
    with pytest.raises(ValueError, match='it is not the published file'):
        mmssl.get_model('ours', pretrained=True)
    monkeypatch.setenv('MMSSL_ZOO', str(zoo))
    with pytest.raises(ValueError, match='is not the published file'):
        mmssl.get_model('ours', pretrained=True)


@pytest.mark.parametrize(
    'change',
    [
        {'Name': '../ours'},
        {'Weights': '../ours.safetensors'},
        {'Weights': 'ours.pth'},
        {'Heads': '/heads.safetensors'},
        {'Card': 'a/b.md'},
        {'Checksum': 'sha256:12345678'},
        {'Heads_Checksum': ''},
    ],
)
def test_an_index_that_leads_out_of_its_folder_or_states_no_whole_hash_is_refused(zoo, change):
    edit(zoo, **change)
    with pytest.raises(ValueError, match=r'model-index\.yml was not written by tools/model_zoo\.py publish'):
        list_models()


@pytest.mark.parametrize(
    'text', ['', 'Models: 3', 'Models: [3]', '!!python/object/apply:os.mkdir [x]', 'a: [', '[' * 9999]
)
def test_an_index_that_is_none_is_refused(zoo, text):
    (zoo / INDEX).write_text(text)
    with pytest.raises(ValueError, match=r'was not written by tools/model_zoo\.py publish'):
        list_models()


def test_publishing_again_replaces_the_entry_and_keeps_the_others(zoo, runs):
    publish_checkpoints([runs['npid']], zoo, TERMS, 'another')
    before = files(zoo)
    publish_checkpoints([runs['npid']], zoo, TERMS, 'ours')
    assert [model['Name'] for model in index_of(zoo)['Models']] == ['another', 'ours']
    gone = {name for name in before if name.startswith('ours') and name.endswith('.safetensors')}
    assert not gone & files(zoo) and {name for name in before if 'another' in name} <= files(zoo)
    named = {model[key] for model in index_of(zoo)['Models'] for key in ('Weights', 'Heads', 'Card')}
    assert files(zoo) == named | {INDEX}
    assert find_entry('ours').method == 'NPID'


def test_rows_per_image_are_not_published_and_the_card_says_so(zoo, runs):
    publish_checkpoints([runs['npid']], zoo, TERMS, 'rows')
    heads = safetensors.torch.load_file(fetch_weights(find_entry('rows'), heads=True))
    assert 'bank.rows' not in heads and 'neck.layers.linear1.weight' in heads
    assert 'not published, since they are rows of the training images: bank.rows' in (zoo / 'rows.md').read_text()
    mmssl.get_model('rows', pretrained=True, heads=True)


def test_a_write_that_fails_leaves_the_old_entry(zoo, runs, monkeypatch):
    before, features = files(zoo), mmssl.extract_features(mmssl.get_model('ours', pretrained=True), IMAGES).features

    def fail(path: Path, content: bytes) -> None:
        if path.name == INDEX:
            raise OSError('no space')
        path.write_bytes(content)

    monkeypatch.setattr('mmssl.apis.publish._write_bytes', fail)
    with pytest.raises(OSError, match='no space'):
        publish_checkpoints([runs['npid']], zoo, TERMS, 'ours')
    assert before <= files(zoo)
    assert torch.equal(mmssl.extract_features(mmssl.get_model('ours', pretrained=True), IMAGES).features, features)


def test_the_same_checkpoint_gives_the_same_files_in_another_process(zoo, runs, tmp_path):
    again = [
        *(sys.executable, ROOT / 'tools/model_zoo.py', 'publish', runs['swav'], '--out', tmp_path / 'again'),
        *('--name', 'ours', '--licence', 'CC0-1.0', '--data-licence', 'MIT', '--data', 'noise'),
        *('--author', 'A. N. Author', '--command', 'python train_it.py'),
    ]
    printed = subprocess.run(again, env=environment(), check=True, capture_output=True, text=True).stdout
    assert f'Published in {tmp_path / "again"}: ours' in printed
    assert files(zoo) == files(tmp_path / 'again') and index_of(zoo) == index_of(tmp_path / 'again')


def test_the_card_loads_the_backbone_without_mmssl(zoo, runs, monkeypatch):
    monkeypatch.chdir(zoo)
    blocks = re.findall(r'```python\n(.*?)```', (zoo / 'ours.md').read_text(), flags=re.DOTALL)
    names: dict = {}
    exec(blocks[1], names)
    images = torch.randn(2, 3, 16, 16, generator=torch.manual_seed(0))
    backbone = load_trained(runs['swav']).algorithm().backbone
    with torch.no_grad():
        wanted = backbone(images)[-1].mean(dim=(2, 3))
        torch.testing.assert_close(names['network'].eval()(images), wanted)


def measured(checkpoint: Path, about: str) -> Path:
    results = [
        Result(name, tuple(Measure(title, value, short=title) for title in ('k-NN k=20', 'linear')))
        for name, value in (('raw pixels', 12.5), ('untrained', 25.04), ('epoch_1.pth', 37.56))
    ]
    write_results(checkpoint.parent / 'evaluation.json', results, config='c.py', checkpoint=about)
    return checkpoint.parent / 'evaluation.json'


@pytest.fixture
def copied(runs, tmp_path) -> Path:
    (tmp_path / 'run').mkdir()
    return Path(shutil.copy(runs['swav'], tmp_path / 'run' / 'epoch_1.pth'))


def test_figures_of_the_checkpoint_and_its_baselines_are_published_with_their_command(copied, tmp_path, monkeypatch):
    measured(copied, 'somewhere/epoch_1.pth')
    publish_checkpoints([copied], tmp_path / 'zoo', TERMS, 'ours')
    monkeypatch.setenv('MMSSL_ZOO', str(tmp_path / 'zoo'))
    assert find_entry('ours').results == {'noise k-NN Top 1 Accuracy': 37.6, 'noise Linear Top 1 Accuracy': 37.6}
    metadata = index_of(tmp_path / 'zoo')['Models'][0]['Metadata']
    assert metadata['Baselines']['untrained'] == {'k-NN Top 1 Accuracy': 25.0, 'Linear Top 1 Accuracy': 25.0}
    card = (tmp_path / 'zoo' / 'ours.md').read_text()
    assert '| linear (%) | 12.5 | 25.0 | 37.6 |' in card
    assert 'python tools/test.py CONFIG epoch_1.pth --baselines' in card and 'python train_it.py' in card
    index = modelindex.load(str(tmp_path / 'zoo' / INDEX))
    assert [model.name for model in index.models] == ['ours']


def test_figures_of_another_or_an_earlier_checkpoint_are_not_published(copied, tmp_path):
    path = measured(copied, 'epoch_2.pth')
    publish_checkpoints([copied], tmp_path / 'zoo', TERMS, 'ours')
    assert 'None were measured.' in (tmp_path / 'zoo' / 'ours.md').read_text()
    with pytest.raises(ValueError, match=r'is about epoch_2\.pth, not epoch_1\.pth'):
        publish_checkpoints([copied], tmp_path / 'zoo', TERMS, 'ours', results=path)
    os.utime(measured(copied, 'epoch_1.pth'), (0, 0))
    with pytest.raises(ValueError, match='is older than'):
        publish_checkpoints([copied], tmp_path / 'zoo', TERMS, 'ours')


def test_half_precision_halves_the_file_and_the_card_states_the_true_difference(runs, tmp_path, monkeypatch):
    for name, half in (('whole', False), ('half', True)):
        publish_checkpoints([runs['swav']], tmp_path / 'zoo', TERMS, name, half=half)
    monkeypatch.setenv('MMSSL_ZOO', str(tmp_path / 'zoo'))
    paths = [fetch_weights(find_entry(name)) for name in ('whole', 'half')]
    tensors = [safetensors.torch.load_file(path) for path in paths]
    sizes = [sum(tensor.nbytes for tensor in part.values() if tensor.dim() > 1) for part in tensors]
    assert sizes[0] == 2 * sizes[1]
    assert torch.equal(tensors[0]['bn1.running_var'], tensors[1]['bn1.running_var'])
    noise = torch.randn(32, 3, 16, 16, generator=torch.manual_seed(0))
    with torch.no_grad():
        whole, half = (
            mmssl.get_model(name, pretrained=True).backbone(noise)[-1].mean(dim=(2, 3)) for name in ('whole', 'half')
        )
    difference = 100 * ((half - whole).abs().max() / whole.abs().max()).item()
    stated = re.search(r'by at most (\S+) %', (tmp_path / 'zoo' / 'half.md').read_text())
    assert float(stated[1]) == pytest.approx(difference, rel=0.1) and difference > 0
    assert 'half precision' not in (tmp_path / 'zoo' / 'whole.md').read_text().split('## Publish')[0]


@pytest.mark.parametrize(
    ('terms', 'name', 'sentence'),
    [
        (Terms('', 'MIT', data='noise', command='c'), 'ours', 'No licence of the weights: add --licence'),
        (Terms('MIT', ' ', data='noise', command='c'), 'ours', 'No licence of the training images: add --data-licence'),
        (Terms('MIT', 'MIT', command='c'), 'ours', 'does not say what it was trained on: add --data'),
        (Terms('MIT', 'MIT', data='noise'), 'ours', 'add --command "HOW TO TRAIN IT"'),
        (Terms('MIT', 'MIT', data='noise', command='c'), '', "'' is no name"),
        (Terms('MIT', 'MIT', data='noise', command='c'), '../ours', "'../ours' is no name"),
    ],
)
def test_what_is_missing_is_asked_for_in_one_sentence_and_nothing_is_written(terms, name, sentence, runs, tmp_path):
    with pytest.raises(ValueError, match=re.escape(sentence)) as refused:
        publish_checkpoints([runs['swav']], tmp_path / 'zoo', terms, name)
    assert '\n' not in str(refused.value) and not (tmp_path / 'zoo').exists()


def test_weights_that_are_no_checkpoint_of_mmssl_are_refused(runs, tmp_path):
    torch.save(read_checkpoint(runs['swav'])['state_dict'], tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match='is no checkpoint of a run of mmssl'):
        publish_checkpoints([tmp_path / 'weights.pth'], tmp_path / 'zoo', TERMS, 'ours')
    assert not (tmp_path / 'zoo').exists()


def test_files_that_a_network_started_from_are_not_named(copied, tmp_path):
    checkpoint = read_checkpoint(copied)
    checkpoint['meta']['config']['model']['backbone']['init_cfg'] = {'type': 'Constant', 'checkpoint': '/home/me/w.pth'}
    write_checkpoint(checkpoint, copied)
    publish_checkpoints([copied], tmp_path / 'zoo', TERMS, 'ours')
    assert not [path for path in (tmp_path / 'zoo').iterdir() if b'/home/me' in path.read_bytes()]


def test_metadata_that_are_no_config_are_refused_in_one_sentence(tmp_path):
    path = tmp_path / 'w.safetensors'
    safetensors.torch.save_file({'a': torch.ones(1)}, path, metadata={'mmssl_config': '{' * 10})
    with pytest.raises(CheckpointError, match='damaged mmssl_config'):
        load_trained(path)


def test_the_packaged_backbone_loads_offline_with_the_hash_of_its_index(monkeypatch):
    monkeypatch.setattr('mmssl.download.build_opener', None)
    entry = find_entry(OURS)
    assert 'as published' in verify_weights(entry) and len(verify_weights(entry).splitlines()) == 2
    assert sum(path.stat().st_size for path in PACKAGED.iterdir()) < 1_000_000
    assert files(PACKAGED) == {INDEX, *(Path(p).name for p in (entry.weights, entry.heads, entry.card))}
    features = mmssl.extract_features(mmssl.get_model(OURS, pretrained=True), torch.zeros(2, 1, 28, 28).byte()).features
    assert features.shape == (2, 128) and features.dtype == torch.float32
    assert {'MIT', 'Apache-2.0'} == {entry.data_licence, entry.licence}


def test_the_first_lines_of_readmes_example_run_without_a_network(monkeypatch):
    monkeypatch.setattr('mmssl.download.build_opener', None)
    block = re.search(r'```python\n(.*?)```', (ROOT / 'README.md').read_text(), flags=re.DOTALL)[1]
    names: dict = {}
    exec(block, names)
    assert OURS in block and names['features'].shape == (8, 128)


def test_the_figures_in_readme_are_those_of_the_packaged_backbone():
    model = index_of(PACKAGED)['Models'][0]
    networks = [model['Results'][0]['Metrics'], *model['Metadata']['Baselines'].values()]
    own, pixels, untrained = (figures['k-NN Top 1 Accuracy'] for figures in networks)
    assert f'{own} % in k-NN (raw pixels {pixels}, untrained {untrained}' in (ROOT / 'README.md').read_text()


def test_go_on_training_from_published_weights(zoo, tmp_path):
    torch.save(mmssl.get_model('ours', pretrained=True, heads=True).state_dict(), tmp_path / 'start.pth')
    config = small_config(tmp_path / 'on', load_from=str(tmp_path / 'start.pth'))
    config.train_cfg.max_epochs = 1
    config.optim_wrapper.optimizer.lr = 0.0
    runner = Runner.from_cfg(config)
    runner.train()
    wanted = mmssl.get_model('ours', pretrained=True, heads=True)
    prototypes = [normalize(model.prototypes.weight) for model in (runner.algorithm, wanted)]  # as SwAV keeps them
    torch.testing.assert_close(*prototypes)
    assert torch.equal(runner.algorithm.backbone.conv1.weight, wanted.backbone.conv1.weight)


@pytest.mark.skipif(not _SYSTEM_FOLDER.is_dir(), reason='apt-get install dataset-fashion-mnist')
def test_the_packaged_backbone_beats_raw_pixels_and_the_untrained_network_on_held_out_images():
    def part(name: str, num: int) -> ImageDataset:
        files = {
            'images': _SYSTEM_FOLDER / f'{name}-images-idx3-ubyte.gz',
            'labels': _SYSTEM_FOLDER / f'{name}-labels-idx1-ubyte.gz',
        }
        source = Subset(ArraySource(**{key: str(path) for key, path in files.items()}), num=num)
        return ImageDataset(source, EvalView(28, 28), channels=1)

    sets = {'gallery': part('train', 5000), 'query': part('t10k', 2000), 'knn': {'k': (20,)}}
    networks = RawPixels(), mmssl.get_model(OURS), mmssl.get_model(OURS, pretrained=True)
    pixels, untrained, ours = (evaluate(network, sets).measure('k-NN k=20').value for network in networks)
    assert ours > pixels + 2 and ours > untrained + 4


MUTATIONS = [
    Mutation(
        'a published file in place is not compared with its hash',
        'mmssl/apis/weights.py',
        '    _compare_published(path, checksum)\n    return path\n',
        '    return path\n',
        'tests/apis/test_publish.py -k in_the_cache',
    ),
    Mutation(
        'old files are deleted before the index is written',
        'mmssl/apis/publish.py',
        '    for release in releases:\n        for name, content',
        '    [(out / file).unlink() for file in before]\n    for release in releases:\n        for name, content',
        'tests/apis/test_publish.py -k a_write_that_fails',
    ),
    Mutation(
        'the metadata of a published file are in random order',
        'mmssl/weights.py',
        'sort_keys=True, separators',
        'sort_keys=False, separators',
        'tests/apis/test_publish.py -k in_another_process',
    ),
    Mutation(
        'the index may name files outside of its folder',
        'mmssl/apis/zoo.py',
        "('Weights', NAME), ",
        '',
        'tests/apis/test_publish.py -k leads_out_of_its_folder',
    ),
]
