"""Radiographs with findings, on tiny copies of the publishers' layouts, and the script that measures on them."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmssl.checkpoint import write_checkpoint
from mmssl.datasets import MURA, CheXpert, COVIDx, PaddedView, RSNAPneumonia
from mmssl.models import ResNet
from tests.helpers.mutation import Mutation
from tests.training import ROOT


def _image(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(value).integers(0, 40, (10, 14))
    Image.fromarray((noise + value % 200).astype(np.uint8)).save(path)


def chexpert(root: Path) -> Path:
    """The small release: tables with the name of the folder in each path."""
    for part, count in (('train', 24), ('valid', 12)):
        rows = ['Path,Sex,Age,No Finding,Cardiomegaly,Edema,Consolidation,Atelectasis,Pleural Effusion']
        for number in range(count):
            path = f'{part}/patient{number:05d}/study1/view1_frontal.jpg'
            _image(root / path, 150 * (number % 2))
            state = '1.0' if number % 2 else '0.0'
            rows.append(f'{root.name}/{path},Male,50,,{state},-1.0,,{state},{state}')
        (root / f'{part}.csv').write_text('\n'.join(rows))
    return root


def rsna(root: Path, ending: str = 'png') -> Path:
    """A row per box; a patient may have several."""
    rows = ['patientId,x,y,width,height,Target']
    for number in range(40):
        _image(root / f'stage_2_train_images/p{number:03d}.{ending}', 150 * (number % 2))
        rows += [f'p{number:03d},1,2,3,4,1'] * 2 if number % 2 else [f'p{number:03d},,,,,0']
    (root / 'stage_2_train_labels.csv').write_text('\n'.join(rows))
    return root


def mura(root: Path) -> Path:
    """Studies of two images; the folder says what is found."""
    for part, count in (('train', 12), ('valid', 6)):
        lines = []
        for number in range(count):
            state = 'positive' if number % 2 else 'negative'
            for image in (1, 2):
                path = f'{part}/XR_HAND/patient{number:05d}/study1_{state}/image{image}.png'
                _image(root / path, 150 * (number % 2))
                lines.append(f'MURA-v1.1/{path}')
        (root / f'{part}_image_paths.csv').write_text('\n'.join(lines) + '\n')
    return root


def covidx(root: Path) -> Path:
    """A line per image: patient, file, class, source."""
    for part, count in (('train', 18), ('test', 9)):
        lines = []
        for number in range(count):
            _image(root / part / f'{number}.jpg', 90 * (number % 3))
            lines.append(f'{number} {number}.jpg {("normal", "pneumonia", "COVID-19")[number % 3]} cohen')
        (root / f'{part}_split.txt').write_text('\n'.join(lines))
    return root


def test_chexpert_has_the_five_findings_and_uncertain_or_missing_ones_are_unknown(tmp_path):
    source = CheXpert(chexpert(tmp_path / 'CheXpert-v1.0-small'))
    assert source.findings == ('Atelectasis', 'Cardiomegaly', 'Consolidation', 'Edema', 'Pleural Effusion')
    assert source.targets[:2].tolist() == [[0, 0, -1, -1, 0], [1, 1, -1, -1, 1]] and len(source) == 24
    assert source.name(1) == 'train/patient00001/study1/view1_frontal.jpg' and source.load(1).shape == (1, 10, 14)
    assert source.labels is None and source.studies is None
    assert len(CheXpert(source.root, 'valid')) == 12


def test_rsna_has_one_label_per_patient_and_parts_without_a_patient_in_common(tmp_path):
    rsna(tmp_path)
    train, test = RSNAPneumonia(tmp_path), RSNAPneumonia(tmp_path, 'test')
    assert len(train) + len(test) == 40 and not set(train.paths) & set(test.paths) and 1 <= len(test) <= 14
    assert all(int(source.paths[place][-5]) % 2 == label for source in (train, test)
               for place, label in enumerate(source.labels.tolist()))  # fmt: skip
    assert train.classes == ['absent', 'present']


def test_rsna_as_dicom_is_refused_with_what_to_do(tmp_path):
    rsna(tmp_path)
    for path in (tmp_path / 'stage_2_train_images').iterdir():
        path.rename(path.with_suffix('.dcm'))
    with pytest.raises(ValueError, match='convert the .dcm files to .png first'):
        RSNAPneumonia(tmp_path)


def test_mura_has_the_study_of_each_image(tmp_path):
    source = MURA(mura(tmp_path), 'valid')
    assert source.labels.tolist() == [0, 0, 1, 1] * 3 and source.studies.tolist() == [
        0,
        0,
        1,
        1,
        2,
        2,
        3,
        3,
        4,
        4,
        5,
        5,
    ]
    assert source.name(0).startswith('valid/XR_HAND/')


def test_covidx_has_three_classes_that_exclude_each_other(tmp_path):
    source = COVIDx(covidx(tmp_path), 'test')
    assert source.labels.tolist() == [0, 1, 2] * 3 and source.classes == ['normal', 'pneumonia', 'COVID-19']
    assert source.targets[:2].tolist() == [[1, 0, 0], [0, 1, 0]] and source.name(0) == 'test/0.jpg'
    (tmp_path / 'train_split.txt').write_text('1 a.jpg unknown cohen')
    with pytest.raises(ValueError, match="'1 a.jpg unknown cohen' in the list of COVIDx is no patient, file and class"):
        COVIDx(tmp_path)


def test_a_folder_without_the_layout_an_unknown_part_and_missing_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r'There is no train.csv in .*: give the folder of CheXpert'):
        CheXpert(tmp_path)
    with pytest.raises(ValueError, match="part='test' of MURA: set it to 'train' or 'valid'"):
        MURA(tmp_path, 'test')
    (tmp_path / 'train_image_paths.csv').write_text('MURA-v1.1/train/x/study1_positive/a.png\n')
    with pytest.raises(ValueError, match='are not below'):
        MURA(tmp_path)


def test_black_borders_make_an_image_square():
    image = torch.full((1, 4, 8), 200, dtype=torch.uint8)
    (view,) = PaddedView(8)(image)
    assert view.shape == (1, 8, 8) and view.dtype == torch.uint8
    assert view[0, :, 0].tolist() == [0, 0, 200, 200, 200, 200, 0, 0]
    assert PaddedView(4)(image.to(torch.uint16).mT)[0].shape == (1, 4, 4)


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture) -> Callable[[str], str]:
    """Calls the script on a network with random weights; gives what it prints, or why it ends."""
    torch.manual_seed(0)
    weights = tmp_path / 'backbone.pth'
    write_checkpoint({'state_dict': ResNet(10, stem='small', base_channels=8).state_dict()}, weights)
    words = ['--size', '16', '--shares', '0.5', '1', '--draws', '2']

    def call(data: str) -> str:
        monkeypatch.setattr(sys, 'argv', ['radiographs.py', str(weights), '--data', data, *words])
        try:
            runpy.run_path(str(ROOT / 'tools/benchmarks/radiographs.py'), run_name='__main__')
        except SystemExit as end:
            return str(end.code)
        return capsys.readouterr().out

    return call


@pytest.mark.parametrize(
    ('name', 'make', 'kind'),
    [('chexpert', chexpert, 'AUROC'), ('rsna', rsna, 'AUROC'), ('mura', mura, 'AUROC'), ('covidx', covidx, 'accuracy')],
)
def test_the_script_measures_each_layout_at_each_share(name, make, kind, measure, tmp_path):
    printed = measure(f'{name}:{make(tmp_path / "data")}')
    rows = [line.split() for line in printed.splitlines() if line.strip().startswith(kind) and '%' in line]
    assert [row[1] for row in rows[:2]] == ['50%', '100%'], printed
    assert float(rows[1][-1]) > 90, 'bright and dark images are told apart'


def test_the_script_refuses_an_unknown_layout(measure):
    assert measure('mimic:data') == '--data mimic:data: write LAYOUT:FOLDER with one of chexpert, rsna, mura, covidx.'


MUTATIONS = [
    Mutation(
        'an uncertain finding counts as present',
        'mmssl/datasets/radiographs.py',
        "states = {'1': 1, '0': 0}",
        "states = {'1': 1, '0': 0, '-1': 1}",
    ),
    Mutation(
        'the parts of RSNA share their patients',
        'mmssl/datasets/radiographs.py',
        "if self._is_test(name) == (self.part == 'test')",
        "if self._is_test(name) or self.part == 'train'",
    ),
]
