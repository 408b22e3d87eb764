"""Pixel-Linguist against the reference code, its hard negatives, and several processes against one."""

import math

import pytest
import torch
from mmengine.config import Config

from mmssl.datasets import Batch
from mmssl.export import pixel_encoder
from mmssl.functional import bidirectional_contrast, unit
from mmssl.models import DataPreprocessor, PixelLinguist, TextNeck, TextViT
from mmssl.registry import MODELS
from mmssl.testing import check_algorithm
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.models.test_pixel import PLAIN, backbone
from tests.parity import UNEQUAL, check
from tests.training import ROOT

pytest.importorskip('timm')
CASE = golden('pixel_linguist/sentence_embedding.npz')
WEIGHTS = {key[2:]: value for key, value in CASE.items() if key.startswith('w:')}
CONFIGS = ROOT / 'configs/pixel_linguist'
ANY = Batch(torch.arange(4), torch.arange(4))


@pytest.fixture
def reference(monkeypatch):
    """The reference's network: its ends of texts are given, not drawn as black patches."""
    model = PixelLinguist(backbone(CASE['cfg']), TextNeck(12), data_preprocessor=PLAIN).double().eval()
    model.backbone.model.load_state_dict(pixel_encoder(WEIGHTS))
    layers = {'0': 'linear', '2': 'ln'}
    model.neck.layers.load_state_dict(
        {
            f'{ours}.{kind}': WEIGHTS[f'pooler.{theirs}.{kind}']
            for ours, theirs in layers.items()
            for kind in ('weight', 'bias')
        }
    )
    masks = {CASE[f'pixels_{side}'].sum().item(): CASE[f'attention_mask_{side}'].bool() for side in 'ab'}
    both = torch.cat(list(masks.values()))
    monkeypatch.setattr(
        model.backbone, 'attended', lambda images: both if len(images) == 8 else masks[images.float().sum().item()]
    )
    return model


def test_hidden_states_and_embeddings_equal_the_reference(reference):
    for side in 'ab':
        images = CASE[f'pixels_{side}'].double()
        if side == 'a':
            torch.testing.assert_close(reference.backbone.tokens(images), CASE['hidden_a'][:, 1:], rtol=0, atol=1e-9)
        embeddings = unit(reference.embed(images))
        torch.testing.assert_close(embeddings, CASE[f'embedding_{side}'], rtol=0, atol=1e-9)
        features = unit(reference.extract_feat(images))
        torch.testing.assert_close(features, CASE[f'inference_{side}'], rtol=0, atol=1e-9)


def test_the_loss_and_its_gradients_equal_the_reference(reference):
    assert reference.temperature == float(CASE['temperature'])
    loss = reference.loss([CASE['pixels_a'].double(), CASE['pixels_b'].double()], ANY)['loss']
    loss.backward()
    torch.testing.assert_close(loss.detach(), CASE['loss'], rtol=0, atol=1e-9)
    grads = {key[5:]: value for key, value in CASE.items() if key.startswith('grad:')}
    compared = encoder_grads(grads)
    model = reference.backbone.model
    ours = {name: parameter.grad for name, parameter in model.named_parameters()}
    for name, expected in compared.items():
        torch.testing.assert_close(ours[name], expected, rtol=0, atol=1e-8)
    for ours_at, theirs in (('0', 'linear'), ('2', 'ln')):
        for kind in ('weight', 'bias'):
            found = reference.neck.layers.get_parameter(f'{ours_at}.{kind}').grad
            torch.testing.assert_close(found, grads[f'pooler.{theirs}.{kind}'], rtol=0, atol=1e-8)
    assert len(compared) == 19  # 23 of the reference, where query, key and value are apart


def encoder_grads(grads):
    """Gradients of the encoder under timm's keys; that of the class token is not among the stored ones."""
    found = pixel_encoder({**grads, 'vit.embeddings.cls_token': torch.zeros(1)})
    return {key: value for key, value in found.items() if key != 'cls_token'}


def _small(patches=12):
    vit = TextViT('vit_tiny_patch16_224', patches, in_channels=1, embed_dim=16, depth=2, num_heads=2)
    preprocessor = dict(type=DataPreprocessor, mean=[0.0], std=[255.0])
    return PixelLinguist(vit, TextNeck(16, dropout=0.0), data_preprocessor=preprocessor)


