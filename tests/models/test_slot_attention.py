"""Slot Attention: its parts and the autoencoder against the reference code, slots as a set, and several processes."""

import re

import pytest
import torch

from mmssl.datasets import Batch
from mmssl.functional import image_error
from mmssl.models import (
    MLPPool,
    SlotAttention,
    SlotAttentionAE,
    SlotCNN,
    SlotEncoder,
    SpatialBroadcastDecoder,
    TransformerPool,
)
from mmssl.models.necks import PositionMap
from mmssl.testing import check_algorithm
from tests.conftest import golden
from tests.functional.test_slots import cases, close
from tests.helpers.mutation import Mutation
from tests.parity import UNEQUAL, check
from tests.training import short_config

ANY = Batch(sample_idx=torch.arange(4), draw=torch.arange(4) + 5)
CASES = cases('slot_attention/slot_attention.npz')


def fill(module, case, start, *renamed):
    """Load the weights of a golden file; ``renamed`` are pairs of a pattern and what takes its place in the keys."""
    state = {}
    for key, value in case.items():
        name = key.removeprefix(start)
        if key.startswith(start) and 'linear_position_embedding' not in key:
            for old, new in renamed:
                name = re.sub(old, new, name)
            state[name] = value.double()
    module.double().load_state_dict(state)
    return module.eval()


def check_gradients(module, case, start, *renamed):
    """Compare the gradients of all parameters that a golden file has."""
    mine, compared = dict(module.named_parameters()), 0
    for key, value in case.items():
        if key.startswith(start):
            name = key.removeprefix(start)
            for old, new in renamed:
                name = re.sub(old, new, name)
            close(mine[name].grad, value, 1e-8)
            compared += 1
    return compared


ENCODER = [
    ('^slot_mu$', 'mean'),
    ('^slot_log_sigma$', 'log_deviation'),
    (r'^layer_norm\.', 'norm.'),
    (r'^slot_attention\.', 'attention.'),
]
WHOLE = [
    (r'^_enc\._encoder\.3\.', 'backbone.layers.6.'),
    (r'^_enc\._encoder\.(\d)\.m\.', lambda found: f'backbone.layers.{2 * int(found[1])}.'),
    (r'^_enc_pos\.channels_map\.', 'pixel_positions.project.'),
    (r'^_slotattn\.slot_mu$', 'slot_encoder.mean'),
    (r'^_slotattn\.slot_log_sigma$', 'slot_encoder.log_deviation'),
    (r'^_slotattn\.layer_norm\.', 'slot_encoder.norm.'),
    (r'^_slotattn\.mlp\.', 'slot_encoder.mlp.'),
    (r'^_slotattn\.slot_attention\.', 'slot_encoder.attention.'),
    (r'^_dec\._pos_emb\.channels_map\.', 'decoder.positions.project.'),
    (r'^_dec\._decoder\.3\.', 'decoder.layers.6.'),
    (r'^_dec\._decoder\.(\d)\.m\.', lambda found: f'decoder.layers.{2 * int(found[1])}.'),
]


@pytest.mark.parametrize('case', CASES, ids=['one head', 'two heads'])
@pytest.mark.parametrize('iterations', [1, 2, 3])
def test_slot_attention_equals_the_reference(case, iterations):
    cfg = case['cfg']
    module = SlotAttention(cfg['din'], cfg['d'], cfg['mlp'], cfg['heads'], iterations)
    fill(module, case, 'w:')
    places, start = case['x'].clone().requires_grad_(), case['slots0'].clone().requires_grad_()
    slots, attention = module(places, start)
    close(slots, case[f'slots{iterations}'])
    close(attention, case[f'attention{iterations}'])
    if iterations == 3:
        (slots * case['upstream']).sum().backward()
        close(places.grad, case['grad_x'], 1e-8)
        close(start.grad, case['grad_slots0'], 1e-8)
        assert check_gradients(module, case, 'grad:') == len(list(module.parameters()))


@pytest.mark.parametrize('case', CASES, ids=['one head', 'two heads'])
def test_the_encoder_of_slots_equals_the_reference(case):
    cfg = case['cfg']
    encoder = SlotEncoder(cfg['din'], cfg['slots'], cfg['d'], cfg['mlp'], cfg['heads'], num_iterations=3)
    slots, attention = fill(encoder, case, 'enc_w:', *ENCODER)(case['x'], case['noise'])
    close(slots, case['enc_slots'])
    close(attention, case['enc_attention'])


