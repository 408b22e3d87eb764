"""CtP: the reference code's head and losses, what the loss depends on, and several processes against one."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmssl.datasets import Batch, ClipDataset, MovingDigits, UniformFrames, collate
from mmssl.models import R3D, CtP, TrajectoryHead
from mmssl.registry import DATASETS, MODELS
from mmssl.testing import check_algorithm
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.parity import UNEQUAL, check
from tests.training import ROOT

HEAD = golden('ctp/head.npz')
CFG = HEAD['cfg']
CONFIG = ROOT / 'configs/ctp/ctp_r3d_1xb32_cpu_3e_moving_digits.py'
FULL = sorted(path.name for path in (ROOT / 'configs/ctp').glob('*18*.py'))


def close(found, stored, tolerance=1e-9):
    assert found.shape == stored.shape
    assert (found - stored).abs().max() <= tolerance * max(1, stored.abs().max())


class Given(nn.Module):
    """Gives its input as the only map."""

    def forward(self, maps):
        return (maps,)


def reference():
    head = TrajectoryHead(CFG['cin'], CFG['frames'], CFG['t_in'], CFG['stride'], CFG['hidden'], CFG['roi'])
    model = CtP(Given(), head, deviations=CFG['stds']).double()
    head.load_state_dict({key[2:]: value for key, value in HEAD.items() if key.startswith('w:')})
    batch = Batch(torch.arange(2), torch.arange(2), extras={'gt_trajs': HEAD['trajs']})
    return model, HEAD['feats'].clone().requires_grad_(), batch


def test_predictions_losses_and_gradients_equal_those_of_the_reference():
    model, maps, batch = reference()
    changes = model.predict_changes(maps, HEAD['trajs'])
    close(changes.flatten(0, 1).flatten(1), HEAD['preds'])
    losses = model.loss([maps], batch)
    close(losses['loss_ctr'], HEAD['loss_ctr'])
    close(losses['loss_size'], HEAD['loss_size'])
    sum(losses.values()).backward()
    close(maps.grad, HEAD['grad_feats'], 1e-8)
    for name, parameter in model.head.named_parameters():
        close(parameter.grad, HEAD[f'grad:{name}'], 1e-8)


def test_boxes_and_overlap_equal_those_of_the_reference():
    model, maps, batch = reference()
    close(model.predict_boxes(maps, HEAD['trajs']).flatten(0, 1), HEAD['decoded'])
    found, still = model.pretext_scores([maps], batch)
    close(found.values, HEAD['iou'].mean(dim=(1, 2)))
    assert (still.name, still.values.shape) == ('IoU of still boxes', (2,))


def test_the_regions_are_the_boxes_of_the_first_frame():
    rois = HEAD['rois']
    first = HEAD['trajs'][:, :, 0].flatten(0, 1)
    assert rois[:, 0].tolist() == [0, 0, 1, 1] and torch.equal(rois[:, 1:], first)
    model, maps, _ = reference()
    moved = HEAD['trajs'].clone()
    moved[:, :, 1:] += 5
    assert torch.equal(model.predict_changes(maps, moved), model.predict_changes(maps, HEAD['trajs']))


def test_the_full_head_has_the_shapes_of_the_reference():
    with torch.device('meta'):
        head = TrajectoryHead()
    expected = golden('ctp/shapes.json')['head_state']
    assert {name: list(value.shape) for name, value in head.state_dict().items()} == expected


def small():
    torch.manual_seed(0)
    backbone = R3D([4, 8], 1, stem_channels=4, spatial_strides=(1, 2), temporal_strides=(1, 2))
    return CtP(backbone, TrajectoryHead(8, 4, 2, 4, 16, 2, deviation=0.1))


def test_permuted_patches_have_permuted_predictions():
    model = small().eval()
    boxes = torch.rand(2, 3, 4, 2) * 16
    boxes = torch.cat([boxes, boxes + 8], dim=3)
    clips, order = torch.randn(2, 3, 4, 32, 32), torch.tensor([2, 0, 1])
    torch.testing.assert_close(
        model.predict_changes(clips, boxes[:, order]), model.predict_changes(clips, boxes)[:, order]
    )


def test_frames_without_the_patch_count_in_the_loss():
    model, maps, batch = reference()
    batch.extras['visible'] = torch.zeros(2, 2, 4, dtype=torch.bool)
    close(model.loss([maps], batch)['loss_ctr'], HEAD['loss_ctr'])


def test_clips_without_boxes_and_other_lengths_are_refused():
    model, clips = small(), torch.randn(2, 3, 4, 32, 32)
    with pytest.raises(ValueError, match=r"no 'gt_trajs'.*set train_dataloader.dataset.views to PastePatches"):
        model.loss([clips], Batch(torch.arange(2), torch.arange(2)))
    with pytest.raises(ValueError, match=r'The clips have 6 frames, but the head predicts 4: set model.head.frames=6'):
        model.predict_changes(clips, torch.ones(2, 1, 6, 4))
    with pytest.raises(ValueError, match=r'has? ?.*3 times, but the head merges 2: set model.head.map_frames=3'):
        model.predict_changes(torch.randn(2, 3, 6, 32, 32), torch.ones(2, 1, 4, 4))


def test_pictures_show_the_true_and_the_predicted_boxes():
    model = small().eval()
    boxes = torch.tensor([4.0, 4, 16, 16]).expand(1, 1, 4, 4) + 5 * torch.arange(4).view(1, 1, 4, 1)
    clips = torch.zeros(1, 3, 4, 32, 32)
    (sheet,) = model.picture_sheets([clips], Batch(torch.arange(1), torch.arange(1), extras={'gt_trajs': boxes}))
    ((picture, name), *others) = sheet.rows[0]
    assert picture.shape == (3, 128, 128) and name == 'frame 1' and len(others) == 3
    colours = {tuple(pixel) for pixel in others[-1][0].flatten(1).T.tolist()}
    assert {(44, 160, 44), (255, 127, 14)} <= colours


@pytest.mark.parametrize('name', FULL)
def test_full_configs_build_and_predict_on_the_meta_device(name):
    cfg = Config.fromfile(ROOT / 'configs/ctp' / name)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
        length, side = cfg.train_dataloader.dataset.frames.length, cfg.train_dataloader.dataset.views.view.size
        maps = model.backbone(torch.empty(1, 3, length, side, side))[-1]
    assert maps.shape == (1, 512, cfg.model.head.map_frames, side // 8, side // 8)


def test_moving_digits_are_the_same_for_the_same_number_and_differ_between_parts():
    source, rest = MovingDigits(30), MovingDigits(10, skip=20)
    assert len(source.video(0)) == 16 and source.load(3).shape == (3, 32, 32)
    clip = source.video(25).read(range(16))
    assert torch.equal(clip, rest.video(5).read(range(16))) and source.labels[25] == rest.labels[5]
    assert not torch.equal(clip, source.video(24).read(range(16)))
    assert (clip[:, 1:] != clip[:, :-1]).any() and len(source.labels.unique()) > 5
    assert len({MovingDigits(3).fingerprint, MovingDigits(3, skip=1).fingerprint, MovingDigits(4).fingerprint}) == 3


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes):
    check(ranks, _without_norms, sizes, num_views=1, shape=(3, 4, 8, 8))


def _without_norms():
    backbone = nn.Sequential(nn.Conv3d(3, 4, 3, stride=(2, 1, 1), padding=1), nn.ReLU(), Given())
    return CtP(backbone, TrajectoryHead(4, 4, 2, 1, 8, 2, deviation=0.1))


def test_a_batch_of_the_cpu_config_learns_its_boxes():
    cfg = Config.fromfile(CONFIG)
    torch.manual_seed(0)
    model, data = MODELS.build(cfg.model), DATASETS.build(cfg.train_dataloader.dataset)
    data = model.data_preprocessor(collate([data[index] for index in range(8)]))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    before = model.eval().pretext_scores(**data)[0].values.mean()
    model.train()
    for _ in range(25):
        optimizer.zero_grad()
        sum(model.loss(**data).values()).backward()
        optimizer.step()
    scores = [score.values.mean() for score in model.pretext_scores(**data)]
    assert scores[0] > max(before, scores[1]) + 0.05


@pytest.mark.slow
def test_it_passes_the_checks_of_every_algorithm():
    cfg = Config.fromfile(CONFIG)
    for part in (cfg.train_dataloader.dataset, cfg.evaluation.gallery, cfg.evaluation.query, cfg.evaluation.pretext):
        part.source.count = 120
    passed = check_algorithm(cfg, own_images=True)
    assert len(passed) == 9 and 'not checked, since R3D is not a ResNet' in passed[-1]


def test_a_source_of_clips_gives_clips_of_digits():
    data = ClipDataset(MovingDigits(4), UniformFrames(4), lambda clip: clip)
    assert data[1]['inputs'][0].shape == (3, 4, 32, 32) and data[1]['inputs'][0].dtype == torch.uint8
    assert np.unique(data[1]['inputs'][0].numpy()).size > 50


MUTATIONS = [
    Mutation(
        'the loss of the sizes is left out',
        'mmssl/models/algorithms/ctp.py',
        "return {'loss_ctr': centres, 'loss_size': sizes}",
        "return {'loss_ctr': centres}",
    ),
    Mutation(
        'boxes are pooled half a place off',
        'mmssl/models/heads/trajectory_head.py',
        'aligned=True',
        'aligned=False',
    ),
    Mutation(
        'regions of all patches are taken from the first clips',
        'mmssl/models/heads/trajectory_head.py',
        '.repeat_interleave(boxes.shape[1])',
        '.repeat(boxes.shape[1])',
    ),
    Mutation(
        'hidden frames are left out of the loss',
        'mmssl/models/algorithms/ctp.py',
        'weights = boxes.new_ones(boxes.shape[:3])',
        "weights = batch.extras.get('visible', boxes.new_ones(boxes.shape[:3])).to(boxes)",
    ),
]
