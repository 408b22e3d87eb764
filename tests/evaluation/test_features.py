import random

import numpy as np
import pytest
import torch
from torch import nn

from mmssl.datasets import collate
from mmssl.evaluation import RawPixels, extract_features, extract_views, raw_pixel_features
from tests.evaluation.stand_ins import encoder, fixed, pairs


def test_rows_are_in_the_order_of_the_data_set_with_labels_and_numbers():
    data, model = fixed(7), encoder().eval()
    found = extract_features(model, data, batch_size=3)
    with torch.no_grad():
        expected = model.extract_feat(model.data_preprocessor(collate([data[i] for i in range(7)]))['inputs'][0])
    torch.testing.assert_close(found.features, expected)
    assert found.features.dtype == torch.float32
    assert found.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert found.indices.tolist() == list(range(7))
    assert not found.features.requires_grad


def test_without_labels_there_are_none():
    assert extract_features(encoder(), fixed(4, labelled=False)).labels is None


def test_every_module_gets_its_own_mode_back_and_batch_norm_learns_nothing():
    model = encoder().train()
    model.backbone.layer1.eval()
    statistics = model.backbone.bn1.running_mean.clone()
    extract_features(model, fixed(4))
    assert model.training
    assert model.backbone.layer2.training
    assert not model.backbone.layer1.training
    assert torch.equal(model.backbone.bn1.running_mean, statistics)


def test_dropout_is_off():
    model, data = encoder(dropout=0.5).train(), fixed(4)
    assert torch.equal(extract_features(model, data).features, extract_features(model, data).features)


@pytest.mark.parametrize('workers', [0, 2])
def test_training_draws_the_same_numbers_with_or_without_an_evaluation_between(workers):
    def draws():
        return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()

    model = encoder()
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    expected = draws()
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    extract_features(model, pairs(5), batch_size=2, num_workers=workers)
    assert draws() == expected


def test_views_are_told_apart_and_only_so_many_are_computed():
    data, model = pairs(5), encoder()
    first, second = extract_views(model, data, views=2, batch_size=2)
    assert first.shape == second.shape == (5, 32)
    assert not torch.equal(first, second)
    assert torch.equal(first, extract_features(model, data, batch_size=2).features)


def _on_a_rank(count: int, batch_size: int) -> tuple:
    found = extract_features(encoder().double(), fixed(count), batch_size)
    return found.features, found.labels, found.indices


@pytest.mark.parametrize('count', [1, 2, 7, 8])
def test_ranks_share_the_work_and_all_get_what_one_process_gets(ranks, count):
    alone = _on_a_rank(count, 2)
    for features, labels, indices in ranks(3, _on_a_rank, count, 2):
        torch.testing.assert_close(features, alone[0])
        assert torch.equal(labels, alone[1])
        assert torch.equal(indices, alone[2])


def test_raw_pixels_of_small_images_are_the_pixels():
    data = fixed(3, side=16)
    found = raw_pixel_features(data)
    assert torch.equal(found.features, torch.stack([data[i]['inputs'][0].flatten() for i in range(3)]) / 255)


def test_raw_pixels_of_large_images_are_shrunk_to_32():
    assert raw_pixel_features(fixed(2, side=40)).features.shape == (2, 3 * 32 * 32)
    flat = RawPixels().extract_feat(torch.full((1, 1, 50, 50), 0.25))
    torch.testing.assert_close(flat, torch.full((1, 1024), 0.25))


def test_raw_pixels_of_sixteen_bits_lie_between_0_and_1():
    pixels = RawPixels().data_preprocessor({'inputs': [torch.tensor([[[[0, 65535]]]], dtype=torch.uint16)]})
    assert pixels['inputs'][0].flatten().tolist() == [0.0, 1.0]


def test_an_empty_data_set_is_refused():
    class Empty(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 0

    with pytest.raises(ValueError, match='at least one image'):
        extract_features(nn.Identity(), Empty())


def _features_of_a_parted_network():
    torch.manual_seed(0)
    model = encoder()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean += torch.distributed.get_rank()
    return extract_features(model, fixed(10), 3).features


def test_all_ranks_extract_with_the_statistics_of_the_first(ranks):
    alone = ranks(1, _features_of_a_parted_network)[0]
    for features in ranks(2, _features_of_a_parted_network):
        torch.testing.assert_close(features, alone)
