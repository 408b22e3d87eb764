"""Slots, Gumbel samples, segmentations and properties against the reference code, and what must hold of them."""

import itertools

import numpy as np
import pytest
import torch

from mmssl.functional import (
    cardinal_ramps,
    code_loss,
    compete,
    explained_variance,
    foreground_rand_index,
    gumbel_softmax,
    hash_exponentials,
    image_error,
    match_slots,
    mix_slots,
    property_costs,
    rand_index,
    sample_codes,
    schedules,
)
from tests.conftest import GOLDEN, golden
from tests.helpers.mutation import Mutation


def close(actual, expected, tolerance=1e-9):
    """Within a tolerance of the largest value, as the README of the vectors says."""
    actual, expected = torch.as_tensor(actual).detach().double(), torch.as_tensor(expected).double()
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance * scale)


def cases(name):
    """The cases of a file with ``n_cases``, without their prefixes."""
    found = golden(name)
    starts = [f'c{number}_' for number in range(int(found['n_cases']))]
    return [{key[len(start) :]: value for key, value in found.items() if key.startswith(start)} for start in starts]


@pytest.mark.parametrize('case', cases('slot_attention/gumbel.npz'), ids=['tau 1', 'tau .3'])
def test_soft_samples_and_codes_equal_the_reference(case):
    logits = case['logits'].requires_grad_()
    soft = gumbel_softmax(logits, case['exponential'], float(case['tau']))
    close(soft, case['soft'])
    (soft * case['upstream']).sum().backward()
    close(logits.grad, case['grad_soft'], 1e-8)
    codes = sample_codes(logits, case['exponential'])
    assert torch.equal(codes, case['argmax'])
    hard = torch.zeros_like(logits).scatter(1, codes[:, None], 1.0)
    close(hard, case['hard'])
    close(case['grad_hard'], case['grad_soft'], 1e-8)  # straight through, so that codes need no gradient of their own


def test_the_position_map_equals_the_reference():
    case = golden('slot_attention/encoder_decoder.npz')
    close(cardinal_ramps(7, 7, case['pos_map'])[None], case['pos_map'])
    assert cardinal_ramps(3, 5, torch.zeros(())).shape == (4, 3, 5)


@pytest.mark.parametrize('case', cases('slot_attention/fg_ari.npz'), ids=['4 objects', '2 objects'])
def test_the_rand_index_equals_the_reference_and_not_what_ocrl_computes(case):
    masks = case['true_masks'][:, :, 0]  # the last one is the background
    objects = masks.shape[1] - 1
    true = (masks[:, :objects] * torch.arange(1, objects + 1)[:, None, None]).sum(dim=1)
    found = case['attention'][:, :, 0].argmax(dim=1)
    close(foreground_rand_index(true, found), case['fg_ari'])
    close(rand_index(true.flatten(1), found.flatten(1)), case['ari_all_pixels'])
    assert (foreground_rand_index(true, found) - case['must_not_match_ocrl']).abs().min() > 0.1


def test_the_rand_index_ignores_names_of_segments_and_is_0_for_random_ones():
    generator = torch.Generator().manual_seed(0)
    true = torch.randint(4, (3, 900), generator=generator)
    close(rand_index(true, torch.tensor([7, 2, 0, 5])[true]), [1.0, 1, 1])
    close(rand_index(true, torch.zeros_like(true)), [0.0, 0, 0])
    assert rand_index(true, torch.randint(6, (3, 900), generator=generator)).abs().max() < 0.01
    found = torch.randint(6, (3, 900), generator=generator)
    close(rand_index(true, found), rand_index(found, true))
    alone = torch.tensor([[0, 1, 1, 0]])
    close(foreground_rand_index(alone, torch.tensor([[3, 2, 2, 1]])), [1.0])  # one object in one segment
    close(foreground_rand_index(alone, torch.tensor([[3, 2, 1, 1]])), [0.0])


