"""Read mutated checkpoints: nothing in them may run, and each must be read or end in one sentence, in bounded memory.

    python tools/benchmarks/reliability/checkpoints.py --number 10000

Each file is a checkpoint of a training, or a .safetensors file, that was changed by a random stream of its own: its
bytes, the operations of its pickle (some would write a file), or its content. A process of its own then uses it as
resuming, probing, testing, exporting and comparing do. A fault names the number of its file, which makes it again.
"""

import argparse
import faulthandler
import io
import itertools
import json
import logging
import os
import pickle
import pickletools
import random
import resource
import signal
import struct
import sys
import tempfile
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor

from mmssl.checkpoint import latest_checkpoint
from mmssl.export import export_backbone
from mmssl.probe.trained import load_trained
from mmssl.registry import MODELS
from mmssl.visualization.runs import Run, differences_section
from mmssl.weights import read_file

MEMORY = 400  # MB that the use of a file may add
SECONDS = 30  # of computing that it may take
WAIT = 600  # seconds after which its process is ended in any case
LONGEST = 900  # letters of a sentence
CONFIG = {
    'model': {
        'type': 'mmssl.models.SimCLR',
        'backbone': {'type': 'mmssl.models.ResNet', 'depth': 10, 'stem': 'small', 'base_channels': 4},
        'neck': {'type': 'mmssl.models.MLPNeck', 'in_channels': 32, 'hidden_channels': 4, 'out_channels': 4},
        'data_preprocessor': {'type': 'mmssl.models.DataPreprocessor', 'mean': [128.0] * 3, 'std': [64.0] * 3},
    },
    'train_dataloader': {'dataset': {'views': {'size': 32}}},
    'evaluation': {'gallery': {'views': {'crop': 32}}},
}
AUDITED = ('os.system', 'os.exec', 'os.posix_spawn', 'os.spawn', 'os.fork', 'subprocess.Popen', 'socket.connect')


class Outcome(NamedTuple):
    """What came of a mutated file.

    Attributes:
        number: Number of the file.
        kind: What was mutated.
        read: Whether some use read it.
        fault: What went wrong; empty if nothing did.
    """

    number: int
    kind: str
    read: bool
    fault: str


def content_of_a_training() -> dict[str, Any]:
    """Content of a checkpoint of a small network."""
    torch.manual_seed(0)
    model = MODELS.build(CONFIG['model'])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    progress = {'epoch': 1, 'samples_seen': 0, 'num_samples': 40, 'global_batch_size': 8}
    scalars = {'train/loss': {'values': torch.rand(5), 'counts': torch.ones(5)}}
    return {
        'meta': {'progress': progress, 'seed': 0, 'config': CONFIG, 'mmssl_version': '0.1.0'},
        'state_dict': model.state_dict(),
        'optimizer': optimizer.state_dict(),
        'param_schedulers': [{'last_step': 5, 'base_values': [0.1]}],
        'message_hub': {'log_scalars': scalars, 'runtime_info': {'epoch': 1}, 'resumed_keys': {}},
        'monitors': {},
    }


def saved(content: Any, zipped: bool = True) -> bytes:
    """What ``torch.save`` writes."""
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def as_safetensors(content: dict[str, Any]) -> bytes:
    """The weights, and the config in the metadata."""
    return safetensors.torch.save(dict(content['state_dict']), {'mmssl_config': json.dumps(CONFIG)})


