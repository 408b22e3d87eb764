"""SLATE in both variants and its parts against the reference code, codes of a discrete autoencoder, and processes."""

import re

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmssl.datasets import Batch
from mmssl.functional import gumbel_softmax, image_error
from mmssl.models import SLATE, DataPreprocessor, DiscreteVAE, SLATEDecoder, SlotCNN, SlotEncoder
from mmssl.registry import MODELS, PARAM_SCHEDULERS
from mmssl.testing import check_algorithm
from tests.conftest import golden
from tests.functional.test_slots import cases, close
from tests.helpers.mutation import Mutation
from tests.models.test_slot_attention import ENCODER, WHOLE, check_gradients, fill
from tests.parity import check
from tests.training import ROOT, short_config

ANY = Batch(sample_idx=torch.arange(4), draw=torch.arange(4) + 5)
UNIT = {'mean': [0, 0, 0], 'std': [255, 255, 255]}
BLOCKS = [
    (r'self_attn_layer_norm', 'norm_self'),
    (r'encoder_decoder_attn_layer_norm', 'norm_slots'),
    (r'ffn_layer_norm', 'norm_mlp'),
    (r'encoder_decoder_attn\.', 'to_slots.'),
    (r'self_attn\.', 'to_codes.'),
    (r'\.ffn\.', '.mlp.'),
    (r'proj_([qkv])\.', r'project_\1.'),
    (r'proj_o\.', 'project_out.'),
    (r'^layer_norm\.', 'norm.'),
]


def _vae_keys(case, start, norm):
    """Names of the discrete autoencoder: a block is a convolution, with one group norm behind it in the original."""
    renamed = []
    for key in case:
        name = key.removeprefix(start)
        if not key.startswith(start) or not re.search(r'(en|de)coder', name):
            continue
        new = re.sub(r'^_', '', name).replace('.m.', '.0.')
        if norm and case[key].dim() == 1 and re.fullmatch(r'(encoder|decoder)\.\d+\.(weight|bias)', new):
            last = new.startswith(('encoder.7.', 'decoder.11.'))
            new = new if last else re.sub(r'\.(weight|bias)$', r'.1.\1', new)
        renamed.append((f'^{re.escape(name)}$', new))
    return renamed


@pytest.mark.parametrize('variant', ['ocrl', 'slate'])
def test_the_discrete_autoencoder_equals_the_reference(variant):
    case = golden('slot_attention/dvae.npz')
    vae = DiscreteVAE(case['cfg']['vocab'], group_norm=variant == 'slate')
    fill(vae, case, f'{variant}_w:', *_vae_keys(case, f'{variant}_w:', variant == 'slate'))
    images = case[f'{variant}_image'].requires_grad_()
    (logits,) = vae(images)
    close(logits, case[f'{variant}_log_probabilities'])
    soft = gumbel_softmax(logits, case[f'{variant}_exponential'], case['cfg']['tau'])
    close(soft, case[f'{variant}_z'])
    decoded = vae.decode(soft)
    close(decoded, case[f'{variant}_reconstruction'])
    loss = image_error(decoded, images)
    close(loss, case[f'{variant}_loss'])
    loss.backward()
    close(images.grad, case[f'{variant}_grad_image'], 1e-8)
    start = f'{variant}_grad:'
    assert check_gradients(vae, case, start, *_vae_keys(case, start, variant == 'slate')) >= 18
    exponentials = case[f'{variant}_exponential']
    torch.testing.assert_close(vae.sample(images, exponentials, exponentials, case['cfg']['tau'])[0], decoded)


@pytest.mark.parametrize('case', cases('slot_attention/transformer_decoder.npz'), ids=['two blocks', 'one block'])
def test_the_transformer_equals_the_reference(case):
    cfg = case['cfg']
    decoder = SLATEDecoder(2, 3, cfg['len'], cfg['d'], cfg['blocks'], cfg['heads'])
    own = {f'{start}:{key}': value for key, value in decoder.state_dict().items() for start in ['w'] if _alone(key)}
    fill(decoder, {**own, **case}, 'w:', *BLOCKS)
    tokens, slots = case['x'].requires_grad_(), case['slots'].requires_grad_()
    features = decoder.decode(tokens, slots)
    close(features, case['y'])
    (features * case['upstream']).sum().backward()
    close(tokens.grad, case['grad_x'], 1e-8)
    close(slots.grad, case['grad_slots'], 1e-8)


