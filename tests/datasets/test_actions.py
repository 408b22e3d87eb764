"""Published layouts of action data sets, on tiny copies of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmssl.datasets import HMDB51, UCF101, Kinetics400, SomethingSomething
from tests.helpers.mutation import Mutation


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'')


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def pairs(source):
    return [(source.name(index), source.classes[source.label(index)]) for index in range(len(source))]


@pytest.mark.parametrize('videos', ['UCF-101', 'videos'])
def test_ucf101_is_read_by_its_lists(videos, tmp_path):
    names = ['Archery/v_Archery_g01_c01.avi', 'Archery/v_Archery_g08_c01.avi', 'YoYo/v_YoYo_g01_c01.avi']
    touch(tmp_path / videos, *names)
    lists = tmp_path / 'ucfTrainTestlist'
    write(lists / 'classInd.txt', '1 Archery\n2 Biking\n3 YoYo\n')
    write(lists / 'trainlist01.txt', 'Archery/v_Archery_g08_c01.avi 1\r\nYoYo/v_YoYo_g01_c01.avi 3\r\n')
    write(lists / 'testlist01.txt', 'Archery/v_Archery_g01_c01.avi\n')
    write(lists / 'trainlist02.txt', 'Archery/v_Archery_g01_c01.avi 1\n')
    train = UCF101(tmp_path)
    assert pairs(train) == [
        (f'{videos}/Archery/v_Archery_g08_c01.avi', 'Archery'), (f'{videos}/YoYo/v_YoYo_g01_c01.avi', 'YoYo'),
    ]  # fmt: skip
    assert train.labels.tolist() == [0, 2] and train.path(0).is_file()
    assert pairs(UCF101(tmp_path, 'test')) == [(f'{videos}/Archery/v_Archery_g01_c01.avi', 'Archery')]
    assert len(UCF101(tmp_path, 'train', split=2)) == 1
    with pytest.raises(ValueError, match=r'There is no list .*testlist03\.txt'):
        UCF101(tmp_path, 'test', split=3)


def test_hmdb51_is_read_by_its_lists(tmp_path):
    touch(
        tmp_path / 'hmdb51_org', *(f'{name}/{name} {place}.avi' for name in ('run', 'brush_hair') for place in range(3))
    )
    for name in ('run', 'brush_hair'):
        lines = ''.join(f'{name} {place}.avi {use} \n' for place, use in enumerate((1, 2, 0)))
        write(tmp_path / f'testTrainMulti_7030_splits/{name}_test_split1.txt', lines)
    train = HMDB51(tmp_path)
    assert train.classes == ['brush_hair', 'run']
    assert pairs(train) == [
        ('hmdb51_org/brush_hair/brush_hair 0.avi', 'brush_hair'),
        ('hmdb51_org/run/run 0.avi', 'run'),
    ]
    assert [name for name, _ in pairs(HMDB51(tmp_path, 'test'))] == [
        'hmdb51_org/brush_hair/brush_hair 1.avi', 'hmdb51_org/run/run 1.avi',
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r'has no lists \*_test_split2.txt: give split=1, 2 or 3'):
        HMDB51(tmp_path, split=2)


def test_kinetics_is_read_by_class_folders_whose_numbers_are_those_of_the_training_part(tmp_path):
    touch(tmp_path / 'train', 'abseiling/a_000001_000011.mp4', 'zumba/b_000000_000010.mp4')
    touch(tmp_path / 'val', 'zumba/c_000000_000010.mp4')
    assert Kinetics400(tmp_path).labels.tolist() == [0, 1]
    assert pairs(Kinetics400(tmp_path, 'val')) == [('val/zumba/c_000000_000010.mp4', 'zumba')]
    assert Kinetics400(tmp_path, 'val').labels.tolist() == [1]


def test_kinetics_is_read_by_its_table_and_missing_videos_are_left_out(tmp_path):
    touch(tmp_path / 'val', 'x_000002_000012.mp4', 'y_000000_000010.mp4', 'unknown.mp4')
    with pytest.raises(ValueError, match=r'has no class folders, and there is no .*annotations/val\.csv'):
        Kinetics400(tmp_path, 'val')
    head = 'label,youtube_id,time_start,time_end,split\n'
    write(tmp_path / 'annotations/val.csv', head + 'zumba,x,2,12,val\nabseiling,y,0,10,val\nabseiling,gone,0,10,val\n')
    assert pairs(Kinetics400(tmp_path, 'val')) == [
        ('val/x_000002_000012.mp4', 'zumba'), ('val/y_000000_000010.mp4', 'abseiling'),
    ]  # fmt: skip
    write(tmp_path / 'annotations/val.csv', 'name\nx\n')
    with pytest.raises(ValueError, match='needs the columns label, youtube_id, time_start, time_end'):
        Kinetics400(tmp_path, 'val')


def test_the_first_something_something_has_frames_in_folders(tmp_path):
    for number in ('100', '7'):
        folder = tmp_path / f'20bn-something-something-v1/{number}'
        folder.mkdir(parents=True)
        for place in range(1, 12):
            Image.fromarray(np.full((4, 4, 3), 20 * place, np.uint8)).save(folder / f'{place:05}.png')
    write(tmp_path / 'something-something-v1-labels.csv', 'Holding something\nPushing something, slowly\n')
    write(tmp_path / 'something-something-v1-train.csv', '100;Pushing something, slowly\n')
    write(tmp_path / 'something-something-v1-validation.csv', '7;Holding something\n')
    source = SomethingSomething(tmp_path, version=1)
    assert pairs(source) == [('20bn-something-something-v1/100', 'Pushing something, slowly')]
    assert source.video(0).read([10])[0, 0, 0, 0] == 220
    assert SomethingSomething(tmp_path, 'validation', version=1).labels.tolist() == [0]


@pytest.mark.parametrize('short', [False, True])
def test_the_second_something_something_is_read_by_its_templates(short, tmp_path):
    touch(tmp_path / '20bn-something-something-v2', '5.webm', '6.webm')
    prefix = 'labels/' if short else 'something-something-v2-'
    write(tmp_path / f'{prefix}labels.json', json.dumps({'Pushing something': '0', 'Holding something': '1'}))
    row = {'id': '6', 'label': 'holding a cup', 'template': 'Holding [something]', 'placeholders': ['a cup']}
    write(tmp_path / f'{prefix}train.json', json.dumps([row]))
    source = SomethingSomething(tmp_path)
    assert pairs(source) == [('20bn-something-something-v2/6.webm', 'Holding something')]
    assert source.classes == ['Pushing something', 'Holding something'] and source.labels.tolist() == [1]
    write(tmp_path / f'{prefix}train.json', json.dumps([{**row, 'template': 'Dropping [something]'}]))
    with pytest.raises(ValueError, match='has videos of Dropping something, which is none of its 2 classes'):
        SomethingSomething(tmp_path)


@pytest.mark.parametrize('source', [UCF101, HMDB51, Kinetics400, SomethingSomething])
def test_another_folder_is_refused_with_what_is_missing(source, tmp_path):
    with pytest.raises(ValueError, match='has no folder .*: give the folder in which the data set was unpacked'):
        source(tmp_path)


MUTATIONS = [
    Mutation(
        'HMDB51 trains on its test videos',
        'mmssl/datasets/actions.py',
        "{'train': '1', 'test': '2'}",
        "{'train': '2', 'test': '1'}",
    ),
    Mutation(
        'classes of a part of Kinetics are numbered by themselves',
        'mmssl/datasets/actions.py',
        'classes = sorted({*folders, *names})',
        'classes = sorted(set(names))',
    ),
]
