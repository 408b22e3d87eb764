import numpy as np
import pytest
import torch

from mmssl.datasets import (
    FeatureSequence,
    ImageFolder,
    SequenceDataset,
    SequenceFolder,
    SoundingEvents,
    Subset,
    UnreadableImageError,
    collate,
    read_sequence,
    write_sequence,
)
from mmssl.functional import highlight_precision
from mmssl.visualization.images import to_image
from tests.helpers.mutation import Mutation


def write(folder, name, steps=12, sound=True, truth=True):
    visual = torch.arange(steps * 3.0).view(steps, 3)
    audio = torch.arange(steps * 2.0).view(steps, 2) if sound else None
    found = FeatureSequence(visual, audio, torch.arange(steps) == 4 if truth else None)
    write_sequence(folder / name, found)
    return found


def test_a_sequence_is_read_as_it_was_written(tmp_path):
    for sound, truth in [(True, True), (False, False)]:
        written = write(tmp_path, 'a/b.npz', sound=sound, truth=truth)
        found = read_sequence(tmp_path / 'a/b.npz')
        for one, other in zip(found, written):
            assert (one is None) == (other is None)
            assert one is None or (torch.equal(one, other) and one.dtype == other.dtype)


@pytest.mark.parametrize(
    'arrays',
    [
        {'audio': np.zeros((3, 2))},
        {'visual': np.zeros(3)},
        {'visual': np.zeros((3, 2)), 'audio': np.zeros((4, 2))},
        {'visual': np.zeros((3, 2)), 'highlights': np.zeros((3, 1))},
    ],
)
def test_a_file_with_other_arrays_is_refused_with_what_it_holds(arrays, tmp_path):
    np.savez(tmp_path / 'x.npz', **arrays)
    with pytest.raises(UnreadableImageError, match=r'x.npz holds .*\d.*needed is visual'):
        read_sequence(tmp_path / 'x.npz')
    (tmp_path / 'x.npz').write_bytes(b'nothing')
    with pytest.raises(UnreadableImageError, match='x.npz cannot be read'):
        read_sequence(tmp_path / 'x.npz')


def test_folders_are_classes_and_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match='No feature sequences.*feature_sequences.py'):
        SequenceFolder(tmp_path)
    write(tmp_path, 'one/a.npz')
    assert SequenceFolder(tmp_path).labels is None
    write(tmp_path, 'two/b.npz')
    source = SequenceFolder(tmp_path)
    assert source.classes == ['one', 'two'] and source.labels.tolist() == [0, 1]
    assert source.load(0).shape == (1, 3, 12) and source.load(0).dtype == torch.uint8


def test_a_window_is_the_same_for_the_same_draw_and_holds_image_sound_and_truth_of_the_same_steps(tmp_path):
    written = write(tmp_path, 'a.npz', steps=20)
    data = SequenceDataset(SequenceFolder(tmp_path), 3, 6, random=True, audio=True, seed=1)
    starts = set()
    for draw in range(20):
        sample, again = data[0, draw], data[0, draw]
        view = sample['inputs'][0]
        assert torch.equal(view, again['inputs'][0]) and view.shape == (3, 6, 1, 1)
        start = int(view[0, 0]) // 3
        assert torch.equal(view[..., 0, 0].T, written.visual[start : start + 6])
        assert torch.equal(sample['audio'].T, written.audio[start : start + 6])
        assert torch.equal(sample['highlights'], written.highlights[start : start + 6])
        starts.add(start)
    assert len(starts) > 5 and max(starts) <= 14
    plain = data.plain()
    assert all(int(plain[0, draw]['inputs'][0][0, 0]) == 21 for draw in range(3))


def test_a_video_without_sound_trains_nothing_and_is_named_but_is_scored(tmp_path):
    write(tmp_path, 'loud.npz')
    write(tmp_path, 'mute.npz', sound=False)
    source = SequenceFolder(tmp_path)
    data = SequenceDataset(source, 3, 6, audio=True)
    replaced = [data[1, draw] for draw in range(4)]
    assert {(sample['sample_idx'], sample['unreadable']) for sample in replaced} == {(0, 1)}
    assert 'audio' not in SequenceDataset(source, 3, 6)[1]
    mute = SequenceDataset(Subset(source, indices=[1]), 3, 6, audio=True)
    with pytest.raises(UnreadableImageError, match=r'mute.npz has no sound, which is needed to train'):
        mute[0]


def test_a_video_that_is_too_short_is_named(tmp_path):
    write(tmp_path, 'brief.npz', steps=5)
    with pytest.raises(UnreadableImageError, match=r'brief.npz is too short: 5 steps, but 6 are needed'):
        SequenceDataset(SequenceFolder(tmp_path), 3, 6)[0]


def test_a_source_of_images_and_another_width_are_refused(tmp_path):
    torch.manual_seed(0)
    to_image(torch.zeros(3, 8, 8, dtype=torch.uint8)).save(tmp_path / 'a.png')
    with pytest.raises(ValueError, match='ImageFolder holds none: give SequenceDataset a source of sequences'):
        SequenceDataset(ImageFolder(tmp_path), 3)[0]
    with pytest.raises(ValueError, match='32 channels, but the data set has channels=16'):
        SequenceDataset(SoundingEvents(2), 16)[0]


def test_samples_make_a_batch_and_a_picture():
    data = SequenceDataset(SoundingEvents(3), 32, audio=True)
    batch = collate([data[index] for index in range(3)])
    assert batch['inputs'][0].shape == (3, 32, 32, 1, 1) and batch['inputs'][0].dtype == torch.float32
    assert batch['extras']['audio'].shape == (3, 16, 32) and batch['extras']['highlights'].dtype == torch.bool
    assert to_image(data[0]['inputs'][0]).size == (32, 32)


def test_events_are_the_same_for_the_same_number_and_differ_between_parts():
    whole, part = SoundingEvents(30), SoundingEvents(10, skip=20)
    for one, other in zip(whole.sequence(23), part.sequence(3)):
        assert torch.equal(one, other)
    assert whole.labels[23] == part.labels[3] and len(whole.labels.unique()) > 4
    assert not torch.equal(whole.sequence(0).visual, whole.sequence(1).visual)
    assert len({source.fingerprint for source in (whole, part, SoundingEvents(30, steps=40))}) == 3


def test_events_can_be_heard_but_neither_their_norm_nor_their_distance_tells_them():
    found = [SoundingEvents(60).sequence(index) for index in range(60)]
    visual, audio, truth = (torch.stack(part) for part in zip(*found))
    torch.testing.assert_close(visual.norm(dim=2), torch.ones(truth.shape))
    assert highlight_precision(audio.mean(dim=2), truth).mean() > 0.95
    distance = (visual - visual.mean(dim=1, keepdim=True)).norm(dim=2)
    assert 0.3 < highlight_precision(distance, truth).mean() < 0.7
    assert (truth.sum(dim=1) >= 3).all() and truth.float().mean() < 0.35


MUTATIONS = [
    Mutation(
        'the sound of a window starts with the video',
        'mmssl/datasets/feature_sequences.py',
        'part[start : start + length] for part in self',
        'part[(start if part is self.visual else 0) :][:length] for part in self',
    ),
    Mutation(
        'silent videos are trained on',
        'mmssl/datasets/sequences.py',
        'if self.audio and found.audio is None:',
        'if False:',
    ),
]
