"""The configs and the code of docs/own_folder.md, taken from the page, work on a folder of images."""

import re
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmssl.engine import Runner
from tests.helpers.mutation import Mutation
from tests.training import ROOT, make_images

PAGE = (ROOT / 'docs' / 'own_folder.md').read_text()
CODE = re.findall(r'```python\n(.*?)```', PAGE, flags=re.DOTALL)


def gray_images(folder: Path, count: int = 200) -> Path:
    """Noise of one channel and 16 bits."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    for index in range(count):
        Image.fromarray(generator.integers(0, 65535, (24, 24), dtype=np.uint16)).save(folder / f'{index:03d}.png')
    return folder


def config_of_the_page(name: str, images: Path, work_dir: Path) -> Config:
    """A config of the page on these images, made small: one epoch of little views, loaded in this process."""
    text = next(code for code in CODE if code.startswith(f'# my_configs/{name}'))
    work_dir.mkdir()
    path = work_dir / name
    path.write_text(text.replace('path/to/images', str(images)))
    cfg = Config.fromfile(path)
    for view in cfg.train_dataloader.dataset.views['views']:
        view['size'] = 16
    cfg.train_dataloader.num_workers = 0
    cfg.train_cfg.max_epochs = 1
    cfg.work_dir = str(work_dir)
    return cfg


@pytest.mark.slow
def test_the_config_for_a_labelled_folder_trains_and_measures_accuracy(tmp_path: Path) -> None:
    cfg = config_of_the_page('images.py', make_images(tmp_path / 'images', 100), tmp_path / 'work')
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 3  # 100 images, 32 a batch
    assert len(runner.message_hub.get_scalar('val/knn_top1').data[0]) == 2  # before the first epoch and after it


@pytest.mark.slow
def test_the_config_for_one_channel_of_16_bits_trains(tmp_path: Path) -> None:
    cfg = config_of_the_page('gray16.py', gray_images(tmp_path / 'gray'), tmp_path / 'work')
    runner = Runner.from_cfg(cfg)
    assert next(iter(runner.train_dataloader))['inputs'][0].dtype.itemsize == 2
    runner.train()
    assert next(runner.algorithm.backbone.parameters()).shape[1] == 1


def test_the_code_for_mean_and_deviation_gives_them(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    images = gray_images(tmp_path / 'gray', 8)
    code = next(code for code in CODE if 'channel_statistics' in code)
    exec(code.replace('path/to/images', str(images)), {})
    pixels = np.concatenate([np.asarray(Image.open(path)).ravel() for path in sorted(images.iterdir())])
    shown = capsys.readouterr().out.partition('ChannelStatistics')[2]
    printed = [float(number) for number in re.findall(r'[\d.]+', shown)]
    np.testing.assert_allclose(printed, [pixels.mean(), pixels.std(), 8], rtol=1e-3)


MUTATIONS = [
    Mutation(
        'the page on own folders forgets one of the places where channels are said',
        'docs/own_folder.md',
        '    part.update(channels=1)\n',
        '',
    ),
]
