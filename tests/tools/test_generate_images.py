"""tools/dataset_tools/generate_images.py: images that resemble given ones, the same for the same seed."""

import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mmssl.datasets import ArraySource, Concat, ImageFolder, Subset
from tests.helpers.mutation import Mutation
from tests.training import ROOT

TOOL = ROOT / 'tools/dataset_tools/generate_images.py'
Generate = Callable[..., str]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The functions of the script."""
    monkeypatch.syspath_prepend(str(TOOL.parent))
    return SimpleNamespace(**runpy.run_path(str(TOOL)))


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Generate:
    """Calls the script as its command line does, in this process; gives what it says, also of what it refuses."""
    monkeypatch.syspath_prepend(str(TOOL.parent))

    def call(*arguments: object) -> str:
        monkeypatch.setattr(sys, 'argv', [TOOL.name, *map(str, arguments)])
        try:
            runpy.run_path(str(TOOL), run_name='__main__')
        except SystemExit as end:
            return str(end.code)
        return capsys.readouterr().out

    return call


def two_kinds(count: int = 200, side: int = 8) -> np.ndarray:
    """Red images that are light above, with much fine detail, and blue ones that are light below, with little."""
    random = np.random.default_rng(0)
    ramp = np.linspace(0, 1, side)[:, None, None] * np.ones((1, side, 1))
    kinds = [ramp[::-1] * (200, 40, 40), ramp * (40, 40, 200)]
    detail = random.choice([-1, 1], (count, side, side, 1)) * np.resize([18, 6], count)[:, None, None, None]
    layout = np.stack([kinds[number % 2] * random.uniform(0.7, 1.1) for number in range(count)])
    return (layout + detail + 20).clip(0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, image in enumerate(two_kinds(60)):
        path = tmp_path / f'photos/{number % 2}/{number:03d}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return tmp_path / 'photos'


SMALL = ('--size', 8, '--dimensions', 3, '--gaussians', 2)


def test_images_of_a_folder_join_the_real_ones_without_a_class(
    generate: Generate, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / 'made/images.npz'
    text = generate(folder, out, '--count', 30, *SMALL)
    assert text.startswith(f'30 images in {out}, after ')
    with np.load(out) as found:
        assert found['images'].shape == (30, 8, 8, 3) and found['images'].dtype == np.uint8
        about = (
            'Generated from 60 images of photos: 3 principal components from 2 Gaussians, the rest from a real image'
        )
        assert str(found['about']) == f'{about}; 8 pixels, seed 0.' and about in text
    both = Concat([ImageFolder(folder), ArraySource(out)], [2, 1], size=8)
    assert both.labels.tolist() == [0] * 30 + [1] * 30 + [0] * 30 + [1] * 30 + [-1] * 30


def test_the_same_seed_gives_the_same_file_and_another_one_others(
    generate: Generate, folder: Path, tmp_path: Path
) -> None:
    made = []
    for number, seed in enumerate((0, 0, 1)):
        out = tmp_path / f'{number}.npz'
        generate(folder, out, '--count', 20, '--seed', seed, *SMALL)
        made.append(np.load(out)['images'])
    assert np.array_equal(made[0], made[1]) and not np.array_equal(made[0], made[2])


def test_it_learns_from_the_images_that_a_subset_of_a_config_has(generator: SimpleNamespace, folder: Path) -> None:
    pixels = generator.read_pixels(folder, 8, 20)
    part = Subset(ImageFolder(folder), num=20)
    assert all(np.array_equal(pixels[place], part.load(place).permute(1, 2, 0).numpy()) for place in range(20))
    assert generator.read_pixels(folder, 4, None).shape == (60, 4, 4, 3)


def test_generated_images_are_of_the_kinds_of_the_real_ones_and_no_copies(generator: SimpleNamespace) -> None:
    real = two_kinds().reshape(200, -1)
    made = generator.sample(generator.fit(real, 2, 2, 0), 400, 0)
    distances = np.linalg.norm(made[:, None].astype(float) - real, axis=2)
    assert distances.min() > 0
    layouts = made.reshape(400, 8, 8, 3).astype(float)
    red = layouts[..., 0].mean(axis=(1, 2)) > layouts[..., 2].mean(axis=(1, 2))
    assert 0.4 < red.mean() < 0.6
    above = layouts[:, :4].mean(axis=(1, 2, 3)) > layouts[:, 4:].mean(axis=(1, 2, 3))
    assert (above == red).mean() > 0.98
    detail = np.abs(np.diff(layouts, axis=2)).mean(axis=(1, 2, 3))  # layouts are the same along a row
    assert (detail > 12).mean() == pytest.approx(red.mean(), abs=0.02) and ((detail > 12) == red).mean() > 0.98
    for kind in (0, 1):
        own = real[kind::2].astype(float)
        found = made[red == (kind == 0)].astype(float)
        assert np.abs(found.mean(axis=0) - own.mean(axis=0)).mean() < 4
        assert found.std() == pytest.approx(own.std(), rel=0.1)


def test_fine_detail_is_that_of_a_real_image(generator: SimpleNamespace) -> None:
    real = two_kinds().reshape(200, -1)
    found = generator.fit(real, 2, 1, 0)
    made = generator.sample(found, 50, 0).astype(float)
    axis = found.components[0] / np.linalg.norm(found.components[0])
    rests = [rows - np.outer(rows @ axis, axis) for rows in (made, real.astype(float))]
    nearest = np.abs(rests[0][:, None] - rests[1]).mean(axis=2).min(axis=1)
    assert np.median(nearest) < 1  # rounding, and values cut off at 0 and 255


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (('--dimensions', 60), '60 dimensions, but 60 images of 192 values: .*--dimensions to 1 to 59'),
        (('--gaussians', 31), '31 Gaussians .*set --gaussians to 1 to 30'),
        (('--images', 61), '61 images asked for, but the source has 60'),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(
    options: tuple,
    sentence: str,
    generate: Generate,
    folder: Path,
    tmp_path: Path,
) -> None:
    text = generate(folder, tmp_path / 'made.npz', '--size', 8, *options)
    assert text.startswith('ValueError: ') and re.search(sentence, text)
    assert not (tmp_path / 'made.npz').exists()


MUTATIONS = [
    Mutation(
        'a generated image is a real one',
        'tools/dataset_tools/generate_images.py',
        'generator.pixels[real] + (places[part] - generator.places[real]) @ generator.components',
        'generator.pixels[real] + 0.0',
    ),
    Mutation(
        'the layout of one kind gets the detail of another',
        'tools/dataset_tools/generate_images.py',
        'kinds = mixture.predict(generator.places)[chosen]',
        'kinds = mixture.predict(generator.places)[chosen - 1]',
    ),
    Mutation(
        'a layout is drawn without its covariance',
        'tools/dataset_tools/generate_images.py',
        ' @ np.linalg.cholesky(covariance).T',
        '',
    ),
]
