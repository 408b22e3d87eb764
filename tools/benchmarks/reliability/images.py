"""Damage images at random, and train on them: tools/benchmarks/reliability/images.py [--images 1000] [--seed 0].

Small images of ten kinds are damaged: bits are flipped, parts are cut, doubled, exchanged or set to zero. Each is read
on its own, and then a training of 20 steps draws each once, among as many sound ones. The table says what became of
them; the exit status is 1 if anything crashed, waited, took more than 1 GB, or was replaced without its name in the
log. The same seed damages the same bytes.
"""

import argparse
import io
import resource
import signal
import sys
import tempfile
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from PIL import Image

from mmssl.command_line import one_sentence
from mmssl.datasets import UnreadableImageError, read_image, verify_images
from mmssl.datasets.images import watch_warnings

KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {  # mode, format and options by suffix
    'jpg': ('RGB', 'JPEG', {'quality': 90}),
    'progressive.jpg': ('RGB', 'JPEG', {'quality': 90, 'progressive': True}),
    'png': ('RGB', 'PNG', {}),
    'palette.png': ('P', 'PNG', {}),
    'gray16.png': ('I;16', 'PNG', {}),
    'tif': ('RGB', 'TIFF', {'compression': 'tiff_lzw'}),
    'gif': ('P', 'GIF', {}),
    'bmp': ('RGB', 'BMP', {}),
    'webp': ('RGB', 'WEBP', {}),
    'ppm': ('RGB', 'PPM', {}),
}
SIDE = 48
PATIENCE = 20  # seconds for one file
GIGABYTE = 2**20  # in the unit of ru_maxrss
REPLACED, SAME, WARNED, SILENT = 'unreadable, named', 'as before', 'other content, warned of', 'other content, no sign'
FOUND = 'other content, found by verify_images'
BAD = 'crash'


class Waited(BaseException):
    """A file was not read in time; no Exception, so that nothing takes it for an unreadable file."""


def encode(rng: np.random.Generator, kind: str) -> bytes:
    """A sound image file: blobs and noise."""
    mode, form, options = KINDS[kind]
    blobs = np.kron(rng.integers(0, 256, (6, 6, 3)), np.ones((8, 8, 1))) + rng.normal(0, 8, (SIDE, SIDE, 3))
    image = Image.fromarray(blobs.clip(0, 255).astype(np.uint8))
    if mode == 'I;16':
        image = Image.fromarray(np.asarray(image.convert('L')).astype(np.uint16) * 257)
    file = io.BytesIO()
    (image if mode == 'I;16' else image.convert(mode)).save(file, form, **options)
    return file.getvalue()


def damage(rng: np.random.Generator, content: bytes) -> bytes:
    """Damage a file in one of six ways; every second time in its first 64 bytes, where sizes stand."""
    length = len(content)
    start = int(rng.integers(min(64, length) if rng.random() < 0.5 else length))
    end = min(start + int(rng.integers(1, 65)), length)
    part, noise = content[start:end], rng.bytes(end - start)
    ways = (
        lambda: content[:start] + bytes([content[start] ^ 1 << int(rng.integers(8))]) + content[start + 1 :],
        lambda: content[:start],
        lambda: content[:start] + content[end:],
        lambda: content[:end] + part + content[end:],
        lambda: content[:start] + noise + content[end:],
        lambda: content[:start] + bytes(len(part)) + content[end:],
    )
    return ways[int(rng.integers(len(ways)))]()


def write_images(folder: Path, count: int, seed: int) -> dict[Path, bytes]:
    """Write sound images and as many damaged ones; return the damaged files with their sound content."""
    rng, damaged = np.random.default_rng(seed), {}
    folder.mkdir(parents=True)
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        sound, path = encode(rng, kind), folder / f'{number:04}.{kind}'
        path.write_bytes(damage(rng, sound))
        damaged[path] = sound
        (folder / f'{number:04}.sound.png').write_bytes(encode(rng, 'png'))
    return damaged


def read_one(path: Path, sound: bytes) -> str:
    """Read a damaged file, and say what became of it."""
    expected = path.with_name('expected')
    expected.write_bytes(sound)
    signal.alarm(PATIENCE)
    try:
        with watch_warnings() as warned:
            image = read_image(path)
    except UnreadableImageError as error:
        return REPLACED if path.name in str(error) else f'{BAD}: no name in {error}'
    except (Exception, Waited) as error:  # what must not happen, which the table shows
        return f'{BAD}: {type(error).__name__}: {error}'
    finally:
        signal.alarm(0)
        whole = read_image(expected)
        expected.unlink()
    if warned:
        return WARNED
    return SAME if image.shape == whole.shape and bool((image == whole).all()) else SILENT


def config_of(folder: Path, steps: int) -> Config:
    """SimCLR on a small network; one epoch draws every image once."""
    from mmssl.command_line import read_config

    words = argparse.Namespace(config='simclr_resnet10_1xb256_cpu_2e_cifar10', cfg_options=None, work_dir=None)
    words.launcher, words.local_rank = 'none', 0
    cfg = read_config(words)
    cfg.train_dataloader.dataset.source = {'type': 'ImageFolder', 'root': str(folder), 'labels': False}
    cfg.train_dataloader.update(batch_size=len(list(folder.iterdir())) // steps, num_workers=0)
    cfg.pop('evaluation', None)
    cfg.custom_hooks = []
    cfg.train_cfg.update(max_epochs=1, max_unreadable=1.0)
    return cfg


def train(folder: Path, work_dir: Path, steps: int) -> str:
    """Train; return what the log says."""
    from mmssl.engine import Runner

    cfg = config_of(folder, steps)
    cfg.work_dir, cfg.experiment_name = str(work_dir), f'damaged_images_{work_dir.name}'
    with redirect_stdout(io.StringIO()):
        runner = Runner.from_cfg(cfg)
        runner.train()
    return '\n'.join(path.read_text() for path in work_dir.rglob('*.log'))


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Damage images at random, and train on them.')
    parser.add_argument('--images', type=int, default=1000, help='damaged images (default: 1000)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the damage (default: 0)')
    parser.add_argument('--steps', type=int, default=20, help='steps of the training (default: 20)')
    return parser.parse_args()


def main() -> None:
    """Damage, read, train, and print the table."""
    args = parse_args()

    def wait_no_longer(*_: Any) -> None:
        raise Waited(f'{PATIENCE} s were not enough')

    signal.signal(signal.SIGALRM, wait_no_longer)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / 'images'
        damaged = write_images(folder, args.images, args.seed)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        fates = {path: read_one(path, sound) for path, sound in damaged.items()}
        strict = verify_images({'type': 'ImageFolder', 'root': str(folder), 'labels': False})
        fates |= {path: FOUND for path, fate in fates.items() if fate == SILENT and path.name in strict}
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / GIGABYTE
        log = train(folder, Path(place) / 'run', args.steps)
    lost = [path.name for path, fate in fates.items() if fate == REPLACED and f'{path.name} cannot be read' not in log]
    for fate, count in Counter(fates.values()).most_common():
        print(f'{count:6}  {fate}')
    print(f'memory: at most {grown:.2f} GB more; {args.steps} steps; replaced without a name: {lost or "none"}')
    if lost or grown > 1 or any(fate.startswith(BAD) for fate in fates.values()):
        sys.exit(1)


if __name__ == '__main__':
    with one_sentence():
        main()
