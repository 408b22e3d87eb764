"""Measures of slots: FG-ARI, properties and the odd one, on slots that know the truth and on such that do not."""

from dataclasses import replace

import pytest
import torch

from mmssl.datasets import ImageDataset, MultiView, SpriteScenes, View
from mmssl.datasets.sprites import COLOURS, SHAPES
from mmssl.evaluation import Slots, extract_slots, measure_slots
from mmssl.models import MLPNeck, ResNet, SimCLR, SlotAttentionAE, SlotCNN, SlotEncoder, SpatialBroadcastDecoder
from tests.helpers.mutation import Mutation


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr('mmssl.evaluation.slots._STEPS', 150)
    monkeypatch.setattr('mmssl.evaluation.slots._BATCH', 128)


def _scenes(num, **settings):
    view = dict(type=View, size=32, scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0)
    source = SpriteScenes(num, **{'odd': True, 'truth': True, **settings})
    return ImageDataset(source, dict(type=MultiView, counts=[1], views=[view]))


def _small(**settings):
    torch.manual_seed(0)
    encoder = SlotEncoder(6, 4, 8, 8, num_iterations=2)
    return SlotAttentionAE(SlotCNN(6), encoder, SpatialBroadcastDecoder(8, 6), **settings)


def _knowing(num, seed, shuffled=True):
    """Slots that hold the truth about one object each, in an order of their own, and one of the background."""
    source = SpriteScenes(num, odd=True, truth=True, seed=seed)
    objects = torch.stack([torch.from_numpy(source.extras(index)['objects']) for index in range(num)])
    segments = torch.stack([torch.from_numpy(source.extras(index)['segments']) for index in range(num)])
    colour = torch.nn.functional.one_hot(objects[..., 0].long(), len(COLOURS))
    shape = torch.nn.functional.one_hot(objects[..., 1].long(), len(SHAPES))
    rows = torch.cat([colour, shape, objects[..., 2:4], torch.ones(num, 3, 1)], dim=2)
    slots = torch.cat([rows, torch.zeros(num, 1, rows.shape[2])], dim=1)
    order = torch.rand(num, 4, generator=torch.Generator().manual_seed(seed)).argsort(dim=1)
    slots = slots.gather(1, order[..., None].expand_as(slots))
    return Slots(slots, segments.long(), segments, objects, source.labels)


def test_slots_that_know_the_truth_are_measured_as_such():
    result = measure_slots('true', _knowing(600, 1), _knowing(150, 2))
    values = {measure.name: measure.value for measure in result.measures}
    assert values['FG-ARI'] == 1 and values['colour of objects'] > 99 and values['shape of objects'] > 99
    assert values['place of objects'] > 0.98 and values['odd one'] > 45
    assert (result.gallery, result.query, result.dim) == (600, 150, 12)


def test_slots_that_know_nothing_are_near_chance():
    gallery, query = _knowing(600, 1), _knowing(150, 2)
    for part in (gallery, query):
        part.slots.normal_(generator=torch.Generator().manual_seed(0))
    query.found.random_(4, generator=torch.Generator().manual_seed(0))
    values = {measure.name: measure.value for measure in measure_slots('noise', gallery, query).measures}
    assert abs(values['FG-ARI']) < 0.05 and values['odd one'] < 40 and values['place of objects'] < 0.5


def test_slots_of_a_data_set_are_those_of_its_scenes():
    model, dataset = _small().eval(), _scenes(7)
    found = extract_slots(model, dataset, batch_size=3)
    images = torch.stack([dataset.source.load(index) for index in range(7)])
    expected = model.data_preprocessor({'inputs': [images], 'sample_idx': torch.arange(7), 'draw': torch.arange(7)})
    with torch.no_grad():
        torch.testing.assert_close(found.slots, model.slots(expected['inputs'][0])[0])
    assert found.found.shape == found.segments.shape == (7, 32, 32) and int(found.found.max()) < 4
    assert torch.equal(found.labels, dataset.source.labels)
    vector = replace(found, slots=found.slots[:, :1])
    one_slot = measure_slots('vector', vector, vector)
    assert [measure.name for measure in one_slot.measures] == ['FG-ARI', 'odd one']


def test_what_has_no_slots_or_no_truth_is_refused():
    neck = MLPNeck(in_channels=64, hidden_channels=8, out_channels=8)
    with pytest.raises(ValueError, match='SimCLR has no slots: give a checkpoint of SlotAttentionAE or SLATE'):
        extract_slots(SimCLR(ResNet(10, base_channels=8), neck), _scenes(3))
    with pytest.raises(ValueError, match=r'give SpriteScenes\(..., odd=True, truth=True\)'):
        extract_slots(_small(), _scenes(3, truth=False))


MUTATIONS = [
    Mutation(
        'objects are matched with slots in their order',
        'mmssl/functional/properties.py',
        'linear_sum_assignment(rows)[1] for',
        'range(len(rows)) for',
        'tests/evaluation/test_slots.py',
    ),
    Mutation(
        'the read-out learns the classes of other scenes',
        'mmssl/evaluation/slots.py',
        'gallery.labels.to(scores.device)[rows]',
        'gallery.labels.to(scores.device)[rows - 1]',
    ),
]
