"""PIXEL against the reference code, what it sees and must predict, and several processes against one."""

import pytest
import torch
from mmengine.config import Config

from mmssl.datasets import Batch, TextDataset, collate, render_text
from mmssl.export import pixel_encoder
from mmssl.functional import patchify, span_noise, text_noise
from mmssl.models import MAE, PIXEL, DataPreprocessor, ResNet, TextDecoder, TextViT, TimmBackbone
from mmssl.registry import DATASETS, MODELS
from mmssl.testing import check_algorithm
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.parity import UNEQUAL, check
from tests.training import ROOT

pytest.importorskip('timm')
CASE = golden('pixel_linguist/pixel_mae.npz')
WEIGHTS = {key[2:]: value for key, value in CASE.items() if key.startswith('w:')}
SIZES = CASE['cfg']
CONFIG = ROOT / 'configs/pixel/pixel_vit_1xb64_cpu_8e_syllables.py'
PLAIN = dict(type=DataPreprocessor, mean=[0.0] * 3, std=[255.0] * 3)
ANY = Batch(torch.arange(3), torch.arange(3) + 5)


def backbone(sizes=SIZES, **options):
    """The encoder of the reference's vectors."""
    shape = dict(embed_dim=sizes['dim'], depth=sizes['layers'], num_heads=sizes['heads'], patch_size=sizes['patch'])
    return TextViT('vit_tiny_patch16_224', sizes['len'], mlp_ratio=sizes['mlp'] / sizes['dim'], **shape, **options)


def decoder_weights(weights):
    """Of the reference's decoder, under the keys of torch's layers."""
    found, attention = {}, 'decoder.decoder_layers.0.attention.'
    for kind in ('weight', 'bias'):
        parts = [weights[f'{attention}attention.{part}.{kind}'] for part in ('query', 'key', 'value')]
        found[f'blocks.0.self_attn.in_proj_{kind}'] = torch.cat(parts)
        found[f'blocks.0.self_attn.out_proj.{kind}'] = weights[f'{attention}output.dense.{kind}']
        for ours, theirs in [
            ('blocks.0.linear1', 'decoder_layers.0.intermediate.dense'),
            ('blocks.0.linear2', 'decoder_layers.0.output.dense'),
            ('blocks.0.norm1', 'decoder_layers.0.layernorm_before'),
            ('blocks.0.norm2', 'decoder_layers.0.layernorm_after'),
            ('embed', 'decoder_embed'),
            ('norm', 'decoder_norm'),
            ('pixels', 'decoder_pred'),
        ]:
            found[f'{ours}.{kind}'] = weights[f'decoder.{theirs}.{kind}']
    return {**found, 'mask_token': weights['decoder.mask_token']}


@pytest.fixture
def reference(monkeypatch):
    """The reference's network and input: its ends of texts are given, not drawn as black patches."""
    decoder = TextDecoder(SIZES['dim'], SIZES['patch'], channels=SIZES['ddim'], depth=1, num_heads=SIZES['dheads'])
    decoder.blocks[0].linear1 = torch.nn.Linear(SIZES['ddim'], SIZES['dmlp'])
    decoder.blocks[0].linear2 = torch.nn.Linear(SIZES['dmlp'], SIZES['ddim'])
    model = PIXEL(backbone(learn_positions=False), decoder, data_preprocessor=PLAIN).double().eval()
    model.backbone.model.load_state_dict(pixel_encoder(WEIGHTS))
    model.decoder.load_state_dict(decoder_weights(WEIGHTS))
    monkeypatch.setattr(model.backbone, 'attended', lambda images: CASE['attention_mask'].bool())
    positions = WEIGHTS['decoder.decoder_pos_embed'][0, 1:]
    monkeypatch.setattr('mmssl.models.heads.text_decoder.text_positions', lambda *_args, **_options: positions)
    return model


def _given(model, monkeypatch, order):
    monkeypatch.setattr(model, '_order', lambda batch, attended: order)
    return CASE['pixels'].double()


