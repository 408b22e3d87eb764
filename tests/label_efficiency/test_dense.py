"""Detection and segmentation on tiny data in the layouts of the real sets."""

import re
import shutil

import pytest
import torch
from mmengine.registry import DATASETS

from mmssl.export import Architecture, export_backbone
from mmssl.label_efficiency import Detection, Origin, Segmentation, find_layout
from mmssl.label_efficiency.dense import _scope_of
from tests.export.test_export import trained
from tests.helpers.mutation import Mutation
from tests.transfer import layouts

pytest.importorskip('mmcv._ext', reason='bash tools/install_transfer.sh installs what is missing')
pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

NETWORK = Architecture((2, 2, 2, 2), False, 3, 8, 'imagenet')
SMALL = {'steps': 2, 'batch_size': 2, 'rates': (0.01,)}


@pytest.fixture
def detection(tmp_path) -> Detection:
    layouts.bccd(tmp_path)
    shutil.rmtree(tmp_path / 'annotations')
    return Detection(find_layout(tmp_path), NETWORK, **SMALL)


@pytest.fixture
def segmentation(tmp_path) -> Segmentation:
    layouts.camvid(tmp_path)
    return Segmentation(find_layout(tmp_path), NETWORK, ignore=11, **SMALL)


@pytest.fixture(params=['detection', 'segmentation'])
def task(request):
    return request.getfixturevalue(request.param)


def test_labelled_images_are_nested(task):
    few, more = (task.drawn(count, seed=1) for count in (2, 5))
    assert (len(few), len(more), task.drawn(None, 1)) == (2, 5, list(range(8)))
    assert set(few) < set(more)
    assert task.drawn(5, 2) != more


def test_the_halves_for_the_rate_share_no_image(task):
    first, second = task.halves(5, seed=0)
    assert sorted(first + second) == task.drawn(5, 0)
    assert abs(len(first) - len(second)) == 1


def test_every_start_has_the_same_effort_which_grows_only_for_ten_passes(task):
    assert task.effort(5) == {'steps': 25, 'images_drawn': 50}
    assert task.effort(None) == {'steps': 40, 'images_drawn': 80}


def test_pretraining_sees_the_training_images_and_no_others(task, tmp_path):
    links = task.unlabelled(tmp_path / 'work')
    assert task.unlabelled(tmp_path / 'work') == links  # again, after an interruption
    names = sorted(path.name for path in links.iterdir())
    assert len(names) == 8
    assert all(
        path.resolve().is_file() and 'test' not in str(path.resolve().relative_to(tmp_path)) for path in links.iterdir()
    )


def test_the_classes_are_those_of_the_data(detection, tmp_path):
    assert detection.classes == ('RBC', 'WBC')
    assert detection._config(NETWORK).model.bbox_head.num_classes == 2


def test_the_classes_of_masks_leave_out_the_value_without_a_class(segmentation):
    assert len(segmentation.classes) == 11
    cfg = segmentation._config(NETWORK)
    assert (cfg.model.decode_head.num_classes, cfg.model.decode_head.ignore_index) == (11, 11)


def test_the_network_is_that_of_the_weights(task, tmp_path):
    file = export_backbone(trained(depth=34, base_channels=8), tmp_path / 'backbone.pth')
    for origin in (Origin(file), Origin(None, file)):
        backbone = task._config(task._network(origin)).model.backbone
        assert (backbone.depth, backbone.base_channels) == (34, 8)
    assert task._config(task._network(Origin())).model.backbone.depth == 18


def test_a_network_that_the_package_lacks_is_refused_with_what_to_do(task, tmp_path):
    file = export_backbone(trained(depth=18, base_channels=8, stem='small'), tmp_path / 'backbone.pth')
    with pytest.raises(ValueError, match='7x7 stem, this backbone a stem for small images: pre-train one'):
        task.describe(Origin(file))


def test_frozen_stages_statistics_and_size_reach_the_config(tmp_path):
    layouts.bccd(tmp_path)
    options = {'frozen_stages': 1, 'norm_eval': True, 'scale': (96, 64)}
    cfg = Detection(find_layout(tmp_path), NETWORK, **SMALL, **options)._config(NETWORK)
    assert (cfg.model.backbone.frozen_stages, cfg.model.backbone.norm_eval) == (1, True)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        assert [step.scale for step in loader.dataset.pipeline if step.type == 'Resize'] == [(96, 64)]


def test_the_rate_is_chosen_on_the_other_half_without_the_test_images(task, tmp_path, monkeypatch):
    configs = []
    monkeypatch.setattr(task, '_train', lambda cfg, *rest: configs.append(cfg) or dict.fromkeys(task.measures, 1.0))
    assert task.held_out(Origin(), 6, 0, 0.01, fold=0, folder=tmp_path) == 1.0
    halves, (cfg,) = task.halves(6, 0), configs
    assert (cfg.val_dataloader.dataset.indices, cfg.train_dataloader.dataset.indices) == (halves[0], halves[1])
    train, held = cfg.train_dataloader.dataset, cfg.val_dataloader.dataset
    assert [held.get(key) for key in ('ann_file', 'data_prefix')] == [
        train.get(key) for key in ('ann_file', 'data_prefix')
    ]


