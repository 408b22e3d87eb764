"""Features of images given in every way, and of a model with and without a config."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import torchvision
from mmengine.config import Config
from PIL import Image
from torch import nn

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


def rows_of(*given, **how) -> torch.Tensor:
    return mmssl.extract_features(*given, **how).features


def test_each_way_to_give_images_gives_the_rows_of_the_evaluation(folder, model):
    expected = features_of_dataset(model, ImageDataset(ImageFolder(folder), EvalView(18, 16))).features
    paths = [folder / 'a.png', folder / 'b.png', folder / 'sub' / 'c.png']
    assert rows_of(model, folder).equal(expected)
    assert rows_of(model, str(folder), batch_size=2).allclose(expected, atol=1e-6)
    assert rows_of(model, paths).equal(expected)
    assert rows_of(model, [Image.open(path) for path in paths]).equal(expected)
    assert rows_of(model, paths[::-1]).allclose(expected.flip(0), atol=1e-6)
    assert rows_of(model, paths[1]).allclose(expected[1:2], atol=1e-6)
    assert (expected.dtype, expected.shape[0]) == (torch.float32, 3)
    assert (expected[0] - expected[1]).abs().max() > 1e-3


def test_a_tensor_of_images_is_read_channels_first(folder, model):
    image = Image.open(folder / 'a.png')
    tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    assert rows_of(model, tensor[None]).equal(rows_of(model, image))


@pytest.mark.parametrize('tensor', [torch.rand(2, 3, 8, 8), torch.zeros(3, 8, 8, dtype=torch.uint8)])
def test_another_tensor_is_refused_with_what_is_needed(tensor, model):
    with pytest.raises(ValueError, match=r'give torch\.uint8 of shape \(B, C, H, W\)'):
        rows_of(model, tensor)


def test_gray_images_are_repeated_and_a_view_can_be_given(model):
    gray = torch.randint(0, 255, (2, 1, 40, 40), dtype=torch.uint8)
    colours = gray.repeat(1, 3, 1, 1)
    assert rows_of(model, gray).equal(rows_of(model, colours))
    plain = rows_of(model, colours, view=EvalView(40, 40))
    assert not plain.allclose(rows_of(model, colours))
    normalised = (colours - model.data_preprocessor.mean) / model.data_preprocessor.std
    with torch.no_grad(), eval_mode(model):
        assert plain.allclose(model.extract_feat(normalised), atol=1e-5)


def test_a_model_without_a_config_sees_the_usual_view(model):
    images = torch.randint(0, 255, (1, 3, 260, 300), dtype=torch.uint8)
    expected = rows_of(model, images, view=EvalView(256, 224))
    del model.cfg
    assert rows_of(model, images).equal(expected)


def test_every_row_has_the_name_of_its_image(folder, model):
    features, names = mmssl.extract_features(model, folder)
    assert names == ['a.png', 'b.png', 'sub/c.png'] and len(features) == 3
    paths = [folder / 'sub' / 'c.png', Image.open(folder / 'a.png')]
    assert mmssl.extract_features(model, paths).names == [str(paths[0]), 'image[1]']
    tensor = torch.zeros(2, 3, 20, 20, dtype=torch.uint8)
    assert mmssl.extract_features(model, tensor).names == ['array[0]', 'array[1]']


def whole(image: Image.Image) -> torch.Tensor:
    """A transform that makes images of one size, with pixels from -1 to 1."""
    pixels = torch.from_numpy(np.array(image.resize((16, 16))))
    return pixels.permute(2, 0, 1) / 127.5 - 1


@pytest.mark.parametrize('workers', [0, 1])
def test_any_network_gives_features_of_what_its_transform_makes(folder, workers):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).train()
    inputs = torch.stack([whole(Image.open(folder / name)) for name in ('a.png', 'b.png', 'sub/c.png')])
    with torch.no_grad(), eval_mode(network):
        expected = network(inputs).mean(dim=(2, 3))
    assert rows_of(network, folder, view=whole, num_workers=workers).allclose(expected, atol=1e-6)
    assert network.training and network[1].num_batches_tracked == 0


def test_a_transform_of_torchvision_and_a_network_of_torchvision_are_taken(folder):
    network = torchvision.models.resnet18(num_classes=7)
    transform = torchvision.models.ResNet18_Weights.DEFAULT.transforms()
    names = ('a.png', 'b.png', 'sub/c.png')
    inputs = torch.stack([transform(Image.open(folder / name)) for name in names])
    with torch.no_grad(), eval_mode(network):
        assert rows_of(network, folder, view=transform).allclose(network(inputs), atol=1e-5)


def test_with_a_transform_an_algorithm_is_not_normalised_twice(folder, model):
    images = torch.stack([whole(Image.open(folder / 'a.png'))])
    with torch.no_grad(), eval_mode(model):
        assert rows_of(model, folder / 'a.png', view=whole).allclose(model.extract_feat(images), atol=1e-6)


def test_an_eval_view_normalises_for_any_network_as_for_imagenet(folder):
    rows = rows_of(nn.Flatten(), folder, view=EvalView(18, 16))
    data = ImageDataset(ImageFolder(folder), EvalView(18, 16))
    images = torch.stack([data[index]['inputs'][0] for index in range(3)]).float()
    mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))
    assert rows.allclose(((images - mean) / std).flatten(1), atol=1e-5)


def test_the_backbone_of_an_algorithm_gives_its_last_stage(folder, model):
    rows = rows_of(model.backbone, folder, view=whole)
    assert rows.shape == (3, model.backbone.out_channels)


@pytest.mark.parametrize(
    ('network', 'view', 'sentence'),
    [
        (nn.Flatten(), None, 'Flatten does not say how to resize and normalise images: give a transform as view'),
        (nn.Flatten(), lambda image: image, 'The view made a Image of an image: give a transform whose result'),
        (nn.Identity(), whole, None),
        (nn.Flatten(2), whole, r'Flatten gives a Tensor of shape \(1, 3, 256\): give a network with features'),
    ],
)
def test_a_network_or_a_transform_that_does_not_fit_is_refused_in_a_sentence(network, view, sentence, folder):
    if sentence is None:
        assert rows_of(network, folder / 'a.png', view=view).shape == (1, 3)
        return
    with pytest.raises(ValueError, match=sentence):
        mmssl.extract_features(network, folder / 'a.png', view=view)


def test_a_16_bit_image_is_not_cut_to_8_bits_for_a_transform(tmp_path):
    Image.fromarray(np.full((20, 20), 1750, dtype=np.uint16)).save(tmp_path / 'a.png')
    with pytest.raises(ValueError, match='which transforms for Pillow images do not take: give an EvalView'):
        mmssl.extract_features(nn.Flatten(), tmp_path / 'a.png', view=whole)


def test_dir_shows_what_mmssl_offers_before_it_is_imported():
    code = 'import sys, mmssl; print(sorted(mmssl.__all__) == [n for n in dir(mmssl) if n in mmssl.__all__]); '
    code += (
        "print([n for n in dir(mmssl) if n in ('Any', 'TYPE_CHECKING', 'check_dependencies')], 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, '-c', code], check=True, env=environment(), capture_output=True, text=True)
    assert found.stdout.split('\n')[:2] == ['True', '[] False']


def test_an_image_that_cannot_be_read_is_named_and_not_replaced(folder, model):
    (folder / 'a.png').write_bytes(b'no image')
    with pytest.raises(UnreadableImageError, match=r'a\.png cannot be read'):
        rows_of(model, folder)


def test_no_images_at_all_are_refused(model):
    with pytest.raises(ValueError, match='has no images'):
        rows_of(model, [])


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
