"""ConVIRT: three steps of the reference code, several processes, words that live in checkpoints, frozen layers."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmssl.checkpoint import read_checkpoint
from mmssl.datasets import ArraySource, Batch, ImageDataset, PairDataset, View
from mmssl.functional import unit
from mmssl.models import ConVIRT, MLPNeck, WordTokenizer, WordTransformer, freeze_first
from mmssl.testing import check_algorithm
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Passing, Smooth
from tests.parity import UNEQUAL, check
from tests.small import small_runner
from tests.training import ROOT

NECK = dict(type=MLPNeck, in_channels=8, hidden_channels=8, out_channels=6, batch_norm=False)

TOKENS = {'num_tokens': 12, 'max_length': 4}


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.lin = nn.Linear(width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + self.lin(hidden).tanh()


class _GoldenText(nn.Module):
    """The text tower of the golden vectors, with the first six of its eight layers frozen."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(tokens, width)
        self.layers = nn.ModuleList(_Residual(width) for _ in range(8))
        freeze_first(self.embeddings, self.layers, 6)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        hidden = self.embeddings(tokens)
        for layer in self.layers:
            hidden = layer(hidden)
        return hidden


class _GoldenImages(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, stride=2, padding=1)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (self.conv(images).relu(),)


def _theirs(name: str) -> str:
    """The reference's name of one of our parameters."""
    for ours, theirs in (
        ('backbone.conv', 'img_encoder.0.0'),
        ('text_tower.embeddings', 'txt_encoder.embeddings'),
        ('text_tower.layers', 'txt_encoder.encoder.layer'),
        ('text_neck.layers.linear1', 'txt_projection.projection.0'),
        ('text_neck.layers.linear2', 'txt_projection.projection.2'),
        ('neck.layers.linear1', 'vis_projection.projection.0'),
        ('neck.layers.linear2', 'vis_projection.projection.2'),
    ):
        if name.startswith(ours):
            return name.replace(ours, theirs, 1)
    raise KeyError(name)


def _neck(width: int, out: int) -> MLPNeck:
    return MLPNeck(width, width, out, batch_norm=False)


def _near(one: Tensor, other: Tensor, tolerance: float) -> None:
    assert (one - other).abs().max() <= tolerance * max(1, float(other.abs().max()))


def test_three_steps_of_adam_equal_the_reference():
    case = golden('convirt/three_steps.npz')
    cfg, frozen = case['cfg'], case['frozen']
    model = ConVIRT(
        _GoldenImages(cfg['img_dim']), _neck(cfg['img_dim'], cfg['proj']), _GoldenText(cfg['vocab'], cfg['text_dim']),
        _neck(cfg['text_dim'], cfg['proj']), WordTokenizer(9, 5), cfg['tau'], cfg['lam'],
    ).double()  # fmt: skip
    parameters = {_theirs(name): value for name, value in model.named_parameters()}
    assert {name for name, value in parameters.items() if not value.requires_grad} == set(frozen)
    assert {f'init:{name}' for name in parameters} == {key for key in case if key.startswith('init:')}
    for name, value in parameters.items():
        value.data.copy_(case[f'init:{name}'])
    optimizer = torch.optim.Adam(
        [value for value in parameters.values() if value.requires_grad], cfg['lr'], weight_decay=cfg['wd']
    )
    for step in range(3):
        images, tokens, mask = (case[f's{step}_{name}'] for name in ('images', 'ids', 'mask'))
        _near(unit(model.embed(images)).detach(), case[f's{step}_v'], 1e-9)
        _near(unit(model.embed_texts(tokens, mask.bool())).detach(), case[f's{step}_u'], 1e-9)
        batch = Batch(torch.arange(4), torch.arange(4), extras={'tokens': tokens, 'mask': mask.bool()})
        loss = model.loss([images], batch)['loss']
        _near(loss.detach(), case[f's{step}_loss'], 1e-9 if step == 0 else 1e-8)
        optimizer.zero_grad()
        loss.backward()
        for key in [key for key in case if key.startswith(f's{step}_grad:')]:
            _near(parameters[key.partition(':')[2]].grad, case[key], 1e-8)
        optimizer.step()
    for name, value in parameters.items():
        _near(value.data, case[f'final:{name}'].double(), 1e-8)


