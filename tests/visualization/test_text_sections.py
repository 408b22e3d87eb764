"""Strips of text are shown in lines, and PIXEL's reconstructions stand in the report."""

import pytest
import torch
from mmengine.config import Config

from mmssl.datasets import render_text
from mmssl.registry import DATASETS, MODELS
from mmssl.visualization import picture_sections, to_image
from tests.helpers.mutation import Mutation
from tests.training import ROOT

CONFIGS = ROOT / 'configs'


def test_a_strip_is_broken_into_lines_as_far_as_it_is_written():
    strip = render_text('The quick brown fox jumps over the lazy dog.').image
    image = to_image(strip)
    assert image.size == (160, 32) and image.getpixel((150, 31)) == 0
    assert list(image.crop((0, 0, 160, 16)).getdata()) == strip[0, :, :160].flatten().tolist()
    assert to_image(torch.zeros(3, 30, 200, dtype=torch.uint8)).size == (160, 24)


def test_a_report_shows_text_what_was_masked_and_the_reconstruction():
    pytest.importorskip('timm')
    config = Config.fromfile(CONFIGS / 'pixel/pixel_vit_1xb64_cpu_8e_syllables.py')
    config.train_dataloader.dataset.source.num = 10
    model, data = MODELS.build(config.model), DATASETS.build(config.train_dataloader.dataset)
    (section,) = picture_sections(model, data, count=2)
    page = ''.join(section.parts)
    assert [page.count(f'>{name}<') for name in ('text', 'masked', 'reconstructed')] == [2, 2, 2]
    assert model.training


def test_a_method_without_pictures_has_no_section():
    pytest.importorskip('timm')
    config = Config.fromfile(CONFIGS / 'pixel_linguist/pixel_linguist_vit_1xb64_cpu_8e_syllables.py')
    config.train_dataloader.dataset.source.num = 10
    data = DATASETS.build(config.train_dataloader.dataset)
    assert picture_sections(MODELS.build(config.model), data) == []


MUTATIONS = [
    Mutation(
        'white lines at the end are shown',
        'mmssl/visualization/images.py',
        'lines[: max(written, default=0) + 1]',
        'lines',
    ),
]
