"""``mmssl similarity``: from weights and a file of pairs to a table, a JSON file and a page."""

import re

import pytest
import torch
from mmengine.config import Config

from mmssl.commands import main
from mmssl.datasets import SyllablePairs
from mmssl.evaluation import read_results
from mmssl.registry import MODELS
from tests.training import ROOT

CONFIG = ROOT / 'configs/pixel_linguist/pixel_linguist_vit_1xb64_cpu_8e_syllables.py'


@pytest.fixture
def files(tmp_path):
    """Weights of an untrained network, and pairs whose columns have other names than the command expects."""
    pytest.importorskip('timm')
    torch.save(MODELS.build(Config.fromfile(CONFIG).model).state_dict(), tmp_path / 'weights.pth')
    pairs = SyllablePairs(20)
    lines = [f'{score:g},{first},{second}' for (first, second), score in zip(pairs.pairs, pairs.scores)]
    (tmp_path / 'dev.csv').write_text('\n'.join(['gold,one,other', *lines]))
    return tmp_path


def _call(folder, *options):
    words = ['similarity', str(folder / 'weights.pth'), '--config', str(CONFIG), '--work-dir', str(folder / 'out')]
    main([*words, '--data', str(folder / 'dev.csv'), *options])


def test_pairs_of_a_file_are_measured_and_shown(files, capsys):
    _call(files, '--columns', 'one', 'other', '--score', 'gold')
    assert 'cosine of two embeddings with the score, 20 pairs.' in capsys.readouterr().out
    results = read_results(files / 'out/similarity.json')
    assert [result.name for result in results] == ['pixels', 'untrained', 'pre-trained']
    page = (files / 'out/similarity.html').read_text()
    assert len(re.findall('<img ', page)) == 12 and 'score 0' in page


def test_a_file_without_the_columns_is_refused_in_a_sentence(files):
    with pytest.raises(SystemExit, match="has the columns gold, one, other, but 'sentence1' is needed"):
        _call(files)
