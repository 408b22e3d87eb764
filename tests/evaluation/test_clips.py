"""Measures, probe and report of networks on clips."""

import argparse
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmssl.commands import probe as command
from mmssl.datasets import Batch, ClipDataset, MovingDigits, UniformFrames, collate
from mmssl.evaluation import (
    LabelledSets,
    LinearAccuracyHook,
    LinearClassifier,
    RawPixels,
    evaluate,
    extract_features,
    pretext_measures,
    retrieval_recall,
)
from mmssl.export import export_backbone
from mmssl.models import R3D, BaseAlgorithm, DataPreprocessor, PictureSheet, PretextScore, ResNet
from mmssl.probe import compared_networks, probe_data
from mmssl.visualization import picture_sections
from tests.helpers.mutation import Mutation

NETWORK = dict(channels=[4, 8], blocks=1, stem_channels=4, spatial_strides=[1, 2], temporal_strides=[1, 2])
EVALUATION = dict(
    gallery=dict(type='ClipDataset', frames=dict(type='UniformFrames', length=4), views=dict(type='EvalView', crop=16)),
)


def centre(clip):
    return clip[..., 8:24, 8:24]


def clips(count=10, frames=None, **source):
    frames = frames or UniformFrames(4)
    return ClipDataset(MovingDigits(count, **source), frames, centre)


class Counting(BaseAlgorithm):
    """Scores its clips by their mean, and draws them."""

    def __init__(self) -> None:
        super().__init__(R3D(**NETWORK), data_preprocessor=DataPreprocessor([0.0] * 3, [1.0] * 3))

    def loss(self, inputs, batch):
        return {'loss': self.extract_feat(inputs[0]).mean()}

    def pretext_scores(self, inputs, batch):
        assert not self.training
        return [
            PretextScore('brightness', inputs[0].mean(dim=(1, 2, 3, 4)), 'mean of the pixels'),
            PretextScore('number', batch.sample_idx.float(), 'which image'),
        ]

    def picture_sheets(self, inputs, batch):
        rows = [[(clip[:, place].byte(), f'frame {place}') for place in range(2)] for clip in inputs[0]]
        return [PictureSheet('Clips', 'What was seen.', rows)]


def test_a_score_of_the_method_s_own_task_is_the_mean_over_all_images():
    model, data = Counting().train(), clips(7)
    brightness, number = pretext_measures(model, data, batch_size=3)
    expected = torch.stack([data[index]['inputs'][0].float().mean() for index in range(7)]).mean()
    assert brightness.value == pytest.approx(expected.item()) and number.value == 3
    assert brightness.name == 'brightness' and 'mean of the pixels' in brightness.protocol and not brightness.labels
    assert model.training
    found = evaluate(model, {'gallery': data, 'pretext': data, 'batch_size': 4})
    assert found.measure('number').value == 3
    assert 'number' not in [m.name for m in evaluate(RawPixels(), {'gallery': data, 'pretext': data}).measures]


def _scores_on(sizes):
    model = Counting()
    return [measure.value for measure in pretext_measures(model, clips(7), batch_size=2)]


def test_several_processes_score_as_one(ranks):
    one = ranks(1, _scores_on, None)[0]
    for found in ranks(3, _scores_on, None):
        assert found == pytest.approx(one)


def test_pictures_of_the_method_become_sections():
    (section,) = picture_sections(Counting(), clips(5), count=2)
    assert section.title == 'Clips' and 'What was seen.' in section.parts[0]
    assert ''.join(section.parts).count('<img') == 4


def test_a_row_of_raw_pixels_holds_all_frames():
    assert extract_features(RawPixels(), clips(3)).features.shape == (3, 3 * 4 * 16 * 16)


