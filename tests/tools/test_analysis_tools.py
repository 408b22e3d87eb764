"""The tools that look at runs and at features, on trainings of seconds."""

import json
import runpy
import shutil
import sys

import pytest
import torch

from mmssl.engine import Runner
from mmssl.engine.hooks import CollapseHook, OnlineKNNHook
from mmssl.export import write_weights
from mmssl.probe import load_trained
from mmssl.visualization.runs import read_run
from tests.small import small_config, small_runner
from tests.training import ROOT
from tests.visualization.test_report import Page, write_log


def use(monkeypatch, tool, *arguments):
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
    runpy.run_path(str(ROOT / 'tools/analysis_tools' / tool), run_name='__main__')


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs') / 'swav'
    config = small_config(folder, train_cfg__max_epochs=1, default_hooks__logger={'type': 'LoggerHook', 'interval': 1})
    runner = Runner.from_cfg(config)
    for hook in (OnlineKNNHook(share=1e9, gallery=20, query=10, k=5), CollapseHook(share=1e9)):
        runner.register_hook(hook)
    runner.train()
    return folder


@pytest.fixture
def logs(tmp_path):
    for name in ('first', 'second'):
        write_log(tmp_path / name)
        model = {'type': 'SwAV', 'queue': {'length': len(name)}}
        config = {'model': model, 'work_dir': name, 'hooks': [{'a': 1}], 'size': (1, 2)}
        torch.save({'meta': {'config': config}, 'state_dict': {'a': torch.ones(1)}}, tmp_path / name / 'epoch_1.pth')
    return tmp_path


def test_runs_are_compared_by_curves_figures_and_configs(logs, monkeypatch, capsys):
    use(monkeypatch, 'compare_runs.py', logs / 'first', f'other={logs / "second"}', '--out', logs / 'runs.html')
    page = Page((logs / 'runs.html').read_text())
    assert page.headings == ['Curves', 'Figures at the end', 'What differs in the configs']
    assert 'queue.length56' in page.text and 'hooks.0.a' not in page.text and 'work_dir' not in page.text
    assert '| knn_top1 | 50 | 50 |' in capsys.readouterr().out
    assert len([image for image in page.images if 'first from' in image.get('aria-label', '')]) >= 3


@pytest.mark.parametrize('content', [None, {'meta': {'cfg': 'a = 1'}, 'state_dict': {'a': torch.ones(1)}}, {}, [1]])
def test_a_run_without_a_config_that_is_data_is_compared_all_the_same(content, logs, monkeypatch, capsys):
    shutil.copytree(logs / 'first', logs / 'third')
    (logs / 'second/epoch_1.pth').unlink()
    if content is not None:
        torch.save(content, logs / 'second/epoch_1.pth')
    runs = [logs / name for name in ('first', 'second', 'third')]
    use(monkeypatch, 'compare_runs.py', *runs, '--out', logs / 'runs.html')
    sentence = (
        'Compared without the config of second: neither a checkpoint nor a config.py there holds one as plain data.'
    )
    assert f'\n{sentence}\n' in capsys.readouterr().out
    text = Page((logs / 'runs.html').read_text()).text
    assert sentence in text and 'Only the work directory.' in text


def test_a_config_in_the_work_directory_is_read_as_data(logs, monkeypatch, capsys):
    (logs / 'second/epoch_1.pth').unlink()
    (logs / 'second/1/vis_data').mkdir(parents=True)
    text = "model = dict(\n    queue=dict(length=66), type='SwAV')\nsize = (1, -2, None, [dict(a={'b': 1})])\n"
    (logs / 'second/1/vis_data/config.py').write_text(text)
    use(monkeypatch, 'compare_runs.py', logs / 'first', logs / 'second', '--out', logs / 'runs.html')
    assert 'Compared without' not in capsys.readouterr().out
    assert 'queue.length566' in Page((logs / 'runs.html').read_text()).text
    for code in ('import os', 'a = print(1)', "a = dict(**open('b'))", 'a = [1 for _ in range(9)]', 'a.b = 1', '('):
        (logs / 'second/1/vis_data/config.py').write_text(f'{code}\n')
        assert read_run(str(logs / 'second')).config is None


