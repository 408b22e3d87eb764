"""What the tests of the data layer share: a cache of their own, and images to look at."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('cache')))


@pytest.fixture
def make_images(tmp_path: Path) -> Callable[..., Path]:
    """Write small JPEG or PNG files by their names below a folder; each has a colour of its own."""

    def make(*names: str, folder: str = 'images', size: tuple[int, int] = (12, 10)) -> Path:
        root = tmp_path / folder
        for number, name in enumerate(names):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new('RGB', size, (number * 7 % 256, 100, 200)).save(path, 'PNG')
        return root

    return make


@pytest.fixture
def photo() -> Image.Image:
    """A colourful image, 60 wide and 45 high: blobs and noise."""
    generator = np.random.default_rng(3)
    blobs = Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((60, 45), Image.BICUBIC)
    noise = generator.integers(-20, 21, (45, 60, 3))
    return Image.fromarray((np.asarray(blobs).astype(int) + noise).clip(0, 255).astype(np.uint8))
