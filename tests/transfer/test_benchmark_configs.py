"""Every config for MMDetection and MMSegmentation, on tiny data in the layouts of the real sets."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmssl.export import export_backbone
from tests.export.test_export import trained
from tests.transfer import layouts

pytest.importorskip('mmcv._ext', reason='bash tools/install_transfer.sh installs what is missing')
pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

from mmengine.config import Config

from mmssl.transfer import TransferRunner, check_data, move_data

FOLDER = Path(__file__).parents[2] / 'configs/benchmarks'
CONFIGS = sorted(
    path
    for package in ('mmdetection', 'mmsegmentation')
    for path in (FOLDER / package).glob('*/*.py')
    if path.parent.name != '_base_'
)
SMALL = [path for path in CONFIGS if '_cpu_' in path.name]


def parametrized(paths: list[Path]):
    """One case a config, by its name."""
    return pytest.mark.parametrize('path', paths, ids=lambda path: path.stem)


@pytest.fixture(scope='module')
def backbones(tmp_path_factory) -> dict[str, Path]:
    """Exported backbones by what stands in a config's name."""
    folder = tmp_path_factory.mktemp('backbones')
    kinds = {'_r18_': dict(depth=18, base_channels=16), '_r50_': dict(depth=50)}
    return {name: export_backbone(trained(**kind), folder / f'{name}.pth') for name, kind in kinds.items()}


def prepared(path: Path, root: Path) -> Config:
    """A config on tiny data, for two iterations of two small images."""
    getattr(layouts, path.parent.name)(root)
    cfg = Config.fromfile(path)
    move_data(cfg, str(root))
    cfg.work_dir, cfg.randomness = str(root / 'work'), {'seed': 0}
    for kind in ('train', 'val', 'test'):
        cfg[f'{kind}_dataloader'].update(num_workers=0, persistent_workers=False)
        for dataset in datasets(cfg[f'{kind}_dataloader'].dataset):
            shrink(dataset.pipeline)
    cfg.train_dataloader.batch_size = 2
    by_iteration = cfg.train_cfg.type == 'IterBasedTrainLoop'
    cfg.train_cfg.update(dict(max_iters=2, val_interval=2) if by_iteration else dict(max_epochs=1, val_interval=1))
    testing = cfg.model.test_cfg
    testing.get('rcnn', testing).score_thr = 0.0  # nothing is found with any certainty yet
    if 'rcnn' in testing:  # few regions, since each costs a whole stage in the C4 form
        testing.rpn.max_per_img, cfg.model.train_cfg.rcnn.sampler.num = 20, 16
    if cfg.default_scope == 'mmseg':
        cfg.model.data_preprocessor.size = (65, 65)
    return cfg


def datasets(dataset: Config) -> list[Config]:
    """The data sets within."""
    inside = dataset.get('datasets') or ([dataset.dataset] if 'dataset' in dataset else [])
    return [part for outer in inside for part in datasets(outer)] or [dataset]


def shrink(pipeline: list) -> None:
    """Images of 96 x 64 instead of hundreds of pixels."""
    for step in pipeline:
        if 'scales' in step:
            step.scales = [layouts.SIZE]
        if 'scale' in step:
            step.scale = layouts.SIZE
        if 'crop_size' in step:
            step.crop_size = (65, 65)
        if step.type == 'Pad':
            step.size = (65, 65)


