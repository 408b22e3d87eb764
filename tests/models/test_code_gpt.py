"""CodeGPT: what each code is predicted from, completions, weights of the autoencoder, and processes against one."""

import math

import pytest
import torch
from mmengine.config import Config

from mmssl.datasets import Batch
from mmssl.functional import hash_exponentials, next_code_loss, sample_top_k
from mmssl.models import SLATE, CodeGPT, CodeTransformer, DataPreprocessor, DiscreteVAE, ResNet, fill_backbone
from mmssl.registry import MODELS
from mmssl.testing import check_algorithm
from tests.helpers.mutation import Mutation
from tests.models.test_slate import UNIT, _small
from tests.parity import check
from tests.training import ROOT, short_config

FOLDER = ROOT / 'configs/code_gpt'


def transformer(places=9, words=7, dropout=0.0):
    torch.manual_seed(0)
    built = CodeTransformer(words, places, channels=8, depth=2, num_heads=2, dropout=dropout)
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return built.double().eval()


def model(places=16):
    torch.manual_seed(0)
    return CodeGPT(
        DiscreteVAE(7, 8), CodeTransformer(7, places, 8, 2, 2, 0.0), data_preprocessor=DataPreprocessor(**UNIT)
    )


def batch(count):
    return Batch(torch.arange(count), torch.arange(count))


def test_a_code_is_predicted_from_those_before_it_alone():
    network, codes = transformer(), torch.randint(7, (2, 8))
    before = network(codes)
    for place in range(8):
        changed = codes.clone()
        changed[:, place] = (changed[:, place] + 1) % 7
        differs = (network(changed) != before).any(dim=2)
        assert not differs[:, :place].any() and differs[:, place:].all()


def test_fewer_codes_have_the_same_scores():
    network, codes = transformer(), torch.randint(7, (2, 8))
    torch.testing.assert_close(network(codes[:, :3]), network(codes)[:, :3])


def test_the_loss_is_the_mean_over_all_codes_but_the_first():
    network, codes = transformer(), torch.randint(7, (3, 9))
    expected = [
        -network(codes[image : image + 1, :place])[0, -1].log_softmax(dim=0)[codes[image, place]]
        for image in range(3)
        for place in range(1, 9)
    ]
    found = next_code_loss(network(codes[:, :-1]), codes)
    torch.testing.assert_close(found.double(), torch.stack(expected).mean(), rtol=1e-6, atol=0)


def test_an_untrained_transformer_guesses():
    network = model()
    loss = network.loss([torch.rand(4, 3, 16, 16)], batch(4))['loss']
    assert loss.item() == pytest.approx(network.chance_loss(4), abs=0.1) and network.chance_loss(4) == math.log(7)


def test_only_the_best_codes_are_drawn_by_their_probabilities():
    scores = torch.tensor([0.4, 0.3, 0.2, 0.1]).log().expand(20_000, -1)
    drawn = sample_top_k(scores, hash_exponentials(3, torch.arange(20_000), 4), 3)
    shares = torch.bincount(drawn, minlength=4) / 20_000
    torch.testing.assert_close(shares, torch.tensor([4 / 9, 3 / 9, 2 / 9, 0.0]), atol=0.012, rtol=0)
    assert (sample_top_k(scores, torch.rand(20_000, 4), 1) == 0).all()


def test_completions_keep_what_is_given_and_depend_on_seed_image_and_version():
    network = model()
    given, samples = torch.randint(7, (2, 8)).repeat(2, 1), torch.tensor([4, 5, 6, 5])
    first = network.complete(given, samples)
    assert first.shape == (4, 16) and torch.equal(first[:, :8], given)
    assert torch.equal(first, network.complete(given, samples)) and torch.equal(first[1], first[3])
    assert torch.equal(network.complete(given[2:], samples[2:]), first[2:])
    assert not torch.equal(first[0], first[2])
    assert not torch.equal(first, network.complete(given, samples, version=1))
    network.seed = 1
    assert not torch.equal(first, network.complete(given, samples))


def test_a_completion_draws_from_what_the_transformer_predicts():
    network = model()
    network.top_k = 1
    done = network.complete(torch.randint(7, (2, 8)), torch.arange(2))
    predicted = network.transformer(done[:, :-1]).argmax(dim=2)
    assert torch.equal(predicted[:, 7:], done[:, 8:])


def test_places_draw_independently():
    network = model()
    for parameter in network.transformer.parameters():
        torch.nn.init.zeros_(parameter)
    done = network.complete(torch.zeros(4, 1, dtype=torch.long), torch.arange(4))
    assert all(len(row[1:].unique()) > 3 for row in done)


def test_the_autoencoder_stays_as_it_is():
    network, images = model(), torch.rand(4, 3, 16, 16)
    assert not any(parameter.requires_grad for parameter in network.backbone.parameters())
    before = {name: value.clone() for name, value in network.backbone.state_dict().items()}
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        losses.append(network.loss([images], batch(4))['loss'])
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]
    assert all(torch.equal(value, before[name]) for name, value in network.backbone.state_dict().items())


