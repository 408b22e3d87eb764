"""Downloads from a real server: cut, resumed, changed, wrong, missing, shared."""

import errno
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.request import Request

import numpy as np
import pytest

import mmssl.download as module
from mmssl.apis.zoo import published_entries
from mmssl.download import DownloadError, download
from tests.apis.server import FileServer, serving
from tests.helpers.mutation import Mutation
from tests.training import ROOT, environment

sys.path.insert(0, str(ROOT / 'tools/benchmarks/reliability'))  # as Python does for a script that stands there

import downloads

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256, MD5 = hashlib.sha256(CONTENT).hexdigest(), hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(module, '_PAUSE', 0.0)
    monkeypatch.delenv('MMSSL_MIRROR', raising=False)
    with serving(CONTENT) as started:
        yield started


def fetch(server: FileServer, folder: Path, checksum: str = '', **how: int) -> Path:
    return download(f'{server.url}/a/weights.pth', folder / 'weights.pth', checksum, **how)


def holds(path: Path, content: bytes) -> bool:
    """Whether a file has this content; not asserted as it is, since pytest in CI draws long differences for minutes."""
    return path.read_bytes() == content


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {'weights.pth.lock'}


@pytest.mark.parametrize('checksum', ['', f'sha256:{SHA256}', f'sha256:{SHA256[:8]}', f'md5:{MD5[:8]}'])
def test_a_file_comes_whole_and_a_second_call_asks_nobody(server, tmp_path, checksum):
    for _ in range(2):
        assert holds(fetch(server, tmp_path / 'new', checksum), CONTENT)
    assert server.requests == [('/a/weights.pth', None)]
    assert names(tmp_path / 'new') == {'weights.pth'}


def test_a_cut_connection_is_continued_where_it_broke_off(server, tmp_path):
    server.cuts = [100_000, 50_000]
    assert holds(fetch(server, tmp_path, f'sha256:{SHA256}'), CONTENT)
    assert [wanted for _, wanted in server.requests] == [None, 'bytes=100000-', 'bytes=150000-']


def test_a_later_call_continues_what_an_earlier_one_left(server, tmp_path):
    server.cuts = [100_000, 0]
    with pytest.raises(DownloadError, match=r'connection was cut\); what has arrived is kept'):
        fetch(server, tmp_path, tries=1)
    assert names(tmp_path) == {'weights.pth.part', 'weights.pth.part.json'}
    assert holds(fetch(server, tmp_path), CONTENT)
    assert server.requests[-1][1] == 'bytes=100000-'


def test_a_server_without_ranges_sends_all_of_it_again(server, tmp_path):
    server.cuts, server.ranges = [100_000], False
    assert holds(fetch(server, tmp_path), CONTENT)


def test_a_server_that_names_no_version_is_asked_for_all_of_it_again(server, tmp_path):
    server.cuts, server.version = [100_000], ''
    assert holds(fetch(server, tmp_path), CONTENT)
    assert [wanted for _, wanted in server.requests] == [None, None]


@pytest.mark.parametrize('careless', [False, True])
@pytest.mark.parametrize('length', [300_000, 50_000])
def test_a_file_that_changed_in_between_is_not_glued_to_its_old_start(server, tmp_path, length, careless):
    server.cuts, server.careless = [100_000], careless
    server.cuts.append(0)
    with pytest.raises(DownloadError):
        fetch(server, tmp_path, tries=1)
    server.content, server.version = CONTENT[::-1][:length], '"two"'
    assert holds(fetch(server, tmp_path), server.content)


def test_a_part_longer_than_the_file_is_thrown_away(server, tmp_path):
    server.content = CONTENT[:1000]
    (tmp_path / 'weights.pth.part').write_bytes(CONTENT)
    note = f'{{"url": "{server.url}/a/weights.pth", "version": "\\"one\\""}}'
    (tmp_path / 'weights.pth.part.json').write_text(note)
    assert holds(fetch(server, tmp_path), CONTENT[:1000])


def test_a_wrong_hash_is_refused_and_the_file_removed(server, tmp_path):
    with pytest.raises(ValueError, match=f'has the sha256 hash {SHA256[:8]} instead of 0123abcd') as refused:
        fetch(server, tmp_path, 'sha256:0123abcd')
    assert 'It was removed' in str(refused.value)
    assert not names(tmp_path) & {'weights.pth', 'weights.pth.part'}


def test_a_missing_file_is_named_at_once_with_where_to_put_it_by_hand(server, tmp_path):
    server.status = 404
    with pytest.raises(DownloadError, match=f'/a/weights.pth answers 404 .* put the file at {tmp_path}/weights.pth'):
        fetch(server, tmp_path)
    assert len(server.requests) == 1


def test_a_server_that_is_down_for_a_moment_is_asked_again(server, tmp_path, monkeypatch):
    server.status = 503
    monkeypatch.setattr(module.time, 'sleep', lambda _: setattr(server, 'status', 200))
    assert holds(fetch(server, tmp_path), CONTENT)


def test_without_a_connection_one_sentence_says_what_to_do(server, tmp_path):
    with serving(b'') as gone:
        url = gone.url
    with pytest.raises(DownloadError, match=r'Connection refused.*MMSSL_MIRROR'):
        download(f'{url}/weights.pth', tmp_path / 'weights.pth')
    assert not names(tmp_path)


