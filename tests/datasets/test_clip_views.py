"""Views of clips and pasted patches, by the reference code's numbers and by what they must keep."""

import json

import numpy as np
import pytest
import torch

from mmssl.datasets import ClipCentre, ClipColour, ClipCrop, PastePatches
from mmssl.datasets.transforms.clips import (
    Patch,
    alpha_map,
    change_brightness,
    change_contrast,
    paste_patches,
    scaled_size,
    shift_hue_saturation,
)
from mmssl.functional import interpolate_keys, key_frames
from mmssl.models import DataPreprocessor
from tests.conftest import GOLDEN, golden
from tests.helpers.mutation import Mutation

with np.load(GOLDEN / 'ctp/colour.npz') as stored:
    COLOUR = dict(stored)
with np.load(GOLDEN / 'ctp/paste.npz') as stored:
    PASTE = dict(stored)
CLIP = torch.randint(256, (3, 8, 40, 50), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def same(clip):
    return clip


def rgb(frames: np.ndarray) -> np.ndarray:
    return frames[..., ::-1]


@pytest.mark.parametrize('case', golden('ctp/frames.json')['group_scale'], ids=lambda case: str(case['scale']))
def test_frames_are_resized_as_those_of_the_reference(case):
    assert scaled_size(case['h'], case['w'], case['scale']) == tuple(case['out_wh'][::-1])


def test_brightness_and_contrast_equal_those_of_the_reference():
    frames = COLOUR['frames']
    assert np.abs(change_brightness(frames, COLOUR['brightness_delta']) - COLOUR['brightness']).max() <= 1e-9 * 255
    assert np.abs(change_contrast(frames, COLOUR['contrast_factor']) - COLOUR['contrast']).max() <= 1e-9 * 255


@pytest.mark.parametrize('number', [0, 1])
def test_hue_and_saturation_equal_those_of_the_reference(number):
    shift, factor = (float(COLOUR[f'{name}{number}']) for name in ('hue_delta', 'saturation_factor'))
    found = shift_hue_saturation(rgb(COLOUR['frames']), shift, factor)
    assert np.array_equal(rgb(found), COLOUR[f'hue_saturation{number}'])


def test_the_preprocessor_makes_of_a_clip_what_the_reference_does():
    clip = torch.from_numpy(rgb(COLOUR['frames']).copy()).permute(3, 0, 1, 2)[None]
    numbers = {name: torch.zeros(1, dtype=torch.int64) for name in ('sample_idx', 'draw')}
    found = DataPreprocessor()({'inputs': [clip], **numbers, 'extras': {}})['inputs'][0][0]
    expected = torch.from_numpy(COLOUR['tensor']).transpose(0, 1)
    assert (found - expected).abs().max() < 2e-4 * max(1, expected.abs().max())


@pytest.mark.parametrize('number', [0, 1])
def test_pasted_patches_equal_those_of_the_reference(number):
    case = {key.removeprefix(f'c{number}_'): value for key, value in PASTE.items()}
    patches = []
    for place, draw in enumerate(json.loads(str(case['draws']))):
        x1, y1, x2, y2 = case['traj'][place, draw['source']]
        alpha = alpha_map(draw['shape'], y2 - y1, x2 - x1, draw.get('turning'))
        assert np.abs(alpha - case[f'base_alpha{place}']).max() < 1e-9
        keys = key_frames(len(case['frames']), draw['jitter'])
        levels = torch.tensor(draw['opacity'], dtype=torch.float64)
        opacity = interpolate_keys(keys, levels, [0] * (len(keys) - 1)).numpy()
        patches.append(Patch(draw['source'], alpha, opacity, case['visible'][place]))
    assert np.array_equal(paste_patches(case['frames'], case['traj'], patches), case['pasted'])


def test_crops_have_the_same_place_in_all_frames_and_reach_every_place():
    still = CLIP[:, :1].expand(-1, 8, -1, -1)
    torch.manual_seed(0)
    views = [ClipCrop(20, (20, 24))(still) for _ in range(40)]
    assert all(view.shape == (3, 8, 20, 20) and (view == view[:, :1]).all() for view in views)
    assert len({view[:, 0].numpy().tobytes() for view in views}) > 20


def test_a_crop_of_the_size_of_the_frames_is_the_frames_or_their_mirror():
    clip = CLIP[..., :40]
    assert torch.equal(ClipCrop(40, (40,), flip=0)(clip), clip)
    assert torch.equal(ClipCrop(40, (40,), flip=1)(clip), clip.flip(-1))


def test_the_centre_is_that_of_the_resized_frames():
    assert torch.equal(ClipCentre((50, 40), 30)(CLIP), CLIP[..., 5:35, 10:40])
    assert ClipCentre(20, 16)(CLIP).shape == (3, 8, 16, 16)


def test_crops_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match='A crop of 112 does not fit into a side of 100: set sides to 112 or more'):
        ClipCrop(112, (100, 128))
    with pytest.raises(ValueError, match='A crop of 112 does not fit into a side of 100: set resize to 112 or more'):
        ClipCentre((171, 100), 112)


