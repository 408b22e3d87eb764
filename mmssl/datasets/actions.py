"""Data sets of actions in the layouts that their authors publish: UCF101, HMDB51, Kinetics-400, Something-Something."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mmssl.datasets.sources import read_list
from mmssl.datasets.video_sources import VideoSource, find_videos
from mmssl.registry import DATASETS


class _Entries(NamedTuple):
    """Videos of a part, relative to the root, with their classes by name."""

    paths: list[str]
    names: list[str]


class ActionSource(VideoSource):
    """Base class of sources in a published layout.

    Args:
        root: Folder of the data set.
        entries: The videos of the part.
        classes: Names of the classes, by number.
        settings: ``rate`` and ``minimum_frames`` of :class:`~mmssl.datasets.VideoSource`.

    Raises:
        ValueError: There are no videos, or one has an unknown class.
    """

    def __init__(self, root: str | Path, entries: _Entries, classes: Sequence[str], **settings: Any) -> None:
        numbers = {name: number for number, name in enumerate(classes)}
        unknown = [name for name in entries.names if name not in numbers]
        if unknown:
            raise ValueError(f'{root} has videos of {unknown[0]}, which is none of its {len(classes)} classes.')
        super().__init__(root, entries.paths, [numbers[name] for name in entries.names], classes, **settings)


@DATASETS.register_module()
class UCF101(ActionSource):
    """UCF101: videos in class folders, and the splits of its authors.

    The layout is ``videos/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi``, with ``ucfTrainTestlist/trainlist01.txt``,
    ``testlist01.txt`` and ``classInd.txt``; the videos may also lie in ``UCF-101``.

    Args:
        root: Folder of the data set.
        part: ``'train'`` or ``'test'``.
        split: 1, 2 or 3.
        settings: ``rate`` and ``minimum_frames`` of :class:`~mmssl.datasets.VideoSource`.

    Raises:
        ValueError: A file of the layout is missing.
    """

    def __init__(
        self, root: str | Path, part: Literal['train', 'test'] = 'train', split: int = 1, **settings: Any
    ) -> None:
        root = Path(root)
        videos = _folder(root, 'UCF-101', 'videos')
        lists = _folder(root, 'ucfTrainTestlist')
        paths = [line.partition('.avi')[0] + '.avi' for line in read_list(lists / f'{part}list{split:02}.txt')]
        classes = [line.split()[-1] for line in read_list(lists / 'classInd.txt')]
        names = [path.partition('/')[0] for path in paths]
        entries = _Entries([f'{videos.name}/{path}' for path in paths], names)
        super().__init__(root, entries, classes, **settings)


@DATASETS.register_module()
class HMDB51(ActionSource):
    """HMDB51: videos in class folders, and one list per class and split.

    The layout is ``videos/brush_hair/NAME.avi``, with ``testTrainMulti_7030_splits/brush_hair_test_split1.txt``, whose
    lines end in 1 for training, 2 for testing and 0 for neither; the videos may also lie in ``hmdb51_org``.

    Args:
        root: Folder of the data set.
        part: ``'train'`` or ``'test'``.
        split: 1, 2 or 3.
        settings: ``rate`` and ``minimum_frames`` of :class:`~mmssl.datasets.VideoSource`.

    Raises:
        ValueError: A file of the layout is missing.
    """

    def __init__(
        self, root: str | Path, part: Literal['train', 'test'] = 'train', split: int = 1, **settings: Any
    ) -> None:
        root = Path(root)
        videos = _folder(root, 'hmdb51_org', 'videos')
        lists, ending = _folder(root, 'testTrainMulti_7030_splits', 'splits'), f'_test_split{split}.txt'
        classes = sorted(path.name.removesuffix(ending) for path in lists.glob(f'*{ending}'))
        if not classes:
            raise ValueError(f'{lists} has no lists *{ending}: give split=1, 2 or 3.')
        wanted, entries = {'train': '1', 'test': '2'}[part], _Entries([], [])
        for name in classes:
            lines = (line.rsplit(maxsplit=1) for line in read_list(lists / f'{name}{ending}'))
            chosen = [f'{videos.name}/{name}/{file}' for file, use in lines if use == wanted]
            entries.paths.extend(chosen)
            entries.names.extend([name] * len(chosen))
        super().__init__(root, entries, classes, **settings)


@DATASETS.register_module()
class Kinetics400(ActionSource):
    """Kinetics-400: videos of each part, in class folders or listed in a table.

    The layout is ``train/abseiling/-7kbO0v4hag_000107_000117.mp4``. Where the videos of a part lie in one folder,
    ``annotations/train.csv`` (or ``train.csv``) with the columns ``label``, ``youtube_id``, ``time_start`` and
    ``time_end`` says their classes, and videos that are missing, as many are, are left out.

    Args:
        root: Folder of the data set.
        part: ``'train'``, ``'val'`` or ``'test'``.
        settings: ``rate`` and ``minimum_frames`` of :class:`~mmssl.datasets.VideoSource`.

    Raises:
        ValueError: The videos or their classes are missing.
    """

    def __init__(self, root: str | Path, part: Literal['train', 'val', 'test'] = 'train', **settings: Any) -> None:
        root = Path(root)
        found = find_videos(_folder(root, part))
        tables = [path for path in (root / f'annotations/{part}.csv', root / f'{part}.csv') if path.is_file()]
        if all('/' in path for path in found):
            names = [path.partition('/')[0] for path in found]
            training = root / 'train'
            folders = [entry.name for entry in training.iterdir() if entry.is_dir()] if training.is_dir() else names
            classes = sorted({*folders, *names})
        elif tables:
            by_name = _kinetics_table(tables[0])
            found = [path for path in found if Path(path).stem in by_name]
            names = [by_name[Path(path).stem] for path in found]
            classes = sorted(set(by_name.values()))
        else:
            raise ValueError(
                f'{root / part} has no class folders, and there is no {root / f"annotations/{part}.csv"}: give one.'
            )
        super().__init__(root, _Entries([f'{part}/{path}' for path in found], names), classes, **settings)


def _kinetics_table(path: Path) -> dict[str, str]:
    """Class of each clip by the stem of its file."""
    with path.open(encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    columns = ('label', 'youtube_id', 'time_start', 'time_end')
    if not rows or any(column not in rows[0] for column in columns):
        raise ValueError(f'{path} needs the columns {", ".join(columns)}, and at least one row.')
    return {
        f'{row["youtube_id"]}_{int(float(row["time_start"])):06}_{int(float(row["time_end"])):06}': row['label']
        for row in rows
    }


@DATASETS.register_module()
class SomethingSomething(ActionSource):
    """Something-Something, version 1 (frames in folders) or 2 (``.webm`` files).

    The layouts are ``20bn-something-something-v1/100218/00001.jpg`` with ``something-something-v1-labels.csv`` (a class
    per line) and ``something-something-v1-train.csv`` (``100218;Moving part of something``); and
    ``20bn-something-something-v2/78687.webm`` with ``something-something-v2-labels.json`` and
    ``something-something-v2-train.json``, or ``labels/labels.json`` and ``labels/train.json``.

    Args:
        root: Folder of the data set.
        part: ``'train'`` or ``'validation'``; the labels of the test part are not published.
        version: 1 or 2.
        settings: ``rate`` and ``minimum_frames`` of :class:`~mmssl.datasets.VideoSource`.

    Raises:
        ValueError: A file of the layout is missing.
    """

    def __init__(
        self,
        root: str | Path,
        part: Literal['train', 'validation'] = 'train',
        version: Literal[1, 2] = 2,
        **settings: Any,
    ) -> None:
        root, name = Path(root), f'something-something-v{version}'
        videos = _folder(root, f'20bn-{name}', 'videos')
        if version == 1:
            classes = read_list(root / f'{name}-labels.csv')
            rows = [line.partition(';') for line in read_list(root / f'{name}-{part}.csv')]
            entries = _Entries([f'{videos.name}/{number}' for number, _, _ in rows], [text for _, _, text in rows])
        else:
            numbers: Mapping[str, Any] = _json(root, f'{name}-labels.json', 'labels/labels.json')
            classes = sorted(numbers, key=lambda label: int(numbers[label]))
            listed = _json(root, f'{name}-{part}.json', f'labels/{part}.json')
            entries = _Entries([f'{videos.name}/{row["id"]}.webm' for row in listed], list(_templates(listed)))
        super().__init__(root, entries, classes, **settings)


def _templates(rows: Iterable[Mapping[str, str]]) -> Iterable[str]:
    """Names of the classes: the templates, whose objects stand in brackets."""
    return (row['template'].replace('[', '').replace(']', '') for row in rows)


def _json(root: Path, *names: str) -> Any:
    for name in names:
        if (root / name).is_file():
            return json.loads((root / name).read_text('utf-8'))
    raise ValueError(f'{root} has no {names[0]}: give the folder in which the data set was unpacked as root.')


def _folder(root: Path, *names: str) -> Path:
    """The first of several folders that exists."""
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise ValueError(f'{root} has no folder {names[0]}: give the folder in which the data set was unpacked as root.')