def test_latents_predictions_loss_and_gradients_equal_the_reference(reference, monkeypatch):
    images = _given(reference, monkeypatch, span_noise(CASE['noise'], CASE['span_mask'].bool()))
    found = reference.reconstruct(images, ANY)
    assert torch.equal(found.masked.double(), CASE['mask'])
    torch.testing.assert_close(found.predicted, CASE['logits'], rtol=0, atol=1e-9)
    order = CASE['restore'].argsort(dim=1)[:, :6]
    latent = torch.cat(reference.backbone.seen_tokens(images, order), dim=1)
    torch.testing.assert_close(latent, CASE['latent'], rtol=0, atol=1e-9)
    loss = reference.loss([images], ANY)['loss']
    loss.backward()
    torch.testing.assert_close(loss.detach(), CASE['loss'], rtol=0, atol=1e-9)
    assert abs(loss - CASE['must_not_match_loss_on_all_masked']) > 1e-3
    grads = {key[5:]: value for key, value in CASE.items() if key.startswith('grad:')}
    ours = {name: parameter.grad for name, parameter in reference.named_parameters() if parameter.grad is not None}
    vit = {'embeddings.cls_token': 'cls_token', 'embeddings.patch_embeddings.projection': 'patch_embed.proj'}
    vit |= {f'encoder.layer.{n}.layernorm_before': f'blocks.{n}.norm1' for n in range(2)}
    vit |= {f'encoder.layer.{n}.layernorm_after': f'blocks.{n}.norm2' for n in range(2)} | {'layernorm': 'norm'}
    decoder = {
        'decoder_layers.0.layernorm_before': 'blocks.0.norm1',
        'decoder_layers.0.layernorm_after': 'blocks.0.norm2',
    }
    decoder |= {'decoder_norm': 'norm', 'decoder_pred': 'pixels', 'mask_token': 'mask_token'}
    names = {f'vit.{theirs}': f'backbone.model.{own}' for theirs, own in vit.items()}
    names |= {f'decoder.{theirs}': f'decoder.{own}' for theirs, own in decoder.items()}
    compared = 0
    for theirs, expected in grads.items():
        prefix = max((name for name in names if theirs.startswith(name)), key=len)
        torch.testing.assert_close(ours[names[prefix] + theirs.removeprefix(prefix)], expected, rtol=0, atol=1e-8)
        compared += 1
    assert compared == 21


def test_random_masks_and_plain_pixels_give_the_losses_of_the_reference(reference, monkeypatch):
    images = _given(reference, monkeypatch, text_noise(CASE['noise'], CASE['attention_mask'].bool()))
    assert torch.equal(reference.reconstruct(images, ANY).masked.double(), CASE['random_mask'])
    torch.testing.assert_close(reference.loss([images], ANY)['loss'], CASE['random_loss'], rtol=0, atol=1e-9)
    images = _given(reference, monkeypatch, span_noise(CASE['noise'], CASE['span_mask'].bool()))
    reference.normalise = False
    torch.testing.assert_close(
        reference.loss([images], ANY)['loss'], CASE['loss_with_other_norm_pix'], rtol=0, atol=1e-9
    )


def test_the_targets_are_those_of_the_reference():
    assert torch.equal(patchify(CASE['pixels'].double(), SIZES['patch']), CASE['target'])


def _small(**settings):
    vit = dict(embed_dim=16, depth=2, num_heads=2, in_channels=1)
    return PIXEL(
        TextViT('vit_tiny_patch16_224', 12, **vit),
        TextDecoder(16, image_channels=1, channels=16, depth=1, num_heads=2),
        data_preprocessor=dict(type=DataPreprocessor, mean=[0.0], std=[255.0]),
        **settings,
    ).eval()


def _strips(*texts, patches=12):
    return torch.stack([render_text(text, patches).image for text in texts]) / 255


def test_pixels_beyond_the_text_change_neither_features_nor_loss():
    model, images = _small(), _strips('abc', 'two words', 'longer by some letters')
    with torch.no_grad():
        model.decoder.pixels.weight.normal_()
    noisy = images.clone()
    for strip, attended in zip(noisy, model.backbone.attended(images)):
        start = 16 * int(attended.sum())
        strip[:, :, start:] = torch.rand(1, 16, 192 - start).clamp_min(0.1)
    torch.testing.assert_close(model.extract_feat(noisy), model.extract_feat(images))
    spans = torch.zeros(3, 12, dtype=torch.bool)
    spans[:, 1] = True
    batch = Batch(ANY.sample_idx, ANY.draw, extras={'spans': spans})
    torch.testing.assert_close(model.loss([noisy], batch)['loss'], model.loss([images], batch)['loss'])


def test_masks_follow_spans_or_the_draw_and_one_patch_of_the_text_is_among_them():
    model, images = _small(), _strips('i', 'two words', 'longer by some letters')
    spans = torch.zeros(3, 12, dtype=torch.bool)
    spans[:, [0, 4]] = True
    found = model.reconstruct(images, Batch(ANY.sample_idx, ANY.draw, extras={'spans': spans}))
    assert bool(found.masked[spans].all()) and found.masked.sum(dim=1).tolist() == [3, 3, 3]
    for seed in range(20):
        model.seed = seed
        found = model.reconstruct(images, ANY)
        assert bool((found.masked & found.attended).any(dim=1).all())
    again = model.reconstruct(images[1:], Batch(ANY.sample_idx[1:], ANY.draw[1:]))
    assert torch.equal(again.masked, found.masked[1:])


def test_the_share_of_texts_that_are_too_long_is_logged():
    batch = Batch(ANY.sample_idx, ANY.draw, extras={'cut': torch.tensor([[True], [False], [False]])})
    assert _small().loss([_strips('a', 'b', 'c')], batch)['cut'] == pytest.approx(1 / 3)


