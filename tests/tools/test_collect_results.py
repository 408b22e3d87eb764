import json
import runpy
from pathlib import Path

import pytest

from tests.training import ROOT

table = runpy.run_path(str(ROOT / 'tools/analysis_tools/collect_results.py'))['table']


def run(folder: Path, **metrics: float) -> Path:
    """A run's work folder."""
    folder.mkdir()
    (folder / 'result.json').write_text(json.dumps({'metrics': metrics}))
    return folder


def test_seeds_become_one_row_with_mean_and_deviation(tmp_path):
    folders = [run(tmp_path / 'fcos_moco_0', AP=0.3, AP50=0.5), run(tmp_path / 'fcos_none_0', AP=0.2, AP50=0.4)]
    folders += [run(tmp_path / 'fcos_moco_1', AP=0.4, AP50=0.7)]
    assert table(folders, ['AP']).splitlines() == [
        '| run | seeds | AP |',
        '|---|---|---|',
        f'| {tmp_path}/fcos_moco | 2 | 0.350 ± 0.071 |',
        f'| {tmp_path}/fcos_none | 1 | 0.200 |',
    ]
    assert table(folders).splitlines()[2] == f'| {tmp_path}/fcos_moco | 2 | 0.350 ± 0.071 | 0.600 ± 0.141 |'


def test_what_is_not_there_is_named(tmp_path):
    folders = [run(tmp_path / 'a_0', AP=0.3), run(tmp_path / 'b_0', AP=0.3, mIoU=0.1)]
    with pytest.raises(SystemExit, match='Not every run has mIoU: choose --metrics from AP'):
        table(folders, ['mIoU'])
    (tmp_path / 'c_0').mkdir()
    with pytest.raises(SystemExit, match=r'c_0/result\.json: give work directories'):
        table([tmp_path / 'c_0'])
