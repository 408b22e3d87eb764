"""Damaged images: the campaign in its short form, and strict decoding."""

import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmssl.datasets import ImageFolder, read_image, verify_images
from tests.helpers.mutation import Mutation
from tests.training import ROOT


def call(tool: str, *words: object, patch: pytest.MonkeyPatch) -> None:
    patch.setattr('sys.argv', [tool, *map(str, words)])
    runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')


def test_a_training_survives_damaged_images_and_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('MMSSL_CACHE', str(tmp_path / 'cache'))
    call('benchmarks/reliability/images.py', '--images', 60, '--steps', 4, patch=monkeypatch)
    table = capsys.readouterr().out
    assert 'unreadable, named' in table and 'crash' not in table
    assert '4 steps; replaced without a name: none' in table


def write(path: Path, change: Callable[[bytearray], object] = lambda _: None) -> Path:
    """Write an image of noise, then change its bytes."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, quality=90)
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)
    return path


def flipped(content: bytearray) -> None:
    """Change the checksum of a PNG file's pixels."""
    content[content.index(b'IEND') - 6] ^= 1


def test_damage_that_the_training_does_not_notice_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv('MMSSL_CACHE', str(tmp_path / 'cache'))
    folder = tmp_path / 'images'
    folder.mkdir()
    for name in ('sound.png', 'sound.jpg', 'sound.webp'):
        write(folder / name)
    write(folder / 'checksum.png', flipped)
    write(folder / 'extra.jpg', lambda content: content.insert(content.index(b'\xff\xda'), 7))
    write(folder / 'half.bmp', lambda content: content.__delitem__(slice(900, None)))
    for name in ('checksum.png', 'extra.jpg'):
        read_image(folder / name)
    found = verify_images(ImageFolder(folder), num_workers=1)
    assert sorted(found) == ['checksum.png', 'extra.jpg', 'half.bmp']
    assert 'extraneous bytes' in found['extra.jpg'] and 'half.bmp cannot be read' in found['half.bmp']
    with pytest.raises(SystemExit, match='1'):
        call('dataset_tools/verify_images.py', folder, patch=monkeypatch)
    assert '3 of 6 images are damaged.' in capsys.readouterr().out


MUTATIONS = [
    Mutation(
        'checksums of PNG files are not compared',
        'mmssl/datasets/verification.py',
        "            if kind == 'PNG':\n",
        '            if False:\n',
    ),
    Mutation(
        'errors of decoders end the training',
        'mmssl/datasets/images.py',
        '    except Exception as error:  # decoders raise anything over a damaged file\n        raise Unread',
        '    except ZeroDivisionError as error:\n        raise Unread',
    ),
]
