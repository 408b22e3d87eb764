"""Every method on every kind of network: a ResNet, a transformer, and a ConvNeXt."""

import pytest
import torch
from mmengine.config import Config

from mmssl.datasets import Batch
from mmssl.models import MAE, DomainQueue, OBoW
from mmssl.registry import MODELS, TRANSFORMS
from tests.parity import make_texts
from tests.training import CPU_CONFIGS, ROOT

BATCH, SAMPLES = 8, 10000
NETWORKS = {  # all of them give 128 channels
    'resnet': {},
    'vit': dict(
        name='vit_tiny_patch16_224', img_size=32, patch_size=4, embed_dim=128, depth=4, num_heads=2,
        dynamic_img_size=True, pool='mean',
    ),
    'convnext': dict(name='convnext_atto', patch_size=1, dims=(16, 32, 64, 128), depths=(1, 1, 2, 1)),
}  # fmt: skip


def _views(cfg):
    made = TRANSFORMS.build(cfg.train_dataloader.dataset.views)(torch.randint(256, (3, 32, 32), dtype=torch.uint8))
    views = made['inputs'] if isinstance(made, dict) else made
    return [torch.randn(BATCH, *view.shape) for view in ([views] if torch.is_tensor(views) else views)]


def _boxes():
    corners = torch.rand(BATCH, 2, 2) / 2
    return torch.cat([corners, corners + 0.5], dim=-1)  # every two of them have a place in common


@torch.no_grad()
def _prepare(model, images):
    """What MemoryHook does before the first epoch, with features drawn here."""
    for memory in model.memories().values():
        if memory.wants_preparation(0):
            features = torch.randn(SAMPLES, model.embed(images).shape[1])
            memory.prepare(features.split(1000) if memory.prepares_in_batches else features, 0)
    model.after_preparation(0)


@torch.no_grad()
def _fill_queues(model, views, batch):
    """A step that only queues which start empty learn from: before it, they have no negatives."""
    queues = [memory for memory in model.memories().values() if isinstance(memory, DomainQueue)]
    if queues:
        model(views, Batch(batch.sample_idx + BATCH, batch.draw, extras=batch.extras), mode='loss')
    for memory in model.memories().values():
        memory.commit() if memory in queues else memory.discard()


@pytest.mark.parametrize('network', NETWORKS)
@pytest.mark.parametrize('config', [path for path in CPU_CONFIGS if 'cifar10' in path])
def test_a_method_gives_a_loss_and_every_weight_a_gradient(config, network):
    torch.manual_seed(0)
    cfg = Config.fromfile(ROOT / 'configs' / config)
    pytest.importorskip('timm')
    if cfg.model.type is MAE and network == 'convnext':
        with pytest.raises(ValueError, match="set model.backbone to dict\\(type='TimmBackbone'"):
            MODELS.build({**cfg.model, 'backbone': {'type': 'mmssl.TimmBackbone', **NETWORKS[network]}})
        return
    if network != 'resnet':
        cfg.model.backbone = {'type': 'mmssl.TimmBackbone', **NETWORKS[network]}
    if cfg.model.type is OBoW and network == 'vit':  # its stages have one width
        cfg.model.head.word_channels, cfg.model.vocabularies[0].dim = [128, 128], 128
    model = MODELS.build(cfg.model).train()
    model.allocate(SAMPLES)
    views = _views(cfg)
    _prepare(model, views[0])
    extras = {'boxes': _boxes(), 'domain': torch.arange(BATCH) % 3, **make_texts(torch.arange(BATCH))}
    batch = Batch(torch.arange(BATCH), torch.arange(BATCH), extras=extras)
    _fill_queues(model, views, batch)
    losses = model(views, batch, mode='loss')
    total = sum(value for name, value in losses.items() if 'loss' in name)
    assert total.isfinite()
    total.backward()
    memories = {name for memory in model.memories() for name, _ in model.named_parameters() if name.startswith(memory)}
    learned = {name: value for name, value in model.named_parameters() if value.requires_grad and name not in memories}
    assert [name for name, value in learned.items() if value.grad is None] == []  # DDP would wait for them
    assert all(value.grad.isfinite().all() for value in learned.values())
    assert sum(bool(value.grad.any()) for value in learned.values()) > 0.8 * len(learned)


@pytest.mark.parametrize('config', [path for path in CPU_CONFIGS if path.startswith(('densecl/', 'pixpro/'))])
def test_methods_that_learn_from_maps_refuse_a_class_token_that_nothing_would_train(config):
    pytest.importorskip('timm')
    cfg = Config.fromfile(ROOT / 'configs' / config)
    cfg.model.backbone = {'type': 'mmssl.TimmBackbone', **NETWORKS['vit'], 'pool': None}
    with pytest.raises(ValueError, match="learns from maps and would not train the class token: set pool='mean'"):
        MODELS.build(cfg.model)