def _alone(key):
    return not key.startswith(('blocks', 'norm'))


def _decoder(cfg, places=4):
    return SLATEDecoder(cfg['vocab'], cfg['d'], places, cfg['dm'], depth=2, num_heads=2, dropout=0.0)


def _ours(case, start, names):
    """The case with the names of the discrete autoencoder and the transformer as they are here."""
    found = {}
    for key, value in case.items():
        if key.startswith(start):
            name = key.removeprefix(start)
            for old, new in names:
                name = re.sub(old, new, name)
            found[start + name] = value
    return found


OCRL = [
    (r'^_dvae\._(encoder|decoder)\.(\d+)\.m\.', r'vae.\1.\2.0.'),
    (r'^_dvae\._', 'vae.'),
    *WHOLE,
    (r'^_slotproj\.', 'decoder.project_slots.'),
    (r'^_dict\.dictionary\.', 'decoder.dictionary.'),
    (r'^_bos_token\._bos_token$', 'decoder.start'),
    (r'^_z_pos\.pe$', 'decoder.positions'),
    (r'^_out\.', 'decoder.scores.'),
]


def _transformer(prefix):
    inner = [(old.removeprefix('^'), new) for old, new in BLOCKS]
    return [(rf'^{prefix}\.layer_norm\.', 'decoder.norm.'), *inner[:-1], (rf'^{prefix}\.', 'decoder.')]


def test_ocrls_slate_equals_the_reference():
    case = golden('slot_attention/slate_ocrl.npz')
    cfg = case['cfg']
    encoder = SlotEncoder(cfg['hid'], cfg['slots'], cfg['d'], cfg['mlp'], num_iterations=cfg['iters'])
    model = SLATE(SlotCNN(cfg['hid']), encoder, _decoder(cfg), vae=DiscreteVAE(cfg['vocab']), temperature=cfg['tau'])
    names = [*OCRL, *_transformer('_tfdec')]
    fill(model, case, 'w:', *names)
    losses = model.losses(case['image'], case['noise'], case['exponential_soft'], case['exponential_target'])
    close(losses['loss_codes'], case['cross_entropy'])
    close(losses['loss_vae'], case['dvae_loss'])
    close(sum(losses.values()), case['loss'])
    losses['loss_codes'].backward(retain_graph=True)
    reached = [name for name, parameter in model.vae.named_parameters() if parameter.grad is not None]
    assert len(reached) == case['dvae_parameters_reached_by_cross_entropy'] == 0
    losses['loss_vae'].backward()
    assert check_gradients(model, case, 'grad:', *names) == 50
    slots, attention = model.slot_encoder(model.places(case['image'])[0], case['noise'])
    close(slots, case['slots'])
    close(attention, case['attention'])


