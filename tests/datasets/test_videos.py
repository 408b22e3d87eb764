"""Videos in files, folders, archives and arrays: which frames are read, and what is said of broken ones."""

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmssl.datasets import (
    Concat,
    ImageFolder,
    Subset,
    UnreadableImageError,
    VideoFolder,
    VideoFrames,
    VideoList,
    open_video,
)
from tests.helpers.mutation import Mutation

FRAMES, HEIGHT, WIDTH = 25, 32, 48
# Level of the frames in the order in which they are shown; encoding changes it by some grey levels.
LEVELS = np.arange(FRAMES) * 10


def frames(count: int = FRAMES) -> np.ndarray:
    return np.stack([np.full((HEIGHT, WIDTH, 3), level, np.uint8) for level in LEVELS[:count]])


def write_video(path: Path, codec: str = 'libx264', count: int = FRAMES, rate: int = 10, **options: str) -> Path:
    av = pytest.importorskip('av')
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.bit_rate = 4_000_000
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, 'yuv420p'
        for array in frames(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(array, format='rgb24')))
        container.mux(stream.encode())
    return path


def write_folder(path: Path, count: int = FRAMES) -> Path:
    path.mkdir(parents=True)
    for number, array in enumerate(frames(count)):
        Image.fromarray(array).save(path / f'frame{number}.png')
    return path


def write_zip(path: Path) -> Path:
    with zipfile.ZipFile(path, 'w') as archive:
        for number, array in enumerate(frames()):
            buffer = io.BytesIO()
            Image.fromarray(array).save(buffer, 'png')
            archive.writestr(f'a/frame{number}.png', buffer.getvalue())
        archive.writestr('notes.txt', 'no frame')
    return path


def write_array(path: Path) -> Path:
    np.save(path, frames())
    return path


KINDS = {
    'mp4': lambda folder: write_video(folder / 'a.mp4', g='6', bf='2'),
    'avi': lambda folder: write_video(folder / 'a.avi', 'mpeg4', g='6', bf='2'),
    'folder': lambda folder: write_folder(folder / 'a'),
    'zip': lambda folder: write_zip(folder / 'a.zip'),
    'npy': lambda folder: write_array(folder / 'a.npy'),
}


def levels(clip: torch.Tensor) -> list[int]:
    return (clip.float().mean(dim=(0, 2, 3)) / 10).round().int().tolist()


@pytest.mark.parametrize('kind', KINDS)
def test_the_frames_that_are_asked_for_are_read(kind, tmp_path):
    video = open_video(KINDS[kind](tmp_path))
    assert len(video) == FRAMES
    clip = video.read([3, 20, 3, 11, 24, 0])
    assert clip.dtype == torch.uint8 and clip.shape == (3, 6, HEIGHT, WIDTH)
    assert levels(clip) == [3, 20, 3, 11, 24, 0]
    assert levels(torch.stack(list(video.frames()), dim=1)) == list(range(FRAMES))