def test_pictures_show_images_codes_and_completions_of_the_lower_half():
    network, images = model(), torch.rand(2, 3, 16, 16)
    (sheet,) = network.picture_sheets([images], batch(2))
    assert [name for _, name in sheet.rows[1]] == ['image', 'its codes', *(f'completion {n}' for n in (1, 2, 3))]
    pictures = [picture for picture, _ in sheet.rows[1]]
    assert all(picture.shape == (3, 96, 96) and picture.dtype == torch.uint8 for picture in pictures)
    codes = network.codes(images)
    whole = network.backbone.decode(network.complete(codes[:, :8], torch.arange(2)).unflatten(1, (4, 4)))
    expected = (whole[1] * 255).round().clamp(0, 255).byte()
    assert torch.equal(pictures[2][:, ::6, ::6], expected)


def test_features_are_those_of_the_transformer():
    network, images = model().eval(), torch.rand(2, 3, 16, 16)
    expected = network.transformer.features(network.codes(images)[:, :-1]).mean(dim=1)
    assert torch.equal(network.extract_feat(images), expected) and expected.shape == (2, 8)


@pytest.mark.parametrize('original', [False, True], ids=['ocrl', 'original'])
def test_the_autoencoder_of_a_run_of_slate_is_taken(original, tmp_path):
    slate = _small(original, kind=SLATE)
    torch.save({'state_dict': slate.state_dict()}, tmp_path / 'slate.pth')
    vae = DiscreteVAE(7, 8, group_norm=original)
    start = fill_backbone(vae, tmp_path / 'slate.pth')
    assert start.match.matched == start.match.total
    for name, value in slate.autoencoder.state_dict().items():
        assert torch.equal(vae.state_dict()[name], value)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match='predicts codes, but ResNet gives none: set model.backbone='):
        CodeGPT(ResNet(10), CodeTransformer(7, 16, 8, 1, 2))
    with pytest.raises(ValueError, match='model.transformer.vocabulary is 9, but the autoencoder has 7: set it to 7'):
        CodeGPT(DiscreteVAE(7, 8), CodeTransformer(9, 16, 8, 1, 2))
    with pytest.raises(ValueError, match='model.transformer.num_places is 9, but the number of codes .* is 16'):
        model(9).loss([torch.rand(1, 3, 16, 16)], batch(1))
    with pytest.raises(ValueError, match=r'CodeGPT decodes pixels between 0 and 1.*std=\[255,255,255\]'):
        CodeGPT(DiscreteVAE(7, 8), CodeTransformer(7, 16, 8, 1, 2)).allocate(10)


def _wider():
    network = model(4)
    for parameter in network.transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network


@pytest.mark.parametrize('sizes', [[7, 5], [5, 4, 3]])
def test_several_processes_compute_what_one_computes(ranks, sizes):
    check(ranks, _wider, sizes, num_views=1)


@pytest.mark.parametrize('path', sorted(FOLDER.glob('code_gpt*.py')), ids=lambda path: path.stem)
def test_its_configs_build_and_their_numbers_fit(path):
    config = Config.fromfile(path)
    with torch.device('meta'):
        network = MODELS.build(config.model)
    views = config.train_dataloader.dataset.views.views
    assert network.transformer.num_places == (views[0].crop // network.backbone.patch_size) ** 2
    assert network.top_k <= network.backbone.vocabulary


def test_slate_trains_the_autoencoder_on_the_frames_that_the_small_config_reads():
    ours, theirs = (Config.fromfile(next(FOLDER.glob(f'{name}*_cpu_*.py'))) for name in ('code_gpt', 'slate'))
    assert ours.train_dataloader.dataset == theirs.train_dataloader.dataset
    assert ours.model.backbone == theirs.model.vae


@pytest.mark.slow
def test_its_cpu_config_passes_the_checks_of_every_algorithm(tmp_path):
    config = 'code_gpt/code_gpt_4x128_1xb32_cpu_4e_head_camera.py'
    passed = check_algorithm(short_config(tmp_path / 'config.py', config, tmp_path / 'no_images'))
    assert len(passed) == 9


RESUME = {
    'code_gpt': """
for part in ('gallery', 'query'):
    evaluation[part]['source'].pop('root')
    evaluation[part]['source'].update(scenes=7, frames=16)
train_dataloader['dataset']['source'] = {**evaluation['gallery']['source'], 'gaze': 'pan'}
del part
"""
}

MUTATIONS = [
    Mutation(
        'a code is told what it is',
        'mmssl/models/heads/code_transformer.py',
        'is_causal=True',
        'is_causal=False',
    ),
    Mutation(
        'a code is predicted from itself',
        'mmssl/functional/codes.py',
        'codes[:, 1:]',
        'codes[:, :-1]',
    ),
    Mutation(
        'codes are drawn from all',
        'mmssl/functional/codes.py',
        'kept = torch.full_like(scores, -torch.inf).scatter(1, best.indices, best.values)',
        'kept = scores',
    ),
    Mutation(
        'every image has the same draws in its completion',
        'mmssl/models/algorithms/code_gpt.py',
        'hash_exponentials(seed, samples, ',
        'hash_exponentials(seed, 0 * samples, ',
    ),
    Mutation(
        'every place of a completion has the same draws',
        'mmssl/models/algorithms/code_gpt.py',
        'Stream.COMPLETIONS, version, place)',
        'Stream.COMPLETIONS, version)',
    ),
    Mutation(
        'the autoencoder learns beside the transformer',
        'mmssl/models/algorithms/code_gpt.py',
        'self.backbone.requires_grad_(False)',
        'self.backbone.requires_grad_(True)',
    ),
]