def check(path: Path, root: Path, backbones: dict[str, Path]) -> None:
    """Trains two iterations from the exported backbone, evaluates, and leaves its figures."""
    cfg = prepared(path, root)
    cfg.pretrained = str(next(file for name, file in backbones.items() if name in path.name))
    check_data(cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
    runner = TransferRunner.from_cfg(cfg)
    runner._init_model_weights()
    weights = torch.load(cfg.pretrained, weights_only=True)
    before = {key: tensor.clone() for key, tensor in runner.model.backbone.state_dict().items()}
    learned = [key for key in before if not key.endswith('num_batches_tracked')]
    assert learned
    assert all(torch.equal(before[key], weights[key]) for key in learned)
    runner.train()
    after = runner.model.backbone.state_dict()
    assert all(torch.isfinite(tensor).all() for tensor in after.values())
    assert all(
        not torch.equal(before[key], after[key]) for key in learned if key.endswith('conv1.weight')
    )  # none frozen
    result = json.loads((root / 'work/result.json').read_text())
    assert result['config'] == path.stem
    assert result['pretrained'] == cfg.pretrained
    assert any('mAP' in key or 'mIoU' in key for key in result['metrics'])


@parametrized(SMALL)
def test_small_ones_train_two_iterations_from_an_exported_backbone(path, tmp_path, backbones):
    check(path, tmp_path, backbones)


def test_a_checkpoint_of_a_detector_holds_no_objects_and_goes_on(tmp_path, backbones):
    cfg = prepared(SMALL[0], tmp_path)
    cfg.pretrained = str(backbones['_r18_'])
    TransferRunner.from_cfg(cfg).train()
    path = Path((tmp_path / 'work/last_checkpoint').read_text())
    saved = torch.load(path, weights_only=True)
    assert 'train/loss' in saved['message_hub']['log_scalars']
    cfg.resume, cfg.experiment_name = True, 'resumed'
    again = TransferRunner.from_cfg(cfg)
    again.resume(str(path))
    assert again.iter == saved['meta']['iter'] > 0
    assert len(again.message_hub.get_scalar('train/loss').data[0]) == again.iter
    assert all(torch.equal(tensor, saved['state_dict'][name]) for name, tensor in again.model.state_dict().items())


@pytest.mark.slow
@parametrized([path for path in CONFIGS if path not in SMALL])
def test_papers_protocols_train_two_iterations_from_an_exported_backbone(path, tmp_path, backbones):
    check(path, tmp_path, backbones)


@parametrized(CONFIGS)
def test_a_config_has_an_importable_name_survives_a_dump_and_says_what_it_follows(path, tmp_path):
    assert path.stem.isidentifier()
    config = Config.fromfile(path)
    config.dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py').pretty_text == config.pretty_text
    assert re.search(r'protocol|recipe|for two cores|like \w+\.py', path.read_text(), re.IGNORECASE)


@parametrized(CONFIGS)
def test_data_that_is_not_there_is_named_with_what_to_type(path, tmp_path):
    cfg = Config.fromfile(path)
    move_data(cfg, str(tmp_path / 'nowhere'))
    advice = {
        'voc0712': 'type  python tools/dataset_tools/prepare.py voc  to see what',
        'voc12aug': 'type  python tools/dataset_tools/prepare.py voc  to see what',
        'coco': 'type  python tools/dataset_tools/prepare.py coco  to see what',
        'cityscapes': 'type  python tools/dataset_tools/prepare.py cityscapes  to see what',
        'camvid': 'put the data there',
        'bccd': 'voc_to_coco.py ROOT OUT' if path.stem.endswith('_coco') else 'put the data there',
    }[path.parent.name]
    with pytest.raises(FileNotFoundError, match=rf'has no .*nowhere.*{advice}.*--data-root FOLDER'):
        check_data(cfg.train_dataloader)


@pytest.mark.parametrize(
    ('name', 'lost'),
    [
        ('mmdetection/voc0712/faster_rcnn_r50_c4_24k_voc0712.py', 'VOC2012/JPEGImages'),
        ('mmsegmentation/cityscapes/fcn_r50_d8_40k_cityscapes_769x769.py', 'gtFine/train/aachen'),
    ],
)
def test_images_and_masks_are_asked_for_too(name, lost, tmp_path):
    getattr(layouts, Path(name).parent.name)(tmp_path)
    cfg = Config.fromfile(FOLDER / name)
    move_data(cfg, str(tmp_path))
    check_data(cfg.train_dataloader)
    shutil.rmtree(tmp_path / lost)
    with pytest.raises(FileNotFoundError, match='JPEGImages|labelTrainIds'):
        check_data(cfg.train_dataloader)


PROTOCOLS = {  # iterations, steps, sides of the training images
    'faster_rcnn_r50_c4_24k_voc0712': (24000, [18000, 22000], range(480, 801, 32)),
    'mask_rcnn_r50_c4_1x_coco': (90000, [60000, 80000], range(640, 801, 32)),
    'mask_rcnn_r50_fpn_1x_coco': (90000, [60000, 80000], range(640, 801, 32)),
    'mask_rcnn_r50_fpn_2x_coco': (180000, [120000, 160000], range(640, 801, 32)),
}


@parametrized([path for path in CONFIGS if path.stem in PROTOCOLS])
def test_detectors_keep_the_protocol_of_moco(path):
    cfg = Config.fromfile(path)
    iterations, steps, sides = PROTOCOLS[path.stem]
    assert (cfg.train_cfg.max_iters, cfg.param_scheduler[1].milestones) == (iterations, steps)
    assert cfg.optim_wrapper.optimizer.to_dict() == dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.0001)
    pipeline = next(iter(datasets(cfg.train_dataloader.dataset))).pipeline
    scales = next(step.scales for step in pipeline if step.type == 'RandomChoiceResize')
    assert [tuple(scale) for scale in scales] == [(1333, side) for side in sides]
    assert cfg.train_dataloader.batch_size == 2
    model = cfg.model
    parts = [model.backbone, model.roi_head.get('shared_head')]
    parts = [part for part in parts if part]
    assert all(part.norm_cfg.to_dict() == dict(type='SyncBN', requires_grad=True) for part in parts)
    assert all((part.norm_eval, part.style, part.get('init_cfg')) == (False, 'pytorch', None) for part in parts)
    assert model.backbone.frozen_stages == -1
    assert model.data_preprocessor.bgr_to_rgb and model.data_preprocessor.std == [58.395, 57.12, 57.375]
    if '_fpn_' in path.stem:
        heads = (model.neck, model.roi_head.bbox_head, model.roi_head.mask_head)
        assert all(part.norm_cfg.type == 'SyncBN' for part in heads)
        assert model.roi_head.bbox_head.type == 'Shared4Conv1FCBBoxHead'
    else:
        assert model.roi_head.shared_head.type == 'ResLayerExtraNorm'
    if 'voc' in path.stem:
        assert cfg.val_evaluator.eval_mode == '11points'
        assert cfg.val_evaluator.iou_thrs == pytest.approx([0.5 + 0.05 * step for step in range(10)])
        assert model.roi_head.bbox_head.num_classes == 20