def test_positions_the_backbone_and_the_decoder_equal_the_reference():
    case = golden('slot_attention/encoder_decoder.npz')
    positions = fill(PositionMap(4), case, 'pos_w:', ('channels_map', 'project'))
    close(positions(case['pos_in']), case['pos_out'])
    backbone = fill(SlotCNN(4), case, 'cnn_w:', *((old.replace(r'_enc\.', ''), _bare(new)) for old, new in WHOLE[:2]))
    close(backbone(case['image'])[0], case['cnn_out'])
    renamed = [(r'_pos_emb\.channels_map', 'positions.project'), (r'_decoder\.3\.', 'layers.6.')]
    renamed.append((r'_decoder\.(\d)\.m\.', lambda found: f'layers.{2 * int(found[1])}.'))
    decoder = fill(SpatialBroadcastDecoder(5, 4), case, 'dec_w:', *renamed)
    slots = case['dec_slots'].requires_grad_()
    painted, masks = decoder(slots, 7, 7)
    close(painted, case['dec_recon'])
    close(masks, case['dec_masks'])
    loss = image_error(painted, case['image'])
    close(loss, case['dec_loss'])
    loss.backward()
    close(slots.grad, case['dec_grad_slots'], 1e-8)


def _bare(new):
    if isinstance(new, str):
        return new.removeprefix('backbone.')
    return lambda found: new(found).removeprefix('backbone.')


def test_the_autoencoder_equals_the_reference():
    case = golden('slot_attention/slot_attention_autoencoder.npz')
    cfg = case['cfg']
    encoder = SlotEncoder(cfg['hid'], cfg['slots'], cfg['d'], cfg['mlp'], num_iterations=cfg['iters'])
    model = SlotAttentionAE(SlotCNN(cfg['hid']), encoder, SpatialBroadcastDecoder(cfg['d'], cfg['hid']))
    renamed = [(f'^{name}$', name) for name in ('mean', 'std')] + WHOLE
    fill(model, case, 'w:', *renamed)
    model.noise = lambda draws: case['noise']
    batch = Batch(sample_idx=torch.arange(2), draw=torch.arange(2))
    loss = model.loss([case['image']], batch)['loss']
    close(loss, case['loss'])
    loss.backward()
    compared = check_gradients(model, {k: v / 1 for k, v in case.items() if k.startswith('grad:')}, 'grad:', *WHOLE)
    assert compared > 20
    slots, attention = model.slot_encoder(model.places(case['image'])[0], case['noise'])
    close(slots, case['slots'])
    close(attention, case['attention'])


def _small(kind=SlotAttentionAE):
    torch.manual_seed(0)
    return kind(SlotCNN(6), SlotEncoder(6, 3, 8, 8, num_iterations=2), SpatialBroadcastDecoder(8, 6))


def test_other_starts_in_another_order_give_the_same_slots_in_that_order():
    model, images = _small().eval(), torch.rand(2, 3, 8, 8)
    places, noise, order = model.places(images)[0], torch.randn(2, 3, 8), torch.tensor([1, 2, 0])
    slots, attention = model.slot_encoder(places, noise)
    again, shares = model.slot_encoder(places, noise[:, order])
    torch.testing.assert_close((again, shares), (slots[:, order], attention[:, :, order]))
    painted, masks = model.decoder(slots, 8, 8)
    torch.testing.assert_close(model.decoder(slots[:, order], 8, 8), (painted, masks[:, order]))


def test_starts_depend_on_seed_and_draw_in_training_and_are_the_same_for_all_images_afterwards():
    model, images = _small().eval(), torch.rand(4, 3, 8, 8)
    whole = [
        model.loss([images[place, None]], Batch(ANY.sample_idx[:1], ANY.draw[place, None]))['loss']
        for place in range(4)
    ]
    torch.testing.assert_close(torch.stack(whole).mean(), model.loss([images], ANY)['loss'])
    assert len(model.noise(ANY.draw).flatten(1).unique(dim=0)) == 4
    slots, _ = model.slots(images[[0, 0, 1]])
    torch.testing.assert_close(slots[0], slots[1])
    torch.testing.assert_close(model.extract_feat(images[:2]), model.slots(images[:2])[0].mean(dim=1))
    assert model.predict([images], ANY)[0].feature.shape == (8,)


