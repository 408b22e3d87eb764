import pytest
import torch
from mmengine.config import Config
from torch import nn
from torch.nn.functional import cross_entropy

from mmssl.datasets import collate
from mmssl.evaluation.linear_classifier import LinearClassifier, MultiStageClassifier
from mmssl.models import DataPreprocessor, ResNet
from mmssl.registry import MODELS
from tests.evaluation.stand_ins import encoder, fixed
from tests.helpers.mutation import Mutation
from tests.training import ROOT


def classifier(**settings: object) -> LinearClassifier:
    torch.manual_seed(0)
    preprocessor = DataPreprocessor(mean=[127.5] * 3, std=[60.0] * 3)
    return LinearClassifier(ResNet(10, 3, 'small', base_channels=4), 3, data_preprocessor=preprocessor, **settings)


def batch(model: LinearClassifier, **source: object) -> dict:
    return model.data_preprocessor(collate([fixed(6, **source)[i] for i in range(6)]), training=True)


def test_the_layer_starts_small_and_without_bias():
    torch.manual_seed(0)
    layer = LinearClassifier(ResNet(18), 1000).classifier
    assert layer.weight.std().item() == pytest.approx(0.01, rel=0.01)
    assert layer.weight.mean().item() == pytest.approx(0, abs=1e-4)
    assert not layer.bias.any()


def test_training_moves_the_layer_and_nothing_else():
    model = classifier().train()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9, weight_decay=1e-6)
    for _ in range(2):
        model(**batch(model), mode='loss')['loss'].backward()
        optimizer.step()
    changed = {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])}
    assert changed == {'classifier.weight', 'classifier.bias'}


def test_the_backbone_stays_in_eval_mode():
    model = classifier().train()
    assert model.training
    assert model.classifier.training
    assert not any(module.training for module in model.backbone.modules())


def test_the_loss_is_the_cross_entropy_of_the_classes():
    model = classifier()
    data = batch(model)
    logits = model.classifier(model.backbone.eval()(data['inputs'][0])[-1].mean(dim=(2, 3)))
    outputs = model.loss(**data)
    torch.testing.assert_close(outputs['loss'], cross_entropy(logits, data['batch'].gt_label))
    right = (logits.argmax(dim=1) == data['batch'].gt_label).float().mean().item()
    assert outputs['train_top1'].item() == pytest.approx(100 * right)


def test_predictions_carry_scores_label_and_number():
    model = classifier().eval()
    samples = model(**batch(model), mode='predict')
    assert [sample.sample_idx for sample in samples] == list(range(6))
    assert all(sample.label == int(sample.scores.argmax()) for sample in samples)


def test_the_backbone_comes_from_the_checkpoint(tmp_path):
    source = encoder()
    weights = {key: tensor + 1 for key, tensor in source.state_dict().items()}
    torch.save({'state_dict': weights}, tmp_path / 'c.pth')
    model = classifier(checkpoint=str(tmp_path / 'c.pth'))
    model.init_weights()
    assert torch.equal(model.backbone.conv1.weight, source.backbone.conv1.weight + 1)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    torch.save(ResNet(18).state_dict(), tmp_path / 'c.pth')
    with pytest.raises(ValueError, match='all are needed'):
        classifier(checkpoint=str(tmp_path / 'c.pth')).init_weights()


def test_images_without_labels_are_refused():
    model = classifier()
    with pytest.raises(ValueError, match='needs labels'):
        model.loss(**batch(model, labelled=False))


def test_a_backbone_that_is_not_frozen_learns_and_moves_its_statistics():
    model = classifier(frozen=False).train()
    assert model.backbone.training
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    for _ in range(2):
        model(**batch(model), mode='loss')['loss'].backward()
        optimizer.step()
    same = {key for key, tensor in model.state_dict().items() if torch.equal(tensor, before[key])}
    assert same == set()


def test_stages_that_a_backbone_freezes_stay_frozen_in_fine_tuning():
    model = LinearClassifier(ResNet(10, 3, 'small', base_channels=4, frozen_stages=1), 3, frozen=False).train()
    assert not model.backbone.layer1[0].conv1.weight.requires_grad
    assert model.backbone.layer2[0].conv1.weight.requires_grad


def test_batch_norm_before_the_layer_has_no_weights_and_learns_its_statistics():
    model = classifier(batch_norm=True).train()
    assert not list(model.norm.parameters())
    assert model.norm.eps == 1e-6
    data = batch(model)
    features = model.features(data['inputs'][0])[0]
    whitened = (features - features.mean(dim=0)) / (features.var(dim=0, correction=0) + 1e-6).sqrt()
    torch.testing.assert_close(model.classify(data['inputs'][0]), model.classifier(whitened), atol=1e-4, rtol=1e-4)
    assert model.norm.running_mean.any()


STAGES = 'configs/benchmarks/classification/multistage_resnet50_8xb32_90e_imagenet.py'
WINDOWS = {'stem': (4, 4, 0), 'stage2': (2, 2, 0), 'stage4': (1, 1, 0)}


