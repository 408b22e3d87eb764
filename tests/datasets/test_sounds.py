"""Sound tracks of videos and their features: decoded at the time of the images, averaged over steps."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmssl.datasets import UnreadableImageError, log_mel, read_sound
from mmssl.datasets.sounds import SAMPLES
from tests.helpers.mutation import Mutation
from tests.helpers.sounding import write_sounding


def level(sound: np.ndarray, start: float, end: float) -> float:
    return float(np.abs(sound[int(start * SAMPLES) : int(end * SAMPLES)]).mean())


@pytest.mark.parametrize('rate', [16_000, 44_100])
def test_sound_is_mixed_to_one_channel_at_the_time_of_the_images(rate: int, tmp_path: Path) -> None:
    pytest.importorskip('av')
    path = write_sounding(tmp_path / 'a.mkv', seconds=3, loud=(1, 2), rate=rate)
    sound = read_sound(path)
    assert sound.dtype == np.float32 and len(sound) == pytest.approx(3 * SAMPLES, abs=SAMPLES // 10)
    assert level(sound, 1.1, 1.9) > 0.3 and level(sound, 0.1, 0.9) < 0.01 > level(sound, 2.1, 2.9)


def test_sound_that_starts_late_is_moved(tmp_path: Path) -> None:
    pytest.importorskip('av')
    path = write_sounding(tmp_path / 'a.mkv', seconds=2, loud=(0, 1), late=1.0)
    sound = read_sound(path)
    assert level(sound, 1.1, 1.9) > 0.3 > 0.01 > level(sound, 0.1, 0.9)


def test_a_video_without_a_sound_track_has_none_and_a_broken_one_is_named(tmp_path: Path) -> None:
    pytest.importorskip('av')
    assert read_sound(write_sounding(tmp_path / 'mute.mkv', seconds=1, loud=None)) is None
    (tmp_path / 'broken.mp4').write_bytes(b'no video')
    with pytest.raises(UnreadableImageError, match='broken.mp4 cannot be read'):
        read_sound(tmp_path / 'broken.mp4')


def test_features_are_those_of_the_steps_of_the_sound() -> None:
    pytest.importorskip('kaldi_native_fbank')
    time = np.arange(3 * SAMPLES) / SAMPLES
    sound = np.where((time >= 1) & (time < 2), np.sin(2 * np.pi * 1000 * time), 0)
    features = log_mel(sound, 6, 2) * 8
    assert features.shape == (6, 64) and features.dtype == torch.float32
    assert features.amax(dim=1).argsort()[-2:].sort().values.tolist() == [2, 3]
    assert features[[0, 5]].max() < -2 and 1 < features[2].max() < 3
    higher = log_mel(np.sin(2 * np.pi * 4000 * time), 6, 2)
    assert higher[2].argmax() > features[2].argmax() + 10


def test_sound_that_ends_early_is_silence_and_what_is_too_long_is_cut() -> None:
    pytest.importorskip('kaldi_native_fbank')
    sound = np.random.default_rng(0).uniform(-1, 1, SAMPLES)
    features = log_mel(sound, 4, 2) * 8
    assert features[:2].mean() > 0 and features[3].max() < -2
    assert log_mel(sound, 1, 2).shape == (1, 64)
    assert torch.equal(log_mel(np.empty(0), 3, 7)[1] * 8, features[3])
    with pytest.raises(ValueError, match='200 steps per second.*100 features per second'):
        log_mel(sound, 4, 200)


MUTATIONS = [
    Mutation(
        'sound that starts late is not moved',
        'mmssl/datasets/sounds.py',
        'if late > 0 else sound[-late:]',
        'if False else sound',
    ),
    Mutation(
        'features of a step are summed',
        'mmssl/datasets/sounds.py',
        'means = sums / np.bincount(numbers, minlength=steps)[:, None]',
        'means = sums',
    ),
    Mutation('features have random noise', 'mmssl/datasets/sounds.py', 'SAMPLES, 0, False', 'SAMPLES, 1, False'),
]
