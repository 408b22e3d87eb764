import torch

from mmssl.evaluation import Classifier, FineTuning, fine_tune
from mmssl.evaluation.fine_tuning import batches, random_crops, warm_cosine
from mmssl.models import ResNet


def colours(count, seed=0):
    """Noise whose brightness tells the class."""
    labels = torch.arange(count) % 2
    noise = torch.randint(0, 60, (count, 3, 16, 16), generator=torch.Generator().manual_seed(seed))
    return (noise + 120 * labels[:, None, None, None]).to(torch.uint8), labels


def network(seed=0):
    torch.manual_seed(seed)
    return Classifier(ResNet(10, stem='small', base_channels=4), (100,) * 3, (50,) * 3, 2)


def test_fine_tuning_learns_and_ends_in_eval_mode():
    classifier, (images, labels) = network(), colours(16)
    before = classifier.backbone.conv1.weight.clone()
    fine_tune(classifier, images, labels, FineTuning(steps=40, batch_size=8))
    assert not classifier.training
    assert not torch.equal(before, classifier.backbone.conv1.weight)
    unseen, wanted = colours(20, seed=1)
    assert torch.equal(classifier.predict(unseen), wanted)


def test_the_same_seed_gives_the_same_network():
    rows = []
    for _ in range(2):
        classifier, (images, labels) = network(), colours(16)
        fine_tune(classifier, images, labels, FineTuning(steps=3, batch_size=8, seed=4))
        rows.append(classifier.features(images))
    assert torch.equal(*rows)


def test_the_first_layer_is_a_logistic_regression_on_the_features():
    classifier, (images, labels) = network(), colours(16)
    classifier.start_layer(classifier.features(images), labels)
    assert torch.equal(classifier.predict(images), labels)


def test_the_first_layer_knows_the_training_images_by_the_statistics_that_training_uses():
    classifier, (images, labels) = network(), colours(32)
    classifier.calibrate(images)
    classifier.start_layer(classifier.features(images), labels)
    classifier.train()
    with torch.no_grad():
        scores = classifier.layer(classifier.pooled(classifier.normalised(images)))
    assert torch.equal(scores.argmax(dim=1), labels)


def test_fine_tuning_starts_from_the_statistics_that_training_uses():
    images, labels = colours(32)
    ready, tuned = network(), network()
    ready.calibrate(images)
    ready.start_layer(ready.features(images), labels)
    fine_tune(tuned, images, labels, FineTuning(steps=1, batch_size=8, rate=1e-9))
    torch.testing.assert_close(tuned.layer.weight, ready.layer.weight)
    wrong = network()
    wrong.start_layer(wrong.features(images), labels)  # the statistics of an untrained network
    assert not torch.allclose(tuned.layer.weight, wrong.layer.weight, rtol=0.1)


def test_calibration_leaves_the_weights_and_the_momentum_of_batch_norm():
    classifier, (images, _) = network(), colours(32)
    weights = [weight.clone() for weight in classifier.parameters()]
    classifier.eval()  # as after features()
    classifier.calibrate(images)
    assert all(map(torch.equal, weights, classifier.parameters()))
    assert classifier.backbone.bn1.momentum == 0.1
    first = classifier.backbone.conv1(classifier.normalised(images))
    torch.testing.assert_close(classifier.backbone.bn1.running_mean, first.mean(dim=(0, 2, 3)))


def test_every_image_is_drawn_once_before_any_is_drawn_again():
    drawn = list(batches(10, FineTuning(steps=5, batch_size=4), torch.Generator().manual_seed(0)))
    assert [len(part) for part in drawn] == [4] * 5
    order = torch.cat(drawn)
    assert sorted(order[:10].tolist()) == sorted(order[10:].tolist()) == list(range(10))


def test_the_number_of_draws_does_not_depend_on_the_number_of_images():
    how = FineTuning(steps=5, batch_size=8)
    counts = {sum(map(len, batches(length, how, torch.Generator()))) for length in (3, 8, 100)}
    assert counts == {how.draws} == {40}


def test_the_rate_rises_over_a_tenth_of_the_steps_and_ends_near_zero():
    rates = [warm_cosine(step, 100) for step in range(100)]
    assert rates[0] < 0.11
    assert rates.index(max(rates)) in (9, 10)
    assert rates[-1] < 1e-3


def test_crops_keep_the_shape_and_show_parts_of_their_own_image():
    images = torch.stack([torch.full((3, 8, 8), float(number)) for number in range(6)])
    crops = random_crops(images, 0.4, torch.Generator().manual_seed(0))
    torch.testing.assert_close(crops, images)


def test_whole_crops_are_the_image_or_its_mirror_image():
    images = torch.rand(40, 3, 8, 8)
    generator = torch.Generator().manual_seed(0)
    crops = random_crops(images, 1.0, generator)
    ratio_free = [(crop - image).abs().mean() < 0.2 or (crop - image.flip(-1)).abs().mean() < 0.2
                  for crop, image in zip(crops, images)]  # fmt: skip
    assert all(ratio_free)
    mirrored = sum(
        (crop - image).abs().mean() > (crop - image.flip(-1)).abs().mean() for crop, image in zip(crops, images)
    )
    assert 10 < mirrored < 30
