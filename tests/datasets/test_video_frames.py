"""Frames of videos as images: order of decoding, labelled segments, parts of time, and what pre-training takes."""

import shutil

import numpy as np
import pytest
import torch

from mmssl.apis.training import folder_config
from mmssl.datasets import (
    LabelledFrames,
    MovingDigits,
    ShrunkImages,
    TimeSplit,
    VideoFolder,
    VideoFrames,
    frame_parts,
    holds_videos,
    videos,
)
from mmssl.functional import parts_of_time
from mmssl.probe import probe_data
from mmssl.registry import DATASETS
from tests.datasets.test_videos import FRAMES, KINDS, levels, write_array, write_folder, write_video
from tests.helpers.mutation import Mutation


def level(source, index):
    return levels(source.load(index)[:, None])[0]


@pytest.mark.parametrize('kind', ['mp4', 'avi', 'folder'])
def test_frames_in_any_order_are_those_that_are_asked_for(kind, tmp_path):
    source = VideoFrames(VideoFolder(KINDS[kind](tmp_path)) if kind != 'folder' else _of(KINDS[kind](tmp_path)))
    order = [*range(FRAMES), 3, 20, 3, 4, 11, 12, 24, 0]
    assert [level(source, index) for index in order] == order


def _of(folder):
    return VideoFolder(folder.parent)


def test_frames_in_order_are_decoded_in_one_pass_and_random_ones_from_a_start(tmp_path, monkeypatch):
    source = VideoFrames(VideoFolder(KINDS['mp4'](tmp_path)))
    sought = []
    seek = videos._Cursor._seek
    monkeypatch.setattr(videos._Cursor, '_seek', lambda self, start: sought.append(start) or seek(self, start))
    assert [level(source, index) for index in range(8)] == list(range(8))
    assert sought == []
    assert level(source, 20) == 20 and level(source, 5) == 5
    index = source.source.video(0).index
    starts = [index.stamps.index(stamp) for stamp in index.starts]
    assert sought == [max(start for start in starts if start <= place) for place in (20, 5)] and starts != [0]


def test_a_file_that_was_opened_in_another_process_is_opened_anew(tmp_path, monkeypatch):
    source = VideoFrames(VideoFolder(KINDS['mp4'](tmp_path)))
    source.load(3)
    before = videos._KEPT.cursor
    monkeypatch.setattr(videos.os, 'getpid', lambda: -1)
    assert level(source, 4) == 4 and videos._KEPT.cursor is not before


@pytest.mark.parametrize('rate', [None, 5.0])
def test_frames_have_times(rate, tmp_path):
    KINDS['mp4'](tmp_path)
    write_folder(tmp_path / 'b', 4)
    source = VideoFrames(VideoFolder(tmp_path, labels=False), rate)
    of_file, of_folder = (source.times[source.videos == video] for video in (0, 1))
    if rate:
        assert source.places[source.videos == 0].tolist() == list(range(0, 24, 2))
        torch.testing.assert_close(of_file, torch.arange(12).double() / 5)
        torch.testing.assert_close(of_folder, torch.arange(4).double() / 5)
    else:
        torch.testing.assert_close(of_file, torch.arange(FRAMES).double() / 10)
        assert of_folder.isnan().all()
    assert source.path(0) == tmp_path / 'a.mp4'


def test_broken_videos_are_counted_and_named(tmp_path, caplog):
    write_array(tmp_path / 'a.npy')
    (tmp_path / 'b.npy').write_bytes(b'no array')
    source = VideoFrames(VideoFolder(tmp_path))
    assert source.describe() == '25 frames of 1 video, all of them, no classes. 1 video left out.'
    assert len(source.unreadable) == 1 and 'b.npy cannot be read' in source.unreadable[0]


def test_shrunk_frames_are_cached_and_two_rates_have_two_caches(tmp_path, monkeypatch):
    monkeypatch.setenv('MMSSL_CACHE', str(tmp_path / 'cache'))
    path = write_video(tmp_path / 'a.mp4', count=24)
    fast, slow = (ShrunkImages(VideoFrames(VideoFolder(path), rate), 16) for rate in (5, 2.5))
    some = VideoFrames(VideoFolder(path), 5)
    halves = [
        ShrunkImages({'type': 'Subset', 'source': some, 'indices': list(part)}, 16) for part in (range(6), range(6, 12))
    ]
    assert len({source.cache for source in (fast, slow, *halves)}) == 4 and fast.cache.is_file()
    assert [levels(halves[1].load(place)[:, None])[0] for place in range(6)] == [12, 14, 16, 18, 20, 22]
    assert fast.load(0).shape == (3, 16, 24)


