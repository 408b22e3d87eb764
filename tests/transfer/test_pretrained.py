"""Weights that go to MMDetection and MMSegmentation."""

import json
import subprocess
import sys

import pytest
import torch

from mmssl.export import (
    architecture_of,
    export_backbone,
    loading_code,
    rebuilt_backbone,
    rebuilt_pyramid,
    verify_export,
)
from mmssl.models import FPN, ConvMLPNeck, PixPro, ResNet
from mmssl.models.heads import PixelPropagation
from tests.export.test_export import trained

pytest.importorskip('mmcv._ext', reason='bash tools/install_transfer.sh installs what is missing')
pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmssl.transfer import load_pretrained
from tests.helpers.mutation import Mutation

NARROW = dict(depth=18, base_channels=16)
SMALL_DETECTOR = 'configs/benchmarks/mmdetection/bccd/fcos_r18_fpn_cpu_20e_bccd.py'
SMALL_SEGMENTER = 'configs/benchmarks/mmsegmentation/camvid/fcn_r18_d8_cpu_1k_camvid.py'


def built(config: str | Config) -> torch.nn.Module:
    """The model of a config."""
    cfg = Config.fromfile(config) if isinstance(config, str) else config
    init_default_scope(cfg.default_scope)
    registry = __import__(f'{cfg.default_scope}.registry', fromlist=['MODELS'])
    __import__(f'{cfg.default_scope}.models')
    return registry.MODELS.build(cfg.model)


def with_pyramid() -> PixPro:
    """PixPro on levels P3 to P6 of a pyramid of 48 channels."""
    backbone = trained(**NARROW, out_indices=(1, 2, 3))
    pyramid = FPN(in_channels=(32, 64, 128), out_channels=48, num_levels=4)
    neck = ConvMLPNeck(in_channels=48, hidden_channels=16, out_channels=8)
    return PixPro(backbone=backbone, neck=neck, pyramid=pyramid, propagation=PixelPropagation(channels=8))


@pytest.mark.parametrize('target', ['mmdet', 'mmseg'])
@pytest.mark.parametrize('settings', [NARROW, dict(depth=50), dict(depth=34, in_channels=4)], ids=str)
def test_openmmlabs_resnet_gets_every_key_and_gives_the_same_features(settings, target, tmp_path):
    network = trained(**settings)
    check = verify_export(export_backbone(network, tmp_path / 'exported.pth', target), network, target)
    assert check.matched == check.total == len(network.state_dict())
    assert check.max_difference < 1e-5


@pytest.mark.parametrize('target', ['mmdet', 'mmseg'])
def test_a_pyramid_goes_along_and_gives_the_same_levels(target, tmp_path):
    model = with_pyramid()
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'checkpoint.pth')
    path = export_backbone(tmp_path / 'checkpoint.pth', tmp_path / 'exported.pth', target)
    check = verify_export(path, model.backbone, target, pyramid=model.pyramid)
    assert check.matched == check.total == len(model.backbone.state_dict()) + len(model.pyramid.state_dict())
    assert check.max_difference < 1e-5
    again = rebuilt_backbone(tmp_path / 'checkpoint.pth'), rebuilt_pyramid(tmp_path / 'checkpoint.pth')
    assert verify_export(path, again[0], target, pyramid=again[1]).max_difference < 1e-5
    with torch.no_grad():
        model.pyramid.extra[0].weight.mul_(1.01)
    assert verify_export(path, model.backbone, target, pyramid=model.pyramid).max_difference > 1e-5


@pytest.mark.parametrize('pyramid', [False, True], ids=['backbone', 'backbone and pyramid'])
def test_the_lines_of_config_that_load_it_load_all_of_it(pyramid, tmp_path):
    model = with_pyramid()
    path = export_backbone(model if pyramid else model.backbone, tmp_path / 'exported.pth', 'mmdet')
    lines: dict = {}
    exec(loading_code(architecture_of(model.backbone.state_dict()), 'mmdet', str(path), pyramid), lines)
    cfg = Config.fromfile(SMALL_DETECTOR)
    cfg.merge_from_dict({'model': lines['model']})
    detector = built(cfg)
    detector.init_weights()
    assert_equal(detector.backbone.state_dict(), model.backbone.state_dict())
    same = torch.equal(detector.neck.fpn_convs[3].conv.weight, model.pyramid.extra[0].weight)
    assert same == pyramid


