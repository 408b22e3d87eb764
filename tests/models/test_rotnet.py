"""RotNet: its labels and loss, what it refuses, upright images, and several processes against one."""

import math
import re

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import ExifTags, Image
from torch import nn
from torch.nn.functional import cross_entropy

from mmssl.datasets import Batch, ImageDataset, ImageFolder, MultiView, RandomCrop, collate
from mmssl.models import DataPreprocessor, MLPNeck, ResNet, RotNet
from mmssl.registry import DATASETS, MODELS, PARAM_SCHEDULERS
from mmssl.testing import check_algorithm
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Smooth
from tests.parity import UNEQUAL, check
from tests.training import ROOT, make_config, make_images

ANY = Batch(sample_idx=torch.arange(4), draw=torch.arange(4))


class Corners(nn.Module):
    """Features are the four corner pixels: clockwise from the upper left one."""

    out_channels = 4

    def forward(self, images):
        corners = images[:, 0, [0, 0, -1, -1], [0, -1, -1, 0]]
        return (corners[..., None, None],)


def test_a_white_corner_is_found_where_each_label_has_turned_it():
    model = RotNet(Corners(), nn.Linear(4, 4, bias=False))
    images = torch.zeros(2, 1, 6, 6)
    images[:, 0, 0, 0] = 1.0  # upper left; after a quarter counter-clockwise lower left, and so on
    with torch.no_grad():
        model.head.weight.copy_(20 * torch.eye(4)[[0, 3, 2, 1]])  # the place, clockwise, that each label leaves it at
    losses = model.loss([images], ANY)
    assert losses['loss'].item() < 1e-6 and losses['rotation_accuracy'] == 100
    model.head.weight.data = model.head.weight.data[[0, 3, 2, 1]]  # labels of quarters to the other side
    assert model.loss([images], ANY)['rotation_accuracy'] == 50


def test_the_loss_is_the_cross_entropy_of_all_rotations():
    torch.manual_seed(0)
    model, images = RotNet(Smooth()), torch.randn(4, 3, 8, 8)
    expected, right = [], []
    for image in images:
        for label in range(4):
            turned = torch.rot90(image, label, dims=(1, 2))[None]
            scores = model.head(model.extract_feat(turned))
            expected.append(cross_entropy(scores, torch.tensor([label])))
            right.append(int(scores.argmax()) == label)
    losses = model.loss([images], ANY)
    torch.testing.assert_close(losses['loss'], torch.stack(expected).mean())
    assert losses['rotation_accuracy'].item() == pytest.approx(100 * np.mean(right))
    assert model.rotation_scores(images).shape == (4, 4, 4)


def test_the_accuracy_is_logged_and_is_no_loss():
    model = RotNet(Smooth())
    losses = model([torch.randn(4, 3, 8, 8)], ANY, mode='loss')
    total, logged = model.parse_losses(losses)
    assert 'rotation_accuracy' in logged
    assert float(total.detach()) == pytest.approx(float(losses['loss'].detach()))


def test_a_network_that_sees_no_difference_has_the_loss_of_chance():
    model = RotNet(Smooth())
    nn.init.zeros_(model.head.weight)
    loss = model.loss([torch.randn(4, 3, 8, 8)], ANY)['loss']
    assert loss.item() == pytest.approx(model.chance_loss(4)) == pytest.approx(math.log(4))


def test_the_loss_is_computed_in_float32_under_autocast():
    model, images = RotNet(Smooth()), torch.randn(4, 3, 8, 8)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert model.loss([images], ANY)['loss'].dtype == torch.float32


def test_more_views_and_views_that_are_not_square_are_refused():
    model = RotNet(Smooth())
    with pytest.raises(ValueError, match='RotNet takes 1 views, but the data set gives 2'):
        model([torch.zeros(4, 3, 8, 8)] * 2, ANY, mode='loss')
    with pytest.raises(ValueError, match='Views of 8 x 6 pixels: .* size=6'):
        model([torch.zeros(4, 3, 8, 6)], ANY, mode='loss')


@pytest.mark.parametrize(
    'head, words',
    [
        (nn.Linear(8, 2), 'The head gives 2 scores, but there are 4 rotations: set model.head.out_channels to 4'),
        (MLPNeck(8, 4, 128), 'The head gives 128 scores'),
        (nn.Linear(16, 4), 'does not take features of 8 channels, .*set model.head.in_channels to 8'),
    ],
)
def test_a_head_that_does_not_fit_is_refused_with_what_to_set(head, words):
    with pytest.raises(ValueError, match=words):
        RotNet(Smooth(), head)


def test_a_head_of_the_user_s_is_taken_and_stays_in_training_mode():
    model = RotNet(Smooth(), MLPNeck(8, 4, 4))
    assert model.head.training and model.head.layers.norm1.num_batches_tracked == 0
    assert model.loss([torch.randn(4, 3, 8, 8)], ANY)['loss'].requires_grad


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes):
    check(ranks, _rotnet, sizes, num_views=1)


def _rotnet():
    return RotNet(Smooth())


@pytest.mark.slow
def test_it_passes_the_checks_of_every_algorithm():
    assert check_algorithm(RotNet)[0] == 'build: RotNet, memories: none'


