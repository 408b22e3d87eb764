"""Small networks on the stages of a frozen backbone, as in RotNet."""

import pytest
import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy

from mmssl.datasets import collate
from mmssl.evaluation import NonLinearClassifier
from mmssl.models import NIN, AlexNet, DataPreprocessor, ResNet, RotNet
from mmssl.registry import MODELS
from tests.evaluation.stand_ins import fixed
from tests.helpers.mutation import Mutation
from tests.training import ROOT

CONFIGS = ROOT / 'configs/benchmarks/classification'
KINDS = {'stage2': 'mlp', 'stage3': 'convolutions', 'stage4': 'convolutions'}


def model_of(classifiers: dict = KINDS, **settings: object) -> NonLinearClassifier:
    torch.manual_seed(0)
    preprocessor = DataPreprocessor(mean=[127.5] * 3, std=[60.0] * 3)
    backbone = ResNet(10, 3, 'small', base_channels=4)
    return NonLinearClassifier(backbone, 3, classifiers, 16, data_preprocessor=preprocessor, **settings)


def batch(model: NonLinearClassifier) -> dict:
    return model.data_preprocessor(collate([fixed(6)[i] for i in range(6)]), training=True)


def layers_of(network: nn.Module) -> list[nn.Module]:
    """What computes something, in order."""
    return [layer for layer in network.modules() if not list(layer.children())]


def test_every_kind_has_the_layers_of_the_reference():
    mlp, convolutions, _ = map(layers_of, model_of().classifier)
    assert [type(layer) for layer in mlp] == [
        nn.Flatten, nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear
    ]  # fmt: skip
    assert [tuple(layer.weight.shape) for layer in mlp if isinstance(layer, nn.Linear)] == [
        (60, 8 * 8 * 8), (60, 60), (3, 60)
    ]  # fmt: skip
    assert [layer.bias is None for layer in mlp if isinstance(layer, nn.Linear)] == [True, True, False]
    assert [type(layer) for layer in convolutions] == [
        *[nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * 3, nn.AdaptiveAvgPool2d, nn.Flatten, nn.Linear
    ]  # fmt: skip
    shapes = [tuple(layer.weight.shape) for layer in convolutions if isinstance(layer, nn.Conv2d)]
    assert shapes == [(192, 16, 3, 3), (192, 192, 1, 1), (192, 192, 1, 1)]
    assert all(layer.bias is None for layer in convolutions if isinstance(layer, nn.Conv2d))


def test_hidden_layers_have_at_most_2048_channels():
    backbone = ResNet(10, 3, 'small', base_channels=4)
    with torch.device('meta'):
        model = NonLinearClassifier(backbone.to('meta'), 1000, {'stage4': 'mlp'}, 16)
    assert [layer.out_features for layer in layers_of(model.classifier) if isinstance(layer, nn.Linear)] == [
        2048, 2048, 1000
    ]  # fmt: skip


@pytest.mark.parametrize('name', ['conv4', 'conv5'])
def test_the_rest_of_an_alexnet_stands_on_its_last_convolutions(name):
    with torch.device('meta'):
        model = NonLinearClassifier(AlexNet(fully_connected=False), 1000, {name: f'alexnet_{name}'})
    found = [type(layer) for layer in layers_of(model.classifier)]
    fifth = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] if name == 'conv4' else []
    dense = [nn.Linear, nn.BatchNorm1d, nn.ReLU]
    assert found == [*fifth, nn.MaxPool2d, nn.Flatten, *dense, *dense, nn.Linear]
    shapes = [tuple(layer.weight.shape) for layer in layers_of(model.classifier) if isinstance(layer, nn.Linear)]
    assert shapes == [(4096, 9216), (4096, 4096), (1000, 4096)]
    assert [layer.bias is None for layer in layers_of(model.classifier) if isinstance(layer, nn.Linear)] == [
        True, True, False
    ]  # fmt: skip


def test_weights_start_with_the_deviation_of_the_reference():
    for layer in layers_of(model_of().classifier):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            fan_out = layer.weight[:, 0].numel()
            assert layer.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.15)
            assert layer.bias is None or not layer.bias.any()


def test_the_scores_of_a_block_are_the_average_over_its_map():
    model = model_of({'stage2': 'convolutions'}).eval()
    image = batch(model)['inputs'][0]
    convolutions, _, _, layer = model.classifier[0]
    features = convolutions(model.backbone.stages(image)[2])
    expected = layer(avg_pool2d(features, features.shape[-1]).flatten(1))
    torch.testing.assert_close(model.classify(image), expected)