def test_pictures_show_the_text_what_was_seen_of_it_and_the_prediction():
    model, images = _small(), _strips('abc', 'two words', 'longer by some letters')
    spans = torch.zeros(3, 12, dtype=torch.bool)
    spans[:, 1] = True
    (sheet,) = model.picture_sheets([images], Batch(ANY.sample_idx, ANY.draw, extras={'spans': spans}))
    assert [[name for _, name in row] for row in sheet.rows] == [['text', 'masked', 'reconstructed']] * 3
    shown = {name: torch.stack([row[place][0] for row in sheet.rows]) for place, (_, name) in enumerate(sheet.rows[0])}
    assert torch.equal(shown['text'], (images * 255).round().byte())
    assert bool((shown['masked'][..., 16:32] == 128).all())
    hidden = model.reconstruct(images, Batch(ANY.sample_idx, ANY.draw, extras={'spans': spans}))
    visible = ~(hidden.masked & hidden.attended).repeat_interleave(16, dim=1)[:, None, None].expand_as(images)
    assert torch.equal(shown['reconstructed'][visible], shown['text'][visible])
    assert not torch.equal(shown['reconstructed'], shown['text'])


def test_other_networks_images_and_normalisations_are_refused_with_what_to_set():
    decoder, vit = TextDecoder(16, channels=16, depth=1, num_heads=2), dict(embed_dim=16, depth=1, num_heads=2)
    with pytest.raises(ValueError, match="PIXEL reads rendered text.* set model.backbone to dict.type='TextViT'"):
        PIXEL(TimmBackbone('vit_tiny_patch16_224', **vit), decoder, data_preprocessor=PLAIN)
    with pytest.raises(ValueError, match=r'must be 0 after .*mean to \[0, 0, 0\] and std to \[255, 255, 255\]'):
        PIXEL(TextViT('vit_tiny_patch16_224', 12, **vit), decoder).allocate(9)
    with pytest.raises(ValueError, match='strips of rendered text of 16 x 192 pixels, .* have 32 x 32: give texts'):
        _small().extract_feat(torch.rand(2, 1, 32, 32))
    with pytest.raises(ValueError, match='plain ViT of timm, which vit_small_patch16_dinov3 is not'):
        TextViT('vit_small_patch16_dinov3', 12, depth=1)


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes):
    check(ranks, _of_eight_pixels, sizes, num_views=1)


def _of_eight_pixels():
    vit = TextViT('vit_tiny_patch16_224', 4, embed_dim=16, depth=2, num_heads=2, patch_size=4)
    decoder = TextDecoder(16, 4, channels=16, depth=1, num_heads=2)
    return _Strips(vit, decoder, mask_ratio=0.5, data_preprocessor=PLAIN)


class _Strips(PIXEL):
    """Reads the images of parity's test as strips of four patches, of which two belong to every other text."""

    def loss(self, inputs, batch):
        strips = torch.cat(inputs[0].chunk(2, dim=2), dim=3)
        strips[batch.draw % 2 > 0, :, :, 4:8] = 0
        return super().loss([strips], batch)


def test_the_cpu_config_trains_on_its_own_data_and_a_checkpoint_of_it_is_a_mae_no_more():
    config = Config.fromfile(CONFIG)
    model, data = MODELS.build(config.model), DATASETS.build(config.train_dataloader.dataset)
    assert isinstance(data, TextDataset) and isinstance(model, MAE)
    samples = model.data_preprocessor(collate([data[index] for index in range(4)]))
    assert samples['batch'].extras['spans'].sum(dim=1).tolist() == [6] * 4
    losses = model.loss(**samples)
    assert losses['loss'].isfinite() and losses['loss'].requires_grad
    with pytest.raises(ValueError, match='ResNet cannot'):
        MODELS.build({**config.model, 'backbone': {'type': ResNet, 'depth': 10}})


@pytest.mark.slow
def test_the_algorithm_passes_every_check():
    passed = check_algorithm(CONFIG, own_images=True)
    assert len(passed) == 9


MUTATIONS = [
    Mutation(
        'padding counts in the loss',
        'mmssl/models/algorithms/pixel.py',
        'counted = masked & attended',
        'counted = masked',
    ),
    Mutation(
        'processes weigh the same, however many patches they count',
        'mmssl/models/algorithms/pixel.py',
        'loss * share',
        'loss',
    ),
    Mutation(
        'the decoder attends to padding',
        'mmssl/models/heads/text_decoder.py',
        'src_key_padding_mask=padding',
        '',
    ),
    Mutation(
        'the encoder attends to padding',
        'mmssl/models/backbones/text_vit.py',
        'torch.cat([before, attended], dim=1)',
        'torch.cat([before, attended | True], dim=1)',
    ),
    Mutation(
        'padding is averaged too',
        'mmssl/models/backbones/text_vit.py',
        'masked_mean(self.tokens(images), self.attended(images))',
        'self.tokens(images).mean(dim=1)',
    ),
    Mutation(
        'layer norms keep the eps of timm',
        'mmssl/models/backbones/text_vit.py',
        'module.eps = 1e-12',
        'pass',
    ),
]
