"""Arithmetic on planes, against Pillow and torchvision."""

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as tv
from PIL import Image, ImageFilter, ImageOps

from mmssl.datasets.transforms import pixels as px

FACTORS = (0.0, 0.2, 1.0, 1.8)


def planes(image: Image.Image) -> np.ndarray:
    return np.asarray(image).transpose(2, 0, 1).astype(np.float32)


@pytest.mark.parametrize('name', ['brightness', 'contrast', 'saturation'])
@pytest.mark.parametrize('factor', FACTORS)
def test_jitter_equals_torchvision_on_pillow_images_within_one_level(
    photo: Image.Image, name: str, factor: float
) -> None:
    ours = getattr(px, f'adjust_{name}')(planes(photo), factor, 255.0)
    theirs = planes(getattr(tv, f'adjust_{name}')(photo, factor))
    assert np.abs(np.rint(ours) - theirs).max() <= 1


@pytest.mark.parametrize('shift', [-0.5, -0.4, -0.2, 0.0, 0.1, 0.33, 0.34, 0.5])
def test_hue_equals_torchvision_in_floats(photo: Image.Image, shift: float) -> None:
    pixels = planes(photo)
    pixels[:, :4, :4] = 77  # no hue at all
    pixels[0, 5:9], pixels[1, 5:9] = 200, 200  # two channels tie
    theirs = tv.adjust_hue(torch.from_numpy(pixels) / 255, shift).numpy() * 255
    assert np.abs(px.shift_hue(pixels, shift) - theirs).max() < 2e-3


def test_luminance_equals_pillow_within_its_rounding(photo: Image.Image) -> None:
    gray = px.luminance(planes(photo))
    assert gray.shape == (1, 45, 60)
    assert np.abs(gray[0] - np.asarray(photo.convert('L'))).max() < 0.51


def test_solarize_equals_pillow(photo: Image.Image) -> None:
    assert np.array_equal(px.solarize(planes(photo), 255), planes(ImageOps.solarize(photo, 128)))


@pytest.mark.parametrize('sigma', [0.1, 0.5, 1.0, 1.41, 1.42, 2.0, 3.0])
def test_blur_equals_pillow_inside_and_keeps_its_mean(photo: Image.Image, sigma: float) -> None:
    ours, theirs = px.gaussian_blur(planes(photo), sigma), planes(photo.filter(ImageFilter.GaussianBlur(sigma)))
    inside = (slice(None), slice(12, -12), slice(12, -12))
    # Pillow rounds after each of six passes, here nothing is rounded.
    assert np.abs(ours - theirs)[inside].max() < 3
    assert np.abs(ours - theirs)[inside].mean() < 1.1
    assert np.abs(ours - theirs).mean() < 1.1
    assert abs(ours.mean() - planes(photo).mean()) < 1


@pytest.mark.parametrize('sigma', [0.5, 1.0, 1.42, 2.0])
def test_blur_has_the_variance_of_sigma(sigma: float) -> None:
    point = np.zeros((1, 41, 41), np.float32)
    point[0, 20, 20] = 1
    spread = px.gaussian_blur(point, sigma)[0]
    places = np.arange(41) - 20
    for axis in (0, 1):
        assert (spread.sum(axis=axis) * places**2).sum() == pytest.approx(sigma**2, rel=0.03)
    assert spread.sum() == pytest.approx(1, abs=1e-5)


def test_blur_of_one_colour_changes_nothing_up_to_the_border() -> None:
    flat = np.full((3, 9, 5), 201, np.float32)  # smaller than the kernel
    assert np.abs(px.gaussian_blur(flat, 2.0) - 201).max() < 1e-3


@pytest.mark.parametrize('name', ['brightness', 'contrast', 'saturation'])
def test_sixteen_bits_have_the_range_of_sixteen_bits(photo: Image.Image, name: str) -> None:
    adjust = getattr(px, f'adjust_{name}')
    small, large = adjust(planes(photo), 1.7, 255.0), adjust(planes(photo) * 257, 1.7, 65535.0)
    assert np.abs(large / 257 - small).max() < 1
    assert np.abs(px.solarize(planes(photo) * 257, 65535) / 257 - px.solarize(planes(photo), 255)).max() < 1e-3


def test_contrast_of_other_channels_turns_around_the_mean_of_all_values() -> None:
    pixels = np.stack([np.full((4, 4), value, np.float32) for value in (10, 20, 30, 40)])
    assert np.allclose(px.adjust_contrast(pixels, 0.0, 255.0), 25)