def assert_equal(found: dict, wanted: dict) -> None:
    """Same keys, but for counters, and same values."""
    for key, tensor in wanted.items():
        assert torch.equal(found[key], tensor), key


@pytest.mark.parametrize('exported', [False, True], ids=['checkpoint', 'exported'])
def test_a_detector_takes_backbone_and_pyramid_and_names_what_starts_anew(exported, tmp_path):
    model = with_pyramid()
    path = tmp_path / 'weights.pth'
    if exported:
        export_backbone(model, path, 'mmdet')
    else:
        torch.save({'state_dict': model.state_dict()}, path)
    cfg = Config.fromfile(SMALL_DETECTOR)
    cfg.model.neck.num_outs = 5
    detector = built(cfg)
    report = load_pretrained(detector, path)
    assert_equal(detector.backbone.state_dict(), model.backbone.state_dict())
    for place in range(3):
        assert torch.equal(
            detector.neck.lateral_convs[place].conv.weight, model.pyramid.pyramid.inner_blocks[place][0].weight
        )
        assert torch.equal(detector.neck.fpn_convs[place].conv.bias, model.pyramid.pyramid.layer_blocks[place][0].bias)
    assert torch.equal(detector.neck.fpn_convs[3].conv.weight, model.pyramid.extra[0].weight)
    assert report[0].startswith('backbone: 100 of 100 keys loaded')
    assert report[1].startswith('feature pyramid: 14 of 16 keys loaded')
    assert report[1].endswith('; fpn_convs.4.conv.bias, fpn_convs.4.conv.weight start untrained')


def test_a_projection_is_not_taken_for_a_pyramid(tmp_path):
    model = trained(**NARROW)
    weights = {f'backbone.{key}': tensor for key, tensor in model.state_dict().items()} | {
        'neck.0.weight': torch.ones(2)
    }
    torch.save(weights, tmp_path / 'weights.pth')
    assert len(load_pretrained(built(SMALL_DETECTOR), tmp_path / 'weights.pth')) == 1


@pytest.mark.parametrize(
    'base',
    [
        'fcn/fcn_r50-d8_4xb2-40k_cityscapes-769x769.py',
        'deeplabv3plus/deeplabv3plus_r50-d8_4xb4-20k_voc12aug-512x512.py',
    ],
)
def test_the_lines_fit_a_config_of_mmsegmentation_itself(base, tmp_path):
    network = trained(depth=50)
    path = export_backbone(network, tmp_path / 'weights.pth', 'mmseg')
    lines = loading_code(architecture_of(network.state_dict()), 'mmseg', str(path))
    (tmp_path / 'config.py').write_text(f"_base_ = 'mmseg::{base}'\n{lines}\n")
    segmenter = built(str(tmp_path / 'config.py'))
    segmenter.init_weights()
    assert_equal(segmenter.backbone.state_dict(), network.state_dict())


def test_weights_under_another_prefix_reach_the_shared_head_too(tmp_path):
    network = trained(depth=50)
    torch.save({f'module.{key}': tensor for key, tensor in network.state_dict().items()}, tmp_path / 'weights.pth')
    detector = built('configs/benchmarks/mmdetection/coco/mask_rcnn_r50_c4_1x_coco.py')
    load_pretrained(detector, tmp_path / 'weights.pth')
    assert_equal(detector.roi_head.shared_head.layer4.state_dict(), network.layer4.state_dict())


def test_a_pyramid_without_use_is_named(tmp_path):
    path = export_backbone(with_pyramid(), tmp_path / 'weights.pth', 'mmseg')
    report = load_pretrained(built(SMALL_SEGMENTER), path)
    assert report[1].endswith('not used, the model has none')


def test_a_segmenter_takes_the_backbone(tmp_path):
    network = trained(**NARROW)
    segmenter = built(SMALL_SEGMENTER)
    load_pretrained(segmenter, export_backbone(network, tmp_path / 'weights.pth', 'mmseg'))
    assert_equal(segmenter.backbone.state_dict(), network.state_dict())