def test_property_prediction_equals_the_reference_where_it_is_right():
    case = golden('slot_attention/property_prediction.npz')
    sizes = (case['cfg']['colors'], case['cfg']['shapes'])
    predictions = case['slots'] @ case['w'].T.double() + case['bias'].double()
    objects = case['objects']
    matched = match_slots(property_costs(predictions, objects, sizes))
    assert torch.equal(matched.slots, case['matched_slot'])
    close(matched.costs.sum(), case['loss_sum'])
    assert abs(float(matched.costs.sum() - case['must_not_match_ocrl_loss'])) > 1
    chosen = predictions.gather(1, matched.slots[..., None].expand(-1, -1, predictions.shape[2]))
    colour, shape, place = chosen.split([*sizes, 2], dim=2)
    close((colour.argmax(2) == objects[..., 0]).double().mean(), case['accuracy_color'])
    close((shape.argmax(2) == objects[..., 1]).double().mean(), case['accuracy_shape'])
    close(explained_variance(objects[..., 2:].flatten(0, 1), place.flatten(0, 1)), case['r2_xy'])


def test_the_matching_is_the_cheapest_and_follows_the_slots():
    costs = torch.rand(5, 3, 4, generator=torch.Generator().manual_seed(1))
    matched = match_slots(costs)
    for rows, found in zip(costs, matched.costs.sum(dim=1)):
        every = [sum(rows[i, slot] for i, slot in enumerate(slots)) for slots in itertools.permutations(range(4), 3)]
        close(found, min(every), 1e-6)
    order = torch.tensor([2, 0, 3, 1])
    again = match_slots(costs[:, :, order])
    assert torch.equal(order[again.slots], matched.slots)
    with pytest.raises(ValueError, match='5 objects, but 4 slots: set num_slots to 6'):
        match_slots(torch.rand(1, 5, 4))


def test_attention_is_shared_out_among_the_slots_and_follows_them():
    torch.manual_seed(0)
    queries, keys, values = torch.randn(2, 2, 3, 4), torch.randn(2, 2, 9, 4), torch.randn(2, 2, 9, 4)
    updates, attention = compete(queries, keys, values)
    torch.testing.assert_close(attention.sum(dim=2), torch.ones(2, 9))
    order = torch.tensor([2, 0, 1])
    moved, shares = compete(queries[:, :, order], keys, values)
    torch.testing.assert_close((moved, shares), (updates[:, order], attention[:, :, order]))


def test_masks_add_up_and_a_strong_claim_shows_the_slots_colour():
    colours, logits = torch.randn(2, 3, 3, 4, 4), torch.randn(2, 3, 1, 4, 4)
    image, masks = mix_slots(colours, logits)
    torch.testing.assert_close(masks.sum(dim=1), torch.ones(2, 1, 4, 4))
    torch.testing.assert_close(image, (colours * masks).sum(dim=1))
    logits[:, 1] = 1e4
    torch.testing.assert_close(mix_slots(colours, logits)[0], colours[:, 1])


def test_losses_are_sums_over_an_image_and_means_over_a_batch():
    one = image_error(torch.ones(1, 3, 2, 2), torch.zeros(1, 3, 2, 2))
    assert one == 12 and image_error(torch.ones(5, 3, 2, 2), torch.zeros(5, 3, 2, 2)) == one
    codes = torch.randint(7, (5, 4))
    torch.testing.assert_close(code_loss(torch.zeros(5, 4, 7), codes), 4 * torch.tensor(7.0).log())


def test_gumbel_noise_has_its_mean_and_is_finite():
    drawn = hash_exponentials(1, torch.arange(100), 2000)
    assert drawn.min() > 0 and drawn.isfinite().all() and abs(float(drawn.mean()) - 1) < 0.01
    assert abs(float(-drawn.log().mean()) - 0.5772) < 0.01
    torch.testing.assert_close(hash_exponentials(1, torch.tensor([7]), 2000)[0], drawn[7])


