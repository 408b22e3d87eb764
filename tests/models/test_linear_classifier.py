import pytest
import torch
from torch.nn.functional import cross_entropy

from mmssl.datasets import collate
from mmssl.models import DataPreprocessor, ResNet
from mmssl.models.algorithms.linear_classifier import LinearClassifier
from tests.evaluation.stand_ins import encoder, fixed


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


def test_pictures_without_labels_are_refused():
    model = classifier()
    with pytest.raises(ValueError, match='needs labels'):
        model.loss(**batch(model, labelled=False))