def test_the_page_measures_rotations_of_images_that_were_not_trained_on(tmp_path, capsys):
    torch.manual_seed(0)
    stem = 'rotnet_resnet10_1xb128_cpu_2e_cifar10'
    config = make_config(tmp_path / 'config.py', f'rotnet/{stem}.py', make_images(tmp_path / 'images', 6))
    cfg = Config.fromfile(config)
    model = MODELS.build(cfg.model)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'epoch_2.pth')
    (text,) = re.findall(r'```python\n(.*?)```', (ROOT / 'configs/rotnet/README.md').read_text(), flags=re.DOTALL)
    for theirs, ours in ((f'configs/rotnet/{stem}.py', config), (f'work_dirs/{stem}/', f'{tmp_path}/')):
        assert theirs in text
        text = text.replace(theirs, str(ours))
    exec(text, {})
    data = DATASETS.build(cfg.evaluation.query)
    batch = model.data_preprocessor(collate([data[index] for index in range(6)]))
    accuracy = model.eval().loss(**batch)['rotation_accuracy']
    assert f'{accuracy:.2f} % of the rotations of 6 images' in capsys.readouterr().out


@pytest.mark.parametrize('suffix', ['png', 'jpg'])
def test_photos_are_upright_before_they_are_turned(suffix, tmp_path):
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8] = 255  # the sky is white
    folder = tmp_path / 'class0'
    folder.mkdir()
    for orientation, turns in ((1, 0), (6, 1), (3, 2), (8, 3)):  # how far the camera was turned to the left
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        stored = np.rot90(pixels, turns)
        Image.fromarray(stored).save(folder / f'{orientation}.{suffix}', exif=exif, quality=100)
    data = ImageDataset(ImageFolder(tmp_path), MultiView([1], [RandomCrop(16, flip=0.0)]))
    model = RotNet(Corners(), data_preprocessor=DataPreprocessor(mean=[127.5] * 3, std=[127.5] * 3))
    inputs = model.data_preprocessor(collate([data[index] for index in range(4)]))['inputs']
    seen = []
    model.head.register_forward_pre_hook(lambda _module, features: seen.append(features[0].unflatten(0, (4, 4))))
    model.loss(inputs, ANY)
    light = seen[0] > 0  # (image, turns, corner clockwise from the upper left)
    assert light[:, 0].tolist() == [[True, True, False, False]] * 4
    assert light[:, 1].tolist() == [[True, False, False, True]] * 4  # a quarter counter-clockwise: the sky is left


RECIPES = {
    'cifar_nin': 'rotnet/rotnet_nin_1xb128_200e_cifar10',
    'alexnet_imagenet': 'rotnet/rotnet_alexnet_1xb192_50e_imagenet',
    'linear_imagenet': 'benchmarks/classification/rotnet_linear_alexnet_1xb192_35e_imagenet',
    'nonlinear_imagenet': 'benchmarks/classification/rotnet_nonlinear_alexnet_1xb192_40e_imagenet',
}


def _rates(config, epochs):
    """Learning rate of each epoch."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=config.optim_wrapper.optimizer.lr)
    schedulers = config.param_scheduler if isinstance(config.param_scheduler, list) else [config.param_scheduler]
    built = [
        PARAM_SCHEDULERS.build({**scheduler, 'optimizer': optimizer}, default_args={'epoch_length': 1})
        for scheduler in schedulers
    ]
    rates = []
    for _ in range(epochs):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in built:
            scheduler.step()
    return rates


@pytest.mark.parametrize('name', RECIPES)
def test_learning_rates_are_those_of_the_authors_tables(name):
    config = Config.fromfile(ROOT / f'configs/{RECIPES[name]}.py')
    case = golden('rotnet/lr_lut.json')[name]
    assert config.train_cfg.max_epochs == case['table'][-1][0]
    rates = _rates(config, config.train_cfg.max_epochs)
    assert [rates[epoch] for epoch, _ in case['rows']] == pytest.approx([rate for _, rate in case['rows']], rel=1e-9)
    optimizer = config.optim_wrapper.optimizer
    assert (optimizer.momentum, optimizer.weight_decay, optimizer.nesterov) == (0.9, 5e-4, True)


def test_the_resnet_50_has_the_numbers_of_mmselfsup():
    config = Config.fromfile(ROOT / 'configs/rotnet/rotnet_resnet50_8xb16_70e_imagenet.py')
    rates = _rates(config, 70)
    assert rates[:5] == pytest.approx([0.02, 0.065, 0.11, 0.155, 0.2])  # steps, here one per epoch
    assert rates[5:] == pytest.approx([0.2] * 25 + [0.02] * 20 + [0.002] * 20)
    assert config.train_dataloader.batch_size == 16 and config.optim_wrapper.optimizer.weight_decay == 1e-4
    with torch.device('meta'):
        model = MODELS.build(config.model)
    assert isinstance(model.backbone, ResNet) and model.head.weight.shape == (4, 2048)


MUTATIONS = [
    Mutation(
        'labels 1 and 3 of the rotations are swapped',
        'mmssl/models/algorithms/rotnet.py',
        'labels = torch.arange(_ROTATIONS, device=scores.device)',
        'labels = -torch.arange(_ROTATIONS, device=scores.device) % _ROTATIONS',
    ),
    Mutation(
        'a head with any number of outputs is taken',
        'mmssl/models/algorithms/rotnet.py',
        'if scores != _ROTATIONS:',
        'if not scores:',
    ),
    Mutation(
        'only the upright images are learned',
        'mmssl/models/algorithms/rotnet.py',
        'loss = in_float32(cross_entropy)(scores.flatten(0, 1), labels.flatten())',
        'loss = in_float32(cross_entropy)(scores[:, 0], labels[:, 0])',
    ),
    Mutation(
        'the orientation of a photo is ignored',
        'mmssl/datasets/images.py',
        '        image = ImageOps.exif_transpose(image)\n',
        '        pass\n',
    ),
]
