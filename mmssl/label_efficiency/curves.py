"""The pieces of a comparison: pre-trainings, trials of learning rates, fine-tunings; each is a file, and done once."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from mmssl.checkpoint import latest_checkpoint
from mmssl.download import file_hash
from mmssl.files import write_json

FOLDS = 2  # halves of the labelled images that rates are compared on
_MARGIN = 1.1  # how much longer than the longest of its kind a piece may take


class Interrupted(Exception):  # noqa: N818 - nothing is wrong
    """The time is over; the message says what is left."""


class Origin(NamedTuple):
    """What a network starts from.

    Attributes:
        file: Its weights; None for random ones.
        like: File whose network an untrained start has; None for the default one.
    """

    file: Path | None = None
    like: Path | None = None


class Task(Protocol):
    """What is learned from the labels: classification, detection or segmentation.

    Attributes:
        name: Name of the task.
        unit: What a number of labels counts, such as ``'images per class'``.
        measures: Names of the measures on the test images; the first one decides.
        rates: Learning rates to choose from.
        settings: Everything that decides the values, as plain data.
    """

    name: str
    unit: str
    measures: tuple[str, ...]
    rates: tuple[float, ...]
    settings: dict[str, Any]

    def count(self, labels: int | None) -> int:
        """Number of labelled images; None stands for all."""

    def effort(self, labels: int | None) -> dict[str, int]:
        """Steps and images drawn in a fine-tuning; the same for every start."""

    def unlabelled(self, folder: Path) -> Path:
        """Folder of all training images for a pre-training; may be made below ``folder``."""

    def describe(self, origin: Origin) -> str:
        """Check that the network takes the weights, and describe it in a few words."""

    def measure(self, origin: Origin, labels: int | None, seed: int, rate: float, folder: Path) -> dict[str, Any]:
        """Fine-tune on the labelled images; the measures on the test images."""

    def held_out(self, origin: Origin, labels: int | None, seed: int, rate: float, fold: int, folder: Path) -> float:
        """Fine-tune on a part of the labelled images; the first measure on the others. No test image is used."""


@dataclass(frozen=True)
class Start:
    """Weights that a fine-tuning starts from.

    Attributes:
        name: Name in tables.
        files: One file per seed, or fewer, which are then used in turn; none for an untrained network.
        minutes: Time of the pre-training that makes the files; None if they exist.
        seeds: Number of pre-trainings.
    """

    name: str
    files: tuple[Path, ...] = ()
    minutes: float | None = None
    seeds: int = 1

    @property
    def key(self) -> str:
        """The name for a file."""
        return ''.join(letter if letter.isalnum() else '_' for letter in self.name)


@dataclass(frozen=True)
class Piece:
    """One part of the work.

    Attributes:
        file: JSON file that holds the result; its existence says that the piece is done.
        kind: ``'pre-training'``, ``'rate'`` or ``'fine-tuning'``.
        title: What is done, in a few words.
        work: Does it in a folder, which is deleted afterwards, and returns what the file holds.
        minutes: Expected time, if known.
    """

    file: Path
    kind: str
    title: str
    work: Callable[[Path], dict[str, Any]]
    minutes: float | None = None

    @property
    def done(self) -> bool:
        """Whether the file exists."""
        return self.file.exists()

    @property
    def content(self) -> dict[str, Any]:
        """Content of the file."""
        return json.loads(self.file.read_text())


class Curves:
    """All pieces of a comparison, in a folder.

    Args:
        task: What is learned.
        starts: The starts to compare.
        labels: Numbers of labelled images, ascending; None stands for all.
        seeds: Seeds of the labelled images, of the fine-tuning, and of the pre-training.
        folder: Folder for everything.
        pretrain: Function of a folder of images, minutes, a work directory and a seed; gives the file of the weights.
        choose_at: Number of labels at which the learning rate is chosen.

    Raises:
        ValueError: The folder holds pieces of other settings, or two starts have one name.
    """

    def __init__(
        self,
        task: Task,
        starts: Sequence[Start],
        labels: Sequence[int | None],
        seeds: Sequence[int],
        folder: Path,
        pretrain: Callable[[Path, float, Path, int], Path],
        choose_at: int | None,
    ) -> None:
        names = [start.name for start in starts]
        if len(set(names)) < len(names):
            raise ValueError(f'Two starts have one name ({", ".join(names)}): give each only once.')
        counts = {task.count(number): number for number in labels}  # of numbers for the same images, the last
        self.task, self.starts, self.labels, self.seeds = (
            task,
            tuple(starts),
            (*counts.values(),),
            (*dict.fromkeys(seeds),),
        )
        self.folder, self.pretrain, self.choose_at = folder, pretrain, choose_at
        self.settings = self._compared_settings()

    def _compared_settings(self) -> dict[str, Any]:
        """The settings that decide the values, compared with those of the pieces in the folder."""
        chosen_at = {'choose_at': self.choose_at, 'first_seed': self.seeds[0]}
        settings = {'task': self.task.name, **self.task.settings, **chosen_at, 'network_of': self._network_of()}
        given = json.loads(json.dumps(settings, default=str))
        file = self.folder / 'settings.json'
        if not file.exists() or not any(self.folder.glob('pieces/*.json')):
            return given
        known = json.loads(file.read_text())
        for key in sorted(known.keys() | given.keys()):
            if known.get(key) != given.get(key):
                raise ValueError(
                    f'{self.folder} holds a measurement with {key} {known.get(key)}, but {given.get(key)} is given: '
                    'give the same settings to continue it, or another --work-dir.'
                )
        return given

    def _network_of(self) -> str:
        """Whose network the untrained start has: the name of a pre-training, or a description."""
        first = next((start for start in self.starts if start.files or start.minutes), None)
        if first is None or first.minutes:
            return first.name if first else 'untrained'
        with suppress(OSError, ValueError):  # check() says what is wrong with the file
            return self.task.describe(Origin(first.files[0]))
        return first.name

    def check(self) -> None:
        """Refuse given weights that the task's networks cannot take, before anything is measured.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: A file does not fit.
        """
        for start in self.starts:
            for file in start.files:
                self.task.describe(Origin(file))

    def pieces(self) -> Iterator[Piece]:
        """All pieces, seed by seed, so that each seed has its rows in the tables as soon as possible."""
        for seed in self.seeds:
            for start in self.starts:
                if start.minutes and seed in self.seeds[: start.seeds]:
                    yield self._pretraining(start, seed)
            if seed == self.seeds[0]:
                for start in self.starts:
                    yield from self.trials(start)
            for labels in self.labels:
                for start in self.starts:
                    yield self._fine_tuning(start, labels, seed)

    def _piece(self, kind: str, name: str, title: str, work: Callable, minutes: float | None = None) -> Piece:
        return Piece(self.folder / 'pieces' / f'{name}.json', kind, title, work, minutes)

    def _pretraining(self, start: Start, seed: int) -> Piece:
        def work(folder: Path) -> dict[str, Any]:
            images = self.task.unlabelled(self.folder)
            weights = self.pretrain(images, start.minutes or 0.0, self.folder / 'pretraining' / name, seed)
            return {'start': start.name, 'seed': seed, 'weights': str(weights)}

        name = f'{start.key}_seed{seed}'
        return self._piece('pre-training', f'pretraining_{name}', f'{start.name}, seed {seed}', work, start.minutes)

    def origin(self, start: Start, seed: int) -> Origin:
        """What a fine-tuning with a seed starts from; the pre-trainings must be done."""
        like = next((self._file(other, self.seeds[0]) for other in self.starts if other.files or other.minutes), None)
        return Origin(self._file(start, seed), like)

    def _file(self, start: Start, seed: int) -> Path | None:
        if start.minutes:
            return Path(self._pretraining(start, self._pretrained_with(start, seed)).content['weights'])
        return start.files[self.seeds.index(seed) % len(start.files)] if start.files else None

    def _pretrained_with(self, start: Start, seed: int) -> int:
        """Seed of the pre-training that a fine-tuning starts from."""
        seeds = self.seeds[: start.seeds]
        return seeds[self.seeds.index(seed) % len(seeds)]

    def _key(self, start: Start, seed: int) -> str:
        """A start's name for a file, with the weights that are meant: a file of that name may change."""
        if start.minutes:
            pretrained = self._pretrained_with(start, seed)
            return start.key if pretrained == seed else f'{start.key}_of_seed{pretrained}'
        file = self._file(start, seed)
        return f'{start.key}_{content_hash(file)}' if file else start.key

    def trials(self, start: Start) -> list[Piece]:
        """The trials of the learning rates of a start; none if there is no choice."""
        if len(self.task.rates) == 1:
            return []
        return [self._trial(start, rate, fold) for rate in self.task.rates for fold in range(FOLDS)]

    def _trial(self, start: Start, rate: float, fold: int) -> Piece:
        def work(folder: Path) -> dict[str, Any]:
            value = self.task.held_out(self.origin(start, seed), self.choose_at, seed, rate, fold, folder)
            return {'start': start.name, 'rate': rate, 'fold': fold, 'labels': self.choose_at, 'held_out': value}

        seed = self.seeds[0]
        name = f'rate_{self._key(start, seed)}_{rate:g}_{fold}'
        title = f'{start.name}, learning rate {rate:g}, half {fold + 1}'
        return self._piece('rate', name, title, work)

    def rate(self, start: Start) -> float:
        """The learning rate with the best mean on the held-out labelled images; of equal ones the lowest."""
        if len(self.task.rates) == 1:
            return self.task.rates[0]
        values = {rate: sum(self._trial(start, rate, fold).content['held_out'] for fold in range(FOLDS))
                  for rate in sorted(self.task.rates)}  # fmt: skip
        return max(values, key=values.__getitem__)

    def _fine_tuning(self, start: Start, labels: int | None, seed: int) -> Piece:
        def work(folder: Path) -> dict[str, Any]:
            rate, origin = self.rate(start), self.origin(start, seed)
            values = self.task.measure(origin, labels, seed, rate, folder)
            known = {'start': start.name, 'labels': labels, 'images': self.task.count(labels), 'seed': seed}
            network = self.task.describe(origin)
            return {**known, 'network': network, 'rate': rate, **self.task.effort(labels), 'values': values}

        count = 'all' if labels is None else labels
        name, title = f'{self._key(start, seed)}_{count}_seed{seed}', f'{start.name}, {count} labels, seed {seed}'
        return self._piece('fine-tuning', name, title, work)

    def run(self, hours: float | None = None, say: Callable[[str], None] = print) -> None:
        """Do the pieces that are missing.

        Args:
            hours: Stop before a piece that would probably end later than this; None does all.
            say: Function that takes a line about each piece.

        Raises:
            Interrupted: The time is over.
        """
        (self.folder / 'pieces').mkdir(parents=True, exist_ok=True)
        write_json(self.folder / 'settings.json', self.settings)
        begun, longest = time.monotonic(), self._longest()
        pieces = list(self.pieces())
        missing = [piece for piece in pieces if not piece.done]
        say(f'{len(pieces)} pieces, {len(pieces) - len(missing)} of them done.')
        for number, piece in enumerate(missing):
            expected = piece.minutes or longest.get(piece.kind, 0.0)
            over = hours is not None and time.monotonic() - begun + expected * 60 * _MARGIN > hours * 3600
            if over and (number or not hours):
                raise Interrupted(self.what_is_left(f'The {hours:g} hours are over'))
            minutes = do(piece)
            longest[piece.kind] = max(longest.get(piece.kind, 0.0), minutes)
            say(f'[{len(pieces) - len(missing) + number + 1}/{len(pieces)}] {piece.kind}: {piece.title} '
                f'({minutes:.1f} min)')  # fmt: skip

    def _longest(self) -> dict[str, float]:
        """Longest time of each kind among the pieces that are done, in minutes."""
        done = [piece for piece in self.pieces() if piece.done]
        return {kind: max(piece.content['minutes'] for piece in done if piece.kind == kind)
                for kind in {piece.kind for piece in done}}  # fmt: skip

    def what_is_left(self, reason: str) -> str:
        """Say what is missing, and how to continue."""
        missing = [piece for piece in self.pieces() if not piece.done]
        total = len(list(self.pieces()))
        first = f' The next one is {missing[0].kind}: {missing[0].title}.' if missing else ''
        return (
            f'{reason}: {total - len(missing)} of {total} pieces are done, {len(missing)} are left.{first} Type the '
            'same command again to continue.'
        )

    def results(self) -> dict[str, Any]:
        """Everything that has been measured, as plain data: settings, starts, and the pieces that are done."""
        done = [{'kind': piece.kind, **piece.content} for piece in self.pieces() if piece.done]
        return {
            'settings': self.settings,
            'unit': self.task.unit,
            'measures': list(self.task.measures),
            'starts': [start.name for start in self.starts],
            'pieces': done,
        }


def content_hash(file: Path) -> str:
    """Eight hexadecimal digits of a file, or of the newest checkpoint of a run; empty if there is none.

    Args:
        file: A file of weights, or the work directory of a run.
    """
    if file.is_dir():
        found = latest_checkpoint(file)
        file = found[0] if found else file
    return _hash(file, file.stat().st_mtime_ns) if file.is_file() else ''


@cache
def _hash(file: Path, changed: int) -> str:
    return file_hash(file)[:8]


def do(piece: Piece) -> float:
    """Do one piece in a folder of its own and write its file; returns the minutes it took."""
    scratch = piece.file.with_suffix('.work')
    shutil.rmtree(scratch, ignore_errors=True)  # of an interrupted attempt
    scratch.mkdir(parents=True)
    begun = time.monotonic()
    content = piece.work(scratch)
    minutes = (time.monotonic() - begun) / 60
    write_json(piece.file, {**content, 'minutes': round(minutes, 3)})
    shutil.rmtree(scratch, ignore_errors=True)
    return minutes