@pytest.mark.parametrize('number', range(2))
def test_the_neck_equals_the_reference(number):
    case = {key[3:]: value for key, value in golden('convirt/projection.npz').items() if key.startswith(f'c{number}')}
    neck = MLPNeck(case['x'].shape[1], len(case['W1']), len(case['W2']), batch_norm=False).double()
    for place in ('1', '2'):
        linear = getattr(neck.layers, f'linear{place}')
        linear.weight.data.copy_(case[f'W{place}'])
        linear.bias.data.copy_(case[f'b{place}'])
    features = case['x'].requires_grad_()
    found = neck(features)
    found.backward(case['upstream'])
    _near(found.detach(), case['y'], 1e-9)
    _near(features.grad, case['grad_x'], 1e-8)
    for place in ('1', '2'):
        linear = getattr(neck.layers, f'linear{place}')
        _near(linear.weight.grad, case[f'grad_W{place}'], 1e-8)
        _near(linear.bias.grad, case[f'grad_b{place}'], 1e-8)


def _small(**settings: object) -> ConVIRT:
    tower = WordTransformer(num_tokens=20, max_length=6, dim=8, depth=2, num_heads=2)
    return ConVIRT(Smooth(), _neck(8, 6), tower, _neck(8, 6), WordTokenizer(20, 6), **settings)


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes):
    check(ranks, _small, sizes, num_views=1)


def _batch(count: int = 4) -> Batch:
    tokens = torch.arange(count * 6).view(count, 6) % 20
    mask = torch.arange(6) < torch.arange(count)[:, None] % 5 + 1
    return Batch(torch.arange(count), torch.arange(count), extras={'tokens': tokens, 'mask': mask})


def test_what_stands_in_the_padding_changes_nothing():
    model, batch = _small().double(), _batch()
    images = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    loss = model.loss([images], batch)['loss']
    tokens = batch.extras['tokens'].where(batch.extras['mask'], 7)
    assert not torch.equal(tokens, batch.extras['tokens'])
    other = Batch(batch.sample_idx, batch.draw, extras={**batch.extras, 'tokens': tokens})
    torch.testing.assert_close(model.loss([images], other)['loss'], loss)


def test_embeddings_that_are_all_the_same_give_the_value_of_chance():
    model = _small()
    for neck in (model.neck, model.text_neck):
        neck.layers.linear2.weight.data.zero_()
        neck.layers.linear2.bias.data.fill_(1)
    loss = model.loss([torch.randn(4, 3, 8, 8)], _batch())['loss'].item()
    assert loss == pytest.approx(math.log(4)) == pytest.approx(model.chance_loss(4))


def test_frozen_layers_and_their_embeddings_get_no_gradient():
    tower = _GoldenText(9, 4)
    tower(torch.zeros(1, 3, dtype=torch.long), torch.ones(1, 3, dtype=torch.bool)).sum().backward()
    learning = {name for name, value in tower.named_parameters() if value.grad is not None}
    assert learning == {f'layers.{place}.lin.{kind}' for place in (6, 7) for kind in ('weight', 'bias')}
    with pytest.raises(ValueError, match='frozen_layers=9, but the text tower has 8 layers: set 8 or less'):
        freeze_first(tower.embeddings, tower.layers, 9)


@pytest.mark.parametrize(('name', 'settings'), [('num_tokens', (30, 6)), ('max_length', (20, 7))])
def test_a_text_tower_that_is_too_small_for_the_tokenizer_is_refused(name, settings):
    tower = WordTransformer(num_tokens=20, max_length=6, dim=8, depth=1, num_heads=2)
    with pytest.raises(
        ValueError, match=f'set model.text_tower.{name} to {max(settings) if name == "num_tokens" else 7}'
    ):
        ConVIRT(Passing(8), _neck(8, 6), tower, _neck(8, 6), WordTokenizer(*settings))


def test_images_without_texts_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"ConVIRT needs the tokens .*'PairDataset'"):
        _small().loss([torch.randn(4, 3, 8, 8)], Batch(torch.arange(4), torch.arange(4)))
    source = ArraySource(np.zeros((4, 8, 8), np.uint8))
    with pytest.raises(ValueError, match=r'data set is ImageDataset: set .*PairDataset'):
        _small().meet(ImageDataset(source, View(8)))
    with pytest.raises(ValueError, match='needs a text for every image, but ArraySource gives none'):
        PairDataset(source, View(8))