@parametrized([path for path in CONFIGS if '_r50_d8_' in path.stem])
def test_segmenters_have_a_plain_stem_and_load_nothing_else(path):
    cfg = Config.fromfile(path)
    assert (cfg.model.pretrained, cfg.model.backbone.type) == (None, 'ResNet')
    assert cfg.model.backbone.norm_cfg.type == 'SyncBN' and not cfg.model.backbone.norm_eval
    assert cfg.train_cfg.max_iters == (40000 if 'cityscapes' in path.stem else 20000)


def test_mixed_precision_without_a_gpu_is_one_sentence(tmp_path, monkeypatch):
    layouts.bccd(tmp_path)
    tool = runpy.run_path(str(FOLDER.parents[1] / 'tools/benchmarks/transfer.py'))
    config = str(FOLDER / 'mmdetection/bccd/fcos_r18_fpn_cpu_20e_bccd.py')
    monkeypatch.setattr(sys, 'argv', ['transfer.py', 'train', config, 'none', '--data-root', str(tmp_path), '--amp'])
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(ValueError, match='Mixed precision .* leave --amp out'):
        tool['main']()


def test_a_moved_data_root_moves_every_path_and_nothing_else():
    config = Config.fromfile(FOLDER / 'mmdetection/coco/mask_rcnn_r50_fpn_1x_coco.py')
    before = config.to_dict()
    move_data(config, '/elsewhere/')
    after = config.to_dict()
    assert after['train_dataloader']['dataset'].pop('data_root') == '/elsewhere/'
    assert after['val_evaluator'].pop('ann_file') == '/elsewhere/annotations/instances_val2017.json'
    assert before['train_dataloader']['dataset'].pop('data_root') == 'data/coco/'
    assert before['val_evaluator'].pop('ann_file') == 'data/coco/annotations/instances_val2017.json'
    for name in ('train_dataloader', 'val_evaluator', 'model'):
        assert after[name] == before[name]  # sizes are tuples still


