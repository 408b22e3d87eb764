"""Published layouts of videos with known highlights, on tiny copies of them."""

import json
from pathlib import Path

import pytest
import torch

from mmssl.datasets import TVSum, UnreadableImageError, YouTubeHighlights
from mmssl.datasets.highlight_videos import Segments
from tests.helpers.mutation import Mutation
from tests.helpers.sounding import write_sounding


def youtube(root: Path) -> Path:
    for name, labels in {'skating/b': [1, -1, 0], 'skating/a': [-1, -1, 1], 'dog/c': [1, 1, -1]}.items():
        folder = root / name
        write_sounding(folder / 'video.mkv', seconds=3, loud=None)
        (folder / 'match_label.json').write_text(json.dumps([[[0, 9], [10, 19], [20, 40]], labels]))
    (root / 'skating/empty').mkdir()
    return root


def test_youtube_highlights_are_read_in_seconds(tmp_path: Path) -> None:
    pytest.importorskip('av')
    source = YouTubeHighlights(youtube(tmp_path))
    assert [source.name(index) for index in range(3)] == [
        'dog/c/video.mkv', 'skating/a/video.mkv', 'skating/b/video.mkv',
    ]  # fmt: skip
    assert source.classes == ['dog', 'skating'] and source.labels.tolist() == [0, 1, 1]
    times, truth = source.segments(1)
    torch.testing.assert_close(times, torch.tensor([[0, 1], [1, 2], [2, 3]]).double(), atol=0.06, rtol=0)
    assert truth.tolist() == [[False, False, True]]
    assert source.segments(2).truth.tolist() == [[True, False, False]]


def test_youtube_highlights_of_a_domain_or_of_named_videos(tmp_path: Path) -> None:
    pytest.importorskip('av')
    youtube(tmp_path)
    assert len(YouTubeHighlights(tmp_path, 'skating')) == 2
    assert YouTubeHighlights(tmp_path, names=['b']).paths == ['skating/b/video.mkv']
    (tmp_path / 'dog/c/video.mkv').rename(tmp_path / 'dog/c.mkv')
    assert YouTubeHighlights(tmp_path, 'dog').paths == ['dog/c.mkv']
    with pytest.raises(ValueError, match='No videos with a match_label.json.*dog, gymnastics'):
        YouTubeHighlights(tmp_path, 'surfing')
    (tmp_path / 'dog/c/match_label.json').write_text('[[[0, 9]], [1, -1]]')
    with pytest.raises(UnreadableImageError, match='match_label.json is not two lists'):
        YouTubeHighlights(tmp_path, 'dog').segments(0)


def tvsum(root: Path) -> Path:
    for name in ('v1', 'v2'):
        write_sounding(root / f'video/{name}.mp4', seconds=6, loud=None)
    people = {'v2': [(1, 5, 2), (3, 1, 1), (2, 2, 2)], 'v1': [(1, 1, 4)]}
    lines = [
        f'{name}\tBK\t{",".join(str(score) for score in scores for _ in range(20))}'
        for name, given in people.items() for scores in given
    ]  # fmt: skip
    (root / 'data').mkdir()
    (root / 'data/ydata-tvsum50-anno.tsv').write_text('\n'.join(lines) + '\n')
    return root


def test_tvsum_has_shots_of_two_seconds_and_the_judgement_of_every_person(tmp_path: Path) -> None:
    pytest.importorskip('av')
    tvsum(tmp_path / 'ydata-tvsum50-v1_1')
    for root in (tmp_path, tmp_path / 'ydata-tvsum50-v1_1'):
        source = TVSum(root)
        assert source.paths == ['video/v1.mp4', 'video/v2.mp4'] and source.classes == ['BK']
    times, truth = source.segments(1)
    assert times.tolist() == [[0, 2], [2, 4], [4, 6]]
    assert truth.tolist() == [[False, True, False], [True, False, False], [False, False, False]]
    assert source.segments(0).truth.tolist() == [[False, False, True]]


def test_tvsum_without_its_table_or_with_broken_lines_is_refused(tmp_path: Path) -> None:
    pytest.importorskip('av')
    with pytest.raises(ValueError, match=r'There is no .*ydata-tvsum50-anno.tsv: give the folder'):
        TVSum(tmp_path)
    table = tvsum(tmp_path) / 'data/ydata-tvsum50-anno.tsv'
    whole = table.read_text()
    table.write_text(whole + 'v1\tBK\t1,2\n')
    with pytest.raises(ValueError, match='2 and 60 scores of v1|60 and 2 scores of v1'):
        TVSum(tmp_path)
    table.write_text(whole + 'v1\tBK\n')
    with pytest.raises(ValueError, match='line 5 is no video, category and scores'):
        TVSum(tmp_path)


def test_a_step_is_a_highlight_if_half_of_the_people_say_so() -> None:
    times = torch.tensor([[0.0, 1], [1, 2], [2, 3]]).double()
    truth = torch.tensor([[1, 0, 0], [1, 0, 1]]).bool()
    assert Segments(times, truth).steps(7, 2).tolist() == [True, True, False, False, True, True, False]


MUTATIONS = [
    Mutation(
        'a clip that is unclear is a highlight',
        'mmssl/datasets/highlight_videos.py',
        'float(label) > 0 for label',
        'float(label) >= 0 for label',
    ),
    Mutation(
        'people are compared with the mean instead of the median',
        'mmssl/datasets/highlight_videos.py',
        'np.median(shots, axis=1, keepdims=True)',
        'np.median(shots, keepdims=True)',
    ),
]