def _runner(folder: Path, texts: list[str], **overrides: object):
    """A training of two epochs on 40 images with texts."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'texts.json').write_text(json.dumps(texts))
    backbone = {'type': 'ResNet', 'depth': 10, 'stem': 'small', 'base_channels': 8}
    model = {
        '_delete_': True, 'type': ConVIRT, 'backbone': backbone, 'neck': {**NECK, 'in_channels': 64},
        'text_tower': {**TOKENS, 'type': WordTransformer, 'dim': 8, 'depth': 1, 'num_heads': 2},
        'text_neck': NECK, 'tokenizer': {**TOKENS, 'type': WordTokenizer},
    }  # fmt: skip
    return small_runner(
        folder,
        model=model,
        train_dataloader__dataset__type=PairDataset,
        train_dataloader__dataset__views={'_delete_': True, 'type': View, 'size': 12},
        train_dataloader__dataset__source__texts=str(folder / 'texts.json'),
        **overrides,
    )


RED = ['A red square left. It is quite small.', 'A blue circle right.'] * 20
GREEN = ['Green lines cross everything here.'] * 40


def _words(path: Path) -> Tensor:
    return read_checkpoint(path)['state_dict']['tokenizer.words']


def test_the_words_of_the_texts_are_in_the_checkpoint_and_read_prompts(tmp_path):
    runner = _runner(tmp_path, RED)
    runner.train()
    model, words = runner.algorithm, _words(tmp_path / 'epoch_2.pth')
    known = [bytes(row.tolist()).rstrip(b'\0').decode() for row in words]
    assert known == ['a', 'blue', 'circle', 'is', 'it', 'left', 'quite', 'red', 'right', 'small'], (
        'by number, then name'
    )
    tokens, mask = model.tokenizer(['a RED, unseen circle', 'blue'])
    assert tokens.tolist() == [[2, 9, 1, 4], [3, 0, 0, 0]] and mask.sum(dim=1).tolist() == [4, 1]
    assert model.embed_sentences(['blue circle']).shape == (1, 6)


def test_a_training_that_starts_from_a_checkpoint_keeps_its_words(tmp_path):
    _runner(tmp_path / 'first', RED).train()
    words = _words(tmp_path / 'first/epoch_2.pth')
    second = _runner(tmp_path / 'second', GREEN, load_from=str(tmp_path / 'first/epoch_2.pth'))
    second.train()
    assert torch.equal(_words(tmp_path / 'second/epoch_2.pth'), words)
    dataset = second.train_dataloader.dataset
    assert dataset[0]['tokens'].tolist() == [1, 1, 1, 1], 'no word of the new texts is known'


def test_a_sentence_that_is_cut_is_counted_with_the_name_of_its_image(tmp_path, capsys):
    _runner(tmp_path, ['One two three four five six.', *['Four words stay whole.'] * 39]).train()
    said = capsys.readouterr().out
    assert (
        said.count('1 of 40 texts have a sentence of more than 4 tokens, which is cut there: images.npy[0] (6).') == 1
    )


@pytest.mark.slow
def test_it_passes_the_checks_of_every_algorithm():
    passed = check_algorithm(ROOT / 'configs/convirt/convirt_resnet10_1xb32_cpu_12e_scenes.py')
    assert len(passed) == 9


RESUME = {
    'convirt': """
for part in (evaluation['gallery'], evaluation['query'], train_dataloader['dataset']):
    part['source'].update(file=part['source']['root'] + '/pairs.csv')
del part
"""
}

MUTATIONS = [
    Mutation(
        'the embeddings of a frozen text tower learn',
        'mmssl/models/texts/towers.py',
        '[embeddings, *layers[:count]] if count else []',
        'layers[:count]',
    ),
    Mutation(
        'one layer too few is frozen',
        'mmssl/models/texts/towers.py',
        '*layers[:count]]',
        '*layers[: count - 1]]',
    ),
    Mutation(
        'attention looks at padding',
        'mmssl/models/texts/towers.py',
        'src_key_padding_mask=~mask',
        'src_key_padding_mask=None',
    ),
    Mutation(
        'a checkpoint loses its words to those of new texts',
        'mmssl/models/algorithms/convirt.py',
        'if not self.tokenizer.fitted:',
        'if True:',
    ),
    Mutation(
        'ConVIRT compares embeddings that are not normalised',
        'mmssl/models/algorithms/convirt.py',
        "texts = unit(self.embed_texts(batch.extras['tokens'], batch.extras['mask']))",
        "texts = self.embed_texts(batch.extras['tokens'], batch.extras['mask'])",
    ),
]
