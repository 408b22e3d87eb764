"""Denoising autoencoder: what it sees, what it must reconstruct, its networks, and several processes against one."""

import pytest
import torch
from torch import nn

from mmssl.datasets import Batch
from mmssl.models import ConvDecoder, ConvEncoder, DataPreprocessor, DenoisingAutoencoder, ResNet, TimmBackbone
from mmssl.weights import load_backbone
from tests.helpers.mutation import Mutation
from tests.parity import UNEQUAL, check

BATCH = Batch(sample_idx=torch.arange(4), draw=torch.arange(4) + 5)
UNIT = {'mean': [0, 0, 0], 'std': [255, 255, 255]}


class Wide(nn.Module):
    """One convolution without batch norm; its map has half the sides."""

    out_channels = 6

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 6, 3, stride=2, padding=1)

    def forward(self, images):
        return (self.convolution(images),)


class Exact(nn.Module):
    """Decoder without batch norm, for several processes."""

    def __init__(self):
        super().__init__()
        self.pixels = nn.Conv2d(6, 3, 1)

    def forward(self, maps, height, width):
        return nn.functional.interpolate(self.pixels(maps), (height, width))


class Identity(nn.Identity):
    out_channels = 3

    def forward(self, images):
        return (images,)


class Nothing(nn.Module):
    """Notes what it is to decode, and gives it back."""

    def forward(self, maps, height, width):
        self.seen = maps
        return maps


def _bare(**settings):
    model = DenoisingAutoencoder(Identity(), Nothing(), **settings)
    model.eval()
    return model


def test_the_encoder_sees_noise_of_the_given_deviation_and_the_target_has_none():
    model, images = _bare(noise=0.1), torch.randn(4, 3, 32, 32)
    loss = model.loss([images], BATCH)['loss']
    noise = model.decoder.seen - images
    assert float(noise.std()) == pytest.approx(0.1, rel=0.03) and abs(float(noise.mean())) < 0.005
    torch.testing.assert_close(loss, noise.square().mean())  # the identity fails by the noise alone
    assert _bare(noise=0).loss([images], BATCH)['loss'] == 0


def test_the_noise_depends_on_seed_and_draw_alone():
    model, images = _bare(), torch.zeros(4, 3, 9, 7)
    model.loss([images], BATCH)
    whole = model.decoder.seen
    for place in range(4):
        model.loss([images[:1]], Batch(BATCH.sample_idx[:1], BATCH.draw[place, None]))
        torch.testing.assert_close(model.decoder.seen[0], whole[place])
    assert len(whole.flatten(1).unique(dim=0)) == 4
    model.seed = 1
    model.loss([images], BATCH)
    assert not torch.allclose(model.decoder.seen, whole)


def test_features_are_averages_of_the_last_map_and_have_no_noise():
    model = DenoisingAutoencoder(ConvEncoder((4, 6)), ConvDecoder(6, (4, 4)), noise=5.0).eval()
    images = torch.randn(2, 3, 8, 8)
    expected = model.backbone(images)[-1].mean(dim=(2, 3))
    torch.testing.assert_close(model.extract_feat(images), expected)
    torch.testing.assert_close(model.predict([images], BATCH)[1].feature, expected[1])


def test_the_encoders_of_the_notebooks_have_their_maps():
    maps = ConvEncoder()(torch.zeros(1, 3, 32, 32))
    assert [tuple(one.shape[1:]) for one in maps] == [(32, 16, 16), (64, 8, 8), (128, 4, 4)]
    with torch.device('meta'):
        deep = ConvEncoder((64, 128, 256, 512, 1024), kernel_size=5)
        assert tuple(deep(torch.zeros(1, 3, 224, 224))[-1].shape[1:]) == (1024, 7, 7)
    assert deep.out_channels == 1024 and deep.layers[0][0].kernel_size == (5, 5)