def mutated_bytes(data: bytes, draw: random.Random) -> bytes:
    """Flip bits, overwrite, insert, remove, or cut, more often at the start and at the end."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 8, 64))):
        size = max(len(changed), 1)
        place = draw.choice(
            (draw.randrange(size), draw.randrange(min(size, 200)), size - 1 - draw.randrange(min(size, 400)))
        )
        length = draw.choice((1, 2, 4, 8, 64))
        action = draw.randrange(5)
        if action == 0 and changed:
            changed[place] ^= 1 << draw.randrange(8)
        elif action == 1:
            changed[place : place + length] = draw.randbytes(length)
        elif action == 2:
            changed[place:place] = draw.choice((draw.randbytes(length), b'\xff' * length, bytes(length)))
        elif action == 3:
            del changed[place : place + length]
        elif draw.random() < 0.2:
            del changed[place:]
    return bytes(changed)


def payload(draw: random.Random, marker: Path) -> bytes:
    """Operations of a pickle that write the marker if they are run."""
    code = f'open({str(marker)!r}, "w")'
    calls = {
        'builtins exec': code,
        'builtins eval': code,
        'os system': f'touch {marker}',
        'posix system': f'touch {marker}',
        'subprocess getoutput': f'touch {marker}',
        'pathlib Path': str(marker),
        'torch.hub _download_url_to_file': str(marker),
        'os mkdir': str(marker),
        'torch load': str(marker),
        'builtins getattr': str(marker),
        'builtins bytearray': '9' * 12,
    }
    name, text = draw.choice(list(calls.items()))
    start = f'c{name.replace(" ", chr(10), 1)}\n'.encode()
    number = name.endswith('bytearray')
    argument = f'I{text}\n' if number else f'V{text}\n'
    return start + b'(' + argument.encode() + b'tR' + draw.choice((b'', b'0', b'}b', b'a', b's'))


def mutated_pickle(data: bytes, draw: random.Random, marker: Path) -> bytes:
    """Insert, remove, double or exchange operations of a pickle, or change its bytes."""
    if draw.random() < 0.3:
        return mutated_bytes(data, draw)
    places = [place for _, _, place in pickletools.genops(data)] + [len(data)]
    operations = [data[start:end] for start, end in itertools.pairwise(places)]
    for _ in range(draw.choice((1, 1, 2, 5))):
        place, other = draw.randrange(len(operations)), draw.randrange(len(operations))
        action = draw.randrange(5)
        if action == 0:
            operations.insert(place, payload(draw, marker))
        elif action == 1:
            del operations[place]
        elif action == 2:
            operations.insert(place, operations[other])
        elif action == 3:
            operations[place] = operations[other]
        else:
            operations[place] = struct.pack('<B', draw.choice(b'0()]}tRbsuae.12NJ\x88\x85\x86\x87Q'))
        if not operations:
            break
    return b''.join(operations)


def with_pickle(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Change the pickle in a file of ``torch.save``; the rest of the archive stays whole."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, 'w') as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name.endswith('data.pkl') else content)
    return file.getvalue()


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return open, (str(self.marker), 'w')


def odd_value(draw: random.Random, marker: Path) -> Any:
    """A value that nobody expects."""
    loop: list[Any] = []
    loop.append(loop)
    laughs: Any = [0]
    for _ in range(30):
        laughs = [laughs, laughs]
    call = {'type': 'os.system', 'command': f'touch {marker}'}
    code = f'__import__("os").system("touch {marker}")'
    values: list[Callable[[], Any]] = [
        lambda: None, lambda: -1, lambda: 10**30, lambda: float('nan'), lambda: 'text', lambda: code, lambda: call,
        lambda: {'type': 'builtins.exec', 'object': code}, lambda: [], lambda: {}, lambda: loop, lambda: laughs,
        lambda: torch.zeros(1).expand(10**11), lambda: torch.full((3, 3), float('nan')), lambda: torch.zeros(0),
        lambda: torch.ones(2, 2).to_sparse(), lambda: torch.ones(3, device='meta'),
        lambda: torch.ones(2, dtype=torch.complex64),
        lambda: {1: 2}, lambda: [[1.0], 'two'], lambda: 'x' * 100_000, lambda: True, lambda: Payload(marker),
        lambda: torch.nn.Parameter(torch.ones(2)), lambda: {'type': 'mmssl.models.ResNet', 'depth': 10**9},
    ]  # fmt: skip
    return draw.choice(values)()


def mutated_content(content: Any, draw: random.Random, marker: Path) -> Any:
    """Exchange, remove or rename entries of a checkpoint."""
    content = pickle.loads(pickle.dumps(content))
    for _ in range(draw.choice((1, 1, 2, 4))):
        inside, holder = content, None
        while isinstance(inside, dict | list) and inside and (holder is None or draw.random() < 0.75):
            key = draw.choice(list(inside) if isinstance(inside, dict) else range(len(inside)))
            holder, inside = (inside, key), inside[key]
        if holder is None:
            return odd_value(draw, marker)
        owner, key = holder
        action = draw.random()
        if action < 0.6:
            owner[key] = odd_value(draw, marker)
        elif action < 0.8:
            del owner[key]
        elif isinstance(owner, dict):
            owner[draw.choice((f'{key}.x', 'state_dict', 'model', 'part', 7))] = inside
    return content


def mutated_tensors(content: dict[str, Any], draw: random.Random) -> Any:
    """Exchange, reshape, or spoil weights."""
    weights = dict(content['state_dict'])
    for key in draw.sample(list(weights), draw.choice((1, 2, len(weights)))):
        tensor = weights[key]
        changes: list[Callable[[Tensor], Tensor]] = [
            lambda tensor: tensor * float('nan'), lambda tensor: tensor.flatten(), lambda tensor: tensor[None],
            lambda tensor: tensor.double(), lambda tensor: tensor.bool(), lambda tensor: tensor.reshape(-1)[:0],
            lambda tensor: tensor.half(),
        ]  # fmt: skip
        weights[key] = draw.choice(changes)(tensor)
    return {**content, 'state_dict': weights}


def zip_bomb(draw: random.Random) -> bytes:
    """A small file of large tensors of zeros."""
    file = io.BytesIO()
    large = {'state_dict': {'conv1.weight': torch.zeros(1 << 28, dtype=torch.uint8)}}
    with zipfile.ZipFile(io.BytesIO(saved(large))) as old, zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name), compresslevel=draw.choice((1, 9)))
    return file.getvalue()


def lying_header(data: bytes, draw: random.Random) -> bytes:
    """A .safetensors file whose header states other shapes, places or lengths."""
    end = 8 + int.from_bytes(data[:8], 'little')
    header = json.loads(data[8:end])
    for key in draw.sample([key for key in header if key != '__metadata__'], 2):
        entry = header[key]
        number = draw.choice((0, 1, -1, 10**12, 2**62, 2**64, 10**30, 1.5, None, '4'))
        change = draw.randrange(4)
        if change == 0:
            entry['shape'] = [number, *entry['shape']]
        elif change == 1:
            entry['data_offsets'][draw.randrange(2)] = number
        elif change == 2:
            entry['dtype'] = draw.choice(('F64', 'I8', 'F8_E4M3', 'X', 7))
        else:
            header[key] = draw.choice((None, [], {}, {'dtype': 'F32'}))
    text = json.dumps(header).encode()
    length = draw.choice((len(text), len(text), len(text), 99_000_000, 2**63, 0))
    return struct.pack('<Q', length) + text + data[end:]


def make_file(number: int, seed: int, content: dict[str, Any], folder: Path) -> tuple[str, Path]:
    """Write a mutated file; return what was mutated, and its path."""
    draw, marker = random.Random(f'{seed} {number}'), folder / 'marker'
    kinds: dict[str, Callable[[], bytes]] = {
        'bytes': lambda: mutated_bytes(saved(content), draw),
        'bytes, old format': lambda: mutated_bytes(saved(content, zipped=False), draw),
        'pickle': lambda: with_pickle(saved(content), lambda data: mutated_pickle(data, draw, marker)),
        'content': lambda: saved(mutated_content(content, draw, marker)),
        'content, old format': lambda: saved(mutated_content(content, draw, marker), zipped=False),
        'weights': lambda: saved(mutated_tensors(content, draw)),
        'safetensors': lambda: mutated_bytes(as_safetensors(content), draw),
        'header of safetensors': lambda: lying_header(as_safetensors(content), draw),
    }  # fmt: skip
    kind = 'zip bomb' if number % 1000 == 7 else draw.choice([*kinds, 'pickle', 'content'])
    path = folder / ('weights.safetensors' if 'safetensors' in kind else 'epoch_1.pth')
    path.write_bytes(zip_bomb(draw) if kind == 'zip bomb' else kinds[kind]())
    return kind, path


def compare(path: Path) -> None:
    """Compare the config with another, as the tool does."""
    differences_section([Run(name, {}, config) for name, config in (('a', read_file(path).config), ('b', CONFIG))])


def probe(path: Path) -> None:
    """Build the backbone and fill it."""
    trained = load_trained(path)
    trained.fill(trained.recipe.build())


USES: dict[str, Callable[[Path], Any]] = {
    'resume': lambda path: latest_checkpoint(path.parent),
    'probe': probe,
    'test': lambda path: load_trained(path).algorithm(),
    'export': lambda path: export_backbone(path, path.parent / 'out.pth', 'torchvision'),
    'compare': compare,
}


def use(path: Path) -> tuple[bool, str]:
    """Use a file in every way; return whether one read it, and the first fault."""
    done = False
    for name, function in USES.items():
        try:
            done = function(path) is not None or name in ('probe', 'compare') or done
        except (ValueError, FileNotFoundError) as error:
            said = str(error)
            if '\n' in said or not 20 < len(said) < LONGEST:
                return done, f'{name}: no sentence: {said[:300]!r}'
        except (Exception, TooLong):
            return done, f'{name}: {traceback.format_exc()}'
    return done, ''


class TooLong(BaseException):
    """A file took more than ``SECONDS`` of computing."""


def end(*_: object) -> None:
    """Show by a traceback where the time goes."""
    raise TooLong


def in_child(path: Path, folder: Path, answer: int) -> None:
    """Use a file in this process, and write what came of it."""
    logging.disable()
    ran: list[str] = []
    sys.addaudithook(lambda event, _: ran.append(event) if event.startswith(AUDITED) else None)
    signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    faulthandler.dump_traceback_later(WAIT, exit=True)
    done, fault = use(path)
    fault = f'it ran {ran}' if ran else fault
    if (folder / 'marker').exists():
        fault = 'it wrote the marker'
    os.write(answer, json.dumps([done, fault[-3000:]]).encode())


def used(path: Path, folder: Path) -> tuple[bool, str]:
    """Use a file in a process of its own; return whether it was read, and the fault."""
    before = int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(read)
            in_child(path, folder, write)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    _, status, usage = os.wait4(child, 0)
    if not text:
        return False, f'the process ended with status {status}'
    done, fault = json.loads(text)
    grown = (usage.ru_maxrss * 1024 - before) / 1e6
    return done, fault or (f'it took {grown:.0f} MB' if grown > MEMORY else '')


def campaign(numbers: range, seed: int = 0) -> Iterator[Outcome]:
    """Make, use and judge mutated files.

    Args:
        numbers: Their numbers.
        seed: Seed of all of them.
    """
    torch.set_num_threads(1)
    content = content_of_a_training()
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / 'epoch_1.pth').write_bytes(saved(content))
        read, fault = use(Path(place) / 'epoch_1.pth')  # imports what the children need, too
        if not read or fault:
            raise RuntimeError(f'The whole checkpoint is refused: {fault}')
    for number in numbers:
        with tempfile.TemporaryDirectory() as place:
            kind, path = make_file(number, seed, content, Path(place))
            yield Outcome(number, kind, *used(path, Path(place)))


def main() -> None:
    """Run the campaign, print its faults, and fail if there are any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--number', type=int, default=300, help='how many files')
    parser.add_argument('--first', type=int, default=0, help='number of the first file')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    kinds: Counter[str] = Counter()
    read = faults = 0
    for outcome in campaign(range(args.first, args.first + args.number), args.seed):
        kinds[outcome.kind] += 1
        read += outcome.read
        if outcome.fault:
            faults += 1
            print(f'{outcome.number} ({outcome.kind}): {outcome.fault}', flush=True)
    print(', '.join(f'{number} {kind}' for kind, number in kinds.most_common()))
    print(f'{args.number} mutated files: {read} read in some way, {args.number - read} refused, {faults} faults.')
    raise SystemExit(bool(faults))


if __name__ == '__main__':
    main()