@pytest.mark.parametrize(
    'rate, expected', [(5, list(range(0, 25, 2))[:12]), (20, [n // 2 for n in range(50)]), (4, None)]
)
@pytest.mark.parametrize('kind', ['mp4', 'avi'])
def test_at_a_fixed_rate_a_video_shows_the_frame_of_each_time(kind, rate, expected, tmp_path):
    video = open_video(KINDS[kind](tmp_path)).at_rate(rate)
    expected = expected or [int(10 * n / 4) for n in range(10)]
    assert len(video) == len(expected)
    assert levels(video.read(range(len(video)))) == expected


def test_images_have_no_times(tmp_path):
    with pytest.raises(ValueError, match='holds images without times: leave out rate'):
        open_video(write_folder(tmp_path / 'a')).at_rate(5)


def test_a_rate_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match='rate=0 frames per second: give a number above 0'):
        open_video(KINDS['mp4'](tmp_path)).at_rate(0)


@pytest.mark.parametrize(
    'name, array, said',
    [
        ('a.npy', np.zeros((4, 8, 8), np.float32), r'is float32 of shape \(4, 8, 8\); needed is uint8 or uint16'),
        ('a.npy', np.zeros((4, 8), np.uint8), r'needed is uint8 or uint16 of shape \(T, H, W\) or \(T, H, W, C\)'),
        ('a.npy', np.zeros((4, 8, 8, 5), np.uint8), 'with 1 to 4 channels'),
        ('a.npy', np.zeros((0, 8, 8), np.uint8), r'of shape \(0, 8, 8\)'),
        ('a.npy', None, 'cannot be read'),
        ('a.zip', None, 'cannot be read'),
        ('a.mp4', None, 'cannot be read'),
        ('missing.mp4', None, 'cannot be read'),
    ],
)  # fmt: skip
def test_a_broken_file_is_said_to_be_unreadable_by_name(name, array, said, tmp_path):
    if name.endswith('.mp4'):
        pytest.importorskip('av')
    if array is not None:
        np.save(tmp_path / name, array)
    elif name != 'missing.mp4':
        (tmp_path / name).write_bytes(b'no video at all' * 9)
    with pytest.raises(UnreadableImageError, match=f'{name} .*{said}') as error:
        open_video(tmp_path / name)
    assert str(error.value).count('. ') == 0


def test_a_file_without_frames_is_said_to_have_none(tmp_path):
    av = pytest.importorskip('av')
    (tmp_path / 'empty').mkdir()
    with zipfile.ZipFile(tmp_path / 'empty.zip', 'w'):
        pass
    with av.open(str(tmp_path / 'sound.wav'), 'w') as container:
        stream = container.add_stream('pcm_s16le', rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format='s16', layout='mono')
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    for name in ('empty', 'empty.zip', 'sound.wav'):
        with pytest.raises(UnreadableImageError, match=f'{name}.* no frames: give a'):
            open_video(tmp_path / name)


def test_a_file_that_ends_early_is_unreadable(tmp_path):
    path = write_video(tmp_path / 'a.avi', 'mpeg4', g='1')
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b'movi') + (whole.index(b'idx1') - whole.index(b'movi')) // 2])
    with pytest.raises(UnreadableImageError, match=r'a\.avi cannot be read'):
        open_video(path)


def test_frames_of_two_sizes_are_unreadable(tmp_path):
    write_folder(tmp_path / 'a', 2)
    Image.new('RGB', (8, 8)).save(tmp_path / 'a/frame1.png')
    with pytest.raises(UnreadableImageError, match='frames of one size and kind'):
        open_video(tmp_path / 'a').read([0, 1])


def test_without_pyav_a_video_file_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'av', None)
    monkeypatch.setattr('mmssl.dependencies.find_spec', lambda name: None)
    (tmp_path / 'b.mp4').write_bytes(b'')
    with pytest.raises(ImportError, match=r"needs av, which is not installed: type  pip install 'mmssl\[video\]'"):
        open_video(tmp_path / 'b.mp4')
    assert len(open_video(write_folder(tmp_path / 'a', 2))) == 2


def test_the_top_folders_are_the_classes_and_every_kind_of_video_is_found(tmp_path):
    write_folder(tmp_path / 'run/one', 3)
    write_array(tmp_path / 'run/two.npy')
    (tmp_path / 'jump').mkdir()
    write_zip(tmp_path / 'jump/three.zip')
    (tmp_path / 'jump/notes.txt').write_text('')
    source = VideoFolder(tmp_path)
    assert [source.name(index) for index in range(3)] == ['jump/three.zip', 'run/one', 'run/two.npy']
    assert source.classes == ['jump', 'run'] and source.labels.tolist() == [0, 1, 1]
    assert len(source.video(1)) == 3 and source.load(1).shape == (3, HEIGHT, WIDTH)
    assert VideoFolder(tmp_path, classes=['run', 'walk']).labels.tolist() == [-1, 0, 0]
    assert VideoFolder(tmp_path / 'run').labels is None
    assert VideoFolder(tmp_path, labels=False).fingerprint != source.fingerprint


def test_a_single_file_is_a_source_of_one_video(tmp_path):
    assert len(VideoFolder(write_array(tmp_path / 'a.npy'))) == 1


def test_a_folder_without_videos_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'No videos \(.*\.mp4.*\.npy, or folders of images\) in .* as root'):
        VideoFolder(tmp_path)
    with pytest.raises(ValueError, match='There is no folder'):
        VideoFolder(tmp_path / 'missing')