def test_an_image_without_boxes_does_not_shift_the_held_out_images(detection, tmp_path, monkeypatch):
    first = (tmp_path / 'ImageSets/Main/train.txt').read_text().split()[0]
    file = tmp_path / 'Annotations' / f'{first}.xml'
    file.write_text(re.sub(r'<object>.*</object>', '', file.read_text(), flags=re.DOTALL))
    task, configs = Detection(detection.layout, NETWORK, **SMALL), []
    monkeypatch.setattr(task, '_train', lambda cfg, *rest: configs.append(cfg) or dict.fromkeys(task.measures, 1.0))
    task.held_out(Origin(), None, 0, 0.01, fold=0, folder=tmp_path)
    with _scope_of('mmdet'):
        both = [DATASETS.build(configs[0][f'{part}_dataloader'].dataset) for part in ('train', 'val')]
    seen = [{part.get_data_info(index)['img_path'] for index in range(len(part))} for part in both]
    assert len(seen[0] | seen[1]) == 7 and not seen[0] & seen[1]


def test_a_detector_that_finds_nothing_has_a_precision_of_zero(detection, tmp_path, monkeypatch):
    class Nothing:
        from_cfg = classmethod(lambda cls, cfg: cls())
        train = staticmethod(lambda: (tmp_path / 'result.json').write_text('{"metrics": {}}'))

    monkeypatch.setattr('mmssl.label_efficiency.dense.TransferRunner', Nothing)
    assert detection.measure(Origin(), 4, 0, 0.01, tmp_path) == {'AP': 0.0, 'AP50': 0.0}


@pytest.mark.parametrize('ignore', [3, 255])
def test_a_value_to_ignore_among_or_below_the_classes_is_refused(segmentation, ignore):
    if ignore == 255:  # masks hold 11, which would become a class
        assert len(Segmentation(segmentation.layout, NETWORK, ignore=ignore, **SMALL).classes) == 12
        return
    with pytest.raises(ValueError, match='--ignore 3, but the masks hold 11, too'):
        Segmentation(segmentation.layout, NETWORK, ignore=ignore, **SMALL)


def test_weights_for_another_number_of_channels_are_refused(task, tmp_path):
    file = export_backbone(trained(depth=18, base_channels=8, in_channels=1), tmp_path / 'backbone.pth')
    with pytest.raises(ValueError, match='takes images of 1 channels: give weights for three'):
        task.describe(Origin(file))


def test_boxes_in_the_format_of_coco_give_the_same_data(detection, tmp_path):
    root = tmp_path / 'coco'
    layouts.bccd(root)
    shutil.rmtree(root / 'ImageSets')
    coco = Detection(find_layout(root), NETWORK, **SMALL)
    assert coco.classes == ('Platelets', 'RBC', 'WBC')
    assert coco.count(None) == detection.count(None) == 8
    names = [{path.name for path in task.unlabelled(root / task.layout.form).iterdir()} for task in (coco, detection)]
    assert names[0] == names[1]


@pytest.mark.slow
def test_the_rate_is_chosen_on_boxes_in_the_format_of_coco(tmp_path):
    layouts.bccd(tmp_path)
    shutil.rmtree(tmp_path / 'ImageSets')
    (tmp_path / 'rate').mkdir()
    coco = Detection(find_layout(tmp_path), NETWORK, **SMALL)
    assert 0 <= coco.held_out(Origin(), 4, 0, 0.01, 0, tmp_path / 'rate') <= 100


@pytest.mark.slow
def test_a_piece_of_each_kind_is_measured_from_weights(task, tmp_path):
    file = export_backbone(trained(depth=18, base_channels=8), tmp_path / 'backbone.pth')
    for number, origin in enumerate((Origin(file), Origin(None, file))):
        folder = tmp_path / f'piece_{number}'
        folder.mkdir()
        values = task.measure(origin, 4, 0, 0.01, folder)
        assert list(values) == list(task.measures)
        assert all(0 <= value <= 100 for value in values.values())
    folder = tmp_path / 'rate'
    folder.mkdir()
    assert 0 <= task.held_out(Origin(file), 4, 0, 0.01, 0, folder) <= 100
    assert torch.is_grad_enabled()


MUTATIONS = [
    Mutation(
        'held-out images are counted with those without boxes',
        'mmssl/label_efficiency/dense.py',
        'test_mode=False',
        'test_mode=True',
        'tests/label_efficiency/test_dense.py -k without_boxes',
    ),
]
