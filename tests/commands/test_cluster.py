"""``mmssl cluster``: from a trained autoencoder to a training with clean batches."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmssl import load
from mmssl.commands import main
from mmssl.datasets import ImageFolder, PseudoClassSampler
from mmssl.engine import Runner
from mmssl.evaluation import extract_features
from mmssl.functional import Stream, hash_seed, kmeans
from mmssl.models import ConvDecoder, ConvEncoder, DenoisingAutoencoder, SimCLR
from mmssl.probe import compared_networks
from mmssl.registry import DATASETS
from tests.helpers.mutation import Mutation
from tests.small import small_config
from tests.training import make_images


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work directory of an autoencoder, which has seen 40 images; the first ten are its evaluation's gallery."""
    folder = tmp_path_factory.mktemp('autoencoder')
    config = small_config(folder, 40, train_dataloader__dataset__views__counts=[1])
    for part in ('prototypes', 'queue', 'neck'):
        config.model.pop(part)
    config.model.backbone = {'type': ConvEncoder, 'channels': (4, 6)}
    config.model.update(type=DenoisingAutoencoder, decoder={'type': ConvDecoder, 'in_channels': 6, 'channels': (4, 4)})
    gallery = config.evaluation.gallery
    gallery.source = {'type': 'mmssl.Subset', 'indices': list(range(10)), 'source': gallery.source}
    Runner.from_cfg(config).train()
    return folder


def test_the_classes_are_the_clusters_of_the_latents_of_all_training_images(trained, tmp_path, capsys):
    main(['cluster', str(trained), '--clusters', '8', '--seed', '3'])
    said = capsys.readouterr().out
    model = load(trained)
    dataset = DATASETS.build({**model.cfg.train_dataloader.dataset, 'views': model.cfg.evaluation.gallery.views})
    features = extract_features(model, dataset, 20).features
    expected = kmeans(features, 8, seed=hash_seed(3, Stream.KMEANS)).labels
    with np.load(trained / 'pseudo_classes.npz') as stored:
        assert stored['labels'].tolist() == expected.tolist() and len(expected.unique()) == 8
        assert str(stored['images']) == dataset.source.fingerprint
    assert 'Features of 40 images, then k-means into 8 classes ...' in said
    assert 'Batches of 1 images without two of one class: 100% of the images per epoch.' in said
    assert PseudoClassSampler(dataset, trained / 'pseudo_classes.npz').labels.unique().tolist() == list(range(8))


def test_the_printed_options_train_another_method_with_these_classes(trained, tmp_path, capsys):
    path = tmp_path / 'classes.npz'
    main(['cluster', str(trained / 'epoch_2.pth'), '--clusters', '20', '--out', str(path)])
    options = capsys.readouterr().out.split('--cfg-options ')[1].split()
    config = small_config(tmp_path, 40)
    for part in ('prototypes', 'queue'):
        config.model.pop(part)
    config.model.type = SimCLR
    config.train_dataloader.batch_size = 4
    config.merge_from_dict(dict(option.split('=') for option in options))
    runner = Runner.from_cfg(config)
    runner.train()
    sampler = runner.train_dataloader.batch_sampler.sampler
    assert isinstance(sampler, PseudoClassSampler) and sampler.batch_size == 4
    with np.load(path) as stored:
        assert torch.equal(sampler.labels, torch.from_numpy(stored['labels']))


def test_the_images_may_be_those_of_a_folder(trained, tmp_path):
    folder, path = make_images(tmp_path / 'images', 12), tmp_path / 'classes.npz'
    main(['cluster', str(trained), '--clusters', '3', '--data', str(folder), '--out', str(path)])
    with np.load(path) as stored:
        assert len(stored['labels']) == 12 and str(stored['images']) == ImageFolder(folder).fingerprint


@pytest.mark.parametrize(
    'words, said',
    [
        (['--clusters', '41'], r'41 clusters of 40 images: set --clusters to 4 or less \(ten images per cluster\)'),
        (['--clusters', '4', '--out', 'labels.npy'], '--out labels.npy: give a name that ends in .npz'),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(trained, words, said):
    with pytest.raises(SystemExit, match=said) as end:
        main(['cluster', str(trained), *words])
    assert '\n' not in str(end.value)


def test_the_encoder_is_probed_like_any_other_backbone(trained):
    (found,) = compared_networks([trained], stages=True)
    assert found.network.layers == {'stage1': 4, 'stage2': 6} and found.network.size == 16
    weights = load(trained).backbone.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in found.network.backbone.state_dict().items())
    assert not torch.equal(found.untrained.backbone.layers[0][0].weight, weights['layers.0.0.weight'])


MUTATIONS = [
    Mutation(
        'the images of the evaluation are clustered, not those of the training',
        'mmssl/commands/cluster.py',
        'gallery if folder else',
        'gallery if True else',
    ),
]
