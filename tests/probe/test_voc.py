from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmssl.probe.cache import images_fingerprint
from mmssl.probe.voc import voc_images


def make_voc(folder: Path, shown: dict[str, list[tuple[str, int]]], splits: dict[str, list[str]]) -> Path:
    """Images with objects (class, difficult), whose colour is the first class's."""
    for part in ('Annotations', 'ImageSets/Main', 'JPEGImages'):
        (folder / part).mkdir(parents=True)
    for name, objects in shown.items():
        entries = ''.join(
            f'<object><name>{label}</name><difficult>{hard}</difficult></object>' for label, hard in objects
        )
        (folder / 'Annotations' / f'{name}.xml').write_text(f'<annotation>{entries}</annotation>')
        pixels = np.random.default_rng(int(name)).integers(0, 50, (16, 16, 3))
        pixels[..., 0 if objects and objects[0][0] == 'cat' else 2] += 200
        Image.fromarray(pixels.astype(np.uint8)).save(folder / 'JPEGImages' / f'{name}.jpg')
    for split, names in splits.items():
        (folder / 'ImageSets' / 'Main' / f'{split}.txt').write_text('\n'.join(names) + '\n')
    return folder


def test_targets_are_present_absent_and_ignored_as_vocs_own_lists_have_them(tmp_path):
    shown = {'1': [('cat', 0), ('dog', 1)], '2': [('dog', 1), ('dog', 0)], '3': []}
    folder = make_voc(tmp_path / 'voc', shown, {'trainval': ['1', '2'], 'test': ['3']})
    classes, ((train, train_targets), (test, test_targets)) = voc_images(folder, ('trainval', 'test'))
    assert classes == ['cat', 'dog']
    assert train_targets.tolist() == [[1, -1], [0, 1]]
    assert test_targets.tolist() == [[0, 0]]
    assert (train.name(0), len(test), train.load(0).shape) == ('1.jpg', 1, (3, 16, 16))


def test_an_image_that_is_written_anew_has_another_fingerprint(tmp_path):
    folder = make_voc(tmp_path / 'voc', {'1': [('cat', 0)]}, {'test': ['1']})
    before = images_fingerprint(voc_images(folder, ['test'])[1][0][0])
    Image.new('RGB', (9, 9)).save(folder / 'JPEGImages' / '1.jpg')
    assert images_fingerprint(voc_images(folder, ['test'])[1][0][0]) != before


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match='No folder .*Annotations: give --data a folder'):
        voc_images(tmp_path, ('test',))
    folder = make_voc(tmp_path / 'voc', {'1': [('cat', 0)]}, {'test': ['1'], 'val': ['1', '8']})
    with pytest.raises(ValueError, match='name one of test, val with --splits'):
        voc_images(folder, ('trainval',))
    with pytest.raises(ValueError, match="2 images, 1 of which JPEGImages lacks: \\['8'\\]"):
        voc_images(folder, ('val',))
    (folder / 'Annotations' / '1.xml').write_text('<annotation><object></object></annotation>')
    with pytest.raises(ValueError, match='cannot be read as an annotation'):
        voc_images(folder, ('test',))