def test_a_video_that_is_too_short_is_unreadable_by_name(tmp_path):
    write_folder(tmp_path / 'a/one', 1)
    with pytest.raises(UnreadableImageError, match='one is too short: 1 frame, but 2 are needed'):
        VideoFolder(tmp_path).video(0)
    path = KINDS['mp4'](tmp_path)
    with pytest.raises(UnreadableImageError, match='too short: 2 frames at 1 per second, but 16 are needed'):
        VideoFolder(path, rate=1, minimum_frames=16).video(0)


def test_a_list_names_videos_and_classes(tmp_path):
    write_folder(tmp_path / 'videos/a b', 2)
    (tmp_path / 'list.txt').write_text('a b 3\nother 1\n')
    source = VideoList(tmp_path / 'list.txt', tmp_path / 'videos')
    assert source.paths == ['a b', 'other'] and source.labels.tolist() == [3, 1]
    (tmp_path / 'list.txt').write_text('a b 3\nother\n')
    with pytest.raises(ValueError, match='gives no class for other'):
        VideoList(tmp_path / 'list.txt', tmp_path / 'videos')
    (tmp_path / 'list.txt').write_text('x\ny\n')
    with pytest.raises(ValueError, match='x, y are not in'):
        VideoList(tmp_path / 'list.txt', tmp_path / 'videos')


def test_parts_and_rows_of_sources_open_the_videos_of_theirs(tmp_path):
    write_folder(tmp_path / 'a/one', 2)
    write_folder(tmp_path / 'a/two', 3)
    source = VideoFolder(tmp_path)
    assert len(Subset(source, indices=[1]).video(0)) == 3
    assert len(Concat([Subset(source, indices=[1]), source]).video(1)) == 2


def test_images_are_no_videos(tmp_path):
    write_folder(tmp_path / 'a', 2)
    with pytest.raises(ValueError, match=r'Clips of frame0.png, but ImageFolder holds images: give ClipDataset'):
        ImageFolder(tmp_path / 'a').video(0)


def test_the_frames_of_videos_are_images(tmp_path):
    write_folder(tmp_path / 'x/one', 2)
    write_folder(tmp_path / 'x/broken', 1)
    write_array(tmp_path / 'x/two.npy')
    write_folder(tmp_path / 'y/three', 3)
    source = VideoFrames(VideoFolder(tmp_path))
    assert len(source) == 2 + FRAMES + 3
    assert source.videos[:3].tolist() == [1, 1, 2] and source.places[:4].tolist() == [0, 1, 0, 1]
    assert levels(source.load(1)[:, None]) == [1] and source.name(1) == 'x/one[1]'
    assert levels(source.load(FRAMES + 1)[:, None]) == [FRAMES - 1]
    assert source.labels.tolist() == [0] * (2 + FRAMES) + [1] * 3 and source.classes == ['x', 'y']
    only = VideoFrames(KINDS['mp4'](tmp_path) and VideoFolder(tmp_path / 'a.mp4'), rate=2)
    assert len(only) == 5 and levels(only.load(2)[:, None]) == [10]
    (tmp_path / 'z').mkdir()
    write_folder(tmp_path / 'z/short', 1)
    with pytest.raises(ValueError, match='None of the videos has frames that can be read'):
        VideoFrames(VideoFolder(tmp_path / 'z'))


MUTATIONS = [
    Mutation(
        'frame 10 stands before frame 9',
        'mmssl/datasets/videos.py',
        'key=_natural',
        'key=str',
    ),
    Mutation(
        'only the first group of frames is sought',
        'mmssl/datasets/videos.py',
        'for number in np.unique(group):',
        'for number in np.unique(group)[:1]:',
    ),
    Mutation(
        'at a fixed rate the next frame is shown',
        'mmssl/datasets/videos.py',
        "side='right') - 1\n        return ChosenFrames",
        "side='left')\n        return ChosenFrames",
    ),
    Mutation(
        'time stamps of avi files are trusted',
        'mmssl/datasets/videos.py',
        'container.format.name in _WITHOUT_SEEKING or ',
        '',
    ),
]
