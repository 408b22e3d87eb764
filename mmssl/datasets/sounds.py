"""The sound track of a video, and its log-mel features per step."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmssl.datasets.videos import opened
from mmssl.dependencies import require

SAMPLES = 16_000  # of sound per second
_FRAMES = 100  # of log-mel features per second
_MIDDLE, _SPREAD = -5.0, 5.0  # of log-mel features of sound from -1 to 1, which are about -16 (silence) to 7


def read_sound(path: str | Path) -> np.ndarray | None:
    """Decode the sound of a video file with FFmpeg (PyAV), mixed to one channel, from the time of the first image on.

    Args:
        path: A file that FFmpeg reads.

    Returns:
        16,000 samples per second, float32, from -1 to 1, shape ``(N,)``; None if there is no sound track.

    Raises:
        UnreadableImageError: The file cannot be read, or holds no images.
        ImportError: PyAV is not installed.
    """
    with opened(Path(path)) as (container, images):
        if not container.streams.audio:
            return None
        resampler = require('av').AudioResampler(format='flt', layout='mono', rate=SAMPLES)
        parts: list[np.ndarray] = []
        start = None
        for frame in container.decode(container.streams.audio[0]):
            start = _seconds(frame) if start is None else start
            parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
        parts += [part.to_ndarray()[0] for part in resampler.resample(None)]
        sound = np.concatenate(parts) if parts else np.empty(0, np.float32)
        first = float((images.start_time or 0) * images.time_base)
    return _moved(sound, round(((start or 0.0) - first) * SAMPLES))


def _seconds(frame: Any) -> float:
    return float(frame.pts * frame.time_base) if frame.pts is not None else 0.0


def _moved(sound: np.ndarray, late: int) -> np.ndarray:
    """Add silence before sound that starts late, or cut what lies before the first image."""
    return np.concatenate([np.zeros(late, np.float32), sound]) if late > 0 else sound[-late:]


def log_mel(sound: np.ndarray, steps: int, rate: float, bands: int = 64) -> Tensor:
    """Log-mel features of sound, averaged over each step; needs kaldi-native-fbank (the extra ``video``).

    Windows of 25 ms every 10 ms, Kaldi's filters. The features of a step are scaled to a length of about 1: all bands
    together, silence has -2.2 and the loudest sound 2.4.

    Args:
        sound: 16,000 samples per second, from -1 to 1, shape ``(N,)``. Missing sound at the end is silence.
        steps: Number of steps.
        rate: Steps per second, at most 100.
        bands: Number of mel bands.

    Returns:
        float32, shape ``(steps, bands)``.

    Raises:
        ValueError: ``rate`` is above 100.
        ImportError: kaldi-native-fbank is not installed.
    """
    if rate > _FRAMES:
        raise ValueError(f'{rate:g} steps per second, but sound has {_FRAMES} features per second: give at most that.')
    samples = round(steps / rate * SAMPLES)
    sound = np.pad(sound[:samples], (0, max(samples - len(sound), 0))).astype(np.float32)
    frames = _filtered(sound, bands)
    numbers = np.minimum((np.arange(len(frames)) / _FRAMES * rate + 1e-6).astype(np.int64), steps - 1)
    sums = np.zeros((steps, bands))
    np.add.at(sums, numbers, frames)
    means = sums / np.bincount(numbers, minlength=steps)[:, None]
    return torch.from_numpy(((means - _MIDDLE) / _SPREAD / bands**0.5).astype(np.float32))


def _filtered(sound: np.ndarray, bands: int) -> np.ndarray:
    """Log-mel features of every 10 ms, ``(N, bands)``, by Kaldi's filter bank without its random noise."""
    library = require('kaldi_native_fbank')
    options = library.FbankOptions()
    options.frame_opts.samp_freq, options.frame_opts.dither, options.frame_opts.snip_edges = SAMPLES, 0, False
    options.mel_opts.num_bins = bands
    bank = library.OnlineFbank(options)
    bank.accept_waveform(SAMPLES, sound)
    bank.input_finished()
    return np.stack([bank.get_frame(place) for place in range(bank.num_frames_ready)])
