import pytest

from mmssl.label_efficiency import find_layout
from tests.transfer import layouts


def test_boxes_of_voc_are_found(tmp_path):
    layouts.voc_boxes(tmp_path, {'train': 2, 'test': 1}, ('a', 'b'))
    found = find_layout(tmp_path)
    assert (found.task, found.form) == ('detection', 'voc')
    assert (found.train, found.test) == ('ImageSets/Main/train.txt', 'ImageSets/Main/test.txt')


def test_boxes_of_coco_with_a_folder_per_part_are_found(tmp_path):
    (tmp_path / 'annotations').mkdir()
    for part in ('train2017', 'val2017'):
        (tmp_path / part).mkdir()
        (tmp_path / f'annotations/instances_{part}.json').write_text('{}')
    found = find_layout(tmp_path)
    assert (found.task, found.form, found.test) == ('detection', 'coco', 'annotations/instances_val2017.json')
    assert found.images == {'train': 'train2017', 'test': 'val2017'}


def test_masks_are_found(tmp_path):
    layouts.camvid(tmp_path)
    found = find_layout(tmp_path)
    assert (found.task, found.images['test'], found.masks['train']) == ('segmentation', 'img/test', 'ann/train')


@pytest.mark.parametrize('test', ['test', 'val', 'validation'])
def test_class_folders_are_found_with_any_usual_name_of_the_test_part(tmp_path, test):
    for part in ('train', test):
        (tmp_path / part / 'cat').mkdir(parents=True)
    found = find_layout(tmp_path)
    assert (found.task, found.train, found.test) == ('classification', 'train', test)


def test_the_test_part_comes_before_the_validation_part(tmp_path):
    for part in ('train', 'validation', 'test'):
        (tmp_path / part).mkdir()
    assert find_layout(tmp_path).test == 'test'


def test_a_folder_without_a_test_part_is_refused_with_what_is_needed(tmp_path):
    (tmp_path / 'train').mkdir()
    with pytest.raises(ValueError, match='it needs train/ and test/ with one folder per class; or boxes'):
        find_layout(tmp_path)