def test_features_of_several_clips_are_averaged():
    model, data = Counting().eval(), clips(3, UniformFrames(4, clips=3))
    found = extract_features(model, data, views=3).features
    batch = model.data_preprocessor(collate([data[index] for index in range(3)]))
    with torch.no_grad():
        expected = torch.stack([model.extract_feat(view) for view in batch['inputs']]).mean(dim=0)
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, extract_features(model, data).features)


@pytest.mark.parametrize('frozen', [True, False])
def test_a_video_is_classified_by_the_mean_score_of_its_clips(frozen):
    torch.manual_seed(0)
    model = LinearClassifier(R3D(**NETWORK), 10, frozen=frozen, dropout=0.5, data_preprocessor=DataPreprocessor())
    torch.nn.init.normal_(model.classifier.weight, std=10.0)
    query = clips(12, UniformFrames(4, clips=3))
    hook = LinearAccuracyHook()
    runner = SimpleNamespace(
        algorithm=model,
        cfg=SimpleNamespace(evaluation=Config({'query': {'type': 'None'}, 'batch_size': 5, 'num_workers': 0})),
        train_loop=SimpleNamespace(dataloader=SimpleNamespace(dataset=query)),
    )
    runner.cfg.evaluation.query = query
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmssl.evaluation.linear_hook.DATASETS.build', lambda data: data)
        hook.before_train(runner)
    predicted, labels = hook._classify(model.train())
    batch = model.data_preprocessor(collate([query[index] for index in range(12)]))
    model.eval()
    with torch.no_grad():
        scores = torch.stack([model.classify(view) for view in batch['inputs']]).mean(dim=0)
        samples = model.predict(**batch)
    assert torch.equal(predicted[:, 0], scores.topk(5).indices)
    assert [sample.label for sample in samples] == scores.argmax(dim=1).tolist()
    assert torch.equal(labels, query.source.labels)


def test_dropout_is_for_training_alone():
    model = LinearClassifier(R3D(**NETWORK), 3, frozen=False, dropout=0.9)
    rows = [torch.randn(40, 8)]
    assert torch.equal(model.eval().scores(rows), model.scores(rows))
    assert not torch.equal(model.train().scores(rows), model.scores(rows))


def test_recall_counts_the_queries_with_one_of_their_class_among_the_nearest():
    angles = torch.tensor([0.0, 10, 20, 90, 100])
    rows = torch.stack([torch.cos(angles.deg2rad()), torch.sin(angles.deg2rad())], dim=1)
    test = torch.tensor([[1.0, 0.01], [0.01, 1.0]])
    sets = LabelledSets(rows, torch.tensor([0, 1, 2, 0, 1]), test, torch.tensor([1, 2]))
    found = {measure.name: measure.value for measure in retrieval_recall(sets, (1, 2, 3, 50))}
    assert found == {'recall at 1': 0, 'recall at 2': 50, 'recall at 3': 100}
    with pytest.raises(ValueError, match='5 videos to find, but k=10: give a k of 5 or less'):
        retrieval_recall(sets, (10,))


@pytest.fixture
def videos(tmp_path):
    for name in ('run', 'walk'):
        source = MovingDigits(12, frames=6, skip=12 * (name == 'run'))
        (tmp_path / 'videos' / name).mkdir(parents=True)
        for index in range(12):
            frames = source.video(index).read(range(6)).permute(1, 2, 3, 0).numpy()
            np.save(tmp_path / f'videos/{name}/{index}.npy', frames)
    return tmp_path / 'videos'


def saved(path, network, config):
    weights = {f'backbone.{name}': value for name, value in network.state_dict().items()}
    torch.save({'state_dict': weights, 'meta': {'config': config}}, path)
    return path


@pytest.fixture
def checkpoint(tmp_path):
    config = {'model': {'type': 'CtP', 'backbone': {'type': 'R3D', **NETWORK}}, 'evaluation': EVALUATION}
    return saved(tmp_path / 'clips.pth', R3D(**NETWORK), config)