def test_the_temperature_follows_the_reference():
    case = golden('slot_attention/schedules.json')
    for row in case['tau']:
        assert schedules.cosine(row['step'], 30000, 1.0, 0.1) == pytest.approx(row['tau'], abs=1e-9)
    for row in case['tau_other']:
        value = schedules.cosine(row['step'] - row['begin'], row['end'] - row['begin'], row['start'], row['final'])
        assert value == pytest.approx(row['tau'], abs=1e-9)


def test_the_rates_follow_the_reference():
    case = golden('slot_attention/schedules.json')
    for row in case['warmup']:
        assert schedules.warmup_halving(row['step'], 30000) == pytest.approx(row['factor'], abs=1e-12)
    for row in case['ocrl_lr']:
        factor = schedules.warmup_halving(row['step'], 30000, 250000)
        assert 1e-4 * factor == pytest.approx(row['lr_enc'], rel=1e-9)
        assert 3e-4 * factor == pytest.approx(row['lr_dec'], rel=1e-9)
        assert row['lr_dvae'] == 3e-4


def test_clipping_by_torch_equals_the_reference():
    with np.load(GOLDEN / 'slot_attention/clip.npz') as case:  # 'inf' is no JSON
        for start in [f'c{number}_' for number in range(case['n_cases'])]:
            parameters = [torch.nn.Parameter(torch.zeros(case[f'{start}grad_{name}'].shape)) for name in 'ab']
            for parameter, name in zip(parameters, 'ab'):
                parameter.data = parameter.data.double()
                parameter.grad = torch.from_numpy(case[f'{start}grad_{name}'].copy())
            limit, kind = float(case[f'{start}max']), str(case[f'{start}norm_type'])
            close(torch.nn.utils.clip_grad_norm_(parameters, limit, norm_type=kind), case[f'{start}norm'])
            for parameter, name in zip(parameters, 'ab'):
                close(parameter.grad, case[f'{start}clipped_{name}'])


MUTATIONS = [
    Mutation(
        'slots do not compete: the softmax runs over the places',
        'mmssl/functional/slots.py',
        'logits.flatten(2).softmax(dim=2)',
        'logits.softmax(dim=1)',
    ),
    Mutation(
        'each head of slot attention has a softmax of its own',
        'mmssl/functional/slots.py',
        'logits.flatten(2).softmax(dim=2)',
        'logits.softmax(dim=3)',
        'tests/functional/test_slots.py tests/models/test_slot_attention.py',
    ),
    Mutation(
        'the background counts in FG-ARI',
        'mmssl/functional/segmentation.py',
        'rand_index(true, found, true > 0)',
        'rand_index(true, found)',
    ),
    Mutation(
        'the Rand index is not adjusted for chance',
        'mmssl/functional/segmentation.py',
        '(together - expected) /',
        'together /',
    ),
    Mutation(
        'north and south change places',
        'mmssl/functional/slots.py',
        'torch.stack([1 - south, south,',
        'torch.stack([south, 1 - south,',
    ),
    Mutation(
        'Gumbel noise has the wrong sign',
        'mmssl/functional/gumbel.py',
        '((logits - exponentials.log()) / temperature)',
        '((logits + exponentials.log()) / temperature)',
    ),
    Mutation(
        'codes are drawn without noise',
        'mmssl/functional/gumbel.py',
        '(logits - exponentials.log()).argmax(dim=1)',
        'logits.argmax(dim=1)',
    ),
    Mutation(
        'the loss of codes is a mean over the places',
        'mmssl/functional/slots.py',
        'return -chosen.sum() / len(scores)',
        'return -chosen.mean()',
    ),
    Mutation(
        'positions of objects do not count in the matching',
        'mmssl/functional/properties.py',
        'torch.stack([*terms, errors.square().mean(dim=3)])',
        'torch.stack(terms)',
    ),
    Mutation(
        'the variance explained is a ratio of variances',
        'mmssl/functional/properties.py',
        'return 1 - (true - predicted)',
        'return (predicted - true.mean(dim=0))',
    ),
]
