"""The child's view: its recipes, its momentum, the authors' ViT, and frames of a made-up head camera."""

import pytest
import torch
from mmengine.config import Config

from mmssl.datasets import HeadCamera
from mmssl.engine.hooks import ScheduleHook
from mmssl.functional import schedules
from mmssl.models import TimmBackbone
from mmssl.registry import MODELS
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.models.test_byol import _close
from tests.training import ROOT

FOLDER = ROOT / 'configs/childs_view'
FULL = sorted(FOLDER.glob('*head_frames.py'))


def config_of(name):
    return Config.fromfile(next(FOLDER.glob(f'{name}*.py')))


@pytest.mark.parametrize('path', FULL, ids=lambda path: path.stem)
def test_the_full_recipes_build_and_take_their_crops(path):
    pytest.importorskip('timm')
    config = Config.fromfile(path)
    with torch.device('meta'):
        model = MODELS.build(config.model)
        crops = [torch.empty(1, 3, view['size'], view['size']) for view in config.train_dataloader.dataset.views.views]
        shapes = {tuple(model.extract_feat(crop).shape) for crop in crops}
    assert shapes == {(1, config.model.head.in_channels)} and model.head.out_channels == 65536


def test_the_full_recipes_have_the_authors_settings():
    for name, batch in (('dino_resnext50', 128), ('dino_vit', 116)):
        config = config_of(name)
        optimizer, loop = config.optim_wrapper.optimizer, config.train_cfg
        assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == (torch.optim.AdamW, 1e-4, 0.0)
        assert 'param_scheduler' not in config and loop.max_iters == 115_000
        assert config.train_dataloader.batch_size == batch and config.model.teacher_temperature == 0.04
        views = config.train_dataloader.dataset.views
        assert views.counts == [1, 1, 8] and [view.scale for view in views.views] == [(0.2, 1.0)] * 2 + [(0.05, 0.2)]
        assert [hook.get('max_norm') for hook in config.custom_hooks] == [None, 1.0]


def test_the_momentum_of_the_teacher_is_the_authors():
    hook = config_of('dino_resnext50').custom_hooks[0]
    assert hook.type is ScheduleHook and hook.attribute == 'teacher.momentum'
    table = golden('child_view/schedules.json')['child_momentum_by_iteration']
    for step, value in table.items():
        found = schedules.cosine(int(step), hook.until, hook.start, hook.end)
        assert found == pytest.approx(value, abs=1e-8), step  # theirs moves every ten steps


@pytest.mark.parametrize('case', range(3))
def test_the_vit_of_timm_equals_the_authors_at_given_positions(case):
    pytest.importorskip('timm')
    stored = golden('child_view/vit_tiny.npz')
    cfg, images = stored['cfg'], stored[f'c{case}_x'].double()
    options = {'embed_dim': cfg['dim'], 'depth': cfg['depth'], 'num_heads': cfg['heads'], 'mlp_ratio': 2}
    sides = {'img_size': images.shape[-1], 'patch_size': cfg['patch']}
    vit = TimmBackbone('vit_small_patch16_224', **sides, **options).double().eval()
    weights = {f'model.{key[2:]}': value.double() for key, value in stored.items() if key.startswith('w:')}
    vit.load_state_dict({**weights, 'model.pos_embed': stored[f'c{case}_pos'].double()})
    token = vit.pooled(images)
    _close(token, stored[f'c{case}_cls'], 1e-9)
    _close(token, stored[f'c{case}_last1_cls'], 1e-9)
    tokens = vit.model.get_intermediate_layers(images, n=2, return_prefix_tokens=True, norm=True)
    _close(torch.cat([prefix[:, 0] for _, prefix in tokens], dim=1), stored[f'c{case}_last2_cls'], 1e-9)


def test_the_frames_of_a_camera_are_the_same_for_the_same_number():
    source, rest = HeadCamera(4, 20), HeadCamera(2, 20, skip=2)
    assert len(source) == 80 and source.labels is None and source.load(0).shape == (3, 32, 32)
    assert torch.equal(source.load(47), rest.load(7)) and source.name(47) == rest.name(7) == 'scene 2[7]'
    assert torch.equal(source.load(47), source.load(47)) and not torch.equal(source.load(47), source.load(27))
    kinds = [HeadCamera(3, 20, 'jumps'), HeadCamera(3, 20, 'digits'), HeadCamera(3, 20, speed=2.0), HeadCamera(3, 20)]
    assert len({kind.fingerprint for kind in kinds}) == 4


def differences(source, pairs):
    return torch.stack([(source.load(a).float() - source.load(b).float()).abs().mean() for a, b in pairs]).mean()


def test_neighbours_in_time_look_alike_in_a_pan_and_not_in_jumps():
    pairs = [(index, index + 1) for index in range(0, 126, 2)]
    far = [(index, index + 60) for index in range(60)]
    pan, jumps = HeadCamera(1, 128), HeadCamera(1, 128, 'jumps')
    assert differences(pan, pairs) < 0.5 * differences(pan, far)
    assert differences(jumps, pairs) > 0.8 * differences(jumps, far)


def test_single_digits_have_their_class_and_every_class_occurs():
    source = HeadCamera(4, 60, 'digits')
    assert sorted(source.labels.unique().tolist()) == list(range(10)) and source.classes[3] == '3'
    later = HeadCamera(2, 60, 'digits', skip=2)
    assert torch.equal(later.labels, source.labels[120:]) and torch.equal(later.load(7), source.load(127))
    images = torch.stack([source.load(index).float().flatten() for index in range(240)])
    nearest = torch.cdist(images, images).fill_diagonal_(torch.inf).argmin(dim=1)
    assert (source.labels[nearest] == source.labels).float().mean() > 0.25  # also without learning: chance is 0.1


def test_an_unknown_gaze_is_refused():
    with pytest.raises(ValueError, match="gaze='walk': give 'pan', 'jumps' or 'digits'"):
        HeadCamera(1, 1, 'walk')


def test_the_two_small_recipes_differ_in_the_gaze_alone_and_are_measured_on_other_scenes():
    pan, jumps = (config_of(f'dino_resnet10_1xb128_cpu_{gaze}') for gaze in ('pan', 'jumps'))
    assert jumps.train_dataloader.dataset.source.pop('gaze') == 'jumps'
    assert pan.train_dataloader.dataset.source.pop('gaze') == 'pan'
    assert jumps._cfg_dict.to_dict() == pan._cfg_dict.to_dict()
    scenes = []
    for part in (pan.train_dataloader.dataset, pan.evaluation.gallery, pan.evaluation.query):
        first = part.source.get('skip', 0)
        scenes += range(first, first + part.source.scenes)
    assert len(set(scenes)) == len(scenes)


RESUME = {
    'childs_view': """
for part in ('gallery', 'query'):
    evaluation[part]['source'].pop('root')
    evaluation[part]['source'].update(scenes=7, frames=16)
train_dataloader['dataset']['source'] = {**evaluation['gallery']['source'], 'gaze': 'pan'}
del part
"""
}

MUTATIONS = [
    Mutation(
        'the camera of a pan jumps',
        'mmssl/datasets/head_camera.py',
        "if gaze == 'jumps':",
        "if gaze != 'digits':",
    ),
    Mutation(
        'held-out scenes are those that were learned from',
        'mmssl/datasets/head_camera.py',
        '        scene += self.skip\n',
        '',
    ),
    Mutation(
        'the momentum reaches one too early',
        'configs/childs_view/dino_resnext50_4xb128_115k_head_frames.py',
        'until=1_000_000',
        'until=115_000',
    ),
]
