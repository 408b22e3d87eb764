"""What a run logs reaches TensorBoard, Weights & Biases and MLflow, through MMEngine's backends."""

import pytest

from mmssl.engine.hooks import CollapseHook, OnlineKNNHook
from tests.small import small_runner

LOGGED = ('loss', 'knn_top1', 'features/deviation', 'embedding/effective_rank')


def train_with(tmp_path, backend):
    backends = [{'type': 'LocalVisBackend'}, backend]
    visualizer = {'type': 'Visualizer', 'vis_backends': backends, 'name': f'to_{backend["type"]}'}
    runner = small_runner(tmp_path, visualizer=visualizer, default_hooks__logger={'type': 'LoggerHook', 'interval': 1})
    for hook in (OnlineKNNHook(share=1e9, gallery=20, query=10, k=5), CollapseHook(share=1e9)):
        runner.register_hook(hook)
    runner.train()  # the logger hook closes the backends


def test_tensorboard_gets_what_a_run_logs(tmp_path):
    pytest.importorskip('tensorboard', reason="pip install 'mmssl[tests]' installs it")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train_with(tmp_path, {'type': 'TensorboardVisBackend'})
    (events,) = tmp_path.glob('*/vis_data/events.*')
    found = EventAccumulator(str(events))
    found.Reload()
    assert set(LOGGED) <= set(found.Tags()['scalars'])
    assert [event.step for event in found.Scalars('knn_top1')] == [0, 5, 10]


def test_wandb_gets_what_a_run_logs(tmp_path, monkeypatch):
    wandb = pytest.importorskip('wandb', reason='pip install wandb')
    monkeypatch.setenv('WANDB_MODE', 'offline')
    said = []
    monkeypatch.setattr(wandb.sdk.wandb_run.Run, 'log', lambda self, data, **_: said.extend(data))
    train_with(tmp_path, {'type': 'WandbVisBackend', 'init_kwargs': {'project': 'mmssl'}})
    assert set(LOGGED) <= set(said) and list(tmp_path.rglob('offline-run-*'))


def test_mlflow_gets_what_a_run_logs(tmp_path, monkeypatch):
    pytest.importorskip('mlflow', reason='pip install mlflow')
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)  # copies of the logs go to mlruns/
    uri = f'sqlite:///{tmp_path}/mlflow.db'
    train_with(tmp_path, {'type': 'MLflowVisBackend', 'exp_name': 'mmssl', 'tracking_uri': uri})
    client = MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name('mmssl').experiment_id])
    assert set(LOGGED) <= set(run.data.metrics)
    assert [entry.step for entry in client.get_metric_history(run.info.run_id, 'knn_top1')] == [0, 5, 10]
