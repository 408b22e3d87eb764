import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmssl.datasets import Batch, collate
from mmssl.models import RASL, SequenceEncoder
from mmssl.registry import DATASETS, MODELS
from mmssl.testing import check_algorithm
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.parity import UNEQUAL, check
from tests.training import ROOT

CONFIG = ROOT / 'configs/rasl/rasl_transformer_1xb64_cpu_40e_events.py'
FULL = sorted(path.name for path in (ROOT / 'configs/rasl').glob('rasl_*.py') if '_cpu_' not in path.name)
LOSSES = golden('rasl/losses.npz')


def given(number, name):
    return LOSSES[f'c{number}_{name}']


class Latents(nn.Module):
    """Gives latents of the golden vectors, whatever it gets."""

    def __init__(self, latents, in_channels):
        super().__init__()
        self.latents, self.in_channels, self.out_channels = latents, in_channels, latents.shape[2]

    def forward(self, sequences, masked=None):
        return (self.latents.transpose(1, 2)[..., None, None],)


def reference(number):
    """A model with the latents, decoders, masks and settings of a golden case; its batch; and what learns there."""
    cfg, kinds = given(number, 'cfg'), ('visual', 'audio')
    latents = {kind: given(number, f'z_{kind}').double().requires_grad_() for kind in kinds}
    data = {kind: given(number, kind).double().transpose(1, 2) for kind in kinds}
    encoders = [Latents(latents[kind], data[kind].shape[1]) for kind in kinds]
    model = RASL(
        *encoders,
        k=cfg['k'],
        visible_weight=cfg['visible'],
        symmetric_weight=cfg['w_scl'],
        k_point_weight=cfg['w_k'],
        temperature=cfg['tau'],
        k_point_temperature=cfg['tau_k'],
    ).double()
    for decoder, kind in zip((model.decoder, model.audio_decoder), kinds):
        decoder.weight.data.copy_(given(number, f'decoder_{kind}').T)
        decoder.bias.data.zero_()
    masks = [given(number, f'mask_{kind}').bool() for kind in kinds]
    model._masked = lambda draws, steps, which: masks[which]
    model._check_steps = lambda steps: None  # the second case has as many points as steps
    numbers = torch.arange(len(masks[0]))
    return model, data['visual'][..., None, None], Batch(numbers, numbers, extras={'audio': data['audio']}), latents


def close(found, expected, tolerance=1e-9):
    assert (found - expected).abs().max() <= tolerance * max(1, expected.abs().max())


@pytest.mark.parametrize('number', range(int(LOSSES['n_cases'])))
def test_losses_and_gradients_equal_the_golden_vectors(number):
    model, sequences, batch, latents = reference(number)
    losses, cfg = model.loss([sequences], batch), given(number, 'cfg')
    close(losses['loss_reconstruction'], given(number, 'loss_fvs'))
    close(losses['loss_symmetric'], cfg['w_scl'] * given(number, 'loss_scl'))
    close(losses['loss_k_point'], cfg['w_k'] * given(number, 'loss_k_point'))
    total = sum(losses.values())
    close(total, given(number, 'loss'))
    total.backward()
    for kind, decoder in (('visual', model.decoder), ('audio', model.audio_decoder)):
        close(latents[kind].grad, given(number, f'grad_z_{kind}'), 1e-8)
        close(decoder.weight.grad.T, given(number, f'grad_decoder_{kind}'), 1e-8)
    close(model.scores(sequences), given(number, 'score'))


def small(**settings):
    return RASL(SequenceEncoder(6, 8, 1, 2), SequenceEncoder(3, 8, 1, 2), k=2, **settings)


def batch_of(count=4, steps=12, start=0):
    generator = torch.Generator().manual_seed(start)
    audio = torch.randn(count, 3, steps, generator=generator)
    return torch.randn(count, 6, steps, 1, 1, generator=generator), Batch(
        torch.arange(count), torch.arange(count) + start, extras={'audio': audio}
    )


def test_masks_follow_from_seed_and_draw_and_differ_between_image_and_sound():
    model, draws = small(), torch.arange(50)
    one, two = (model._masked(draws, 12, number) for number in range(2))
    assert one.sum(dim=1).unique().tolist() == [4] == two.sum(dim=1).unique().tolist()
    assert torch.equal(one[20:], model._masked(draws[20:], 12, 0)) and not torch.equal(one, two)
    assert one.sum(dim=0).min() > 5 and one.sum(dim=0).max() < 30
    model.seed = 1
    assert not torch.equal(one, model._masked(draws, 12, 0))


def test_hidden_steps_do_not_reach_the_encoder_and_scores_need_no_sound():
    encoder = SequenceEncoder(6, 8, 1, 2)
    sequences, _ = batch_of()
    masked = torch.zeros(4, 12, dtype=torch.bool)
    masked[:, 3] = True
    changed = sequences.clone()
    changed[:, :, 3] += 5
    assert torch.equal(encoder(sequences, masked)[0], encoder(changed, masked)[0])
    assert not torch.equal(encoder(sequences)[0], encoder(changed)[0])
    assert (encoder(sequences)[0] >= 0).all()
    model = small()
    scores = model.scores(sequences)
    assert scores.shape == (4, 12) and scores.mean(dim=1).abs().max() < 1e-5
    assert model.extract_feat(sequences).shape == (4, 8)


def test_the_order_of_the_steps_matters():
    encoder = SequenceEncoder(6, 8, 1, 2)
    sequences, _ = batch_of()
    assert not torch.allclose(encoder(sequences)[0].flip(2), encoder(sequences.flip(2))[0], atol=1e-4)