def test_the_original_slate_equals_the_reference():
    case = golden('slot_attention/slate_original.npz')
    cfg = case['cfg']
    encoder = SlotEncoder(cfg['dm'], cfg['slots'], cfg['d'], cfg['mlp'], num_iterations=cfg['iters'])
    vae = DiscreteVAE(cfg['vocab'], group_norm=True)
    model = SLATE(vae, encoder, _decoder(cfg), temperature=cfg['tau']).double().eval()
    names = [
        *_vae_of_original(),
        (r'^positional_encoder\.pe$', 'decoder.positions'),
        *((old.replace('^', r'^slot_attn\.'), f'slot_encoder.{new}') for old, new in ENCODER),
        (r'^slot_attn\.', 'slot_encoder.'),
        (r'^slot_proj\.', 'decoder.project_slots.'),
        *_transformer('tf_dec'),
        (r'^out\.', 'decoder.scores.'),
    ]
    ours = _ours(case, 'w:', names)
    words = ours.pop('w:dictionary.dictionary.weight')  # its first row is the start token
    ours |= {'w:decoder.start': words[None, :1], 'w:decoder.dictionary.weight': words[1:]}
    fill(model, ours, 'w:')
    losses = model.losses(case['image'], case['noise'], case['exponential_soft'], case['exponential_target'])
    close(losses['loss_codes'], case['cross_entropy'])
    close(losses['loss_vae'], case['dvae_loss'])
    decoded, codes = vae.sample(case['image'], case['exponential_soft'], case['exponential_target'], cfg['tau'])
    close(decoded.clamp(0, 1), case['reconstruction'])
    sum(losses.values()).backward()
    gradients = _ours(case, 'grad:', names)
    if 'grad:dictionary.dictionary.weight' in gradients:
        words = gradients.pop('grad:dictionary.dictionary.weight')
        gradients |= {'grad:decoder.start': words[None, :1], 'grad:decoder.dictionary.weight': words[1:]}
    assert check_gradients(model, gradients, 'grad:') >= 35
    _, attention = model.slot_encoder(model.decoder.embed(codes.flatten(1))[:, 1:], case['noise'])
    shares = attention.transpose(1, 2).unflatten(2, (2, 2)).repeat_interleave(4, 2).repeat_interleave(4, 3)[:, :, None]
    close(case['image'][:, None] * shares + 1 - shares, case['attention_picture'])


def _vae_of_original():
    block = r'(encoder\.[0-6]|decoder\.[0-46-9])'
    return [
        (rf'^dvae\.{block}\.m\.', r'backbone.\1.0.'),
        (rf'^dvae\.{block}\.(weight|bias)$', r'backbone.\1.1.\2'),
        (r'^dvae\.', 'backbone.'),
    ]


def _small(original=False, kind=SLATE, dropout=0.0):
    torch.manual_seed(0)
    vae = DiscreteVAE(7, 8, group_norm=original)
    encoder = SlotEncoder(12 if original else 6, 3, 8, 8, num_iterations=2)
    decoder = SLATEDecoder(7, 8, 4, 12, depth=2, num_heads=2, dropout=dropout)
    parts = {} if original else {'vae': vae}
    return kind(vae if original else SlotCNN(6), encoder, decoder, data_preprocessor=DataPreprocessor(**UNIT), **parts)


BOTH = pytest.mark.parametrize('original', [False, True], ids=['ocrl', 'original'])


@BOTH
def test_a_code_is_predicted_from_earlier_ones_and_the_slots_alone(original):
    decoder, slots = _small(original).decoder.eval(), torch.randn(1, 3, 8)
    codes = torch.tensor([[1, 2, 3, 4]])
    scores = decoder(decoder.embed(codes)[:, :-1], slots)
    for place in range(4):
        others = codes.clone()
        others[0, place] = 6
        changed = (decoder(decoder.embed(others)[:, :-1], slots) != scores).any(dim=2)[0]
        assert changed.tolist() == [later > place for later in range(4)]
    assert (decoder(decoder.embed(codes)[:, :-1], 2 * slots) != scores).any(dim=2).all()


@BOTH
def test_all_that_is_random_depends_on_seed_and_draw_alone(original):
    model, images = _small(original).eval(), torch.rand(4, 3, 8, 8)
    whole = [model.loss([images[place, None]], Batch(ANY.sample_idx[:1], ANY.draw[place, None])) for place in range(4)]
    for name, value in model.loss([images], ANY).items():
        torch.testing.assert_close(torch.stack([one[name] for one in whole]).mean(), value)
    model.seed = 1
    assert model.loss([images], ANY)['loss_vae'] != value


@BOTH
def test_slots_segments_and_reconstructions_of_an_image(original):
    model, images = _small(original).eval(), torch.rand(2, 3, 8, 8)
    slots, shares = model.slots(images)
    assert slots.shape == (2, 3, 8) and shares.shape == ((2, 3, 2, 2) if original else (2, 3, 8, 8))
    segments = model.segments(images)
    assert segments.shape == (2, 3, 8, 8)
    torch.testing.assert_close(segments.sum(dim=1), torch.ones(2, 8, 8))
    pixels = model.reconstruct(images)
    assert pixels.shape == images.shape and pixels.min() >= 0 and pixels.max() <= 1


