"""MAE: what its encoder sees, what it must predict, and several processes against one."""

import pytest
import torch
from torch import nn

from mmssl.datasets import Batch
from mmssl.functional import (
    Stream,
    choose_patches,
    hash_draws,
    hash_seed,
    masked_pixel_loss,
    patchify,
    sincos_positions,
)
from mmssl.models import MAE, MAEDecoder, ResNet, TimmBackbone
from tests.helpers.mutation import Mutation
from tests.parity import UNEQUAL, check

pytest.importorskip('timm')
ANY = Batch(sample_idx=torch.arange(4), draw=torch.arange(4) + 5)
VIT = dict(name='vit_tiny_patch16_224', img_size=16, patch_size=4, embed_dim=16, depth=2, num_heads=2)


def _small(**settings):
    backbone = TimmBackbone(**{**VIT, **settings}, fixed_positions=True)
    return MAE(backbone, MAEDecoder(16, 4, channels=16, depth=1, num_heads=2))


def test_the_encoder_sees_the_chosen_patches_and_nothing_of_the_others():
    model = _small().eval()
    images = torch.randn(4, 3, 16, 16)
    chosen = choose_patches(hash_draws(hash_seed(0, Stream.MASKS), ANY.draw, 16), 4)
    loss = model.loss([images], ANY)['loss']
    prefix, seen = model.backbone.seen_tokens(images, chosen.seen)
    assert prefix.shape == (4, 1, 16) and seen.shape == (4, 4, 16)
    noisy = images.clone()
    hidden = chosen.masked.reshape(4, 1, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    noisy += hidden * torch.randn(4, 3, 16, 16)
    for found, again in zip((prefix, seen), model.backbone.seen_tokens(noisy, chosen.seen), strict=True):
        torch.testing.assert_close(found, again)
    predicted = model.decoder(prefix, seen, chosen.restore, (4, 4))
    torch.testing.assert_close(loss, masked_pixel_loss(predicted, patchify(images, 4), chosen.masked))


def test_all_patches_in_any_order_are_the_whole_image():
    backbone, images = _small().backbone.eval(), torch.randn(2, 3, 16, 16)
    order = torch.stack([torch.randperm(16) for _ in range(2)])
    _, seen = backbone.seen_tokens(images, order)
    back = seen.gather(1, order.argsort(dim=1)[..., None].expand(-1, -1, 16))
    torch.testing.assert_close(back.transpose(1, 2).unflatten(2, (4, 4)), backbone(images)[-1])


def test_the_decoder_puts_seen_patches_in_their_places():
    decoder = MAEDecoder(16, 4, channels=16, depth=0, num_heads=2)
    decoder.norm = nn.Identity()
    seen, chosen = torch.randn(2, 4, 16), choose_patches(torch.rand(2, 16), 4)
    pixels = decoder(seen[:, :1], seen, chosen.restore, (4, 4))
    with torch.no_grad():
        decoder.mask_token.add_(1.0)
    changed = (decoder(seen[:, :1], seen, chosen.restore, (4, 4)) != pixels).any(dim=2)
    assert torch.equal(changed, chosen.masked)


def test_masks_depend_on_seed_and_draw_alone():
    model, images = _small().eval(), torch.randn(4, 3, 16, 16)
    whole = [
        model.loss([images[place, None]], Batch(ANY.sample_idx[:1], ANY.draw[place, None]))['loss']
        for place in range(4)
    ]
    torch.testing.assert_close(torch.stack(whole).mean(), model.loss([images], ANY)['loss'])
    model.seed = 1
    assert not torch.allclose(torch.stack(whole).mean(), model.loss([images], ANY)['loss'])


def test_images_of_another_size_are_reconstructed_with_the_positions_of_their_own_grid():
    model = _small(dynamic_img_size=True)
    seen = []
    model.decoder.blocks.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach()))
    loss = model.loss([torch.randn(4, 3, 24, 32)], ANY)['loss']
    loss.backward()
    chosen = choose_patches(hash_draws(hash_seed(0, Stream.MASKS), ANY.draw, 48), 12)
    hidden = (seen[0][:, 1:] - model.decoder.mask_token.detach())[chosen.masked]
    torch.testing.assert_close(hidden, sincos_positions(6, 8, 16).expand(4, -1, -1)[chosen.masked])
    with pytest.raises(ValueError, match='does not take images of 24 x 32 pixels'):
        _small().loss([torch.randn(4, 3, 24, 32)], ANY)


def test_other_networks_and_ratios_are_refused_with_what_to_set():
    with pytest.raises(ValueError, match='ResNet cannot do: set model.backbone to .*vit_base_patch16_224'):
        MAE(ResNet(10, base_channels=8), MAEDecoder(64))
    with pytest.raises(ValueError, match='VisionTransformer|TimmBackbone cannot do'):
        MAE(TimmBackbone('vit_small_patch16_dinov3', img_size=32, depth=1), MAEDecoder(384))
    with pytest.raises(ValueError, match='mask_ratio=1'):
        MAE(TimmBackbone(**VIT), MAEDecoder(16, 4), mask_ratio=1)
    with pytest.raises(
        ValueError, match='set model.decoder.in_channels to 16, patch_size to 4 and image_channels to 3'
    ):
        MAE(TimmBackbone(**VIT), MAEDecoder(16, 8))
    with pytest.raises(ValueError, match=r'leaves none of 16 patches: set it to 0\.94 or less'):
        MAE(TimmBackbone(**VIT), MAEDecoder(16, 4), mask_ratio=0.95).loss([torch.randn(4, 3, 16, 16)], ANY)


def test_the_decoder_adds_up_in_float32_under_autocast():
    model, seen = _small(), []
    model.decoder.blocks.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].dtype))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        model.loss([torch.randn(4, 3, 16, 16)], ANY)
    assert seen == [torch.float32]


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes):
    check(ranks, _of_eight_pixels, sizes, num_views=1)


def _of_eight_pixels():
    backbone = TimmBackbone(**{**VIT, 'img_size': 8, 'patch_size': 2})
    return MAE(backbone, MAEDecoder(16, 2, channels=16, depth=1, num_heads=2))


MUTATIONS = [
    Mutation(
        'every image of a batch has the same mask',
        'mmssl/models/algorithms/mae.py',
        'batch.draw, patches',
        '0 * batch.draw, patches',
    ),
    Mutation(
        'masked patches are encoded, too',
        'mmssl/models/backbones/timm_backbone.py',
        'return torch.cat([tokens[:, :prefix], patches], dim=1)',
        'return tokens',
    ),
    Mutation(
        'seen patches stand at the start',
        'mmssl/models/heads/mae_decoder.py',
        'patches.gather(1, restore[..., None].expand(-1, -1, patches.shape[2]))',
        'patches',
    ),
]