def test_a_backbone_of_another_shape_is_one_sentence(tmp_path, backbones):
    layouts.bccd(tmp_path)
    config = FOLDER / 'mmdetection/bccd/fcos_r18_fpn_cpu_20e_bccd.py'
    options = ['--data-root', str(tmp_path), '--work-dir', str(tmp_path / 'work')]
    command = [sys.executable, 'tools/benchmarks/transfer.py', 'train', str(config), str(backbones['_r50_']), *options]
    result = subprocess.run(command, capture_output=True, text=True, cwd=FOLDER.parents[1])
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(f'ValueError: {backbones["_r50_"]}, backbone: ')


def test_boxes_of_no_area_do_not_train(tmp_path):
    from mmdet.registry import DATASETS
    from mmengine.registry import init_default_scope

    cfg = prepared(FOLDER / 'mmdetection/bccd/fcos_r18_fpn_cpu_20e_bccd.py', tmp_path)
    init_default_scope('mmdet')
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert all(len(dataset.get_data_info(place)['instances']) == 3 for place in range(8))
    assert all(len(dataset[place]['data_samples'].gt_instances) == 2 for place in range(8))


def test_a_tested_detector_must_match_every_key(tmp_path, backbones):
    cfg = prepared(FOLDER / 'mmdetection/bccd/fcos_r18_fpn_cpu_20e_bccd.py', tmp_path)
    cfg.load_from = str(backbones['_r18_'])
    with pytest.raises(ValueError, match=r'r18_\.pth does not hold this model: .*Missing key'):
        TransferRunner.from_cfg(cfg).test()


def test_a_checkpoint_with_objects_is_unpickled_only_if_the_user_trusts_it(tmp_path):
    runner = TransferRunner.from_cfg(prepared(FOLDER / 'mmdetection/bccd/fcos_r18_fpn_cpu_20e_bccd.py', tmp_path))
    torch.save({'state_dict': runner.model.state_dict(), 'meta': {'folder': tmp_path}}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'need unpickling \(pathlib.\w+\).*add --trust-pickle'):
        runner.load_checkpoint(tmp_path / 'a.pth')
    (tmp_path / 'b.pth').write_text('a text')
    runner.cfg.trust_pickle = True
    assert runner.load_checkpoint(tmp_path / 'a.pth')['meta'] == {'folder': tmp_path}
    with pytest.raises(ValueError, match=r'so it is no checkpoint: give a complete .pth file.$'):
        runner.load_checkpoint(tmp_path / 'b.pth')


@pytest.mark.slow
def test_two_processes_train_and_the_trained_model_is_tested(tmp_path, backbones):
    layouts.bccd(tmp_path)
    config = FOLDER / 'mmdetection/bccd/fcos_r18_fpn_cpu_20e_bccd.py'
    scripts, work = FOLDER.parents[1] / 'tools/benchmarks/mmdetection', tmp_path / 'work'
    options = ['--data-root', str(tmp_path), '--work-dir', str(work), '--cfg-options']
    options += ['train_dataloader.batch_size=2', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1']
    options += ['default_hooks.checkpoint.interval=1']
    environment = dict(capture_output=True, text=True, env={**os.environ, 'PYTHON': sys.executable})
    command = ['bash', str(scripts / 'dist_train.sh'), str(config), str(backbones['_r18_']), '2', *options]
    trained_there = subprocess.run(command, **environment)
    assert trained_there.returncode == 0, trained_there.stderr[-2000:]
    figures = json.loads((work / 'result.json').read_text())['metrics']
    command = ['bash', str(scripts / 'dist_test.sh'), str(config), str(work / 'epoch_1.pth'), '1', *options[:4]]
    assert subprocess.run(command, **environment).returncode == 0
    tested = json.loads((work / 'result_test.json').read_text())
    assert tested['checkpoint'] == str(work / 'epoch_1.pth')
    assert tested['metrics'] == pytest.approx(figures, abs=1e-3)
    options[options.index('train_cfg.max_epochs=1')] = 'train_cfg.max_epochs=2'
    command = ['bash', str(scripts / 'dist_train.sh'), str(config), str(backbones['_r18_']), '2', '--resume', *options]
    resumed = subprocess.run(command, **environment)
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    assert 'resumed epoch: 1' in resumed.stdout
    assert json.loads((work / 'result.json').read_text())['iteration'] == 4
