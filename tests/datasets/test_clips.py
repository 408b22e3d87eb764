"""Clips: their frames, their views, and what a draw determines."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mmssl.datasets import (
    ClipDataset,
    EvalView,
    MultiView,
    RandomCrop,
    RandomFrames,
    Subset,
    UniformFrames,
    UnreadableImageError,
    VideoFolder,
    View,
    collate,
)
from mmssl.evaluation import RawPixels, extract_features
from mmssl.functional import jittered_frames, uniform_starts
from mmssl.visualization import to_image
from tests.conftest import golden
from tests.helpers.mutation import Mutation

SAMPLERS = golden('ctp/frames.json')['samplers']
COUNT, FRAMES, SIDE = 6, 12, 16


def same(clip):
    return clip


@pytest.fixture
def videos(tmp_path):
    """Videos whose frames show their number, in two classes; the third has a single frame."""
    generator = np.random.default_rng(0)
    for number in range(COUNT):
        frames = generator.integers(0, 200, (1 if number == 2 else FRAMES, SIDE, SIDE + 4, 3), np.uint8)
        frames[:, 0, 0] = np.arange(len(frames))[:, None]
        (tmp_path / f'{number % 2}').mkdir(exist_ok=True)
        np.save(tmp_path / f'{number % 2}/{number}.npy', frames)
    return VideoFolder(tmp_path)


def shown(clip: torch.Tensor) -> list[int]:
    return clip[0, :, 0, 0].tolist()


@pytest.mark.parametrize('case', [case for case in SAMPLERS if case['kind'] == 'random'])
def test_random_frames_equal_those_of_the_reference(case):
    found = jittered_frames(case['start'], case['stride'], torch.tensor(case['jitter']), case['num_frames'])
    assert found.tolist() == case['index']


@pytest.mark.parametrize('case', [case for case in SAMPLERS if case['kind'] == 'uniform'])
def test_uniform_frames_equal_those_of_the_reference(case):
    found = UniformFrames(case['clip_len'], case['stride'], case['clips'])(case['num_frames'])
    assert found.tolist() == case['index']
    starts = uniform_starts(case['num_frames'], case['clip_len'], case['stride'], case['clips'])
    assert starts == [clip[0] for clip in case['index']]


def test_random_frames_use_every_stride_and_every_start_and_stay_in_order():
    torch.manual_seed(0)
    sampler = RandomFrames(4, strides=(1, 3))
    clips = torch.cat([sampler(12) for _ in range(2000)])
    assert clips.min() == 0 and clips.max() == 11
    assert (clips.diff(dim=1) >= 1).all() and clips.diff(dim=1).max() == 5
    still = torch.cat([RandomFrames(4, strides=(1, 3), jitter=False)(12) for _ in range(2000)])
    assert set(map(tuple, still.diff(dim=1).tolist())) == {(1, 1, 1), (3, 3, 3)}
    assert set(still[still.diff(dim=1)[:, 0] == 1][:, 0].tolist()) == set(range(9))
    assert set(still[still.diff(dim=1)[:, 0] == 3][:, 0].tolist()) == set(range(3))


def test_a_draw_determines_the_clip_whatever_came_before(videos):
    data = ClipDataset(videos, RandomFrames(4, (1, 2)), MultiView([1], [View(12, jitter=(0.4, 0.4, 0.4, 0.1))]))
    first, again, other = data[0, 7], data[0, 7], data[0, 8]
    assert torch.equal(first['inputs'][0], again['inputs'][0])
    assert not torch.equal(first['inputs'][0], other['inputs'][0])
    data.seed = 1
    assert not torch.equal(first['inputs'][0], data[0, 7]['inputs'][0])


def test_every_draw_has_frames_of_its_own(videos):
    data = ClipDataset(videos, RandomFrames(4, (1, 2)), same)
    assert len({tuple(shown(data[0, draw]['inputs'][0])) for draw in range(20)}) > 10


@pytest.mark.parametrize('view', [View(12, jitter=(0.4, 0, 0.4, 0.1), blur_prob=1, rotate=20), RandomCrop(12, 14, 2)])
def test_all_frames_of_a_clip_get_the_same_view(view):
    frame = torch.randint(256, (3, 20, 24), dtype=torch.uint8)
    torch.manual_seed(3)
    clip = view(frame[:, None].expand(-1, 4, -1, -1))
    torch.manual_seed(3)
    assert clip.shape == (3, 4, 12, 12)
    assert torch.equal(clip, view(frame)[:, None].expand(-1, 4, -1, -1))


def test_the_evaluation_view_of_a_clip_is_that_of_its_frames():
    clip = torch.randint(256, (3, 4, 20, 24), dtype=torch.uint8)
    view = EvalView(16, 12)
    assert torch.equal(view(clip)[0], torch.stack([view(frame)[0] for frame in clip.unbind(1)], dim=1))


def test_several_clips_are_views_and_the_plain_form_is_the_middle_one(videos):
    data = ClipDataset(videos, UniformFrames(3, 2, clips=4), same, plain_views=same)
    sample = data[0]
    assert [shown(view) for view in sample['inputs']] == data.frames(FRAMES).tolist()
    assert sample['gt_label'] == 0 and sample['sample_idx'] == 0
    plain = data.plain()[1]['inputs']
    assert len(plain) == 1 and shown(plain[0]) == [3, 5, 7]
    assert shown(ClipDataset(videos, RandomFrames(3, (2, 1)), same, plain_views=same).plain()[1]['inputs'][0]) == [
        5,
        6,
        7,
    ]


def test_several_clips_with_further_fields_are_refused(videos):
    data = ClipDataset(videos, UniformFrames(3, clips=2), lambda clip: {'inputs': clip, 'speed': 1})
    with pytest.raises(ValueError, match='2 clips per video, but the views give further fields: take one clip'):
        data[0]


def test_a_broken_or_short_video_is_replaced_and_named(videos):
    data = ClipDataset(videos, UniformFrames(4), same)
    short = next(index for index in range(COUNT) if videos.name(index) == '0/2.npy')
    sample = data[short, 3]
    assert sample['unreadable'] == short and sample['sample_idx'] != short
    assert torch.equal(sample['inputs'][0], data[short, 3]['inputs'][0])
    found = extract_features(RawPixels(), data, batch_size=4)
    assert len(found) == COUNT - 1 and found.left_out == ('0/2.npy',)
    with pytest.raises(UnreadableImageError, match='10 videos in a row cannot be read; the last: .*2.npy is too short'):
        ClipDataset(Subset(videos, indices=[short]), UniformFrames(4), same)[0]


def test_images_are_refused(tmp_path):
    from mmssl.datasets import ArraySource

    data = ClipDataset(ArraySource(np.zeros((2, 4, 4), np.uint8)), UniformFrames(4), same)
    with pytest.raises(ValueError, match='ArraySource holds images: give ClipDataset a source of videos'):
        data[0]


def test_workers_change_nothing_and_a_batch_has_the_time_behind_the_channels(videos):
    data = ClipDataset(videos, RandomFrames(4), EvalView(12, 12))
    one, two = (next(iter(DataLoader(data, 4, collate_fn=collate, num_workers=workers))) for workers in (0, 2))
    assert one['inputs'][0].shape == (4, 3, 4, 12, 12)
    assert torch.equal(one['inputs'][0], two['inputs'][0])


def test_gray_clips_become_colours_and_colours_gray(videos):
    assert ClipDataset(videos, UniformFrames(4), same, channels=1)[0]['inputs'][0].shape == (1, 4, SIDE, SIDE + 4)


def test_a_picture_of_a_clip_shows_four_of_its_frames(videos):
    clip = ClipDataset(videos, UniformFrames(10), same)[0]['inputs'][0]
    image = np.asarray(to_image(clip))
    assert image.shape == (2 * SIDE, 2 * (SIDE + 4), 3)
    corners = [image[y, x, 0] for y in (0, SIDE) for x in (0, SIDE + 4)]
    assert corners == [clip[0, place, 0, 0].item() for place in (0, 3, 6, 9)]
    assert to_image(clip[:, :3]).size == (SIDE + 4, SIDE)


MUTATIONS = [
    Mutation(
        'every draw has the same frames',
        'mmssl/datasets/clips.py',
        'hash_seed(self.seed, Stream.FRAMES, draw)',
        'hash_seed(self.seed, Stream.FRAMES)',
    ),
    Mutation(
        'frames depend on what was drawn before',
        'mmssl/datasets/clips.py',
        '                seed_cpu(hash_seed(self.seed, Stream.FRAMES, draw))\n',
        '',
    ),
    Mutation(
        'the first clip is taken for the middle one',
        'mmssl/functional/frames.py',
        'int(tick / 2 + tick * clip)',
        'int(tick * clip)',
    ),
]