def test_what_is_reconstructed_follows_the_most_probable_codes():
    model = _small().eval()
    images = torch.rand(1, 3, 8, 8)
    slots = model.slots(images)[0]
    expected = torch.zeros(1, 4, dtype=torch.long)
    for place in range(4):
        expected[:, place] = model.decoder(model.decoder.embed(expected)[:, :-1], slots)[:, place].argmax(dim=1)
    pixels = model.autoencoder.decode(expected.view(1, 2, 2)).clamp(0, 1)
    torch.testing.assert_close(model.reconstruct(images), pixels)


def test_codes_of_images_and_images_of_codes():
    vae, images = DiscreteVAE(7, 8).eval(), torch.rand(2, 3, 8, 12)
    codes = vae.codes(images)
    assert codes.shape == (2, 2, 3) and codes.dtype == torch.long
    torch.testing.assert_close(codes, vae(images)[0].argmax(dim=1))
    shares = nn.functional.one_hot(codes, 7).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(vae.decode(codes), vae.decode(shares))
    assert vae.decode(codes).shape == (2, 3, 8, 12)
    with pytest.raises(ValueError, match='give views whose sides are multiples of 4'):
        vae(torch.rand(1, 3, 10, 8))


def test_the_discrete_autoencoder_learns():
    torch.manual_seed(0)
    vae, images = DiscreteVAE(16, 16), torch.rand(8, 3, 1, 1).expand(8, 3, 8, 8)
    optimizer, errors = torch.optim.Adam(vae.parameters(), lr=3e-3), []
    for _ in range(60):
        soft, hard = torch.empty(2, 8, 16, 2, 2).exponential_()
        error = image_error(vae.sample(images, soft, hard, 0.5)[0], images)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(float(error.detach()))
    assert errors[-1] < 0.3 * errors[0]


def test_what_does_not_fit_is_refused_with_what_to_set():
    encoder, decoder = SlotEncoder(6, 3, 8, 8), SLATEDecoder(7, 8, 4, 12, num_heads=2)
    with pytest.raises(ValueError, match='backbone is a SlotCNN and model.vae is missing: give model.vae'):
        SLATE(SlotCNN(6), encoder, decoder)
    with pytest.raises(ValueError, match='backbone is a DiscreteVAE and model.vae is given, too'):
        SLATE(DiscreteVAE(7), encoder, decoder, vae=DiscreteVAE(7))
    with pytest.raises(ValueError, match='slot_encoder.in_channels is 6, but what the slots read has 12'):
        SLATE(DiscreteVAE(7), encoder, decoder)
    with pytest.raises(ValueError, match='decoder.vocabulary is 7, but the discrete autoencoder has 9'):
        SLATE(SlotCNN(6), encoder, decoder, vae=DiscreteVAE(9))
    model = SLATE(SlotCNN(6), encoder, decoder, vae=DiscreteVAE(7))
    with pytest.raises(ValueError, match=r'set model.data_preprocessor.mean=\[0,0,0\] and std=\[255,255,255\]'):
        model.allocate(10)
    with pytest.raises(ValueError, match='set model.decoder.num_places to 6'):
        model.loss([torch.rand(4, 3, 8, 12)], ANY)


class Calm(SLATE):
    """The losses as a fraction: steps of SGD at the rate of the check would blow up the sums over an image."""

    def loss(self, inputs, batch):
        return {name: 1e-3 * value for name, value in super().loss(inputs, batch).items()}


@pytest.mark.parametrize('sizes', [[6, 6], [5, 4, 3]])
def test_several_processes_compute_what_one_computes(ranks, sizes):
    check(ranks, _calm, sizes, num_views=1)


def test_the_original_on_two_processes_computes_what_one_computes(ranks):
    check(ranks, _calm_original, [7, 5], num_views=1)