def test_one_run_is_drawn_into_an_image(logs, monkeypatch):
    for suffix in ('svg', 'png'):
        use(monkeypatch, 'compare_runs.py', logs / 'first', '--keys', 'loss', 'lr', '--out', logs / f'curves.{suffix}')
    assert (logs / 'curves.svg').read_text().count('>lr<') == 1
    assert (logs / 'curves.png').read_bytes()[:4] == b'\x89PNG'


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (['first', '--keys', 'los'], 'No run logged los: choose from data_time, epoch, knn_top1, loss'),
        (['first', 'first'], 'Two runs have the same name'),
        (['nowhere'], 'No log in'),
        (['first', '--out', 'x.gif'], "ends in '.gif'"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(arguments, sentence, logs, monkeypatch):
    monkeypatch.chdir(logs)
    with pytest.raises(SystemExit, match=sentence):
        use(monkeypatch, 'compare_runs.py', *arguments)


def test_features_are_shown_from_a_work_directory_alone(run, monkeypatch, tmp_path):
    out = tmp_path / 'features.html'
    use(monkeypatch, 'features.py', run, '--map', 'pca', '--clusters', 3, '--out', out)
    page = Page(out.read_text())
    assert page.headings == ['Map of the features', 'Nearest neighbours', 'Clusters of images', 'Activation maps']
    assert page.text.count('% of them') == 3
    assert len([image for image in page.images if image.get('alt', '').startswith('activation over')]) == 12


def test_only_what_was_asked_for_is_shown_and_a_folder_takes_the_place_of_the_data(run, monkeypatch, tmp_path):
    from tests.training import make_images

    folder, out = make_images(tmp_path / 'images', 20), tmp_path / 'features.html'
    use(
        monkeypatch,
        'features.py',
        run / 'epoch_1.pth',
        '--data',
        folder,
        '--show',
        'clusters',
        '--clusters',
        2,
        '--out',
        out,
    )
    page = Page(out.read_text())
    assert page.headings == ['Clusters of images'] and '20 images in 2 k-means clusters' in page.text


def test_more_clusters_than_images_are_refused(run, monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match='41 clusters of 40 samples'):
        use(monkeypatch, 'features.py', run, '--show', 'clusters', '--clusters', 41, '--out', tmp_path / 'x.html')


def test_the_report_of_a_run_that_has_ended(run, monkeypatch, capsys):
    use(monkeypatch, 'report.py', run)
    page = Page((run / 'report.html').read_text())
    assert page.headings[:3] == ['Results', 'Training', 'What the monitors saw'] and 'Prototype usage' in page.headings
    assert 'untrained' in capsys.readouterr().out


def test_a_checkpoint_gives_back_the_algorithm_it_was(run):
    trained = load_trained(run)
    model, config = trained.algorithm(), trained.config
    state = torch.load(run / 'epoch_1.pth', weights_only=True)['state_dict']
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert not model.training and config.train_cfg.max_epochs == 1


def test_other_weights_need_a_config_and_fill_the_backbone(tmp_path):
    config = small_config(tmp_path)
    trained = small_runner(tmp_path / 'other').algorithm
    write_weights(trained.backbone.state_dict(), tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match='no config of mmssl as plain data: give the one'):
        load_trained(tmp_path / 'weights.pth').algorithm()
    model = load_trained(tmp_path / 'weights.pth', config).algorithm()
    assert torch.equal(model.backbone.conv1.weight, trained.backbone.conv1.weight)


@pytest.mark.parametrize('path', ['nothing', 'nothing.pth'])
def test_a_checkpoint_that_is_not_there_is_refused(path, tmp_path):
    (tmp_path / 'nothing').mkdir()
    with pytest.raises(FileNotFoundError, match='No checkpoint'):
        load_trained(tmp_path / path)


def test_a_config_of_another_network_is_refused(run, tmp_path):
    config = small_config(tmp_path)
    config.model.prototypes.num_prototypes = 5
    with pytest.raises(ValueError, match=r'does not fit the config .*prototypes.weight.*--config'):
        load_trained(run, config).algorithm()


def test_the_json_log_has_what_the_monitors_saw(run):
    (log,) = run.glob('*/vis_data/scalars.json')
    names = {name for line in log.read_text().splitlines() for name in json.loads(line)}
    assert {'loss', 'knn_top1', 'knn_seconds', 'features/deviation', 'embedding/mean_cosine'} <= names
