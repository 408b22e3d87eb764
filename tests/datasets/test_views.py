"""Views, against torchvision's transforms on Pillow images."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as tv
from mmengine.config import Config
from PIL import Image, ImageFilter, ImageOps
from scipy.special import betainc
from torch import Tensor
from torchvision import transforms

from mmssl.datasets import (
    CentreView,
    EvalView,
    ImageDataset,
    ImageFolder,
    MultiView,
    PatchGrid,
    RandomCrop,
    View,
    ViewsByEpoch,
)
from mmssl.datasets.images import image_to_tensor
from mmssl.datasets.transforms import views as views_module
from mmssl.datasets.transforms.views import Box, ViewDraw, corners, rotate
from mmssl.registry import TRANSFORMS
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.training import ROOT

RADIOGRAPHS = ROOT / 'configs/_base_/datasets/radiographs_pairs.py'
NOTHING = ViewDraw(box=Box(0, 0, 45, 60), flip=False, jitter=[], gray=False, sigma=0, solarize=False)
SWAV = {'jitter': (0.8, 0.8, 0.8, 0.2), 'jitter_prob': 0.8, 'gray_prob': 0.2, 'blur_prob': 0.5}


def difference(ours: Tensor, theirs: Image.Image) -> np.ndarray:
    return np.abs(ours.permute(1, 2, 0).numpy().astype(int) - np.asarray(theirs).astype(int))


def kolmogorov(first: list[float], second: list[float]) -> float:
    """Largest distance between two empirical distributions."""
    places = np.sort(np.concatenate([first, second]))
    shares = [np.searchsorted(np.sort(values), places, side='right') / len(values) for values in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())


@pytest.mark.parametrize('box', [Box(3, 5, 40, 50), Box(10, 20, 9, 8), Box(0, 0, 45, 60), Box(44, 0, 1, 60)])
@pytest.mark.parametrize('interpolation', ['bilinear', 'bicubic'])
def test_crop_and_resize_equal_torchvision_within_one_level(photo: Image.Image, box: Box, interpolation: str) -> None:
    view = View(24, interpolation=interpolation).apply(image_to_tensor(photo), NOTHING._replace(box=box))
    theirs = tv.resized_crop(photo, *box, [24, 24], transforms.InterpolationMode(interpolation))
    assert difference(view, theirs).max() <= 1


@pytest.mark.parametrize('size', [(100, 150), (90, 60), (40, 400)])
@pytest.mark.parametrize('scale', [(0.14, 1.0), (0.05, 0.14)])
def test_crops_have_the_distribution_of_torchvision(size: tuple[int, int], scale: tuple[float, float]) -> None:
    torch.manual_seed(0)
    view, image = View(8, scale), torch.empty(3, *size)
    ours = [view.draw(*size).box for _ in range(3000)]
    theirs = [transforms.RandomResizedCrop.get_params(image, scale, (3 / 4, 4 / 3)) for _ in range(3000)]
    features = (lambda b: b[2] * b[3], lambda b: b[3] / b[2], lambda b: b[0], lambda b: b[1])
    for feature in features:
        assert kolmogorov(list(map(feature, ours)), list(map(feature, theirs))) < 0.05


def test_a_crop_may_lie_at_every_place_it_fits() -> None:
    torch.manual_seed(0)
    view = View(8, scale=(0.25, 0.25), ratio=(1, 1))
    places = Counter((box.top, box.left) for box in (view.draw(4, 4).box for _ in range(900)))
    assert set(places) == set(itertools.product(range(3), repeat=2))
    assert min(places.values()) > 60


@pytest.mark.parametrize('image', [(11, 1001), (1001, 11), (50, 50), (1, 1)])
def test_where_no_crop_fits_the_middle_is_taken_as_in_torchvision(image: tuple[int, int]) -> None:
    scale = (1.5, 2.0)  # never fits
    theirs = transforms.RandomResizedCrop.get_params(torch.empty(3, *image), scale, (3 / 4, 4 / 3))
    assert View(8, scale).draw(*image).box == theirs


def test_chance_keeps_the_probabilities_and_ranges() -> None:
    torch.manual_seed(0)
    view = View(8, flip=0.3, solarize_prob=0.1, **SWAV)
    draws = [view.draw(20, 20) for _ in range(4000)]
    shares = {'flip': 0.3, 'jitter': 0.8, 'gray': 0.2, 'sigma': 0.5, 'solarize': 0.1}
    for name, share in shares.items():
        assert np.mean([bool(getattr(draw, name)) for draw in draws]) == pytest.approx(share, abs=0.03)
    sigmas = [draw.sigma for draw in draws if draw.sigma]
    assert kolmogorov(sigmas, list(np.linspace(0.1, 2.0, 4000))) < 0.05
    spans = {'brightness': (0.2, 1.8), 'contrast': (0.2, 1.8), 'saturation': (0.2, 1.8), 'hue': (-0.2, 0.2)}
    for name, (low, high) in spans.items():
        factors = [dict(draw.jitter)[name] for draw in draws if draw.jitter]
        assert kolmogorov(factors, list(np.linspace(low, high, 4000))) < 0.05
    orders = Counter(tuple(name for name, _ in draw.jitter) for draw in draws if draw.jitter)
    assert set(orders) == set(itertools.permutations(('brightness', 'contrast', 'saturation', 'hue')))
    assert max(orders.values()) < 2 * min(orders.values())


def test_what_chance_decides_is_independent() -> None:
    torch.manual_seed(0)
    view = View(8, blur_sigma=(0.0, 1.0), solarize_prob=0.5, **{**SWAV, 'jitter_prob': 0.5, 'gray_prob': 0.5})
    draws = [view.draw(20, 20) for _ in range(3000)]
    rows = [
        (d.flip, bool(d.jitter), d.gray, d.sigma > 0, d.solarize, d.box.top, d.box.left, d.box.height * d.box.width)
        for d in draws
    ]
    correlations = np.corrcoef(np.array(rows, float).T)
    correlations[5:, 5:] = 0  # a large crop lies near the corner
    assert np.abs(correlations - np.diag(np.diag(correlations))).max() < 0.08


def test_the_operations_follow_the_order_of_the_papers(photo: Image.Image) -> None:
    jitter = [('hue', 0.1), ('contrast', 1.3), ('brightness', 0.8), ('saturation', 0.4)]
    draw = ViewDraw(Box(5, 6, 30, 40), flip=True, jitter=jitter, gray=False, sigma=1.0, solarize=True)
    view = View(32).apply(image_to_tensor(photo), draw)
    image = ImageOps.mirror(tv.resized_crop(photo, 5, 6, 30, 40, [32, 32]))
    for name, factor in jitter:
        image = getattr(tv, f'adjust_{name}')(image, factor)
    image = ImageOps.solarize(image.filter(ImageFilter.GaussianBlur(1.0)), 128)
    assert np.median(difference(view, image)) <= 2  # pixels near the threshold of solarize part
    gray = View(32).apply(image_to_tensor(photo), draw._replace(gray=True))
    assert torch.equal(gray[0], gray[1]) and torch.equal(gray[0], gray[2])


def test_gray_comes_after_the_jitter_and_before_the_blur(photo: Image.Image) -> None:
    draw = NOTHING._replace(jitter=[('hue', 0.3)], gray=True, sigma=1.0)
    view = View(32).apply(image_to_tensor(photo), draw)
    image = tv.adjust_hue(tv.resized_crop(photo, 0, 0, 45, 60, [32, 32]), 0.3).convert('L')
    image = image.filter(ImageFilter.GaussianBlur(1.0))
    inside = difference(view, image.convert('RGB'))[6:-6, 6:-6]
    assert inside.max() <= 6  # Pillow's hue has 256 steps


def test_gray_comes_before_the_jitter_where_it_is_asked_for(photo: Image.Image) -> None:
    draw = NOTHING._replace(jitter=[('hue', 0.3), ('contrast', 1.5)], gray=True, gray_first=True)
    view = View(32).apply(image_to_tensor(photo), draw)
    gray = tv.resized_crop(photo, 0, 0, 45, 60, [32, 32]).convert('L').convert('RGB')
    assert difference(view, tv.adjust_contrast(gray, 1.5)).max() <= 2
    assert View(32, gray_first=True).draw(8, 8).gray_first and not View(32).draw(8, 8).gray_first


def test_a_view_without_operations_is_the_crop_and_the_image_stays_as_it_is(photo: Image.Image) -> None:
    image = image_to_tensor(photo)
    before = image.clone()
    view = View(40).apply(image, NOTHING._replace(box=Box(2, 3, 40, 40)))
    assert torch.equal(view, image[:, 2:42, 3:43]) and view.is_contiguous() and view.dtype == torch.uint8
    for _ in range(20):
        View(45, scale=(1, 1), solarize_prob=0.5, **SWAV)(image)
    assert torch.equal(image, before)


def test_values_are_rounded_and_not_cut(photo: Image.Image) -> None:
    image = image_to_tensor(photo)
    slightly = NOTHING._replace(box=Box(0, 0, 45, 45), jitter=[('brightness', 0.999)])
    assert torch.equal(View(45).apply(image[:, :, :45], slightly), image[:, :, :45])


def test_sixteen_bit_views_keep_their_type_and_range(photo: Image.Image) -> None:
    small = image_to_tensor(photo)
    large = (small.int() * 257).to(torch.uint16)
    draw = ViewDraw(Box(2, 3, 30, 31), True, [('brightness', 1.5), ('contrast', 1.2)], False, 0.8, True)
    one, other = View(20).apply(small, draw), View(20).apply(large, draw)
    assert other.dtype == torch.uint16 and int(other.int().max()) > 30000
    assert np.median((other.int() / 257 - one).abs()) <= 1


@pytest.mark.parametrize('channels', [1, 2, 4, 12])
def test_images_of_other_channels_go_without_colour_but_with_brightness(channels: int) -> None:
    torch.manual_seed(0)
    image = torch.randint(0, 100, (channels, 30, 30), dtype=torch.uint8)
    coloured = NOTHING._replace(box=Box(0, 0, 30, 30), jitter=[('hue', 0.3), ('saturation', 0.0)], gray=True)
    assert torch.equal(View(30).apply(image, coloured), image)
    brighter = View(30).apply(image, coloured._replace(jitter=[('hue', 0.3), ('brightness', 2.0)]))
    assert torch.equal(brighter, image * 2)
    assert View(16, solarize_prob=1.0, **SWAV)(image).shape == (channels, 16, 16)


def test_leaving_out_colours_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(views_module, 'print_log', lambda message, **_: said.append(message))
    views_module._warn_once.cache_clear()
    pipeline = MultiView([2, 1], [View(8, **SWAV), View(4, **SWAV)])
    pipeline.check_channels(3)
    View(8, jitter=(0.4, 0.4, 0, 0)).check_channels(1)  # nothing is left out
    assert said == []
    pipeline.check_channels(4)
    pipeline.check_channels(4)
    assert len(said) == 1 and 'hue' in said[0]


def test_every_view_takes_the_same_number_of_random_numbers() -> None:
    states = []
    for view in (View(8, flip=0.0), View(8, scale=(1.0, 1.0), ratio=(2.0, 2.0), solarize_prob=1.0, **SWAV)):
        torch.manual_seed(0)
        view.draw(20, 30)
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_draws_do_not_depend_on_the_default_dtype() -> None:
    draws = []
    for dtype in (torch.float32, torch.float64):
        torch.set_default_dtype(dtype)
        try:
            torch.manual_seed(0)
            draws.append(View(8, **SWAV).draw(50, 60))
        finally:
            torch.set_default_dtype(torch.float32)
    assert draws[0] == draws[1]


def test_multi_crop_gives_its_views_in_order_and_each_differs(photo: Image.Image) -> None:
    view = {'type': 'View', 'flip': 0.5, **SWAV}
    pipeline = TRANSFORMS.build(
        {'type': 'MultiView', 'counts': [2, 6], 'views': [{**view, 'size': 32}, {**view, 'size': 20}]}
    )
    views = pipeline(image_to_tensor(photo))
    assert [tuple(v.shape) for v in views] == [(3, 32, 32)] * 2 + [(3, 20, 20)] * 6
    assert len({v.numpy().tobytes() for v in views}) == 8


def test_counts_that_do_not_match_the_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match='1 counts for 2 kinds'):
        MultiView([2], [View(8), View(4)])


@pytest.mark.parametrize('size', [(60, 45), (45, 60), (300, 301), (20, 33), (33, 33)])
@pytest.mark.parametrize(('resize', 'crop'), [(33, 32), (40, 27), (33, 33)])
def test_evaluation_view_equals_torchvision(photo: Image.Image, size: tuple[int, int], resize: int, crop: int) -> None:
    image = photo.resize(size)
    theirs = transforms.Compose([transforms.Resize(resize), transforms.CenterCrop(crop)])(image)
    (view,) = EvalView(resize, crop)(image_to_tensor(image))
    assert difference(view, theirs).max() <= 1 and view.is_contiguous()


def test_evaluation_crop_larger_than_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match='set resize=224'):
        EvalView(resize=32, crop=224)


@pytest.mark.parametrize('dtype', [torch.uint8, torch.uint16])
@pytest.mark.parametrize('channels', [1, 3, 5])
def test_a_rotation_turns_every_plane_as_torchvision_does(dtype: torch.dtype, channels: int) -> None:
    plane = torch.zeros(41, 41, dtype=torch.float32)
    plane[8:20, 10:30] = 200
    image = plane.to(dtype).expand(channels, -1, -1)
    turned = rotate(image, 30)
    expected = tv.rotate(plane[None], 30)[0]
    assert turned.dtype == dtype and turned.shape == image.shape
    for one in turned:
        assert (one.float() != expected).float().mean() < 0.03  # pixels on the edge may round the other way


def test_angles_are_spread_evenly_and_come_after_the_flip() -> None:
    torch.manual_seed(0)
    view = View(16, rotate=2.0)
    angles = torch.tensor([view.draw(30, 30).angle for _ in range(2000)])
    assert angles.min() < -1.95 and angles.max() > 1.95 and angles.mean().abs() < 0.1
    image = torch.zeros(3, 16, 16, dtype=torch.uint8)
    image[:, 2:6, 2:6] = 255
    draw = NOTHING._replace(box=Box(0, 0, 16, 16), flip=True, angle=90.0)
    assert torch.equal(View(16).apply(image, draw), rotate(image.flip(-1), 90.0))


def test_without_a_rotation_the_random_numbers_are_those_of_before() -> None:
    torch.manual_seed(3)
    plain = View(16).draw(30, 30)
    torch.manual_seed(3)
    assert View(16, rotate=2.0).draw(30, 30)._replace(angle=0.0) == plain

    torch.manual_seed(3)
    moved = View(16, rotate=2.0, translate=0.3, zoom=(0.9, 1.1)).draw(30, 30)
    assert moved._replace(angle=0.0, shift=(0, 0), zoom=1.0) == plain


def test_a_shift_and_a_zoom_move_every_plane_as_torchvision_does() -> None:
    plane = torch.zeros(41, 41, dtype=torch.float32)
    plane[8:20, 10:30] = 200
    moved = rotate(plane.to(torch.uint8)[None], 20, (4, -3), 1.2)
    expected = tv.affine(plane[None], -20, [4, -3], 1.2, [0.0, 0.0])  # torchvision turns clockwise here
    assert (moved.float() != expected).float().mean() < 0.03
    assert torch.equal(rotate(plane.to(torch.uint8)[None], 0, (4, -3))[0, 5:17, 14:34], plane[8:20, 10:30].byte())


def test_the_views_of_the_radiographs_have_the_numbers_of_the_paper() -> None:
    cfg, paper = Config.fromfile(RADIOGRAPHS), golden('convirt/parameters.json')['transforms']
    view = TRANSFORMS.build(cfg.train_dataloader.dataset.views).views[0]
    assert (list(view.scale), view.flip, view.size) == (
        paper['crop_ratio'],
        paper['flip_probability'],
        paper['output_size'],
    )
    assert [-view.rotate, view.rotate] == paper['affine']['degrees'] and view.zoom == tuple(paper['affine']['scale'])
    assert [view.translate] * 2 == paper['affine']['translate_fraction']
    assert [name for name, _ in view.jitter] == ['brightness', 'contrast'] and view.jitter_prob == 1
    assert all(list(span) == pytest.approx(paper['brightness_factor']) for _, span in view.jitter)
    assert (list(view.blur_sigma), view.blur_prob) == (paper['blur_sigma'], 1)
    torch.manual_seed(0)
    draws = [view.draw(256, 256) for _ in range(500)]
    shifts, zooms = torch.tensor([draw.shift for draw in draws]), torch.tensor([draw.zoom for draw in draws])
    assert shifts.abs().max() <= 22.4
    assert bool((shifts.amax(dim=0) > 20).all()) and bool((shifts.amin(dim=0) < -20).all())
    assert 0.95 <= zooms.min() < 0.96 and 1.04 < zooms.max() <= 1.05


@pytest.mark.parametrize('moved', [{'rotate': 2.0}, {'translate': 0.1}, {'zoom': (0.9, 1.1)}])
def test_a_view_that_moves_its_crop_has_no_box(moved: dict) -> None:
    with pytest.raises(ValueError, match='rotated, shifted or zoomed'):
        MultiView([1], [View(8, **moved)], boxes=True)


@pytest.mark.parametrize('case', golden('pixpro/crop_coord.json'), ids=lambda case: str(case['py_random_seed']))
def test_corners_of_a_crop_equal_the_reference(case: dict) -> None:
    width, height = case['img_wh']
    draw = NOTHING._replace(box=Box(*case['crop_top_left_h_w']))
    assert corners(draw, height, width) == pytest.approx(case['coord'], abs=1e-7)
    assert corners(draw._replace(flip=True), height, width) == pytest.approx(case['coord_after_hflip'], abs=1e-7)


def test_views_with_boxes_are_those_without_and_the_boxes_are_their_crops(photo: Image.Image) -> None:
    image = image_to_tensor(photo)
    kinds = [{'type': View, 'size': 16, **SWAV}, {'type': View, 'size': 8}]
    torch.manual_seed(0)
    plain = MultiView([1, 2], kinds)(image)
    torch.manual_seed(0)
    made = MultiView([1, 2], kinds, boxes=True)(image)
    assert all(torch.equal(one, other) for one, other in zip(plain, made['inputs']))
    torch.manual_seed(0)
    draws = [view.draw(*image.shape[1:]) for view in MultiView([1, 2], kinds).views]
    assert made['boxes'].dtype == torch.float32
    assert made['boxes'].tolist() == [pytest.approx(corners(draw, *image.shape[1:])) for draw in draws]


def test_a_box_tells_where_the_pixels_of_a_view_come_from() -> None:
    places = torch.stack(torch.meshgrid(torch.arange(100), torch.arange(200), indexing='ij')).to(torch.uint8)
    view, flipped = View(20, scale=(0.3, 0.6)), set()
    for seed in range(20):
        torch.manual_seed(seed)
        pixels, (x0, y0, x1, y1) = view.with_box(places)
        assert pixels[0, :, 10].tolist()[2:-2] == pytest.approx(_centres(99 * y0, 99 * y1)[2:-2], abs=0.6)
        assert pixels[1, 10].tolist()[2:-2] == pytest.approx(_centres(199 * x0, 199 * x1)[2:-2], abs=0.6)
        flipped.add(x0 > x1)
    assert flipped == {False, True}


def _centres(first: float, last: float) -> list[float]:
    """Where in the image the centres of 20 pixels lie that together show its columns ``first`` to ``last``."""
    step = (abs(last - first) + 1) / 20
    centres = [min(first, last) - 0.5 + step * (place + 0.5) for place in range(20)]
    return centres if first < last else centres[::-1]


def test_boxes_of_views_that_are_turned_are_refused() -> None:
    with pytest.raises(ValueError, match='boxes=False'):
        MultiView([2], [{'type': View, 'size': 8, 'rotate': 2.0}], boxes=True)


@pytest.mark.parametrize('row', golden('hallucinator/centre_crop_draws.json'), ids=lambda row: str(row['crop_ijhw']))
def test_centre_crops_are_those_of_the_authors_code_for_its_draws(row, monkeypatch):
    monkeypatch.setattr('scipy.special.betaincinv', lambda a, b, share: share)
    view = CentreView(8, row['box_h0w0h1w1'], scale=row['scale'])
    (low, high), (narrow, wide) = row['scale'], view.log_ratio
    tries = [((a - low) / (high - low), (r - narrow) / (wide - narrow)) for a, r in row['area_and_log_ratio_draws']]
    numbers = [*(row['beta_draws'] or (0.0, 0.0)), *itertools.chain(*tries)]
    assert list(view._draw_box(row['height'], row['width'], iter(numbers))) == row['crop_ijhw']


def test_centres_lie_in_the_box_and_near_its_edges_for_a_small_alpha():
    torch.manual_seed(0)
    view = CentreView(8, (0.3, 0.2, 0.7, 0.8), alpha=0.1, scale=(0.1, 0.1), ratio=(1.0, 1.0))
    draws = [view.draw(100, 200).box for _ in range(500)]
    rows = np.array([box.top + box.height / 2 for box in draws]) / 100
    columns = np.array([box.left + box.width / 2 for box in draws]) / 200
    for places, low, high in ((rows, 0.3, 0.7), (columns, 0.2, 0.8)):
        assert low - 0.02 <= places.min() and places.max() <= high + 0.02
        edge = (high - low) / 8
        near = (places < low + edge) | (places > high - edge)
        assert abs(near.mean() - 2 * betainc(0.1, 0.1, 1 / 8)) < 0.06
    uniform = CentreView(8, (0.3, 0.2, 0.7, 0.8), alpha=1.0, scale=(0.1, 0.1), ratio=(1.0, 1.0))
    rows = [(box := uniform.draw(100, 200).box).top + box.height / 2 for _ in range(500)]
    assert kolmogorov(rows, list(np.linspace(30, 70, 500))) < 0.09


@pytest.mark.parametrize('centre', [(0.7, 0.2, 0.3, 0.8), (0.2, 0.2, 0.8, 1.1)])
def test_a_box_outside_the_image_is_refused(centre):
    with pytest.raises(ValueError, match='give top, left, bottom and right as shares from 0 to 1'):
        CentreView(8, centre)


def test_views_change_with_the_epoch_of_the_draw(make_images):
    dataset = ImageDataset(
        ImageFolder(make_images('a.png', 'b.png', 'c.png', 'd.png')), ViewsByEpoch(20, [View(8), View(12)])
    )
    sizes = [dataset[(1, epoch * 4 + 3)]['inputs'][0].shape[-1] for epoch in (0, 19, 20, 21)]
    assert sizes == [8, 8, 12, 12]
    switch = golden('hallucinator/schedules.json')['centre_crop_switch']
    for row in switch:  # their epochs count from 1
        views = ViewsByEpoch(row['warmup_epochs'], [lambda image: False, lambda image: True])
        views.epoch = row['epoch'] - 1
        assert views(None) is row['uses_centre_crop']


@pytest.mark.parametrize('case', golden('obow/patch_crops.json')['cases'], ids=lambda case: str(case['seed']))
def test_patches_stand_where_the_authors_code_puts_them(case):
    grid, numbers = PatchGrid(), case['jitter_yx_in_order']
    shifts = list(zip(numbers[::2], numbers[1::2]))
    assert [list(corner) for corner in grid.corners(shifts, range(9))] == case['top_left_of_9']
    assert [list(corner) for corner in grid.corners(shifts, case['picked'])] == case['top_left_of_5']
    assert grid.stride == golden('obow/patch_crops.json')['stride']


def test_patches_are_cut_from_one_view_and_come_from_different_cells():
    torch.manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(60), torch.arange(60), indexing='ij')
    image = torch.stack([rows, columns, rows]).to(torch.uint8)
    grid = PatchGrid(60, patch=20, jitter=4, count=9, scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0)
    corners = [(int(patch[0, 0, 0]), int(patch[1, 0, 0])) for patch in grid(image)]
    cells = {(y // grid.stride, x // grid.stride) for y, x in corners}
    assert len(cells) == 9 and all(patch.shape == (3, 20, 20) for patch in grid(image))
    assert all(0 <= y - grid.stride * (y // grid.stride) <= 4 for y, _ in corners)
    views = MultiView([1, 1, 1], [EvalView(60, 60), View(32), PatchGrid(60, 20, 4)])(image)
    assert [view.shape[-1] for view in views] == [60, 32, 20, 20, 20, 20, 20]


@pytest.mark.parametrize('settings', [{'count': 10}, {'patch': 240}])
def test_patches_that_do_not_fit_are_refused(settings):
    with pytest.raises(ValueError, match='set count to 9 or less, and patch [+] jitter to 256 or less'):
        PatchGrid(**settings)


def test_a_fixed_view_is_flipped_half_of_the_time_if_asked():
    image = torch.arange(12, dtype=torch.uint8).view(1, 1, 12).expand(3, 12, 12)
    torch.manual_seed(0)
    firsts = Counter(int(EvalView(12, 12, flip=0.5)(image)[0][0, 0, 0]) for _ in range(400))
    assert set(firsts) == {0, 11} and 150 < firsts[0] < 250
    assert torch.equal(EvalView(12, 12)(image)[0], image)


@pytest.mark.parametrize('mode', ['reflect', 'constant'])
def test_a_padded_crop_is_one_of_torchvision_s(mode: str) -> None:
    torch.manual_seed(0)
    image = torch.randint(256, (3, 8, 8), dtype=torch.uint8)
    padded = transforms.functional.pad(image, [2, 2, 2, 2], padding_mode=mode)
    places = {
        (top, left, flip): view.flip(-1) if flip else view
        for top, left, flip in itertools.product(range(5), range(5), (False, True))
        for view in [padded[:, top : top + 8, left : left + 8]]
    }
    crop, seen = RandomCrop(8, padding=2, padding_mode=mode), Counter()
    for _ in range(2000):
        view = crop(image)
        seen[next(place for place, other in places.items() if torch.equal(view, other))] += 1
    assert set(seen) == set(places) and min(seen.values()) > 15  # of 40


def test_a_crop_of_one_scale_resizes_the_shorter_side(photo: Image.Image) -> None:
    image = image_to_tensor(photo)
    torch.manual_seed(0)
    view = RandomCrop(20, resize=20, flip=0.0)(image)
    theirs = transforms.functional.resize(photo, 20)
    middle = [
        left for left in range(theirs.width - 19) if difference(view, theirs.crop((left, 0, left + 20, 20))).max() <= 1
    ]
    assert view.shape == (3, 20, 20) and len(middle) == 1


def test_a_crop_keeps_sixteen_bits_and_any_number_of_channels() -> None:
    image = torch.arange(4 * 64, dtype=torch.int32).reshape(4, 8, 8).mul(200).to(torch.uint16)
    view = RandomCrop(8, flip=1.0)(image)
    assert view.dtype == torch.uint16 and view.is_contiguous()
    assert torch.equal(view.int(), image.int().flip(-1))


def test_what_does_not_fit_a_crop_is_refused_with_what_to_set() -> None:
    with pytest.raises(ValueError, match='An image has 12 x 30 pixels, too few for a crop of 16: set resize=16'):
        RandomCrop(16, padding=1)(torch.zeros(3, 10, 28, dtype=torch.uint8))
    with pytest.raises(ValueError, match="padding_mode='edge': set it to 'reflect' or 'constant'"):
        RandomCrop(16, padding_mode='edge')


MUTATIONS = [
    Mutation(
        'a view is shifted in one direction only',
        'mmssl/datasets/transforms/views.py',
        'round(side * (own[1] - 0.5))',
        'round(side * own[1] / 2)',
    ),
    Mutation(
        'a view is not zoomed',
        'mmssl/datasets/transforms/views.py',
        'angle, zoom)',
        'angle, 1.0)',
    ),
    Mutation(
        'a patch gets the shift of another cell',
        'mmssl/datasets/transforms/views.py',
        'return [(y + shifts[cell][0], x + shifts[cell][1]) for (y, x), cell in zip(starts, cells)]',
        'return [(y + shift[0], x + shift[1]) for (y, x), shift in zip(starts, shifts)]',
    ),
    Mutation(
        'centres are uniform in their box',
        'mmssl/datasets/transforms/views.py',
        'float(betaincinv(self.alpha, self.alpha, share))',
        'share',
    ),
    Mutation(
        'the box of centres is one of corners',
        'mmssl/datasets/transforms/views.py',
        'int(length * edge) - part // 2',
        'int(length * edge)',
    ),
    Mutation(
        'views never change with the epoch',
        'mmssl/datasets/datasets.py',
        'self.views.epoch = draw // len(self)',
        'pass',
    ),
    Mutation(
        'an angle for every view',
        'mmssl/datasets/transforms/views.py',
        'self.rotate * (2 * own[0] - 1)',
        'self.rotate',
    ),
    Mutation(
        'flipped views keep their columns',
        'mmssl/datasets/transforms/views.py',
        'return [x1, y0, x0, y1] if draw.flip else [x0, y0, x1, y1]',
        'return [x0, y0, x1, y1]',
    ),
    Mutation(
        'a box ends a column after its view',
        'mmssl/datasets/transforms/views.py',
        '(left + wide - 1) / columns',
        '(left + wide) / columns',
    ),
    Mutation(
        'a box stands for another draw than its view',
        'mmssl/datasets/transforms/views.py',
        'return self.apply(image, draw), corners(draw',
        'return self.apply(image, self.draw(*image.shape[1:])), corners(draw',
    ),
    Mutation(
        'padding is black where the border is to be mirrored',
        'mmssl/datasets/transforms/views.py',
        'margin, margin), mode=self.padding_mode)',
        "margin, margin), mode='constant')",
    ),
]