def staged(**settings: object) -> MultiStageClassifier:
    torch.manual_seed(0)
    preprocessor = DataPreprocessor(mean=[127.5] * 3, std=[60.0] * 3)
    backbone = ResNet(10, 3, 'small', base_channels=4)
    given = {'pools': WINDOWS, 'image_size': 16, 'data_preprocessor': preprocessor, **settings}
    return MultiStageClassifier(backbone, 3, **given)


def test_each_stage_has_a_layer_as_wide_as_its_averaged_map():
    assert [layer.in_features for layer in staged().classifier] == [4 * 4 * 4, 8 * 4 * 4, 32 * 2 * 2]


def test_a_resnet_50_has_the_widths_of_the_published_windows():
    model = MODELS.build(Config.fromfile(ROOT / STAGES).model)
    assert model.heads == ('stem', 'stage1', 'stage2', 'stage3', 'stage4')
    assert [layer.in_features for layer in model.classifier] == [9216, 9216, 8192, 9216, 8192]


def test_all_stages_learn_in_one_step_and_the_backbone_does_not():
    model = staged().train()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    outputs = model(**batch(model), mode='loss')
    assert {'train_stem_top1', 'train_stage2_top1', 'train_stage4_top1'} < set(outputs)
    outputs['loss'].backward()
    torch.optim.SGD(model.parameters(), lr=0.3).step()
    changed = {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])}
    assert {f'classifier.{place}.weight' for place in range(3)} <= changed
    assert not any(key.startswith('backbone') for key in changed)


def test_the_loss_of_a_stage_does_not_depend_on_the_others():
    model, data = staged().eval(), batch(staged())
    alone = [staged(pools={name: window}).eval() for name, window in WINDOWS.items()]
    for place, single in enumerate(alone):
        single.backbone.load_state_dict(model.backbone.state_dict())
        single.classifier[0].load_state_dict(model.classifier[place].state_dict())
    total = sum(single.loss(**data)['loss'] for single in alone)
    torch.testing.assert_close(model.loss(**data)['loss'], total)


def test_a_single_number_pools_the_maxima_of_a_grid():
    model = staged(pools={'stem': 8, 'stage3': 2}, weight_std=None).eval()
    image = batch(model)['inputs'][0]
    stem, third = model.features(image)
    stages = dict(zip(model.backbone.stage_names, model.backbone.stages(image)))
    torch.testing.assert_close(stem, stages['stem'].unflatten(3, (8, 2)).unflatten(2, (8, 2)).amax(dim=(3, 5)))
    torch.testing.assert_close(third, stages['stage3'].unflatten(3, (2, 2)).unflatten(2, (2, 2)).amax(dim=(3, 5)))
    assert [layer.in_features for layer in model.classifier] == [4 * 8 * 8, 16 * 2 * 2]
    assert not list(model.norm.parameters())


def test_the_alexnet_of_rotnet_has_the_widths_and_the_initial_weights_of_its_protocol():
    config = Config.fromfile(ROOT / 'configs/benchmarks/classification/rotnet_linear_alexnet_1xb192_35e_imagenet.py')
    torch.manual_seed(0)
    model = MODELS.build({**config.model, 'num_classes': 50})
    assert model.heads == ('conv1', 'conv2', 'conv3', 'conv4', 'conv5')
    assert [layer.in_features for layer in model.classifier] == [9216, 9408, 9600, 9216, 9216]
    for layer in model.classifier:
        assert layer.weight.std().item() == pytest.approx((2 / 50) ** 0.5, rel=0.01) and not layer.bias.any()


def test_the_stem_is_taken_before_its_max_pooling():
    backbone = ResNet(10, base_channels=4).eval()
    stages = backbone.stages(torch.randn(1, 3, 32, 32))
    assert [stage.shape[-1] for stage in stages] == [16, 8, 4, 2, 1]
    assert stages[0].min() >= 0


@pytest.mark.parametrize(
    'backbone, pools',
    [
        (ResNet(10, base_channels=4), {'stage5': (1, 1, 0)}),
        (ResNet(10, base_channels=4), {}),
        (nn.Conv2d(3, 4, 1), WINDOWS),
    ],
    ids=['no such stage', 'no stage', 'no ResNet'],
)
def test_stages_that_are_not_there_are_refused(backbone, pools):
    with pytest.raises(ValueError, match='name some of these'):
        MultiStageClassifier(backbone, 3, pools)


def test_top_classes_are_the_likeliest_classes_of_every_stage():
    model = staged().eval()
    features = model.features(batch(model)['inputs'][0])
    classes = model.top_classes(features)
    assert classes.shape == (6, 3, 3)  # images, stages, classes: there are no five
    assert torch.equal(classes[:, 1, 0], model.scores(features)[1].argmax(dim=1))


MUTATIONS = [
    Mutation(
        'a frozen backbone is put into training mode',
        'mmssl/evaluation/linear_classifier.py',
        '        if self.frozen:\n            self.backbone.eval()',
        '        pass',
    ),
    Mutation(
        'the classifier on the stem sees it after max-pooling',
        'mmssl/models/backbones/resnet.py',
        'stages = [self.relu(self.bn1(self.conv1(images)))]',
        'stages = [self.maxpool(self.relu(self.bn1(self.conv1(images))))]',
    ),
]