def test_the_fifth_stage_goes_to_the_shared_head_of_c4(tmp_path):
    network = trained(depth=50)
    detector = built('configs/benchmarks/mmdetection/voc0712/faster_rcnn_r50_c4_24k_voc0712.py')
    report = load_pretrained(detector, export_backbone(network, tmp_path / 'weights.pth', 'mmdet'))
    stages = {key: tensor for key, tensor in network.state_dict().items() if not key.startswith('layer4')}
    assert_equal(detector.backbone.state_dict(), stages)
    assert_equal(detector.roi_head.shared_head.layer4.state_dict(), network.layer4.state_dict())
    assert [sentence.split(' ')[0] for sentence in report] == ['backbone:', 'shared']
    regions = torch.randn(3, 1024, 14, 14)
    shared = detector.roi_head.shared_head
    shared.eval()
    shared.norm.running_mean.fill_(1.0)
    expected = (shared.layer4(regions) - 1) / (1 + shared.norm.eps) ** 0.5
    torch.testing.assert_close(shared(regions), expected)  # the extra norm comes last


def test_another_architecture_is_refused_in_a_sentence_that_names_the_part(tmp_path):
    path = export_backbone(trained(depth=34, base_channels=16), tmp_path / 'weights.pth')
    with pytest.raises(
        ValueError, match=r'is from a larger network: the model has no place for \d+ of its keys, such as lay'
    ):
        load_pretrained(built(SMALL_DETECTOR), path)  # a ResNet-18 is in it, block by block
    path = export_backbone(trained(depth=18), tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match=r'weights\.pth, backbone: .* fits 0 of the 100 keys of ResNet'):
        load_pretrained(built(SMALL_DETECTOR), path)


def test_a_pyramid_of_another_width_is_refused(tmp_path):
    model = with_pyramid()
    path = export_backbone(model, tmp_path / 'weights.pth', 'mmdet')
    cfg = Config.fromfile(SMALL_DETECTOR)
    cfg.model.neck.update(out_channels=32)
    cfg.model.bbox_head.update(in_channels=32)
    with pytest.raises(ValueError, match=r'holds a feature pyramid that the neck cannot take \(14 of its 14 keys'):
        load_pretrained(built(cfg), path)


@pytest.mark.parametrize(
    ('settings', 'found'),
    [(dict(depth=10), r'stages of \(1, 1, 1, 1\) blocks'), (dict(depth=18, stem='small'), 'a stem for small images')],
)
def test_what_openmmlab_cannot_build_is_refused_before_anything_is_written(settings, found, tmp_path):
    with pytest.raises(ValueError, match=f"MMDetection's ResNet has depths .* this backbone {found}"):
        export_backbone(ResNet(**settings), tmp_path / 'weights.pth', 'mmdet')
    assert not list(tmp_path.iterdir())


def test_safetensors_are_refused_where_nobody_reads_them(tmp_path):
    with pytest.raises(ValueError, match=r'MMSegmentation does not read safetensors: name the file weights\.pth'):
        export_backbone(ResNet(18), tmp_path / 'weights.safetensors', 'mmseg')


def test_the_converter_takes_the_pyramid_along(tmp_path):
    torch.save({'state_dict': with_pyramid().state_dict()}, tmp_path / 'checkpoint.pth')
    command = [sys.executable, 'tools/model_converters/export_backbone.py', str(tmp_path / 'checkpoint.pth')]
    result = subprocess.run([*command, str(tmp_path / 'a.pth'), '--target', 'mmdet'], capture_output=True, text=True)
    assert '134 of 134 keys matched' in result.stdout, result.stderr
    assert "neck=dict(init_cfg=dict(type='Pretrained'" in result.stdout
    assert json.loads((tmp_path / 'a.json').read_text())['target'] == 'mmdet'


MUTATIONS = [
    Mutation(
        'further levels of a pyramid are written over its first ones',
        'mmssl/export/backbone.py',
        "level = int(place) + (taken if kind == 'extra' else 0)",
        'level = int(place)',
    ),
    Mutation(
        'a pyramid that does not fit is passed over',
        'mmssl/transfer/pretrained.py',
        "if lost or not all(key in pyramid for key in own if key.startswith('lateral_convs.')):",
        'if False:',
    ),
    Mutation(
        'the extra norm of C4 is left out',
        'mmssl/transfer/mmdetection.py',
        'return self.norm(super().forward(regions))',
        'return super().forward(regions)',
    ),
]
