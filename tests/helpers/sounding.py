"""Short videos with a sound track, made by PyAV."""

from pathlib import Path

import numpy as np


def write_sounding(
    path: Path, seconds: float, loud: tuple[float, float] | None, late: float = 0.0, rate: int = 16_000, fps: int = 10
) -> Path:
    """Grey images of 32 pixels that are white while a tone is loud; without ``loud``, no sound track."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    begin, end = loud or (0, 0)
    with av.open(str(path), 'w') as container:
        images = container.add_stream('mpeg4', rate=fps)
        images.width = images.height = 32
        images.pix_fmt = 'yuv420p'
        sound = None if loud is None else container.add_stream('pcm_s16le', rate=rate, layout='stereo')
        for number in range(round(seconds * fps)):
            level = 230 if begin <= number / fps - late < end else 60
            noise = np.random.default_rng(number).integers(0, 25, (32, 32, 3))
            frame = av.VideoFrame.from_ndarray((level + noise).astype(np.uint8), format='rgb24')
            container.mux(images.encode(frame))
        container.mux(images.encode())
        if sound is not None:
            _write_tone(container, sound, seconds - late, (begin, end), late, rate)
    return path


def _write_tone(container, sound, seconds, loud, late, rate) -> None:
    import av

    time = np.arange(round(seconds * rate)) / rate
    tone = np.where((time >= loud[0]) & (time < loud[1]), np.sin(2 * np.pi * 700 * time), 0) * 30_000
    for start in range(0, len(tone), 1024):
        part = np.repeat(tone[start : start + 1024].astype(np.int16), 2)[None]
        frame = av.AudioFrame.from_ndarray(part, format='s16', layout='stereo')
        frame.sample_rate, frame.pts = rate, start + round(late * rate)
        container.mux(sound.encode(frame))
    container.mux(sound.encode())
