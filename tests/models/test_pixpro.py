"""PixPro: its parts against the released code, its two directions, and several processes against one."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from mmssl.datasets import Batch
from mmssl.functional import pixel_positive_mask, pixel_to_propagation, propagate_pixels
from mmssl.models import ConvMLPNeck, PixelPropagation, PixPro
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Smooth
from tests.parity import BATCH, UNEQUAL, check, make_boxes


def test_two_layers_with_batch_norm_equal_the_reference():
    case = {key[14:]: value for key, value in golden('pixpro/ppm.npz').items() if key.startswith('l2_p2_trainbn_')}
    module = PixelPropagation(8, num_layers=2, sharpness=2).double()
    names = {'_linear1': 'transform.0', '_bn1': 'transform.1', '_linear2': 'transform.3'}
    for theirs, ours in names.items():
        for kind in ('weight', 'bias'):
            module.get_parameter(f'{ours}.{kind}').data.copy_(case[f'{theirs}.{kind}'])
    features = case['_x'].clone().requires_grad_()
    mixed = module(features)
    (normalize(mixed, dim=1) ** 3).sum().backward()
    torch.testing.assert_close(mixed.detach(), case['_y_unnormalised'], rtol=0, atol=1e-12)
    torch.testing.assert_close(features.grad, case['_grad_x_of_sum_y_l2_cubed'], rtol=0, atol=1e-12)


def test_pixels_mix_by_powers_of_their_similarity():
    features = torch.randn(2, 5, 3, 3)
    for sharpness in (1.0, 3.0):
        module = PixelPropagation(5, sharpness=sharpness)
        expected = propagate_pixels(features, module.transform(features), sharpness)
        torch.testing.assert_close(module(features), expected)


def test_other_numbers_of_layers_are_refused():
    with pytest.raises(ValueError, match='3 layers.*0, 1 or 2'):
        PixelPropagation(8, num_layers=3)


class Halves(nn.Module):
    """A pyramid: the map, and the map at half its size."""

    def forward(self, maps):
        return maps[-1], nn.functional.avg_pool2d(maps[-1], 2)


def _small(instance=False, **settings):
    torch.manual_seed(0)
    branch = {
        'instance_neck': ConvMLPNeck(8, 10, 6, batch_norm=False),
        'instance_predictor': ConvMLPNeck(6, 10, 6, batch_norm=False),
        'instance_weight': 0.5,
    }
    neck, propagation = ConvMLPNeck(8, 12, 6, batch_norm=False), PixelPropagation(6)
    return PixPro(Smooth(), neck, propagation, **(branch if instance else {}), **settings, momentum=0.9)


def _batch():
    return Batch(torch.arange(BATCH), torch.arange(BATCH), extras={'boxes': make_boxes(0).float()})


def _views():
    generator = torch.Generator().manual_seed(4)
    return [torch.randn(BATCH, 3, 8, 8, generator=generator) for _ in range(2)]


def test_each_view_is_compared_with_the_teacher_s_pixels_of_the_other_by_its_own_box():
    model, views, batch = _small(), _views(), _batch()
    boxes = batch.extras['boxes']
    nn.init.normal_(model.teacher.networks[2].layers[0].weight)
    expected = 0
    for one, other in ((0, 1), (1, 0)):
        mask = pixel_positive_mask(boxes[:, one], boxes[:, other], (6, 6), 0.7)
        seen = model.propagation(model.neck(model.backbone(views[one])[-1]))
        backbone, _, neck = model.teacher.networks
        expected += pixel_to_propagation(seen, neck(backbone(views[other])[-1]), mask)
    assert mask.any()
    torch.testing.assert_close(model.loss(views, batch)['loss_pixel'], expected)


def test_levels_of_a_pyramid_are_averaged():
    model, views, batch = _small(pyramid=Halves()), _views(), _batch()
    boxes = batch.extras['boxes'].transpose(0, 1)
    single = _small()
    single.load_state_dict({key.replace('networks.2', 'networks.2'): v for key, v in model.state_dict().items()})
    levels = [model.pyramid(model.backbone(view)) for view in views]
    taught = [model.encode_keys(view).levels for view in views]
    seen = [[model.propagation(model.neck(level)) for level in part] for part in levels]
    each = [sum(model.compare([seen[v][i]], [taught[1 - v][i]], boxes[[v, 1 - v]]) for v in (0, 1)) for i in (0, 1)]
    torch.testing.assert_close(model.loss(views, batch)['loss_pixel'], (each[0] + each[1]) / 2)
    torch.testing.assert_close(each[0], single.loss(views, batch)['loss_pixel'])


def test_the_instance_branch_compares_means_of_pixels_with_its_weight():
    model, views = _small(instance=True), _views()
    losses = model.loss(views, _batch())
    features = [model.backbone(view)[-1] for view in views]
    backbone, _, _, teacher = model.teacher.networks
    expected = 0
    for one, other in ((0, 1), (1, 0)):
        predicted = model.instance_predictor(model.instance_neck(features[one])).mean(dim=(2, 3))
        taught = teacher(backbone(views[other])[-1]).mean(dim=(2, 3))
        expected -= 2 * torch.cosine_similarity(predicted, taught).mean()
    torch.testing.assert_close(losses['loss_instance'], 0.5 * expected)


@pytest.mark.parametrize('instance', [False, True])
def test_every_student_weight_learns_and_no_teacher_weight(instance):
    model = _small(instance)
    sum(model.loss(_views(), _batch()).values()).backward()
    assert all(parameter.grad is None for parameter in model.teacher.parameters())
    students = [parameter for name, parameter in model.named_parameters() if not name.startswith('teacher')]
    assert all(parameter.grad.abs().sum() > 0 for parameter in students)


SETTINGS = [{}, {'instance': True}, {'objective': 'contrast'}, {'pyramid': Halves()}]


@pytest.mark.parametrize('sizes', UNEQUAL)
@pytest.mark.parametrize('settings', SETTINGS, ids=['plain', 'instance', 'contrast', 'pyramid'])
def test_several_processes_compute_what_one_computes(ranks, sizes, settings):
    check(ranks, partial(_small, **settings), sizes)


def test_without_boxes_it_says_what_to_set():
    batch = Batch(sample_idx=torch.arange(BATCH), draw=torch.arange(BATCH))
    with pytest.raises(ValueError, match='views.boxes=True'):
        _small().loss(_views(), batch)


def test_half_an_instance_branch_and_unknown_objectives_are_refused():
    with pytest.raises(ValueError, match='all three, or none'):
        PixPro(Smooth(), ConvMLPNeck(8, 4, 4), instance_weight=1.0)
    with pytest.raises(ValueError, match="objective='pixels'.*'contrast'"):
        PixPro(Smooth(), ConvMLPNeck(8, 4, 4), objective='pixels')


def test_monitors_see_what_the_neck_makes_of_a_map_of_one_pixel_and_nothing_behind_a_pyramid():
    features = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    model = _small()
    torch.testing.assert_close(model.project(features), model.neck(features[..., None, None])[..., 0, 0])
    assert _small(pyramid=Halves()).project(features) is None


MUTATIONS = [
    Mutation(
        'a view is compared with its own teacher',
        'mmssl/models/algorithms/pixpro.py',
        'self.compare(seen[v], keys[1 - v].levels, boxes[[v, 1 - v]])',
        'self.compare(seen[v], keys[v].levels, boxes[[v, 1 - v]])',
    ),
    Mutation(
        'boxes of the views change places',
        'mmssl/models/algorithms/pixpro.py',
        'self.compare(seen[v], keys[1 - v].levels, boxes[[v, 1 - v]])',
        'self.compare(seen[v], keys[1 - v].levels, boxes[[1 - v, v]])',
    ),
    Mutation(
        'pixels are transformed where they should be compared',
        'mmssl/models/heads/pixel_propagation.py',
        'propagate_pixels(features, self.transform(features)',
        'propagate_pixels(self.transform(features), features',
    ),
    Mutation(
        'the sharpness of PixPro is not passed on',
        'mmssl/models/heads/pixel_propagation.py',
        ', self.sharpness)',
        ')',
    ),
]
