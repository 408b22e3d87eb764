"""The files of all projects load everywhere, by one reader."""

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmssl.apis import get_model
from mmssl.checkpoint import CheckpointError
from mmssl.engine import Runner
from mmssl.evaluation import LinearClassifier
from mmssl.export import convert_checkpoint, export_backbone, rebuilt_backbone, verify_export
from mmssl.models import DataPreprocessor, MoCo, ResNet
from mmssl.probe import compared_networks, load_trained
from mmssl.testing import differences
from mmssl.transfer import load_pretrained
from mmssl.weights import LAYOUTS, WeightsFile, load_backbone, read_file, read_weights
from tests.helpers.mutation import Mutation
from tests.small import small_config, small_runner

NETWORK = {'depth': 10, 'stem': 'small', 'base_channels': 4}


def weights(seed: int) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return ResNet(**NETWORK).state_dict()


@pytest.fixture(params=LAYOUTS, ids=lambda prefix: prefix or 'none')
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A student in one of the layouts, with a projection beside it, and a momentum encoder that comes first."""
    teacher = {f'momentum.{key}': tensor for key, tensor in weights(1).items()}
    student = {request.param + key: tensor for key, tensor in weights(0).items() if 'num_batches' not in key}
    head = {f'{request.param}fc.0.weight': torch.ones(3, 32), 'module.queue': torch.ones(8)}
    torch.save({'epoch': 3, 'arch': 'resnet10', 'state_dict': {**teacher, **student, **head}}, tmp_path / 'file.pth')
    return tmp_path / 'file.pth'


def by_probe(file: Path) -> nn.Module:
    return compared_networks([file])[0].network.backbone


def by_svm(file: Path) -> nn.Module:
    return compared_networks([file], grid=2)[0].network.backbone


def by_features_and_report(file: Path) -> nn.Module:
    return load_trained(file, small_config(file.parent)).algorithm().backbone


def by_test_and_knn(file: Path) -> nn.Module:
    algorithm = small_runner(file.parent / 'work').algorithm
    load_trained(file, small_config(file.parent)).fill(algorithm.backbone)
    return algorithm.backbone


def by_linear_and_finetune(file: Path) -> nn.Module:
    classifier = LinearClassifier({'type': ResNet, **NETWORK}, num_classes=2, checkpoint=str(file))
    classifier.init_weights()
    return classifier.backbone


def by_export(file: Path) -> nn.Module:
    path = export_backbone(file, file.with_name('exported.pth'))
    check = verify_export(path, rebuilt_backbone(file))
    assert check.matched == check.total and check.max_difference == 0
    return rebuilt_backbone(path)


def by_convert(file: Path) -> nn.Module:
    return rebuilt_backbone(convert_checkpoint(file, file.with_name('converted.safetensors')).path)


def by_load_from(file: Path) -> nn.Module:
    runner = small_runner(file.parent / 'work', load_from=str(file))
    runner.load_or_resume()
    return runner.algorithm.backbone


def by_transfer(file: Path) -> nn.Module:
    detector = SimpleNamespace(backbone=ResNet(**NETWORK))
    load_pretrained(detector, file)
    return detector.backbone


def by_get_model(file: Path) -> nn.Module:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmssl.apis.models.find_entry', lambda name: SimpleNamespace(config=name))
        patch.setattr('mmssl.apis.models.fetch_weights', lambda entry: file)
        patch.setattr(Config, 'fromfile', lambda name: small_config(file.parent))
        return get_model('a name', pretrained=True).backbone


ENTRIES = [entry for name, entry in sorted(globals().items()) if name.startswith('by_')]


@pytest.mark.parametrize('entry', ENTRIES, ids=lambda entry: entry.__name__)
def test_every_layout_passes_every_entry(entry: Callable[[Path], nn.Module], file: Path):
    found = entry(file).state_dict()
    assert all(torch.equal(found[key], tensor) for key, tensor in weights(0).items() if 'num_batches' not in key)


def test_a_foreign_file_as_the_start_of_a_training_is_counted_and_the_teacher_starts_as_its_student(tmp_path):
    torch.save({f'module.encoder_q.{key}': value for key, value in weights(3).items()}, tmp_path / 'moco.pth')
    config = small_config(tmp_path / 'work', load_from=str(tmp_path / 'moco.pth'), log_level='INFO')
    model = {key: config.model[key] for key in ('data_preprocessor', 'backbone', 'neck')}
    config.model = {**model, 'type': MoCo, 'queue': {'length': 16, 'dim': 8}}
    runner = Runner.from_cfg(config)
    runner.algorithm.allocate(40)
    runner.load_or_resume()
    assert torch.equal(runner.algorithm.backbone.conv1.weight, weights(3)['conv1.weight'])
    assert torch.equal(runner.algorithm.teacher.networks[0].conv1.weight, weights(3)['conv1.weight'])
    (log,) = (tmp_path / 'work').rglob('*.log')
    sentence = "60 of 60 keys of the backbone loaded, which stood behind 'module.encoder_q.' (as in MoCo)"
    assert f'{sentence}. Started anew: neck.' in log.read_text()


def test_a_network_with_more_blocks_is_not_taken_for_its_smaller_kin(tmp_path):
    torch.manual_seed(0)
    torch.save(ResNet(18, stem='small', base_channels=4).state_dict(), tmp_path / 'deeper.pth')
    with pytest.raises(ValueError, match=r'holds layer1\.1\.conv1\.weight, which this ResNet does not have'):
        load_trained(tmp_path / 'deeper.pth', small_config(tmp_path)).algorithm()


def test_the_newest_checkpoint_of_a_work_directory_is_read_with_its_meta_data(tmp_path):
    small_runner(tmp_path, train_cfg__max_epochs=1).train()
    file = read_file(tmp_path)
    assert file.path.name == 'epoch_1.pth' and file.progress['num_samples'] == 40
    assert file.config['model']['backbone'] == {
        'type': 'mmssl.models.backbones.resnet.ResNet', 'depth': 10, 'stem': 'small', 'base_channels': 4,
    }  # fmt: skip
    assert file.tensors.keys() == read_weights(tmp_path / 'epoch_1.pth').keys()


def test_a_broken_safetensors_file_is_refused_in_a_sentence(tmp_path):
    (tmp_path / 'broken.safetensors').write_bytes(b'import os')
    with pytest.raises(ValueError, match='cannot be read as safetensors'):
        read_file(tmp_path / 'broken.safetensors')


def test_a_checkpoint_of_an_older_version_resumes_and_its_text_is_not_read(tmp_path, monkeypatch):
    small_runner(tmp_path / 'whole').train()
    content = torch.load(tmp_path / 'whole' / 'epoch_1.pth', weights_only=True)
    del content['meta']['config']
    old, said = tmp_path / 'old.pth', []
    torch.save({**content, 'meta': {**content['meta'], 'cfg': f'open({str(tmp_path / "ran")!r}, "w")'}}, old)
    small_runner(tmp_path / 'half', resume=True, load_from=str(old)).train()
    assert differences(tmp_path / 'whole' / 'epoch_2.pth', tmp_path / 'half' / 'epoch_2.pth') == []
    monkeypatch.setattr('mmssl.probe.trained.print_log', lambda text, **_: said.append(text))
    (found,) = compared_networks([old])
    assert torch.equal(found.network.backbone.conv1.weight, content['state_dict']['backbone.conv1.weight'])
    assert said == [f'{old} holds its config as text, which is not read; only its weights are. Give the config of its '
                    'training (--config) if more is needed.']  # fmt: skip
    with pytest.raises(ValueError, match='holds no config of mmssl as plain data'):
        load_trained(old).algorithm()
    assert not (tmp_path / 'ran').exists()


def test_export_imports_neither_evaluation_nor_scikit_learn():
    program = "import sys, mmssl.export; print([n for n in ('sklearn', 'mmssl.evaluation') if n in sys.modules])"
    found = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == '[]'


def test_the_normalisation_of_the_checkpoint_is_that_of_its_config(tmp_path):
    small_runner(tmp_path, train_cfg__max_epochs=1, model__data_preprocessor__mean=[7.0, 8.0, 9.0]).train()
    (found,) = compared_networks([tmp_path])
    assert found.recipe.mean == (7.0, 8.0, 9.0) and found.recipe.size == 16
    assert isinstance(found.network.data_preprocessor, DataPreprocessor)


def test_the_clock_of_a_run_of_so_many_minutes_is_no_part_of_its_position():
    progress = {'epoch': 1, 'samples_seen': 8, 'num_samples': 40, 'global_batch_size': 8}
    timed = {**progress, 'time': {'share': 0.5, 'spent': 3.0}}
    assert WeightsFile(Path('a.pth'), {}, {'meta': {'progress': timed}}).progress == progress
    assert WeightsFile(Path('a.pth'), {}, {'meta': {'progress': {'epoch': 1.5}}}).progress is None


def header(shape: list[int], end: int, length: int | None = None) -> bytes:
    """A .safetensors file of 8 bytes of weights whose header states something else."""
    text = json.dumps({'a': {'dtype': 'F32', 'shape': shape, 'data_offsets': [0, end]}}).encode()
    return struct.pack('<Q', len(text) if length is None else length) + text + bytes(8)


@pytest.mark.parametrize(
    'data',
    [
        header([10**12], 4 * 10**12),
        header([2**62, 4], 8),
        header([3], 8),
        header([2], 8, 99_000_000),
        header([2], 8, 2**63),
        b'this is a text',
        b'',
    ],
)
def test_a_header_of_safetensors_that_lies_is_refused_in_one_sentence(data, tmp_path):
    (tmp_path / 'a.safetensors').write_bytes(data)
    with pytest.raises(CheckpointError, match='cannot be read as safetensors .*: give a complete file') as refused:
        read_file(tmp_path / 'a.safetensors')
    assert '\n' not in str(refused.value)


USES = {
    'probe': lambda path, _: load_backbone(path, ResNet(**NETWORK)),
    'export': lambda path, out: export_backbone(path, out, 'torchvision'),
    'convert': convert_checkpoint,
}


@pytest.mark.parametrize('use', USES)
@pytest.mark.parametrize('value', ['nan', 'inf'])
def test_weights_that_are_not_finite_are_refused(use, value, tmp_path):
    spoilt = {f'backbone.{key}': tensor * float(value) for key, tensor in weights(0).items()}
    torch.save({'state_dict': spoilt}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r'holds NaN or infinity in .*Give an earlier checkpoint'):
        USES[use](tmp_path / 'a.pth', tmp_path / 'out.pth')
    assert not (tmp_path / 'out.pth').exists()


def test_a_method_whose_weights_are_not_finite_is_refused(tmp_path):
    runner = small_runner(tmp_path)
    runner.train()
    content = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)
    content['state_dict']['prototypes.weight'].fill_(float('nan'))
    del content['checksums']  # as other programs write it
    torch.save(content, tmp_path / 'spoilt.pth')
    with pytest.raises(CheckpointError, match=r'spoilt.pth holds NaN or infinity in 1 of .*prototypes.weight'):
        load_trained(tmp_path / 'spoilt.pth').algorithm()


MUTATIONS = [
    Mutation(
        'the clock of a run makes its checkpoint that of no run',
        'mmssl/weights.py',
        "if name != 'time'}  # of a run",
        'if True}  # of a run',
        'tests/test_weights.py -k the_clock_of_a_run',
    ),
    Mutation(
        'a file of a deeper network fills its smaller kin',
        'mmssl/weights.py',
        'if whole and match.foreign:',
        'if False:',
    ),
    Mutation(
        'the teacher of a training that starts from a file stays what it was',
        'mmssl/engine/runner.py',
        '            if isinstance(memory, EMATeacher):  #',
        '            if False:  #',
    ),
    Mutation(
        'weights that are not finite are loaded',
        'mmssl/weights.py',
        '    check_finite(match.state_dict, place)\n',
        '',
        'tests/test_weights.py -k not_finite',
    ),
]