def test_a_weight_of_zero_leaves_a_part_out():
    sequences, batch = batch_of()
    model = small(symmetric_weight=0.0, k_point_weight=0.0)
    losses = model.loss([sequences], batch)
    assert losses['loss_symmetric'] == 0 == losses['loss_k_point'] and losses['loss_reconstruction'] > 0


def test_missing_sound_short_sequences_and_wrong_settings_are_refused():
    model, (sequences, batch) = small(), batch_of(steps=2)
    with pytest.raises(ValueError, match=r'Sequences of 2 steps, but k=2.*length to 8 or more, or model.k to 1'):
        model.loss([sequences], batch)
    with pytest.raises(ValueError, match=r"no 'audio'.*set audio=True in train_dataloader.dataset"):
        model.loss([sequences], Batch(batch.sample_idx, batch.draw))
    with pytest.raises(ValueError, match=r'has 8 latents and the sound encoder 4.*audio_encoder.channels=8'):
        RASL(SequenceEncoder(6, 8, 1, 2), SequenceEncoder(3, 4, 1, 2))
    with pytest.raises(ValueError, match='mask_ratio=1.*between 0 and 1'):
        small(mask_ratio=1)
    with pytest.raises(ValueError, match=r'takes feature sequences of shape \(B, C, T, 1, 1\), but got \(2, 6, 8, 8\)'):
        model.extract_feat(torch.zeros(2, 6, 8, 8))


def test_highlights_are_measured_per_video_and_drawn():
    model, (sequences, batch) = small().eval(), batch_of()
    assert model.pretext_scores([sequences], batch) == []
    scores = model.scores(sequences)
    batch.extras['highlights'] = scores >= scores.topk(3, dim=1).values[:, -1:]
    found = {score.name: score.values for score in model.pretext_scores([sequences], batch)}
    assert found['highlight mAP'].tolist() == [1] * 4 == found['top-5 mAP'].tolist()
    assert found['mAP of unusual steps'].mean() < 1
    (sheet,) = model.picture_sheets([sequences], batch)
    ((picture, name), *others) = sheet.rows[0]
    assert len(others) == 3 and name == 'video 0' and picture.shape == (3, 96, 160)
    colours = {tuple(pixel) for pixel in picture.flatten(1).T.tolist()}
    assert {(255, 255, 255), (255, 217, 160), (31, 119, 180)} <= colours


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes):
    check(ranks, _parity, sizes, num_views=1, shape=(6, 8, 1, 1))


class Scaled(RASL):
    """Losses that the learning rate of the parity test suits: the reconstruction is a sum over channels and steps."""

    def loss(self, inputs, batch):
        return {name: value / 100 for name, value in super().loss(inputs, batch).items()}


def _parity():
    return Scaled(SequenceEncoder(6, 8, 1, 2), SequenceEncoder(3, 8, 1, 2), k=2)


@pytest.mark.parametrize('name', FULL)
def test_full_configs_build_and_score_on_the_meta_device(name):
    cfg = Config.fromfile(ROOT / 'configs/rasl' / name)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
        maps = model.backbone(torch.empty(1, cfg.train_dataloader.dataset.channels, 32, 1, 1))[-1]
    assert maps.shape == (1, 48, 32, 1, 1)


def test_a_few_steps_of_the_cpu_config_lower_the_losses():
    cfg = Config.fromfile(CONFIG)
    torch.manual_seed(0)
    model, data = MODELS.build(cfg.model), DATASETS.build(cfg.train_dataloader.dataset)
    data = model.data_preprocessor(collate([data[index] for index in range(32)]))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    first = {name: value.item() for name, value in model.loss(**data).items()}
    for _ in range(100):
        optimizer.zero_grad()
        sum(model.loss(**data).values()).backward()
        optimizer.step()
    last = {name: value.item() for name, value in model.loss(**data).items()}
    assert sum(last.values()) < 0.8 * sum(first.values()) and last['loss_reconstruction'] < first['loss_reconstruction']


@pytest.mark.slow
def test_it_passes_the_checks_of_every_algorithm():
    cfg = Config.fromfile(CONFIG)
    for part in (cfg.train_dataloader.dataset, cfg.evaluation.gallery, cfg.evaluation.query, cfg.evaluation.pretext):
        part.source.count = 120
    passed = check_algorithm(cfg, own_images=True)
    assert len(passed) == 9 and 'not checked, since SequenceEncoder is not a ResNet' in passed[-1]


MUTATIONS = [
    Mutation(
        'image and sound have the same mask',
        'mmssl/models/algorithms/rasl.py',
        'Stream.MASKS, number)',
        'Stream.MASKS)',
    ),
    Mutation(
        'masks do not follow from the draw',
        'mmssl/models/algorithms/rasl.py',
        'Stream.MASKS, number), draws, steps)',
        'Stream.MASKS, number), torch.arange(len(draws)), steps)',
    ),
    Mutation(
        'hidden steps are seen',
        'mmssl/models/backbones/sequence_encoder.py',
        'if masked is not None:',
        'if False:',
    ),
    Mutation(
        'steps have no order',
        'mmssl/models/backbones/sequence_encoder.py',
        'steps = steps + self.neighbours',
        'steps = steps + 0 * self.neighbours',
    ),
    Mutation(
        'the curve of the sound does not stand out',
        'mmssl/models/algorithms/rasl.py',
        'self.k_point_weight * (points[0] + points[1])',
        'self.k_point_weight * points[0]',
    ),
]