TABLE = 'video,start,end,label\na.mp4,0,1,cup\na.mp4,1,1.5,dog\nb,0.4,9,cup\n'


@pytest.fixture
def table(tmp_path):
    KINDS['mp4'](tmp_path)
    write_folder(tmp_path / 'b', 4)
    (tmp_path / 'labels.csv').write_text(TABLE)
    return tmp_path / 'labels.csv'


def test_frames_get_the_class_of_their_segment(table):
    source = LabelledFrames(table, rate=5)
    assert source.classes == ['cup', 'dog'] and source.labels.tolist() == [0] * 5 + [1] * 3 + [0] * 2
    assert source.videos.tolist() == [0] * 8 + [1] * 2 and source.places.tolist() == [*range(0, 16, 2), 2, 3]
    assert level(source, 5) == 10 and source.label(5) == 1
    table.write_text(TABLE.replace('dog', 'cat'))
    other = LabelledFrames(table, rate=5)
    assert other.classes == ['cat', 'cup'] and other.fingerprint != source.fingerprint


@pytest.mark.parametrize(
    'text, said',
    [
        ('video,start,label\n', 'lacks the columns end: needed are video, start, end, label'),
        ('video,start,end,label\n', 'has no segments'),
        ('video,start,end,label\na.mp4,2,1,cup\n', r"labels.csv:2 has the video 'a.mp4', start '2', end '1'"),
        ('video,start,end,label\na.mp4,0,1,\n', "label ''"),
        ('video,start,end,label\na.mp4,0,x,cup\n', "end 'x'"),
        (TABLE + 'a.mp4,0.5,2,cup\n', 'a.mp4 from 0.5 to 2 is cup and another class: keep one'),
        ('video,start,end,label\na.mp4,70,80,cup\n', 'no segment with a frame at 1 per second'),
        ('video,start,end,label\nc.mp4,0,1,cup\n', 'c.mp4 are not in'),
    ],
)
def test_tables_that_cannot_be_read_are_refused(text, said, table):
    table.write_text(text)
    with pytest.raises(ValueError, match=said):
        LabelledFrames(table)


@pytest.mark.parametrize('gap, period, share', [(10.0, 60.0, 0.5), (0.5, 7.3, 0.2), (0.0, 3.0, 0.5)])
def test_no_time_of_one_part_is_nearer_to_the_other_than_the_gap(gap, period, share):
    times = torch.arange(0, 300, 0.2, dtype=torch.float64)
    parts = parts_of_time(times, gap, period, share)
    learned, measured = times[parts == 0], times[parts == 1]
    assert (learned[:, None] - measured).abs().min() > gap - 1e-9
    assert len(measured) / (len(measured) + len(learned)) == pytest.approx(share, abs=0.05)
    assert len(measured) + len(learned) == pytest.approx(len(times) * (1 - 2 * gap / period), rel=0.1)


class Long(MovingDigits):
    """Two videos of 300 frames without anything in them."""

    def video(self, index):
        return videos.open_video(self.file)


@pytest.fixture
def long(tmp_path):
    source = Long(2)
    source.file = tmp_path / 'a.npy'
    np.save(source.file, np.zeros((300, 8, 8), np.uint8))
    return VideoFrames(source, rate=5)


def test_no_test_frame_is_nearer_to_a_train_frame_than_the_gap(long):
    train, test = (TimeSplit(long, part, gap=3, period=20, share=0.3) for part in ('train', 'test'))
    for video in range(2):
        times = [part.source.times[part.indices][part.source.videos[part.indices] == video] for part in (train, test)]
        assert (times[0][:, None] - times[1]).abs().min() > 3 - 1e-9 and min(map(len, times)) > 40


@pytest.mark.parametrize(
    'options, said',
    [
        ({'part': 'all'}, "part='all': give 'train' or 'test'"),
        ({'part': 'test', 'gap': 30.0}, 'gap=30, period=60'),
        ({'part': 'test', 'share': 1.0}, 'share=1'),
        ({'part': 'test', 'period': 900.0}, 'last up to 60 seconds, so give a smaller period'),
    ],
)
def test_a_split_that_cannot_be_is_refused(options, said, long):
    with pytest.raises(ValueError, match=said):
        TimeSplit(long, **options)