def arguments(*checkpoints, data, folder):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    options = ['--data', data, '--work-dir', folder / 'w', '--cache', folder / 'c', '--num-workers', 0, '--shots', 1]
    return parser.parse_args(list(map(str, [*checkpoints, *options])))


def test_the_probe_measures_a_network_on_clips(videos, checkpoint, tmp_path):
    found = command.measure(arguments(checkpoint, data=videos, folder=tmp_path))
    names = [result.name for result in found.results]
    assert names == ['raw pixels', 'untrained', 'clips.pth']
    assert [result.dim for result in found.results] == [3 * 4 * 16 * 16, 8, 8]
    assert found.results[-1].query > 0 and 0 <= found.results[-1].measure('linear').value <= 100
    assert any('clips of 4 frames of 16 x 16 pixels' in remark for remark in found.remarks)
    again = command.measure(arguments(checkpoint, data=videos, folder=tmp_path))
    texts = [[measure.text for measure in one.results[-1].measures] for one in (again, found)]
    assert texts[0] == texts[1]


def test_the_probe_refuses_images_and_clips_at_once_and_other_folders(videos, checkpoint, tmp_path):
    network = ResNet(10, stem='small', base_channels=4)
    other = saved(tmp_path / 'images.pth', network, {'model': {'type': 'SimCLR', 'backbone': {'type': 'ResNet'}}})
    with pytest.raises(ValueError, match='Some of the networks take images and some take clips'):
        command.measure(arguments(checkpoint, other, data=videos, folder=tmp_path))
    assert 'to measure on: 24 frames of 4 videos' in probe_data(videos).remarks[1]  # for a network on images
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='No videos'):
        command.measure(arguments(checkpoint, data=tmp_path / 'empty', folder=tmp_path))
    with pytest.raises(ValueError, match='a grid of 2 x 2 are for images, but this network takes clips'):
        compared_networks([checkpoint], grid=2)


def test_videos_are_split_by_their_parts(videos):
    whole = probe_data(videos, videos=True)
    assert (len(whole.gallery), len(whole.query)) == (19, 4) and '24 videos, 2 classes (run, walk)' in whole.remarks[0]
    (videos / 'run').rename(videos.parent / 'run')
    (videos / 'walk').rename(videos.parent / 'walk')
    for part, name in (('train', 'run'), ('test', 'walk')):
        (videos / part).mkdir()
        for kind in ('run', 'walk'):
            (videos / part / kind).mkdir()
        for path in sorted((videos.parent / name).iterdir()):
            kind = 'run' if int(path.stem) % 2 else 'walk'
            path.rename(videos / part / kind / path.name)
    parts = probe_data(videos, videos=True)
    assert (len(parts.gallery), len(parts.query)) == (12, 12) and parts.query.classes == ['run', 'walk']


def test_a_network_on_clips_is_not_exported_as_a_resnet(checkpoint, tmp_path):
    with pytest.raises(ValueError) as error:
        export_backbone(str(checkpoint), tmp_path / 'out.pth')
    assert str(error.value).count('. ') == 0 and not (tmp_path / 'out.pth').exists()


def test_a_batch_without_pretext_scores_gives_no_measure():
    class Plain(Counting):
        def pretext_scores(self, inputs, batch: Batch):
            return []

    assert pretext_measures(Plain(), clips(3)) == []


MUTATIONS = [
    Mutation(
        'only the first clip of a video is classified',
        'mmssl/evaluation/linear_hook.py',
        'forward=scores, views=self.clips',
        'forward=scores',
    ),
    Mutation(
        'the padding of the last step is scored',
        'mmssl/evaluation/features.py',
        'rows.append(gather(found)[:kept].cpu())',
        'rows.append(gather(found).cpu())',
    ),
    Mutation(
        'recall wants all neighbours to be of the class',
        'mmssl/evaluation/clip_retrieval.py',
        '.any(dim=1)',
        '.all(dim=1)',
    ),
]
