"""Radiographs with findings, by the layouts of their publishers: CheXpert, RSNA Pneumonia, COVIDx and MURA."""

import csv
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmssl.datasets.images import EXTENSIONS, read_image
from mmssl.datasets.sources import ImageSource, hash_arrays
from mmssl.functional import hash_seed
from mmssl.registry import DATASETS

UNKNOWN = -1
_RSNA_TEST = 15  # percent of the patients


class Finding(NamedTuple):
    """An image with what is known of it.

    Attributes:
        path: Path relative to the root.
        targets: 1 for a finding that is present, 0 for absent, -1 for unknown.
        study: Name of the study, which may hold several images.
    """

    path: str
    targets: list[int]
    study: str = ''


class Radiographs(ImageSource):
    """Base class of radiographs with findings.

    If there is a single finding, it is also the label of an image, and ``classes`` are "absent" and "present".

    Args:
        root: Folder of the data set.
        part: Name of a part.

    Attributes:
        findings: Names of the findings.
        targets: 1 for present, 0 for absent, -1 for unknown; int64, shape ``(N, F)``.
        studies: Number of the study of each image, int64, shape ``(N,)``; None if each image stands alone.

    Raises:
        ValueError: Unknown part, or a file or all images are missing.
    """

    findings: tuple[str, ...]
    parts: tuple[str, ...] = ('train', 'test')
    labels: Tensor | None = None
    classes: list[str] | None = None

    def __init__(self, root: str | Path, part: str = 'train') -> None:
        if part not in self.parts:
            raise ValueError(f'part={part!r} of {type(self).__name__}: set it to {" or ".join(map(repr, self.parts))}.')
        self.root, self.part = Path(root), part
        entries = self._entries()
        if not entries:
            raise ValueError(f'{root} lists no images of the part {part!r}: give the folder as it was published.')
        self.paths = [entry.path for entry in entries]
        self.targets = torch.tensor([entry.targets for entry in entries])
        studies = [entry.study for entry in entries]
        numbers = {name: place for place, name in enumerate(sorted(set(studies)))}
        self.studies = torch.tensor([numbers[name] for name in studies]) if any(studies) else None
        if len(self.findings) == 1:
            self.labels, self.classes = self.targets[:, 0], ['absent', 'present']
        if not any(self.path(place).is_file() for place in (0, len(self) // 2, len(self) - 1)):
            raise ValueError(
                f'{self.paths[0]} and others are not below {root}: give the folder that holds them as root.'
            )

    @abstractmethod
    def _entries(self) -> list[Finding]:
        """List the images of the part."""

    def _rows(self, file: str) -> list[dict[str, str]]:
        """Rows of a table of the root."""
        return list(csv.DictReader(self._lines(file)))

    def _lines(self, file: str) -> list[str]:
        if not (self.root / file).is_file():
            raise ValueError(
                f'There is no {file} in {self.root}: give the folder of {type(self).__name__} as it was published.'
            )
        return (self.root / file).read_text('utf-8-sig').splitlines()

    def _below(self, path: str) -> str:
        """Path below the root; the tables of CheXpert and MURA begin paths with the name of the folder."""
        return path if (self.root / path).exists() else path.partition('/')[2] or path

    def __len__(self) -> int:
        return len(self.paths)

    def load(self, index: int) -> Tensor:
        """Decode an image, uint8 or uint16, shape ``(C, H, W)``; see :func:`~mmssl.datasets.images.read_image`."""
        return read_image(self.path(index))

    def path(self, index: int) -> Path:
        """File of an image."""
        return self.root / self.paths[index]

    def name(self, index: int) -> str:
        """Path relative to the root."""
        return self.paths[index]

    @property
    def fingerprint(self) -> str:
        """Hash of paths and targets; not of the pixels."""
        return hash_arrays(np.frombuffer('\n'.join(self.paths).encode(), np.uint8), self.targets)


@DATASETS.register_module()
class CheXpert(Radiographs):
    """CheXpert: ``train.csv`` and ``valid.csv``, the five findings of its competition, frontal and lateral views.

    Uncertain findings and those that a report does not mention are unknown, which is our choice; the paper of ConVIRT
    does not say.
    """

    findings = ('Atelectasis', 'Cardiomegaly', 'Consolidation', 'Edema', 'Pleural Effusion')
    parts = ('train', 'valid')

    def _entries(self) -> list[Finding]:
        states = {'1': 1, '0': 0}
        return [
            Finding(
                self._below(row['Path']),
                [states.get(row[name].partition('.')[0], UNKNOWN) for name in self.findings],
            )
            for row in self._rows(f'{self.part}.csv')
        ]


@DATASETS.register_module()
class RSNAPneumonia(Radiographs):
    """RSNA's pneumonia challenge: ``stage_2_train_labels.csv`` and ``stage_2_train_images``, converted from DICOM.

    Its test images have no public labels, so 15 % of the patients are the part ``test``, by a hash of their names: our
    split, not that of the paper of ConVIRT.

    Raises:
        ValueError: The images are still DICOM files.
    """

    findings = ('pneumonia',)

    def _entries(self) -> list[Finding]:
        states: dict[str, int] = {}  # a patient with several boxes has several rows
        for row in self._rows('stage_2_train_labels.csv'):
            states[row['patientId']] = max(states.get(row['patientId'], 0), int(row['Target']))
        chosen = [name for name in sorted(states) if self._is_test(name) == (self.part == 'test')]
        folder = self.root / 'stage_2_train_images'
        ending = next((suffix for suffix in EXTENSIONS if any(folder.glob(f'*{suffix}'))), None)
        if ending is None:
            raise ValueError(
                f'There are no images ({", ".join(EXTENSIONS)}) in {folder}: convert the .dcm files to .png first, for '
                'example with pydicom, and keep their names.'
            )
        return [Finding(f'{folder.name}/{name}{ending}', [states[name]]) for name in chosen]

    @staticmethod
    def _is_test(patient: str) -> bool:
        return hash_seed(*patient.encode()) % 100 < _RSNA_TEST


@DATASETS.register_module()
class MURA(Radiographs):
    """MURA: ``train_image_paths.csv`` and ``valid_image_paths.csv``.

    A study has several images, and is abnormal or not.
    """

    findings = ('abnormality',)
    parts = ('train', 'valid')

    def _entries(self) -> list[Finding]:
        paths = [line.strip() for line in self._lines(f'{self.part}_image_paths.csv') if line.strip()]
        studies = [path.rpartition('/')[0] for path in paths]
        return [
            Finding(self._below(path), [int(study.endswith('positive'))], study) for path, study in zip(paths, studies)
        ]


@DATASETS.register_module()
class COVIDx(Radiographs):
    """COVIDx: lists of patient, file, class and source in ``train_COVIDx*.txt`` or ``train_split.txt``, three classes.

    The classes are exclusive: they are the labels, and each of them is a finding.
    """

    findings = ('normal', 'pneumonia', 'COVID-19')

    def __init__(self, root: str | Path, part: str = 'train') -> None:
        super().__init__(root, part)
        self.labels, self.classes = self.targets.argmax(dim=1), list(self.findings)

    def _entries(self) -> list[Finding]:
        files = sorted(path.name for path in self.root.glob(f'{self.part}_*.txt'))
        lines = [line.split() for line in self._lines(files[0] if files else f'{self.part}_split.txt') if line.strip()]
        if odd := [words for words in lines if len(words) < 3 or words[2].lower() not in _lower(self.findings)]:
            raise ValueError(
                f'{" ".join(odd[0])!r} in the list of COVIDx is no patient, file and class: give the lists with the '
                f'classes {", ".join(self.findings)}.'
            )
        places = [_lower(self.findings).index(words[2].lower()) for words in lines]
        return [
            Finding(f'{self.part}/{words[1]}', [int(place == own) for own in range(len(self.findings))])
            for words, place in zip(lines, places)
        ]


def _lower(names: Sequence[str]) -> list[str]:
    return [name.lower() for name in names]
