"""Pre-training on a folder, in one call."""

import numpy as np
import pytest
from PIL import Image

import mmssl


@pytest.fixture
def folder(tmp_path):
    generator = np.random.default_rng(0)
    for number in range(40):
        path = tmp_path / 'images' / 'ab'[number % 2] / f'{number}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(path)
    return tmp_path / 'images'


@pytest.mark.slow
def test_a_folder_becomes_a_model_that_gives_features(folder, tmp_path):
    model = mmssl.train_from_folder(folder, minutes=0, work_dir=tmp_path / 'run')
    assert (tmp_path / 'run' / 'epoch_3.pth').is_file()
    untrained = mmssl.get_model('swav_resnet10_1xb128_cpu_10e_folder')
    features = mmssl.extract_features(model, folder)
    assert features.shape == (40, model.backbone.out_channels) and not model.training
    assert not features.allclose(mmssl.extract_features(untrained, folder))


def test_too_few_images_are_refused_before_anything_is_written(folder, tmp_path):
    for path in list(folder.rglob('*.png'))[:20]:
        path.unlink()
    with pytest.raises(ValueError, match=r'20 images in .*: pre-training needs 32 or more'):
        mmssl.train_from_folder(folder, work_dir=tmp_path / 'run')
    assert not (tmp_path / 'run').exists()
