"""Clips with text, sound and unknown fields, from a source to an algorithm, and data sets of a user's own."""

from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mmssl.datasets import Batch, ImageDataset, ImageSource, Subset, UnreadableImageError, collate
from mmssl.engine import Runner
from mmssl.engine.hooks import CollapseHook
from mmssl.evaluation import RawPixels, extract_features
from mmssl.models import BaseAlgorithm, BaseMemory, DataPreprocessor
from mmssl.registry import DATASETS, MODELS, TRANSFORMS
from tests.helpers.mutation import Mutation
from tests.small import small_config

CLIPS, FRAMES, SIDE = 24, 4, 8


@DATASETS.register_module()
class Clips(ImageSource):
    """Noise that moves, with what a video set brings beside the images."""

    fingerprint = 'clips'

    def __init__(self, broken: int = -1) -> None:
        self.broken = broken

    def __len__(self) -> int:
        return CLIPS

    def load(self, index: int) -> Tensor:
        generator = torch.Generator().manual_seed(index)
        return torch.randint(256, (3, FRAMES, SIDE, SIDE), generator=generator, dtype=torch.uint8)

    def name(self, index: int) -> str:
        return f'clip {index}'

    def extras(self, index: int) -> dict[str, Any]:
        if index == self.broken:
            raise UnreadableImageError('the sound is broken')
        return {
            'tokens': torch.arange(5, dtype=torch.int32) + index,
            'mask': [True, True, False, False, False],
            'loudness': 0.7,
            'whatever': np.full((2, 3), index, np.float16),
            'caption': f'a clip, the {index}th',
        }


@TRANSFORMS.register_module()
class ClipViews:
    """The clip backwards and the clip, and how fast it runs."""

    def __call__(self, clip: Tensor) -> dict[str, Any]:
        return {'inputs': [clip.flip(1), clip], 'speed': np.float32(0.5)}


@TRANSFORMS.register_module()
class PlainClip:
    """The clip as it is."""

    def __call__(self, clip: Tensor) -> Tensor:
        return clip


class Mean(BaseMemory):
    """Keeps the mean feature of the training set, prepared before the first epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer('mean', torch.zeros(4))
        self.register_buffer('prepared', torch.tensor(False))

    def wants_preparation(self, epoch: int) -> bool:
        return not self.prepared

    def prepare(self, features: Tensor, epoch: int) -> None:
        self.mean.copy_(features.mean(dim=0))
        self.prepared.fill_(True)

    def commit(self) -> None:
        """It learns nothing from a step."""


@MODELS.register_module()
class ClipAlgorithm(BaseAlgorithm):
    """Three-dimensional convolutions; remembers the extras of every batch."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(nn.Sequential(nn.Conv3d(3, 4, 3, padding=1), nn.ReLU()), **settings)
        self.bank, self.seen, self.inputs = Mean(), [], []

    def extract_feat(self, images: Tensor) -> Tensor:
        return self.backbone(images).mean(dim=(2, 3, 4))

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        self.seen.append((batch.sample_idx, batch.extras))
        self.inputs.append(inputs)
        one, other = (self.extract_feat(view) for view in inputs)
        return {'loss': (one - other).square().mean() + 1e-3 * batch.extras['speed'].mean() * one.mean()}


def clip_config(work_dir: Any, workers: int = 0, **source: Any) -> Config:
    config = small_config(work_dir, labels=False, train_cfg__max_epochs=1)
    config.model = {'type': 'ClipAlgorithm', 'data_preprocessor': {'type': 'DataPreprocessor'}}
    part = {'type': 'ImageDataset', 'source': {'type': 'Clips', **source}}
    plain = {**part, 'views': {'type': 'PlainClip'}}
    config.train_dataloader.dataset = {**part, 'views': {'type': 'ClipViews'}}
    config.train_dataloader.num_workers = workers
    config.evaluation = {'gallery': plain, 'batch_size': 8, 'num_workers': 0}
    return config


