"""tools/model_zoo.py as a user runs it."""

import runpy
import shutil
import sys
from collections.abc import Callable

import modelindex
import pytest
import torch

from mmssl.apis.zoo import PACKAGED, recipes
from mmssl.models import ResNet
from tests.apis.server import serving
from tests.training import ROOT

SWAV = 'swav_resnet50_64xb64_800e_imagenet_authors'  # its publisher gives no hash
MOCO = 'moco_v2_resnet50_8xb32_200e_imagenet_authors'  # its publisher gives one


@pytest.fixture
def zoo(monkeypatch, capsys, tmp_path) -> Callable[..., str]:
    """Runs the tool in this process, with a cache of its own; gives what it prints, or the sentence it ends with."""
    monkeypatch.setenv('MMSSL_CACHE', str(tmp_path / 'cache'))

    def run(*arguments: str, fails: bool = False) -> str:
        monkeypatch.setattr(sys, 'argv', ['model_zoo.py', *arguments])
        capsys.readouterr()
        if fails:
            with pytest.raises(SystemExit) as ended:
                runpy.run_path(str(ROOT / 'tools/model_zoo.py'), run_name='__main__')
            return str(ended.value)
        runpy.run_path(str(ROOT / 'tools/model_zoo.py'), run_name='__main__')
        return capsys.readouterr().out

    return run


def test_the_list_says_whose_the_figures_are(zoo):
    lines = zoo('list', 'pixpro*').splitlines()
    of_others = [line for line in lines if 'authors' in line]
    assert of_others and all('zdaxie/PixPro; not checked here' in line and 'by hand' in line for line in of_others)
    assert any('(measured here)' in line for line in lines)


def test_weights_are_downloaded_verified_and_converted(zoo, tmp_path, monkeypatch):
    weights = ResNet(10, base_channels=4).state_dict()
    torch.save({'state_dict': {f'module.encoder_q.{key}': value for key, value in weights.items()}}, tmp_path / 'w.pth')
    path = tmp_path / 'cache' / SWAV / 'swav_800ep_pretrain.pth.tar'
    with serving((tmp_path / 'w.pth').read_bytes()) as server:
        monkeypatch.setenv('MMSSL_MIRROR', server.url)
        printed = zoo('download', SWAV)
        assert str(path) in printed and 'facebookresearch/swav, not checked here' in printed
        assert server.requests[0][0] == '/deepcluster/swav_800ep_pretrain.pth.tar'
        assert 'instead of 59fd9945' in zoo('download', MOCO, fails=True)
        assert str(tmp_path / 'here' / SWAV) in zoo('download', SWAV, '--dest', str(tmp_path / 'here'))
    assert 'unverified, since its publisher gives no hash' in zoo('verify')
    assert "found under 'module.encoder_q.' (as in MoCo)" in zoo('convert', SWAV, str(tmp_path / 'out.pth'))
    assert 'Left out, with the number of tensors: nothing' in zoo('convert', str(path), str(tmp_path / 'out.pth'))
    path.write_bytes(b'damaged')
    assert 'is not the file of the first download' in zoo('verify', fails=True)


def test_published_weights_are_listed_downloaded_with_their_heads_and_verified(zoo, tmp_path, monkeypatch):
    shutil.copytree(PACKAGED, tmp_path / 'own')
    with serving(b'') as server:
        server.status = 503
        monkeypatch.setenv('MMSSL_ZOO', server.url)
        assert f'The zoo at {server.url} cannot be reached' in zoo('list', fails=True)
    monkeypatch.setenv('MMSSL_ZOO', str(tmp_path / 'own'))
    name = 'swav_resnet10_fashion_mnist'
    assert '85.1' in zoo('list', name) and ' here ' in zoo('list', name)
    printed = zoo('download', name, '--dest', str(tmp_path / 'copy'), '--heads')
    assert 'licence Apache-2.0; licence of the training images MIT' in printed
    copies = sorted((tmp_path / 'copy' / name).iterdir())
    assert [path.read_bytes() == (PACKAGED / path.name).read_bytes() for path in copies] == [True, True]
    assert zoo('verify', '--dest', str(tmp_path / 'copy')).count('as published') == 2
    copies[1].write_bytes(b'damaged')
    assert 'is not the published file' in zoo('verify', '--dest', str(tmp_path / 'copy'), fails=True)


def test_publishing_without_a_licence_is_one_sentence(zoo, tmp_path):
    sentence = zoo('publish', 'epoch_1.pth', '--out', str(tmp_path / 'out'), fails=True)
    assert sentence == (
        'ValueError: No licence of the weights: add --licence NAME, such as Apache-2.0, MIT or CC-BY-4.0.'
    )


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (('list', 'nothing'), 'No name matches'),
        (
            ('download', 'odc_resnet50_8xb64_440e_imagenet'),
            'odc_resnet50_8xb64_440e_imagenet is a recipe without published weights',
        ),
        (('download', 'coke_multi_resnet50_8xb128_801e_imagenet_authors'), 'must be downloaded by hand'),
        (('download', 'nothing_of_the_kind'), "has no 'nothing_of_the_kind'"),
        (('verify', '--dest', 'none'), 'No weights were downloaded yet'),
        (('convert', 'none.pth', 'out.pth'), 'No checkpoint at none.pth'),
    ],
)
def test_what_cannot_be_done_is_one_sentence(zoo, arguments, sentence):
    assert sentence in zoo(*arguments, fails=True)


def test_the_index_is_read_by_the_library_that_mim_uses():
    index = modelindex.load(str(ROOT / 'model-index.yml'))
    assert sorted(model.name for model in index.models) == sorted(recipes())
    assert not [error for model in index.models for error in model.check_errors]