def test_a_third_view_holds_hard_negatives_of_the_first():
    model, views = _small(), [torch.rand(4, 1, 16, 192) for _ in range(3)]
    first, second, hard = (unit(model.embed(view)) for view in views)
    loss = model.loss(views, ANY)['loss']
    torch.testing.assert_close(loss, bidirectional_contrast(first, second, 0.05, hard_negatives=hard))
    assert loss > model.loss(views[:2], ANY)['loss']
    for wrong in (views[:1], views + views[:1]):
        with pytest.raises(ValueError, match='two texts, or three .*: set train_dataloader.dataset.views.edits'):
            model.loss(wrong, ANY)


def test_texts_that_are_all_the_same_give_the_value_of_chance():
    model, rows = _small(), torch.ones(6, 16)
    assert model.contrast(rows, rows).item() == pytest.approx(model.chance_loss(6)) == pytest.approx(math.log(6))


def test_positions_are_learned_and_layer_norms_have_the_eps_of_the_reference():
    model = _small()
    assert model.backbone.model.pos_embed.requires_grad
    assert model.backbone.model.norm.eps == model.neck.layers[2].eps == 1e-12
    assert not model.backbone.model.pos_embed[:, 0].any()


@pytest.mark.parametrize('sizes', UNEQUAL)
@pytest.mark.parametrize('views', [2, 3])
def test_several_processes_compute_what_one_computes(ranks, sizes, views):
    check(ranks, _of_eight_pixels, sizes, num_views=views)


def _of_eight_pixels():
    vit = TextViT('vit_tiny_patch16_224', 1, embed_dim=16, depth=2, num_heads=2, patch_size=8)
    return PixelLinguist(vit, TextNeck(16, dropout=0.0), data_preprocessor=PLAIN)


def test_the_stages_have_the_numbers_of_the_authors():
    expected = {
        'pixel_linguist_vit_base_8xb96_typos_1k_wiki1m': (96, 3e-6, 100, 1300),
        'pixel_linguist_vit_base_8xb96_shuffle_1k_wiki1m': (96, 3e-6, 100, 1300),
        'pixel_linguist_vit_base_8xb96_conditional_1k_wiki1m': (96, 3e-6, 100, 1300),
        'pixel_linguist_vit_base_8xb96_words_1k_wiki1m': (96, 3e-6, 100, 1300),
        'pixel_linguist_vit_base_8xb16_topical_51k_wikipedia': (16, 3e-5, 5050, 50500),
        'pixel_linguist_vit_base_8xb16_reasoning_3k_nli': (16, 3e-5, 200, 2600),
        'pixel_linguist_vit_base_8xb16_crosslingual_203k_parallel': (16, 3e-5, 20000, 202600),
    }
    for stem, numbers in expected.items():
        config = Config.fromfile(CONFIGS / f'{stem}.py')
        warmup, decay = config.param_scheduler
        assert warmup.end == decay.begin
        found = (
            config.train_dataloader.batch_size,
            config.optim_wrapper.optimizer.lr,
            warmup.end,
            config.train_cfg.max_iters,
        )
        assert found == numbers, stem
        assert 'test' not in config.evaluation.pairs.source.file


def test_the_cpu_config_builds_with_a_network_of_minutes():
    model = MODELS.build(Config.fromfile(CONFIGS / 'pixel_linguist_vit_1xb64_cpu_8e_syllables.py').model)
    assert sum(parameter.numel() for parameter in model.parameters()) < 500_000


@pytest.mark.slow
def test_the_algorithm_passes_every_check():
    config = Config.fromfile(CONFIGS / 'pixel_linguist_vit_1xb64_cpu_8e_syllables.py')
    config.param_scheduler[0].end = config.param_scheduler[1].begin = 2  # two epochs have fewer steps than its warm-up
    config.model.backbone.attn_drop_rate = 0.0  # no module that the check could put into eval mode
    passed = check_algorithm(config, own_images=True)
    assert len(passed) == 9


MUTATIONS = [
    Mutation(
        'embeddings for the loss lack the neck',
        'mmssl/models/algorithms/pixel_linguist.py',
        'self.neck(self.backbone.tokens(images), self.backbone.attended(images))',
        'self.extract_feat(images)',
    ),
    Mutation(
        'the neck is applied to the mean',
        'mmssl/models/necks/text.py',
        'masked_mean(self.layers(tokens), attended)',
        'self.layers(masked_mean(tokens, attended))',
    ),
    Mutation(
        'hard negatives of other processes are left out',
        'mmssl/functional/image_text.py',
        'gather_with_gradient(hard_negatives, group)[0]',
        'hard_negatives',
    ),
]
