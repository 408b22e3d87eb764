"""Files: whole or not there, locked, and cached in one place."""

import csv
import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mmssl.files import atomic_write, cache_folder, file_lock, write_csv, write_json
from tests.helpers.mutation import Mutation

ROOT = Path(__file__).resolve().parents[1]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_not_seen_before_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / 'a.bin').write_bytes(b'old')
    with atomic_write(tmp_path / 'a.bin') as file:
        file.write(b'new')
        file.flush()
        assert (tmp_path / 'a.bin').read_bytes() == b'old'
    assert (tmp_path / 'a.bin').read_bytes() == b'new' and names(tmp_path) == {'a.bin'}


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    (tmp_path / 'a.bin').write_bytes(b'old')

    def write() -> None:
        with atomic_write(tmp_path / 'a.bin') as file:
            file.write(b'half')
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert (tmp_path / 'a.bin').read_bytes() == b'old' and names(tmp_path) == {'a.bin'}


def test_what_is_written_is_flushed_to_the_disk_before_the_name_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []

    def sync(number: int) -> None:
        (draft,) = tmp_path.iterdir()
        seen.append(b'folder' if stat.S_ISDIR(os.fstat(number).st_mode) else draft.read_bytes())

    monkeypatch.setattr('os.fsync', sync)
    with atomic_write(tmp_path / 'a.bin') as file:
        file.write(b'new')
    assert seen == [b'new', b'folder']


def test_two_writers_of_one_file_do_not_write_into_the_same_draft(tmp_path: Path) -> None:
    with atomic_write(tmp_path / 'a.bin') as one:
        with atomic_write(tmp_path / 'a.bin') as other:
            other.write(b'other')
        one.write(b'one')
    assert (tmp_path / 'a.bin').read_bytes() == b'one'


def test_json_is_written_in_one_piece_with_paths_as_text(tmp_path: Path) -> None:
    write_json(tmp_path / 'a.json', {'path': Path('b'), 'number': 1})
    assert (tmp_path / 'a.json').read_text() == '{\n  "path": "b",\n  "number": 1\n}\n'


HOLD = 'import sys, time\nfrom mmssl.files import file_lock\nwith file_lock(sys.argv[1]):\n    print(1, flush=True)\n'


def hold(lock: Path, seconds: float) -> subprocess.Popen:
    """A process that holds a lock for a while; returns once it has it."""
    command = [sys.executable, '-c', f'{HOLD}    time.sleep({seconds})', str(lock)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None and process.stdout.readline() == '1\n'
    return process


def test_who_holds_a_lock_lets_nobody_else_in(tmp_path: Path) -> None:
    holder = hold(tmp_path / 'deep/a.lock', 0.5)
    with file_lock(tmp_path / 'deep/a.lock'):
        assert holder.wait(0.4) == 0  # it has let go, and ends by itself


def test_a_lock_falls_with_the_process_that_holds_it(tmp_path: Path) -> None:
    holder = hold(tmp_path / 'a.lock', 60)
    holder.kill()
    with file_lock(tmp_path / 'a.lock'):
        assert holder.wait(1) != 0


@pytest.mark.skipif(sys.platform == 'win32', reason='flock is Unix')
@pytest.mark.parametrize('number', [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_the_file_system_knows_no_locks_all_go_in(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, 'no locks here')

    monkeypatch.setattr('fcntl.flock', refuse)
    with file_lock(tmp_path / 'a.lock'), file_lock(tmp_path / 'a.lock'):
        pass
    (tmp_path / 'file').write_text('')
    with file_lock(tmp_path / 'file/a.lock'):
        pass


def test_an_error_in_the_block_comes_out_of_the_lock(tmp_path: Path) -> None:
    def fail() -> None:
        with file_lock(tmp_path / 'a.lock'):
            raise OSError('of the block')

    with pytest.raises(OSError, match='of the block'):
        fail()


@pytest.mark.parametrize(
    ('variables', 'weights', 'folders'),
    [
        ({'MMSSL_CACHE': '/own', 'XDG_CACHE_HOME': '/cache'}, '/own', '/own/folders'),
        ({'XDG_CACHE_HOME': '/cache'}, '/cache/mmssl/weights', '/cache/mmssl/folders'),
        ({'HOME': '/home/me'}, '/home/me/.cache/mmssl/weights', '/home/me/.cache/mmssl/folders'),
    ],
)
def test_the_cache_is_where_the_variables_say(
    variables: dict[str, str], weights: str, folders: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ('MMSSL_CACHE', 'XDG_CACHE_HOME'):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(weights) and cache_folder('folders') == Path(folders)


def test_no_cell_of_a_table_starts_a_formula_and_numbers_stay(tmp_path: Path) -> None:
    formulas = ['=HYPERLINK("http://a")', '+1+cmd', '-2+3', '@SUM(A1)', '\t=1', ' =1', '\uff1d1', '\n=1']
    plain = ['a=b', '-1.5', '+2', '-inf', '', 'x, "y"']
    write_csv(tmp_path / 'a.csv', [['name'], formulas, plain, [-3, None, 0.5], ['caf\udce9']])
    with (tmp_path / 'a.csv').open(newline='', errors='surrogateescape', encoding='utf-8') as file:
        rows = list(csv.reader(file))
    assert rows[0] == ['name'] and rows[1] == [f"'{formula}" for formula in formulas] and rows[2] == plain
    assert rows[3:] == [['-3', '', '0.5'], ['caf\udce9']]


MUTATIONS = [
    Mutation(
        'a table holds formulas',
        'mmssl/files.py',
        'return f"\'{cell}"',
        'return cell',
    ),
    Mutation(
        'what was written is not flushed to the disk',
        'mmssl/files.py',
        '            os.fsync(file.fileno())\n',
        '',
    ),
    Mutation(
        'a write that fails leaves its draft behind',
        'mmssl/files.py',
        '        draft.unlink(missing_ok=True)\n',
        '',
    ),
    Mutation(
        'all processes go into a lock',
        'mmssl/files.py',
        '            stack.enter_context(FileLock(path, **_REAL_LOCKS))\n',
        '',
    ),
]