def test_all_networks_learn_in_one_step_and_the_backbone_does_not():
    model = model_of().train()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    outputs = model(**batch(model), mode='loss')
    assert {'train_stage2_top1', 'train_stage3_top1', 'train_stage4_top1'} < set(outputs)
    outputs['loss'].backward()
    torch.optim.SGD(model.parameters(), lr=0.3).step()
    changed = {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])}
    weights = {key for key in before if key.startswith('classifier') and key.endswith('weight')}
    assert weights <= changed and not any(key.startswith('backbone') for key in changed)
    assert not any(module.training for module in model.backbone.modules())


def test_the_loss_of_a_stage_does_not_depend_on_the_others():
    model, data = model_of().eval(), batch(model_of())
    total: Tensor | float = 0.0
    for place, (name, kind) in enumerate(KINDS.items()):
        single = model_of({name: kind}).eval()
        single.backbone.load_state_dict(model.backbone.state_dict())
        single.classifier[0].load_state_dict(model.classifier[place].state_dict())
        logits = single.classify(data['inputs'][0])
        torch.testing.assert_close(single.loss(**data)['loss'], cross_entropy(logits, data['batch'].gt_label))
        total = total + single.loss(**data)['loss']
    torch.testing.assert_close(model.loss(**data)['loss'], total)


def test_scores_are_in_float32_under_autocast():
    model = model_of().eval()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert model.scores(model.features(batch(model)['inputs'][0])).dtype == torch.float32


def test_the_configs_build_what_the_paper_puts_on_each_stage():
    nin = MODELS.build(Config.fromfile(CONFIGS / 'rotnet_nonlinear_nin_1xb128_100e_cifar10.py').model)
    assert nin.heads == ('block1', 'block2', 'block3', 'block4')
    mlp = MODELS.build(Config.fromfile(CONFIGS / 'rotnet_mlp_nin_1xb128_100e_cifar10.py').model)
    widths = [layer.in_features for layer in layers_of(mlp.classifier) if isinstance(layer, nn.Linear)]
    assert mlp.heads == ('block2',) and widths == [192 * 8 * 8, 200, 200]


def test_what_rotnet_trained_loads_into_the_networks_that_are_measured(tmp_path):
    torch.manual_seed(1)
    with torch.device('meta'):
        trained = RotNet(AlexNet()).state_dict()
    states = {
        'alexnet': {
            key: torch.ones(tensor.shape) if key.startswith('backbone.conv') else torch.ones(2)
            for key, tensor in trained.items()
        },
        'nin': RotNet(NIN()).state_dict(),
    }
    networks = {'alexnet': AlexNet(fully_connected=False), 'nin': NIN()}
    kinds = {'alexnet': {'conv2': 'convolutions'}, 'nin': {'block2': 'mlp'}}
    for name, state in states.items():
        torch.save({'state_dict': state}, tmp_path / f'{name}.pth')
        checkpoint = str(tmp_path / f'{name}.pth')
        model = NonLinearClassifier(networks[name], 2, kinds[name], 64, checkpoint=checkpoint)
        model.init_weights()
        assert all(torch.equal(value, state[f'backbone.{key}']) for key, value in model.backbone.state_dict().items())


@pytest.mark.parametrize(
    'classifiers, words',
    [
        ({'stage9': 'mlp'}, r"on the stages \['stage9'\], but ResNet has .*: name some of these"),
        ({}, 'name some of these'),
        ({'stage2': 'linear'}, "names 'linear', but there are .*'mlp', 'convolutions'"),
        ({'stage4': 'alexnet_conv5'}, r"but those of a stage .* are \(32, 2, 2\): set its kind to 'mlp'"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_name(classifiers, words):
    with pytest.raises(ValueError, match=words):
        model_of(classifiers)


MUTATIONS = [
    Mutation(
        'hidden layers of the non-linear classifier are as wide as there are classes',
        'mmssl/evaluation/nonlinear_classifier.py',
        'width = min(20 * num_classes, _MOST)',
        'width = num_classes',
    ),
    Mutation(
        'non-linear classifiers start from the fan-in',
        'mmssl/evaluation/nonlinear_classifier.py',
        "mode='fan_out'",
        "mode='fan_in'",
    ),
    Mutation(
        'maps of a stage are averaged where their maxima count',
        'mmssl/evaluation/linear_classifier.py',
        'nn.AdaptiveMaxPool2d(setting)',
        'nn.AdaptiveAvgPool2d(setting)',
        'tests/evaluation/test_linear_classifier.py',
    ),
]