def _calm():
    return _small(kind=Calm)


def _calm_original():
    return _small(original=True, kind=Calm)


def test_the_rates_of_ocrls_config_follow_the_reference():
    config = Config.fromfile(ROOT / 'configs/slate/slate_cnn_1xb24_10e_sprites.py')
    with torch.device('meta'):
        model = MODELS.build(config.model)
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    scheduler = PARAM_SCHEDULERS.build({**config.param_scheduler, 'optimizer': wrapper, 'end': 400_000})
    names = [name for name, _ in model.named_parameters()]
    for row in golden('slot_attention/schedules.json')['ocrl_lr']:
        scheduler.follow(row['step'] / 400_000)
        for name, group in zip(names, wrapper.optimizer.param_groups, strict=True):
            part = name.partition('.')[0]
            wanted = row['lr_dvae' if part == 'vae' else 'lr_dec' if part == 'decoder' else 'lr_enc']
            assert group['lr'] == pytest.approx(wanted, rel=1e-6), name
    assert wrapper.clip_grad_kwargs == {'max_norm': 0.05, 'norm_type': 'inf'}


@pytest.mark.slow
def test_its_cpu_config_passes_the_checks_of_every_algorithm(tmp_path):
    config = 'slate/slate_cnn_1xb16_cpu_4e_sprites.py'
    passed = check_algorithm(short_config(tmp_path / 'config.py', config, tmp_path / 'no_images'))
    assert len(passed) == 9


RESUME = {
    'slate': """
for part in ('gallery', 'query'):
    evaluation[part]['source'].pop('root')
    evaluation[part]['source'].update(num=112)
train_dataloader['dataset']['source'] = {**evaluation['gallery']['source'], 'truth': False}
del part
model['backbone'].update(channels=8)
model['slot_encoder'].update(in_channels=8, slot_channels=8, hidden_channels=8)
model['decoder'].update(slot_channels=8, channels=16, vocabulary=16)
model['vae'].update(channels=8, vocabulary=16)
"""
}

MUTATIONS = [
    Mutation(
        'the rates do not halve',
        'mmssl/functional/schedules.py',
        '0.5 ** (step / half_life)',
        '0.5 ** (0 * step / half_life)',
    ),
    Mutation(
        'the rate of the autoencoder warms up, too',
        'mmssl/engine/schedules.py',
        "return [base if group.get('fix_lr') else base * factor for base, group in groups]",
        'return [base * factor for base, group in groups]',
    ),
    Mutation(
        'codes that are predicted are those of the soft sample',
        'mmssl/models/algorithms/slate.py',
        '(Stream.SOFT_CODES, Stream.CODES))',
        '(Stream.SOFT_CODES, Stream.SOFT_CODES))',
    ),
    Mutation(
        'the first block keeps its input in the sums',
        'mmssl/models/heads/slate_decoder.py',
        '(normed if self.first else tokens) +',
        'tokens +',
    ),
    Mutation(
        'a code sees itself and later ones',
        'mmssl/models/heads/slate_decoder.py',
        'self.to_codes(normed, normed, causal=True)',
        'self.to_codes(normed, normed)',
    ),
    Mutation(
        'codes are not shifted by the start token',
        'mmssl/models/algorithms/slate.py',
        'scores = self.decoder(tokens[:, :-1], slots)\n        return',
        'scores = self.decoder(tokens[:, 1:], slots)\n        return',
    ),
    Mutation(
        'every image of a batch has the same noise for its codes',
        'mmssl/models/algorithms/slate.py',
        'batch.draw, shape[0]',
        '0 * batch.draw, shape[0]',
    ),
    Mutation(
        'the original reads the start token in place of the last code',
        'mmssl/models/algorithms/slate.py',
        'places = tokens[:, 1:] if',
        'places = tokens[:, :-1] if',
    ),
    Mutation(
        'the encoder of codes lacks a layer',
        'mmssl/models/backbones/discrete_vae.py',
        'block(image_channels, channels, 4, 4), *inner',
        'block(image_channels, channels, 4, 4), *inner[:5]',
    ),
]