@pytest.mark.parametrize('workers', [0, 2])
def test_clips_are_trained_on_and_every_field_reaches_the_algorithm(workers, tmp_path):
    runner = Runner.from_cfg(clip_config(tmp_path, workers))
    runner.register_hook(CollapseHook(share=1e9))
    model = runner.train()
    assert len(model.seen) == 3 and model.inputs[0][0].shape == (8, 3, FRAMES, SIDE, SIDE)
    for samples, extras in model.seen:
        assert list(extras) == ['tokens', 'mask', 'loudness', 'whatever', 'caption', 'speed']
        assert torch.equal(extras['tokens'], torch.arange(5, dtype=torch.int32) + samples[:, None])
        assert extras['tokens'].dtype == torch.int32 and extras['mask'].dtype == torch.bool
        assert extras['loudness'].tolist() == [0.7] * 8 and extras['speed'].dtype == torch.float32
        assert extras['whatever'].shape == (8, 2, 3) and extras['whatever'].dtype == torch.float16
        assert extras['caption'] == [f'a clip, the {index}th' for index in samples.tolist()]
    assert model.bank.mean.abs().sum() > 0


def plain_part() -> dict[str, Any]:
    return {'type': 'ImageDataset', 'source': {'type': 'Clips'}, 'views': {'type': 'PlainClip'}}


def test_memories_are_prepared_from_the_plain_form_of_the_clips(tmp_path):
    runner, features = Runner.from_cfg(clip_config(tmp_path)), []
    prepare = runner.model.bank.prepare
    runner.model.bank.prepare = lambda found, epoch: features.append(found) or prepare(found, epoch)
    state = {name: value.clone() for name, value in runner.model.backbone.state_dict().items()}
    runner.train()
    model = ClipAlgorithm()
    model.backbone.load_state_dict(state)
    expected = extract_features(model, DATASETS.build(plain_part())).features
    torch.testing.assert_close(features[0], expected)


def test_raw_pixels_of_a_clip_are_a_row(tmp_path):
    rows = extract_features(RawPixels(), DATASETS.build(plain_part())).features
    assert rows.shape == (CLIPS, 3 * FRAMES * SIDE * SIDE)


def test_a_clip_whose_sound_cannot_be_read_is_replaced_with_its_fields():
    data = ImageDataset(Clips(broken=3), ClipViews())
    sample = data[3, 5]
    assert sample['unreadable'] == 3 and sample['sample_idx'] != 3
    assert sample['tokens'][0] == sample['sample_idx']


def test_a_part_of_a_source_gives_the_fields_of_its_images():
    assert Subset(Clips(), indices=[7]).extras(0)['caption'] == 'a clip, the 7th'


@pytest.mark.parametrize('name', ['inputs', 'sample_idx', 'draw', 'unreadable', 'gt_label', 'extras', 'tokens'])
def test_two_fields_of_one_name_are_refused(name):
    class Clashing(ClipViews):
        def __call__(self, clip: Tensor) -> dict[str, Any]:
            return {**super().__call__(clip), name: [clip] if name == 'inputs' else 1}

    class Source(Clips):
        def extras(self, index: int) -> dict[str, Any]:
            return {'inputs': 1} if name == 'inputs' else super().extras(index)

    with pytest.raises(ValueError, match=f"a field '{name}', a name that the data set or the source uses already"):
        ImageDataset(Source(), Clashing())[0]


def preprocessed(view: Tensor, **extras: Any) -> dict:
    model = DataPreprocessor([10.0, 20.0, 30.0], [2.0, 4.0, 5.0])
    numbers = {'sample_idx': torch.arange(len(view)), 'draw': torch.arange(len(view))}
    return model({'inputs': [view], **numbers, 'extras': extras})


@pytest.mark.parametrize('dtype', [torch.uint8, torch.uint16])
@pytest.mark.parametrize('rest', [(4, 4), (5, 4, 4)])
def test_mean_and_std_belong_to_the_channels_whatever_follows_them(rest, dtype):
    view = torch.randint(256, (2, 3, *rest)).to(dtype)
    found = preprocessed(view)['inputs'][0]
    for channel, (mean, std) in enumerate([(10, 2), (20, 4), (30, 5)]):
        assert torch.equal(found[:, channel], (view[:, channel].float() - mean) / std)
    assert found.is_contiguous(memory_format=torch.channels_last if len(rest) == 2 else torch.contiguous_format)