def test_frames_without_times_cannot_be_split(tmp_path):
    with pytest.raises(ValueError, match='no times, by which they could be split: give VideoFrames a rate'):
        TimeSplit(VideoFrames(VideoFolder(write_array(tmp_path / 'a.npy'))), 'test')


def test_a_rate_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match='rate=0 frames per second'):
        VideoFrames(VideoFolder(write_array(tmp_path / 'a.npy')), 0)


def test_whole_videos_are_held_out_and_those_of_one_video_are_not(tmp_path):
    for number in range(3):
        write_array(tmp_path / f'run_{number}.npy')
        (tmp_path / 'run').mkdir(exist_ok=True)
        shutil.move(tmp_path / f'run_{number}.npy', tmp_path / f'run/{number}.npy')
    (tmp_path / 'jump').mkdir()
    write_array(tmp_path / 'jump/only.npy')
    training, query = (DATASETS.build(part) for part in frame_parts(tmp_path))
    assert {training.name(index)[:10] for index in range(len(training))} == {'jump/only.', 'run/0.npy[', 'run/1.npy['}
    assert {query.name(index)[:10] for index in range(len(query))} == {'run/2.npy['}
    assert query.classes == ['jump', 'run'] and query.labels.unique().tolist() == [1]
    for name in ('1', '2'):
        (tmp_path / f'run/{name}.npy').unlink()
    training, query = frame_parts(tmp_path)
    assert query is None and DATASETS.build(training).labels is None


def test_pretraining_takes_a_video_and_a_folder_of_videos(tmp_path, monkeypatch):
    monkeypatch.setenv('MMSSL_CACHE', str(tmp_path / 'cache'))
    (tmp_path / 'videos').mkdir()
    path = write_video(tmp_path / 'videos/a.mp4', rate=2)  # of 12.5 seconds
    with pytest.raises(ValueError, match='25 images in .* or a longer video'):
        folder_config(write_array(tmp_path / 'short.npy'))
    for given in (path, path.parent):
        cfg = folder_config(given)
        source = DATASETS.build(cfg.train_dataloader.dataset.source)
        assert len(source) == 62 and source.cache is not None and 'query' not in cfg.evaluation
    assert (
        holds_videos(path.parent) and not holds_videos(write_folder(tmp_path / 'images')) and not holds_videos(tmp_path)
    )


def test_the_probe_splits_a_table_by_time_and_a_folder_by_videos(tmp_path, long):
    rows = [f'a.npy,{start},{start + 10},{"ab"[start // 10 % 2]}' for start in range(0, 300, 10)]
    (tmp_path / 'labels.csv').write_text('\n'.join(['video,start,end,label', *rows]))
    data = probe_data(tmp_path / 'labels.csv')
    assert (len(data.gallery), len(data.query)) == (100, 100)
    assert (
        'at 1 per second, 2 classes (a, b). 100 to learn from and 100 to measure on, 10 seconds apart'
        in data.remarks[0]
    )
    data = probe_data(tmp_path / 'a.npy')
    assert len(data.gallery) == 300 and data.query is None


MUTATIONS = [
    Mutation(
        'frames in order are sought one by one',
        'mmssl/datasets/videos.py',
        'if not start <= self.place <= place:',
        'if start != self.place:',
    ),
    Mutation(
        'frames before the place of decoding are taken to follow',
        'mmssl/datasets/videos.py',
        'if not start <= self.place <= place:',
        'if not start <= self.place:',
    ),
    Mutation(
        'a forked process moves the file of its parent',
        'mmssl/datasets/videos.py',
        'key = (os.getpid(), video.path)',
        'key = (0, video.path)',
    ),
    Mutation(
        'the second gap is left out',
        'mmssl/functional/frames.py',
        '(place < period - gap)',
        '(place < period)',
    ),
    Mutation(
        'a segment has its end',
        'mmssl/datasets/video_frames.py',
        '(self.times < end)',
        '(self.times <= end)',
    ),
    Mutation(
        'frames of one file share a cache',
        'mmssl/datasets/shrunk.py',
        '\\0{source.name(index)}\\0{state}',
        '\\0{state}',
    ),
    Mutation(
        'the videos that are measured on are learned from',
        'mmssl/datasets/video_frames.py',
        'if index not in chosen]',
        ']',
    ),
]