def test_a_mirror_replaces_scheme_and_host(server, tmp_path, monkeypatch):
    monkeypatch.setenv('MMSSL_MIRROR', f'{server.url}/mirrored/')
    download('https://example.invalid/models/weights.pth', tmp_path / 'weights.pth', f'sha256:{SHA256}')
    assert server.requests == [('/mirrored/models/weights.pth', None)]


def test_a_disk_without_room_is_refused_before_anything_is_written(server, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: SimpleNamespace(free=200_000))
    with pytest.raises(
        DownloadError, match=r'cannot be written \(0 MB are needed\): free some space or set MMSSL_CACHE'
    ):
        fetch(server, tmp_path)
    assert 'weights.pth' not in names(tmp_path)


def test_a_disk_that_fills_up_leaves_no_broken_file_and_a_part_to_continue(server, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as patched:
        patched.setattr(module.os, 'fsync', full)
        with pytest.raises(DownloadError, match='No space left on device'):
            fetch(server, tmp_path)
    assert 'weights.pth' not in names(tmp_path)
    assert holds(fetch(server, tmp_path, f'sha256:{SHA256}'), CONTENT)


def test_a_cache_that_cannot_be_written_is_named_with_the_variable_that_moves_it(server, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(DownloadError, match=r'file cannot be written \(.*\): free some space or set MMSSL_CACHE'):
        fetch(server, tmp_path / 'file')


def test_of_two_processes_one_fetches_and_both_have_the_file(server, tmp_path):
    code = (
        'import sys, hashlib; from mmssl.download import download; '
        'print(hashlib.sha256(download(sys.argv[1], sys.argv[2]).read_bytes()).hexdigest())'
    )
    command = [sys.executable, '-c', code, f'{server.url}/w.pth', str(tmp_path / 'w.pth')]
    env = {**environment(), 'PYTHONPATH': str(ROOT)}
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) for _ in range(2)]
    assert [run.communicate()[0].split()[-1] for run in runs] == [SHA256, SHA256]
    assert len(server.requests) == 1


def test_each_bad_server_and_each_malformed_address_ends_in_the_file_or_in_one_sentence():
    outcomes = list(downloads.campaign(**downloads.SHORT))
    assert not [outcome for outcome in outcomes if outcome.fault]
    assert len(downloads.KINDS) >= 35 and sum(not outcome.said for outcome in outcomes) == 7


@pytest.mark.parametrize('place', ['http://example.invalid/b', 'ftp://example.invalid/b'])
def test_a_redirect_that_leaves_https_is_refused(place):
    answer = SimpleNamespace(close=lambda: None)
    with pytest.raises(DownloadError, match=f'redirects from https to {place}, which is not safe'):
        module._Redirects().redirect_request(Request('https://example.invalid/a'), answer, 302, 'Found', {}, place)


def test_a_redirect_to_https_is_followed():
    answer, asked = SimpleNamespace(close=lambda: None), Request('http://example.invalid/a')
    found = module._Redirects().redirect_request(asked, answer, 302, 'Found', {}, 'https://example.invalid/b')
    assert found.full_url == 'https://example.invalid/b'


def test_the_index_of_a_zoo_that_never_ends_is_refused():
    with (
        downloads.serving(downloads.KINDS['a body without an end'].answer) as port,
        pytest.raises(ConnectionError, match=r'sends more than 16,777,216 bytes.*unset MMSSL_ZOO'),
    ):
        published_entries(f'http://127.0.0.1:{port}')


def test_a_mirror_that_is_no_address_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv('MMSSL_MIRROR', 'mirror.example')
    with pytest.raises(DownloadError, match=r"'mirror.example/a' is not an address: .*MMSSL_MIRROR"):
        download('https://example.invalid/a', tmp_path / 'a')


def test_an_error_of_the_connection_is_not_taken_for_one_of_the_disk(server, tmp_path, monkeypatch):
    def unreachable(*_: object) -> None:
        raise OSError(errno.EHOSTUNREACH, 'No route to host')

    monkeypatch.setattr('http.client.HTTPResponse.read1', unreachable)
    with pytest.raises(DownloadError, match='cannot be fetched .*No route to host'):
        fetch(server, tmp_path)


MUTATIONS = [
    Mutation(
        'a download is continued although the file on the server has changed',
        'mmssl/download.py',
        'if resumed and (sent != version or not',
        'if resumed and (not',
    ),
    Mutation(
        'a file is kept although its hash is wrong',
        'mmssl/download.py',
        '    if not found.startswith(wanted):\n        path.unlink()',
        '    if not found.startswith(wanted):\n        pass',
    ),
    Mutation(
        'a server that crawls is waited for as long as it likes',
        'mmssl/download.py',
        '                self.crawled = True\n',
        '                return\n',
        'tests/test_download.py -k each_bad_server',
    ),
    Mutation(
        'an answer may be longer than any file',
        'mmssl/download.py',
        'if self.watch.received > largest:',
        'if self.watch.received > 1000 * largest:',
        'tests/test_download.py -k each_bad_server',
    ),
    Mutation(
        'a redirect may leave https',
        'mmssl/download.py',
        "if after != before and after != 'https':",
        'if False:',
        'tests/test_download.py -k leaves_https',
    ),
]