def test_patches_move_in_the_image_and_change_it_only_where_they_show():
    paste = PastePatches(same, count=2, scales=(8, 12), visible_prob=0.5)
    torch.manual_seed(0)
    for _ in range(20):
        found = paste(CLIP)
        boxes, visible = found['gt_trajs'], found['visible']
        assert boxes.shape == (2, 8, 4) and boxes.dtype == torch.float32 and visible.shape == (2, 8)
        assert (boxes[..., :2] >= 0).all() and (boxes[..., 2:] <= torch.tensor([50, 40])).all()
        assert (boxes[..., 2:] > boxes[..., :2]).all() and torch.equal(boxes, boxes.round())
        assert visible[:, 0].all()
        inside = torch.zeros(8, 40, 50, dtype=torch.bool)
        for own, shows in zip(boxes.long(), visible):
            for frame in shows.nonzero()[:, 0].tolist():
                x1, y1, x2, y2 = own[frame].tolist()
                inside[frame, y1:y2, x1:x2] = True
        changed = (found['inputs'] != CLIP).any(dim=0)
        assert not (changed & ~inside).any() and changed.any()


def test_about_the_given_share_of_frames_shows_a_patch():
    paste = PastePatches(same, count=1, visible_prob=0.3)
    torch.manual_seed(0)
    shown = torch.cat(
        [torch.from_numpy(paste.draw_patch(torch.tensor([[2, 2, 9, 9]] * 40)).visible) for _ in range(50)]
    )
    assert abs(shown.float().mean() - (2 + 38 * 0.3) / 40) < 0.04


def test_all_patches_share_key_frames_and_curves_and_their_speed_is_limited():
    paste = PastePatches(same, count=200, speed=2.0, growth=0.01)
    torch.manual_seed(0)
    motion = paste._draw_motion(16, 2.0)
    assert motion.moves.shape == (len(motion.keys) - 1, 200, 2)
    gaps = torch.tensor(motion.keys).diff()
    assert (motion.moves.abs().amax(dim=(1, 2)) <= 2.0 * gaps).all()
    assert (motion.moves.abs().amax(dim=(1, 2)) > 1.9 * gaps).all()


def test_colours_change_smoothly_and_stay_bytes():
    torch.manual_seed(0)
    grey = torch.full((3, 8, 4, 4), 128, dtype=torch.uint8)
    changed = [ClipColour(hue_prob=1, brightness_prob=1, contrast_prob=1)(grey) for _ in range(20)]
    levels = torch.stack([clip.float().mean(dim=(0, 2, 3)) for clip in changed])
    assert all(clip.dtype == torch.uint8 for clip in changed) and levels.std() > 5
    assert levels.diff(dim=1).abs().max() < 25
    unchanged = ClipColour(hue_prob=0, brightness_prob=0, contrast_prob=0)
    assert torch.equal(unchanged(CLIP), CLIP)
    assert not torch.equal(ClipColour(hue_prob=1, brightness_prob=0, contrast_prob=0)(CLIP), CLIP)
    assert torch.equal(ClipColour(hue_prob=1, brightness_prob=0, contrast_prob=0)(CLIP[:1]), CLIP[:1])


def test_clips_of_16_bits_and_no_patches_are_refused():
    with pytest.raises(ValueError, match='takes clips of 8 bits, but gets torch.uint16: convert the videos'):
        PastePatches(same)(CLIP.to(torch.uint16))
    with pytest.raises(ValueError, match='count=0: set it to a whole number of at least 1'):
        PastePatches(same, count=0)


MUTATIONS = [
    Mutation(
        'pasted values are rounded',
        'mmssl/datasets/transforms/clips.py',
        '(under * (1 - alpha) + pixels * alpha).astype',
        '(under * (1 - alpha) + pixels * alpha + 0.5).astype',
    ),
    Mutation(
        'small patches are pasted first',
        'mmssl/datasets/transforms/clips.py',
        'np.argsort(-sides.prod(axis=1)',
        'np.argsort(sides.prod(axis=1)',
    ),
    Mutation(
        'patches are cut from frames with patches',
        'mmssl/datasets/transforms/clips.py',
        'np.ascontiguousarray(frames[patch.source',
        'np.ascontiguousarray(pasted[patch.source',
    ),
    Mutation(
        'masks are measured between the pixels at the border',
        'mmssl/datasets/transforms/clips.py',
        'np.abs(np.arange(width) - (width - 1) // 2)[None] / width',
        'np.abs(np.arange(width) - (width - 1) // 2)[None] / (width - 1)',
    ),
    Mutation(
        'patches may be invisible in the frame that their boxes start from',
        'mmssl/datasets/transforms/clips.py',
        'visible[[0, source]] = True',
        'visible[[source]] = True',
    ),
]
