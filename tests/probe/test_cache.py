import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmssl.datasets import EvalView, ImageDataset, ImageFolder, Subset, collate
from mmssl.evaluation import extract_features, extract_views
from mmssl.models import DataPreprocessor, ResNet
from mmssl.probe import FeatureCache, cache
from mmssl.probe.networks import ProbedNetwork
from tests.evaluation.stand_ins import fixed, pairs
from tests.helpers.mutation import Mutation


def network(seed: int = 0, stages: bool = False, mean: float = 120.0) -> ProbedNetwork:
    torch.manual_seed(seed)
    backbone = ResNet(10, 3, 'small', base_channels=4, out_indices=(0, 1, 2, 3))
    return ProbedNetwork('small', backbone, DataPreprocessor([mean] * 3, [60.0] * 3), 16, stages)


@pytest.fixture
def sentences() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, sentences: list[str]) -> FeatureCache:
    return FeatureCache(tmp_path / 'features', tell=sentences.append)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for index in range(12):
        path = tmp_path / 'images' / f'class{index % 2}' / f'{index}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(path)
    return tmp_path / 'images'


def dataset(folder: Path, size: int = 16, seed: int = 0) -> ImageDataset:
    return ImageDataset(ImageFolder(folder), EvalView(size, size), seed=seed)


def passes(sentences: list[str]) -> list[bool]:
    """Of each call, whether the images were passed through the network."""
    return ['one pass' in sentence for sentence in sentences]


def test_a_second_run_reads_the_same_bits_without_a_pass(store, sentences, monkeypatch):
    model, data = network(), fixed(7)
    first = store.features(model, data, batch_size=3)['stage4']
    monkeypatch.setattr(cache, 'feature_batches', None)
    second = store.features(network(), fixed(7))['stage4']
    expected = extract_features(model, data, batch_size=3)
    for found in (first, second):
        assert torch.equal(found.features, expected.features)
        assert torch.equal(found.labels, expected.labels)
        assert torch.equal(found.indices, expected.indices)
    assert passes(sentences) == [True, False]
    assert 'small, 7 images' in sentences[0]


def test_images_without_labels_have_none_in_the_cache(store):
    data = fixed(4, labelled=False)
    assert store.features(network(), data)['stage4'].labels is None
    assert store.features(network(), data)['stage4'].labels is None


def test_several_views_are_kept_beside_each_other(store):
    model, data = network(), pairs(5)
    found = store.features(model, data, views=2)['stage4'].features
    assert torch.equal(found, torch.stack(extract_views(model, data), dim=1))


def test_all_stages_come_from_one_pass_and_serve_the_last_alone(store, sentences):
    data, whole = fixed(5), network(stages=True)
    found = store.features(whole, data)
    assert {name: part.features.shape[1] for name, part in found.items()} == whole.layers
    images = whole.data_preprocessor(collate([data[i] for i in range(5)]))['inputs'][0]
    with torch.no_grad():
        maps = whole.backbone.eval()(images)
    for part, features in zip(found.values(), maps):
        torch.testing.assert_close(part.features, features.mean(dim=(2, 3)))
    last = store.features(network(), data)
    assert list(last) == ['stage4']
    assert torch.equal(last['stage4'].features, found['stage4'].features)
    assert passes(sentences) == [True, False]


@pytest.mark.parametrize('change', ['weight', 'statistic', 'normalisation', 'size', 'image', 'label', 'part', 'seed'])
def test_whatever_features_depend_on_makes_new_ones(change, folder, store, sentences):
    store.features(network(), dataset(folder))
    model, data = network(mean=121.0 if change == 'normalisation' else 120.0), dataset(folder)
    if change == 'weight':
        with torch.no_grad():
            model.backbone.layer4[0].conv2.weight[0, 0, 0, 0] += 1e-6
    elif change == 'statistic':
        model.backbone.bn1.running_mean[0] += 1e-6
    elif change in ('size', 'seed'):
        data = dataset(folder, size=14) if change == 'size' else dataset(folder, seed=1)
    elif change == 'image':
        path = folder / 'class0' / '0.png'
        stat = path.stat()
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    elif change == 'label':
        data.source._listing.labels = 1 - data.source._listing.labels
        data.source._listing.fingerprint = 'other labels'
    elif change == 'part':
        data = ImageDataset(Subset(data.source, 11), data.views)
    store.features(model, data)
    assert passes(sentences) == [True, True]


def test_the_name_of_a_network_does_not_matter(folder, store, sentences):
    store.features(network(), dataset(folder))
    other = network()
    other.name = 'another'
    store.features(other, dataset(folder))
    assert passes(sentences) == [True, False]


@pytest.mark.parametrize('damage', ['cut', 'empty', 'gone', 'other rows'])
def test_a_damaged_file_is_made_anew(damage, store, sentences):
    expected = store.features(network(), fixed(6))['stage4'].features.clone()
    (path,) = store.folder.glob('*/stage4.npy')
    if damage == 'cut':
        path.write_bytes(path.read_bytes()[:-4])
    elif damage == 'empty':
        path.write_bytes(b'')
    elif damage == 'gone':
        path.unlink()
    else:
        np.save(path, np.zeros((5, 32), np.float32))
    assert torch.equal(store.features(network(), fixed(6))['stage4'].features, expected)
    assert passes(sentences) == [True, True]


def test_what_a_killed_run_left_behind_is_never_read(store, sentences, monkeypatch):
    batches = cache.feature_batches

    def interrupted(*args):
        yield next(batches(*args))
        raise KeyboardInterrupt

    monkeypatch.setattr(cache, 'feature_batches', interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.features(network(), fixed(6), batch_size=2)
    monkeypatch.setattr(cache, 'feature_batches', batches)
    found = store.features(network(), fixed(6), batch_size=2)['stage4']
    assert torch.equal(found.features, extract_features(network(), fixed(6), batch_size=2).features)
    assert passes(sentences) == [True, True]
    assert list(store.folder.glob('*.part')) == []


def test_a_folder_that_cannot_be_written_is_refused_in_a_sentence(tmp_path):
    (tmp_path / 'file').write_text('no folder')
    with pytest.raises(ValueError, match='cannot be written to .*give a folder with room in it as --cache'):
        FeatureCache(tmp_path / 'file').features(network(), fixed(3))


def test_images_that_cannot_be_read_are_not_taken_for_a_full_disk(folder, store):
    for path in folder.glob('*/*.png'):
        path.write_bytes(b'broken')
    with pytest.raises(ValueError, match='images in a row cannot be read'):
        store.features(network(), dataset(folder))


def test_gathering_over_ranks_pickles_nothing(ranks):
    assert ranks(2, _gathered_without_objects) == [5, 5]


def _gathered_without_objects() -> int:
    kept = torch.distributed.all_gather_object
    torch.distributed.all_gather_object = None
    try:
        return len(extract_features(network(), fixed(5), 2))
    finally:
        torch.distributed.all_gather_object = kept


MUTATIONS = [
    Mutation(
        'cached features do not depend on the weights',
        'mmssl/probe/cache.py',
        '        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)\n',
        '',
    ),
    Mutation(
        'cached features do not depend on the time of change of the images',
        'mmssl/probe/cache.py',
        'return stat.st_size, stat.st_mtime_ns',
        'return stat.st_size, 0',
    ),
]
