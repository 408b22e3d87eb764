"""Features of images given in every way, and of a model with and without a config."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

import mmssl
from mmssl.datasets import EvalView, ImageDataset, ImageFolder, UnreadableImageError
from mmssl.evaluation import extract_features as features_of_dataset
from mmssl.models.modes import eval_mode
from tests.evaluation.stand_ins import encoder
from tests.helpers.mutation import Mutation
from tests.training import ROOT, environment


@pytest.fixture
def folder(tmp_path):
    """Three images that differ, of different sizes, one in a sub-folder."""
    generator = np.random.default_rng(0)
    for name, side in (('b.png', 20), ('a.png', 30), ('sub/c.png', 24)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(generator.integers(0, 255, (side, side + 2, 3), dtype=np.uint8)).save(tmp_path / name)
    return tmp_path


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = encoder()
    view = {'type': 'EvalView', 'resize': 18, 'crop': 16}
    model.cfg = Config({'evaluation': {'gallery': {'views': view}}})
    return model


def test_each_way_to_give_images_gives_the_rows_of_the_evaluation(folder, model):
    expected = features_of_dataset(model, ImageDataset(ImageFolder(folder), EvalView(18, 16))).features
    paths = [folder / 'a.png', folder / 'b.png', folder / 'sub' / 'c.png']
    assert mmssl.extract_features(model, folder).equal(expected)
    assert mmssl.extract_features(model, str(folder), batch_size=2).allclose(expected, atol=1e-6)
    assert mmssl.extract_features(model, paths).equal(expected)
    assert mmssl.extract_features(model, [Image.open(path) for path in paths]).equal(expected)
    assert mmssl.extract_features(model, paths[::-1]).allclose(expected.flip(0), atol=1e-6)
    assert mmssl.extract_features(model, paths[1]).allclose(expected[1:2], atol=1e-6)
    assert (expected.dtype, expected.shape[0]) == (torch.float32, 3)
    assert (expected[0] - expected[1]).abs().max() > 1e-3


def test_a_tensor_of_images_is_read_channels_first(folder, model):
    image = Image.open(folder / 'a.png')
    tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    assert mmssl.extract_features(model, tensor[None]).equal(mmssl.extract_features(model, image))


@pytest.mark.parametrize('tensor', [torch.rand(2, 3, 8, 8), torch.zeros(3, 8, 8, dtype=torch.uint8)])
def test_another_tensor_is_refused_with_what_is_needed(tensor, model):
    with pytest.raises(ValueError, match=r'give torch\.uint8 of shape \(B, C, H, W\)'):
        mmssl.extract_features(model, tensor)


def test_gray_images_are_repeated_and_a_view_can_be_given(model):
    gray = torch.randint(0, 255, (2, 1, 40, 40), dtype=torch.uint8)
    colours = gray.repeat(1, 3, 1, 1)
    assert mmssl.extract_features(model, gray).equal(mmssl.extract_features(model, colours))
    plain = mmssl.extract_features(model, colours, view=EvalView(40, 40))
    assert not plain.allclose(mmssl.extract_features(model, colours))
    normalised = (colours - model.data_preprocessor.mean) / model.data_preprocessor.std
    with torch.no_grad(), eval_mode(model):
        assert plain.allclose(model.extract_feat(normalised), atol=1e-5)


def test_a_model_without_a_config_sees_the_usual_view(model):
    images = torch.randint(0, 255, (1, 3, 260, 300), dtype=torch.uint8)
    expected = mmssl.extract_features(model, images, view=EvalView(256, 224))
    del model.cfg
    assert mmssl.extract_features(model, images).equal(expected)


def test_an_image_that_cannot_be_read_is_named_and_not_replaced(folder, model):
    (folder / 'a.png').write_bytes(b'no image')
    with pytest.raises(UnreadableImageError, match=r'a\.png cannot be read'):
        mmssl.extract_features(model, folder)


def test_no_images_at_all_are_refused(model):
    with pytest.raises(ValueError, match='has no images'):
        mmssl.extract_features(model, [])


def test_the_names_of_the_zoo_do_not_wait_for_torch():
    heavy = "assert not {'torch', 'mmengine', 'cv2'} & set(sys.modules)"
    code = f"import sys, mmssl; assert mmssl.list_models('swav*'); {heavy}"
    env = {**environment(), 'PYTHONPATH': str(ROOT)}
    subprocess.run([sys.executable, '-c', code], check=True, env=env)


def test_a_name_that_mmssl_does_not_have_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'mmssl' has no attribute 'get_modal'"):
        _ = mmssl.get_modal


MUTATIONS = [
    Mutation(
        'an image that cannot be read is replaced by another in the features of a folder',
        'mmssl/apis/features.py',
        'dataset = _EachAsGiven(',
        'dataset = ImageDataset(',
    ),
]