@pytest.mark.parametrize('height, width', [(32, 32), (30, 41), (224, 224), (3, 1)])
@pytest.mark.parametrize('side', [1, 4, 8])
def test_a_map_of_any_size_grows_to_the_image_by_doublings(height, width, side):
    decoder, sizes = ConvDecoder(6, (4, 4, 4)), []
    for block in (*decoder.blocks[1:], decoder.pixels):
        block.register_forward_pre_hook(lambda _, inputs: sizes.append(tuple(inputs[0].shape[2:])))
    assert decoder(torch.randn(2, 6, side, side), height, width).shape == (2, 3, height, width)
    expected = [(-(-height // part), -(-width // part)) for part in (4, 2, 1)]
    assert sizes == expected


def test_with_sigmoid_pixels_lie_between_0_and_1():
    maps = 100 * torch.randn(2, 6, 4, 4)
    pixels = ConvDecoder(6, (4,), sigmoid=True)(maps, 8, 8)
    assert pixels.min() >= 0 and pixels.max() <= 1
    plain = ConvDecoder(6, (4,))(maps, 8, 8)
    assert plain.min() < 0


def test_it_learns_to_reconstruct():
    torch.manual_seed(0)
    preprocessor = DataPreprocessor(**UNIT)
    model = DenoisingAutoencoder(
        ConvEncoder((8, 8)), ConvDecoder(8, (8, 8), sigmoid=True), data_preprocessor=preprocessor
    )
    model.allocate(4)
    images = torch.rand(4, 3, 1, 1).expand(4, 3, 16, 16)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for step in range(60):
        loss = model.loss([images], Batch(BATCH.sample_idx, BATCH.draw + 4 * step))['loss']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0]


def test_any_backbone_fits_a_transformer_without_its_class_token():
    pytest.importorskip('timm')
    vit = dict(name='vit_tiny_patch16_224', img_size=16, patch_size=4, embed_dim=16, depth=1, num_heads=2)
    model = DenoisingAutoencoder(TimmBackbone(**vit, pool='mean'), ConvDecoder(16, (8, 8)))
    assert model.loss([torch.randn(4, 3, 16, 16)], BATCH)['loss'].isfinite()
    with pytest.raises(ValueError, match='would not train the class token'):
        DenoisingAutoencoder(TimmBackbone(**vit), ConvDecoder(16, (8, 8)))


def test_the_weights_of_the_encoder_load_into_another_one():
    model, other = DenoisingAutoencoder(ConvEncoder(), ConvDecoder(128)), ConvEncoder()
    match = load_backbone(model.state_dict(), other)
    assert match.matched == match.total == 15  # five per stage, without counters
    torch.testing.assert_close(other.layers[2][0].weight, model.backbone.layers[2][0].weight)


def test_what_does_not_fit_is_refused_with_what_to_set():
    with pytest.raises(ValueError, match='maps of 64 .* set model.decoder.in_channels to 128 and image_channels to 3'):
        DenoisingAutoencoder(ConvEncoder(), ConvDecoder(64))
    gray = DataPreprocessor([120], [60])
    with pytest.raises(ValueError, match='images of 3, .* set model.decoder.in_channels to 64 and image_channels to 1'):
        DenoisingAutoencoder(ResNet(10, 1, base_channels=8), ConvDecoder(64), data_preprocessor=gray)
    with pytest.raises(ValueError, match='noise=-1'):
        _bare(noise=-1)
    model = DenoisingAutoencoder(ConvEncoder(), ConvDecoder(128, sigmoid=True))
    with pytest.raises(ValueError, match=r'set model.data_preprocessor.mean=\[0,0,0\] and std=\[255,255,255\], or'):
        model.allocate(100)


def test_under_autocast_the_error_is_computed_in_float32():
    model = DenoisingAutoencoder(ConvEncoder((8, 8)), ConvDecoder(8, (8, 8))).eval()
    images = torch.randn(4, 3, 16, 16)
    expected = model.loss([images], BATCH)['loss']
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = model.loss([images], BATCH)['loss']
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=1e-3, atol=0)


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes):
    check(ranks, _exact, sizes, num_views=1)


def _exact():
    return DenoisingAutoencoder(Wide(), Exact(), noise=0.5)


MUTATIONS = [
    Mutation(
        'the autoencoder must reconstruct the noise, too',
        'mmssl/models/algorithms/denoising_autoencoder.py',
        'in_float32(mse_loss)(decoded, images)',
        'in_float32(mse_loss)(decoded, noisy)',
    ),
    Mutation(
        'every image of a batch has the same noise',
        'mmssl/models/algorithms/denoising_autoencoder.py',
        'Stream.PIXEL_NOISE), batch.draw,',
        'Stream.PIXEL_NOISE), 0 * batch.draw,',
    ),
    Mutation(
        'a decoder doubles its map, whatever the size of the image',
        'mmssl/models/heads/conv_decoder.py',
        'interpolate(block(maps), size)',
        'interpolate(block(maps), scale_factor=2)',
    ),
    Mutation(
        'an encoder gives its maps before they are pooled',
        'mmssl/models/backbones/conv_encoder.py',
        'kernel_size, nn.MaxPool2d(2))',
        'kernel_size)',
    ),
]