def test_extras_pass_the_preprocessor_as_they_are():
    extras = {'tokens': torch.ones(2, 5, dtype=torch.int16), 'caption': ['a', 'b']}
    batch = preprocessed(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), **extras)['batch']
    assert torch.equal(batch.extras['tokens'], extras['tokens']) and batch.extras['tokens'].dtype == torch.int16
    assert batch.extras['caption'] == ['a', 'b']


def test_clips_with_other_channels_are_refused_as_images_are():
    with pytest.raises(ValueError, match='Images have 2 channels, but data_preprocessor.mean has 3'):
        preprocessed(torch.zeros(2, 2, 5, 4, 4, dtype=torch.uint8))


@DATASETS.register_module()
class OwnData(Dataset):
    """A data set that knows nothing of mmssl but what it calls."""

    def __init__(self, augmented: bool = True) -> None:
        self.augmented = augmented

    def __len__(self) -> int:
        return CLIPS

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        index, draw = key if isinstance(key, tuple) else (key, key)
        image = torch.full((3, 8, 8), index, dtype=torch.uint8)
        views = [image + draw % 7, image] if self.augmented else [image]
        return {'inputs': views, 'sample_idx': index, 'draw': draw, 'weight': 1 / (1 + index)}

    def plain(self) -> 'OwnData':
        return OwnData(augmented=False)

    def name(self, index: int) -> str:
        return f'number {index}'


def own_config(tmp_path: Any, **overrides: Any) -> Config:
    config = small_config(tmp_path, **overrides)
    config.train_dataloader.dataset = {'type': 'OwnData'}
    config.pop('evaluation')
    return config


def test_a_data_set_of_a_user_s_own_is_trained_on_and_gives_its_plain_form(tmp_path):
    runner, prepared = Runner.from_cfg(own_config(tmp_path, model__queue__length=8)), []
    bank = runner.model.bank = Mean()
    bank.prepare = lambda features, epoch: prepared.append(features) or bank.prepared.fill_(True)
    runner.train()
    assert runner.iter == 6 and [len(features) for features in prepared] == [CLIPS]
    batch = collate([runner.train_dataloader.dataset[index] for index in (0, 3)])
    assert batch['extras']['weight'].tolist() == [1, 0.25]


def test_the_names_of_a_data_set_of_a_user_s_own_are_in_the_messages(tmp_path):
    runner = Runner.from_cfg(own_config(tmp_path, model__queue__length=8))
    runner.algorithm.temperature = float('nan')
    with pytest.raises(FloatingPointError, match=r'first number \d+, number \d+'):
        runner.train()


def test_a_loader_of_two_processes_gives_the_batch_of_one():
    data = ImageDataset(Clips(), ClipViews())
    one, two = (next(iter(DataLoader(data, 6, collate_fn=collate, num_workers=workers))) for workers in (0, 2))
    assert torch.equal(one['inputs'][1], two['inputs'][1])
    for name, field in one['extras'].items():
        same = torch.equal(field, two['extras'][name]) if isinstance(field, Tensor) else field == two['extras'][name]
        assert same


MUTATIONS = [
    Mutation(
        'mean and deviation fit images only',
        'mmssl/models/data_preprocessor.py',
        '[1] * (view.dim() - 2)',
        '[1] * 2',
    ),
    Mutation(
        'memories are prepared from augmented views',
        'mmssl/engine/hooks/memory_hook.py',
        'runner.train_dataloader.dataset.plain(), ',
        'runner.train_dataloader.dataset, ',
    ),
    Mutation(
        'a field of the views replaces one of the source in silence',
        'mmssl/datasets/datasets.py',
        '        _check_names(extras, made)\n',
        '',
    ),
]
