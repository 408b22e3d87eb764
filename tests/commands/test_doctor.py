"""``mmssl doctor``: what it says of whole, damaged and missing checkpoints."""

import pytest
import torch

from mmssl.checkpoint import part_path, write_checkpoint
from mmssl.commands import main
from tests.helpers.mutation import Mutation


def at(epoch, images=0, **more):
    state = {'weight': torch.full((100,), float(epoch))}
    return {'meta': {'progress': {'epoch': epoch, 'samples_seen': images}}, 'state_dict': state, **more}


def doctor(folder, capsys):
    """What it prints, and its exit status."""
    try:
        main(['doctor', str(folder)])
        status = 0
    except SystemExit as end:
        status = end.code
    return capsys.readouterr().out.splitlines(), status


def test_whole_checkpoints_are_listed_with_the_one_to_continue_from(tmp_path, capsys):
    write_checkpoint(at(1), tmp_path / 'epoch_1.pth')
    write_checkpoint(at(1, images=64), tmp_path / 'iter_12.pth')
    lines, status = doctor(tmp_path, capsys)
    assert lines == [
        'iter_12.pth: whole, epoch 1 and 64 images, 1 MB',
        'epoch_1.pth: whole, epoch 1, 1 MB',
        '--resume continues from iter_12.pth.',
    ]
    assert status == 0


def test_damaged_files_missing_parts_and_leftovers_are_named(tmp_path, capsys):
    for epoch in (1, 2, 3):
        write_checkpoint(at(epoch), tmp_path / f'epoch_{epoch}.pth')
    content = (tmp_path / 'epoch_3.pth').read_bytes()
    where = content.index(torch.full((100,), 3.0).numpy().tobytes())
    (tmp_path / 'epoch_3.pth').write_bytes(content[:where] + b'\1' + content[where + 1 :])
    parts = {'parts': 2, 'progress': 4, 'rows': {}}
    write_checkpoint(at(4, part=parts), tmp_path / 'epoch_4.pth')
    (tmp_path / '.checkpoint.tmp').write_bytes(b'half')
    lines, status = doctor(tmp_path, capsys)
    assert status == 1 and lines[-1] == '--resume continues from epoch_2.pth.'
    missing = part_path(tmp_path / 'epoch_4.pth', 1, 2)
    assert lines[0].startswith(f'epoch_4.pth: {missing} is not a file')
    damaged = 'damaged: 1 tensor, first state_dict.weight, not as written (checksum), epoch 3, 1 MB'
    assert lines[1] == f'epoch_3.pth: is {damaged}'
    assert lines[4].startswith('.checkpoint.tmp: left by a write that was cut off, 1 MB')


def test_a_folder_without_checkpoints_and_what_is_no_folder(tmp_path, capsys):
    assert doctor(tmp_path, capsys) == (['--resume has no checkpoint to continue from.'], 1)
    with pytest.raises(SystemExit, match='There is no folder .*nowhere: give the work directory of a run'):
        main(['doctor', str(tmp_path / 'nowhere')])


MUTATIONS = [
    Mutation(
        'a damaged checkpoint is no reason for another exit status',
        'mmssl/commands/doctor.py',
        'if len(whole) < len(findings) or not whole:',
        'if not whole:',
    ),
]