def test_segments_are_shares_of_every_pixel_and_the_number_of_slots_may_change():
    model, images = _small().eval(), torch.rand(2, 3, 8, 12)
    segments = model.segments(images)
    assert segments.shape == (2, 3, 8, 12)
    torch.testing.assert_close(segments.sum(dim=1), torch.ones(2, 8, 12))
    model.slot_encoder.num_slots = 5
    assert model.segments(images).shape == (2, 5, 8, 12)


def test_pools_take_slots_and_the_transformer_does_not_see_their_order():
    slots, order = torch.randn(2, 4, 8), torch.tensor([3, 1, 0, 2])
    pool = TransformerPool(8, 16, num_heads=2).eval()
    torch.testing.assert_close(pool(slots[:, order]), pool(slots))
    assert pool(slots[:, :3]).shape == (2, 16) and pool.out_channels == 16
    mlp = MLPPool(8, 4, 16)
    assert mlp(slots).shape == (2, 16) and not torch.allclose(mlp(slots[:, order]), mlp(slots))


def test_what_does_not_fit_is_refused_with_what_to_set():
    decoder = SpatialBroadcastDecoder(8, 6)
    with pytest.raises(ValueError, match='model.slot_encoder.in_channels is 5, but the maps have 6: set it to 6'):
        SlotAttentionAE(SlotCNN(6), SlotEncoder(5, 3, 8, 8), decoder)
    with pytest.raises(ValueError, match='model.decoder.slot_channels is 8, but the slots have 10: set it to 10'):
        SlotAttentionAE(SlotCNN(6), SlotEncoder(6, 3, 10, 8), decoder)
    with pytest.raises(ValueError, match='set slot_encoder.slot_channels to a multiple of 3'):
        SlotEncoder(6, 3, 8, 8, num_heads=3)


def test_under_autocast_the_error_and_the_attention_are_computed_in_float32():
    model, images = _small().eval(), torch.rand(4, 3, 8, 8)
    expected = model.loss([images], ANY)['loss']
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = model.loss([images], ANY)['loss']
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=0.02, atol=0)


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes):
    check(ranks, _calm, sizes, num_views=1)


class Calm(SlotAttentionAE):
    """The error as a fraction: steps of SGD at the rate of the check would blow up the sum over an image."""

    def loss(self, inputs, batch):
        return {name: 1e-4 * value for name, value in super().loss(inputs, batch).items()}


def _calm():
    return _small(kind=Calm)


@pytest.mark.slow
def test_its_cpu_config_passes_the_checks_of_every_algorithm(tmp_path):
    config = 'slot_attention/slot_attention_cnn_1xb16_cpu_4e_sprites.py'
    passed = check_algorithm(short_config(tmp_path / 'config.py', config, tmp_path / 'no_images'))
    assert len(passed) == 9


RESUME = {
    'slot_attention': """
for part in ('gallery', 'query'):
    evaluation[part]['source'].pop('root')
    evaluation[part]['source'].update(num=112)
train_dataloader['dataset']['source'] = {**evaluation['gallery']['source'], 'truth': False}
del part
model['backbone'].update(channels=8)
model['slot_encoder'].update(in_channels=8, slot_channels=8, hidden_channels=8)
model['decoder'].update(slot_channels=8, channels=8)
"""
}

MUTATIONS = [
    Mutation(
        'the MLP also acts on the updates',
        'mmssl/models/necks/slot_attention.py',
        'slots = self.gru(updates.flatten(0, 1), slots.flatten(0, 1)).view_as(slots)',
        'slots = self.gru((updates + self.mlp(updates)).flatten(0, 1), slots.flatten(0, 1)).view_as(slots)',
    ),
    Mutation(
        'keys are scaled by the width of a slot, not of a head',
        'mmssl/models/necks/slot_attention.py',
        'keys = keys / keys.shape[3] ** 0.5',
        'keys = keys / slots.shape[2] ** 0.5',
    ),
    Mutation(
        'the deviation of the starts is not its exponential',
        'mmssl/models/necks/slot_attention.py',
        'self.log_deviation.exp() *',
        'self.log_deviation *',
    ),
    Mutation(
        'the GRU cell keeps the updates, and the slots come in',
        'mmssl/models/necks/slot_attention.py',
        'self.gru(updates.flatten(0, 1), slots.flatten(0, 1))',
        'self.gru(slots.flatten(0, 1), updates.flatten(0, 1))',
    ),
    Mutation(
        'every image of a batch has the same starts',
        'mmssl/models/algorithms/slot_attention_ae.py',
        'self.noise(batch.draw))',
        'self.noise(0 * batch.draw))',
    ),
]
