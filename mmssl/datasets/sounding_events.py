"""Made-up sequences of image and sound features, with events that can be heard."""

import numpy as np
import torch
from torch import Tensor

from mmssl.datasets.feature_sequences import FeatureSequence
from mmssl.datasets.sequences import SequenceSource
from mmssl.functional import hash_seed
from mmssl.ranges import COUNT, INDEX, check_numbers
from mmssl.registry import DATASETS

_KINDS, _SLOT = 8, 6  # kinds of events, and of silent changes; steps between two that may start
_STRENGTH, _LOUDNESS = 1.5, 3.0  # of a change, where a background has a length of about 1; of a burst in its bands
_PLACE, _DRIFT, _JITTER, _HISS = 0.5, 0.05, 0.2, 0.2  # of a video; of a step; noise of images and of sound


@DATASETS.register_module()
class SoundingEvents(SequenceSource):
    """Made-up sequences for short trials: events that can be heard, and others as striking to the eye that cannot.

    The image features of a video move slowly around a place of its own. In an event, one or two per video, they turn
    for some steps to one of eight directions, and a sound of that kind bursts. In a silent change, two or three per
    video, they turn to one of eight others. Every step has the same length, so that no norm tells an event. The events
    are the highlights, the first one's kind is the class. The same number always gives the same video.

    Args:
        count: Number of videos, at least 1.
        steps: Steps of a video, at least 1.
        channels: Features of an image, at least 1.
        bands: Features of a sound, at least 1.
        skip: Number of videos at the start to leave to another part, at least 0.

    Attributes:
        labels: Class of each video, int64, shape ``(count,)``.

    Source: ours.
    """

    labels: Tensor
    classes: list[str]
    fingerprint: str

    def __init__(self, count: int, steps: int = 32, channels: int = 32, bands: int = 16, skip: int = 0) -> None:
        check_numbers(COUNT, count=count, steps=steps, channels=channels, bands=bands)
        check_numbers(INDEX, skip=skip)
        self.count, self.steps, self.channels, self.bands, self.skip = count, steps, channels, bands, skip
        generator = np.random.default_rng(hash_seed(channels, bands))
        self._looks = _unit_rows(generator.normal(size=(2 * _KINDS, channels)))
        self._scene = generator.normal(size=channels)
        self._sounds = _LOUDNESS * (generator.uniform(size=(_KINDS, bands)) < 0.25)
        self.classes = [f'event {kind}' for kind in range(_KINDS)]
        self.labels = torch.tensor([self._kinds(index)[0] for index in range(count)])
        self.fingerprint = f'sounding events {count} {steps} {channels} {bands} {skip}'

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        """Number of a video."""
        return f'video {index + self.skip}'

    def sequence(self, index: int) -> FeatureSequence:
        """Make a sequence."""
        generator = np.random.default_rng(hash_seed(index + self.skip))
        visual, audio = self._background(generator)
        truth = np.zeros(self.steps, bool)
        kinds = self._kinds(index)
        changes = [*kinds, *(kind + _KINDS for kind in generator.integers(_KINDS, size=generator.integers(2, 4)))]
        places = generator.permutation(self.steps // _SLOT)[: len(changes)] * _SLOT
        for kind, place in zip(changes, places):
            span = slice(place, place + int(generator.integers(3, _SLOT - 1)))
            visual[span] += _STRENGTH * self._looks[kind]
            if kind < _KINDS:
                audio[span] += self._sounds[kind]
                truth[span] = True
        visual, audio = _unit_rows(visual), audio / np.sqrt(self.bands)
        seen, heard = (torch.from_numpy(part.astype(np.float32)) for part in (visual, audio))
        return FeatureSequence(seen, heard, torch.from_numpy(truth))

    def _kinds(self, index: int) -> list[int]:
        generator = np.random.default_rng(hash_seed(index + self.skip, 1))
        return generator.integers(_KINDS, size=generator.integers(1, 3)).tolist()

    def _background(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Image features that move slowly, ``(T, D)`` of about unit length, and faint noise as sound, ``(T, A)``."""
        drift = generator.normal(size=(self.steps, self.channels)).cumsum(axis=0) * _DRIFT
        jitter = generator.normal(size=drift.shape) * _JITTER
        place = self._scene + _PLACE * generator.normal(size=self.channels)
        visual = (place + drift + jitter) / np.sqrt(self.channels)
        return visual, generator.normal(size=(self.steps, self.bands)) * _HISS


def _unit_rows(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
