"""Trajectories of patches, their targets and their loss, by the reference code's numbers and by their definition."""

import pytest
import torch

from mmssl.functional import (
    Motion,
    box_overlap,
    decode_boxes,
    encode_boxes,
    interpolate_keys,
    key_frames,
    key_jitter,
    move_boxes,
    patch_sizes,
    trajectory_loss,
    whole_boxes,
)
from tests.conftest import golden
from tests.helpers.mutation import Mutation

TRAJECTORIES, HEAD = golden('ctp/trajectories.npz'), golden('ctp/head.npz')
CURVES = golden('ctp/interpolation.npz')
STDS = HEAD['cfg']['stds']


def close(found: torch.Tensor, stored: torch.Tensor, tolerance: float = 1e-9) -> None:
    assert found.shape == stored.shape
    assert (found - stored).abs().max() <= tolerance * max(1, stored.abs().max())


def case(number: int) -> dict:
    prefix = f'c{number}_'
    return {key.removeprefix(prefix): value for key, value in TRAJECTORIES.items() if key.startswith(prefix)}


def motion(found: dict, kind: str) -> Motion:
    keys = key_frames(found['cfg']['frames'], found[f'draw_{kind}_jitter'].tolist()[: int(found[f'draw_{kind}_inner'])])
    assert keys == found[f'{kind}_keys'].tolist()
    return Motion(keys, found[f'draw_{kind}_move'], found[f'draw_{kind}_interp'].tolist())


@pytest.mark.parametrize('number', range(6))
def test_patches_move_as_those_of_the_reference(number):
    found, cfg = case(number), case(number)['cfg']
    sizes = patch_sizes(cfg['scales'], cfg['ratios'])
    close(sizes, found['anchors'].double(), 1e-7)  # float32 there
    boxes = found['boxes']
    moved = move_boxes(boxes, motion(found, 'loc'), motion(found, 'size'), cfg['w'], cfg['h'])
    close(moved, found['traj_float'])
    assert torch.equal(whole_boxes(moved, cfg['w'], cfg['h']), found['traj'])


def test_key_frames_equal_those_of_the_reference():
    for row in golden('ctp/key_frames.json'):
        assert key_frames(row['frames'], row['jitter']) == row['keys']
        limit = key_jitter(row['frames'], row['inner'])
        assert all(-limit <= moved < max(limit, 1) for moved in row['jitter'])


@pytest.mark.parametrize('number', range(3))
@pytest.mark.parametrize('curve, name', list(enumerate(['uniform', 'accelerate', 'decelerate'])))
def test_curves_equal_those_of_the_reference(curve, name, number):
    keys, values = CURVES[f'c{number}_keys'].tolist(), CURVES[f'c{number}_values']
    close(interpolate_keys(keys, values, [curve] * (len(keys) - 1)), CURVES[f'c{number}_{name}'])


def test_targets_and_boxes_equal_those_of_the_reference():
    trajectories = HEAD['trajs']
    targets = encode_boxes(trajectories, STDS)
    close(targets, HEAD['targets'])
    first, predicted = trajectories[:, :, 0].flatten(0, 1), HEAD['preds'].view(4, 4, 4)
    close(decode_boxes(predicted, first, STDS), HEAD['decoded'])
    close(decode_boxes(targets.flatten(0, 1), first, STDS), HEAD['decoded_targets'])
    close(box_overlap(HEAD['decoded'].view(2, 2, 4, 4), trajectories), HEAD['iou'])


def test_losses_equal_those_of_the_reference():
    predicted, targets = HEAD['preds'].view(2, 2, 4, 4), HEAD['targets']
    for weights, name in ((torch.ones(2, 2, 4, dtype=torch.float64), ''), (HEAD['weights'], 'weighted_')):
        centres, sizes = trajectory_loss(predicted, targets, weights)
        close(centres, HEAD[f'{name}loss_ctr'])
        close(sizes, HEAD[f'{name}loss_size'])
    assert sum(trajectory_loss(predicted, targets, 0 * HEAD['weights'])) == HEAD['zero_weight_loss']
    # One box, one number at a time: the sum of smooth L1 losses is then that of the table.
    for value, expected in zip(HEAD['smooth_l1_in'], HEAD['smooth_l1_out']):
        one = torch.zeros(1, 1, 1, 4, dtype=torch.float64)
        one[..., 0] = value
        close(trajectory_loss(one, torch.zeros_like(one), torch.ones(1, 1, 1))[0], expected)


def test_decoding_undoes_encoding_and_the_first_frame_is_zero():
    torch.manual_seed(0)
    first = torch.rand(5, 7, 2, dtype=torch.float64) * 50
    boxes = torch.cat([first, first + 1 + torch.rand(5, 7, 2, dtype=torch.float64) * 40], dim=2)
    changes = encode_boxes(boxes, STDS)
    assert not changes[:, 0].any() and changes[:, 1:].any()
    close(decode_boxes(changes, boxes[:, 0], STDS), boxes)


def test_boxes_without_area_keep_a_pixel_inside_the_image():
    boxes = torch.tensor([[-5.0, 3.2, -1.0, 3.3], [40.0, 2.5, 50.0, 3.5], [31.6, 31.6, 31.9, 31.9]])
    assert whole_boxes(boxes, 32, 32).tolist() == [[0, 3, 1, 4], [31, 2, 32, 4], [31, 31, 32, 32]]


def test_boxes_overlap_by_their_common_share():
    boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 0, 0]])
    others = torch.tensor([[1.0, 0, 3, 2], [5, 5, 6, 6], [0, 0, 0, 0]])
    close(box_overlap(boxes, others), torch.tensor([1 / 3, 0, 0]), 1e-6)


def test_losses_stay_exact_under_autocast():
    predicted, targets = torch.randn(2, 1, 3, 4), torch.randn(2, 1, 3, 4)
    weights = torch.ones(2, 1, 3)
    with torch.autocast('cpu', torch.bfloat16):
        found = trajectory_loss(predicted.bfloat16(), targets, weights)
    assert found[0].dtype == torch.float32
    assert torch.equal(found[0], trajectory_loss(predicted.bfloat16().float(), targets, weights)[0])


MUTATIONS = [
    Mutation(
        'patches keep their first size only in the middle of the image',
        'mmssl/functional/trajectories.py',
        'torch.maximum(centres[-1] + move, sides / 2)',
        'torch.maximum(centres[-1] + move, 0 * sides)',
    ),
    Mutation(
        'accelerating and decelerating curves are exchanged',
        'mmssl/functional/trajectories.py',
        '(share, share**2, 1 - (1 - share) ** 2)[curve]',
        '(share, 1 - (1 - share) ** 2, share**2)[curve]',
    ),
    Mutation(
        'targets are relative to the frame before',
        'mmssl/functional/trajectories.py',
        'moved = centres - centres[..., :1, :]',
        'moved = centres - centres.roll(1, dims=-2)',
    ),
    Mutation(
        'the loss of sizes counts half',
        'mmssl/functional/trajectories.py',
        'losses[..., 2:].sum() / total',
        'losses[..., 2:].mean()',
    ),
    Mutation(
        'all ratios of the smallest patch come first',
        'mmssl/functional/trajectories.py',
        'torch.stack([sides * roots, sides / roots], dim=2).flatten(0, 1)',
        'torch.stack([sides * roots, sides / roots], dim=2).transpose(0, 1).flatten(0, 1)',
    ),
]
