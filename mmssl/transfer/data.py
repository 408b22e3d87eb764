"""Check that the data exist before a network is built."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmssl.files import rebase_paths

# Data sets of tools/dataset_tools/prepare.py, by a part of their paths.
_PREPARED = {'VOC20': 'voc', 'SegmentationClass': 'voc', 'train2017': 'coco', 'val2017': 'coco', 'gtFine': 'cityscapes'}
_TRAIN_IDS = '*_gtFine_labelTrainIds.png'


def check_data(*dataloaders: Mapping[str, Any]) -> None:
    """Raise if annotation files or image folders of a config are missing.

    Args:
        dataloaders: Configs of MMDetection's or MMSegmentation's data loaders.

    Raises:
        FileNotFoundError: The message says what is missing, and what to type.
    """
    for dataloader in dataloaders:
        for dataset in _innermost(dataloader['dataset']):
            missing = [path for path in _paths(dataset) if not path.exists()]
            if missing:
                raise FileNotFoundError(
                    f'{dataset["type"]} has no {" and no ".join(map(str, missing))}: {_advice(dataset)}'
                )


def move_data(cfg: Config, root: str) -> None:
    """Move every path of a config that is below its data root to another folder.

    Args:
        cfg: Config; changed in place.
        root: The new data root.
    """
    dataset = next(_innermost(cfg.train_dataloader['dataset']))
    names = [f'{split}_{kind}' for split in ('train', 'val', 'test') for kind in ('dataloader', 'evaluator')]
    parts = {name: rebase_paths(cfg[name].to_dict(), dataset['data_root'], root) for name in names if cfg.get(name)}
    cfg.merge_from_dict(parts, allow_list_keys=False)


def _innermost(dataset: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Configs of the data sets inside RepeatDataset, ConcatDataset and similar wrappers."""
    inside = dataset.get('datasets') or ([dataset['dataset']] if 'dataset' in dataset else [])
    if not inside:
        yield dataset
    for part in inside:
        yield from _innermost(part)


def _paths(dataset: Mapping[str, Any]) -> Iterator[Path]:
    root = Path(dataset.get('data_root') or '')
    if annotations := dataset.get('ann_file'):
        yield root / annotations
    for key, folder in dict(dataset.get('data_prefix') or {}).items():
        if key == 'sub_data_root':  # VOC's layout
            yield from (root / folder / name for name in ('JPEGImages', 'Annotations'))
        elif folder.startswith('gtFine') and (root / folder).is_dir():  # the official archive lacks the label files
            yield next((root / folder).rglob(_TRAIN_IDS), root / folder / _TRAIN_IDS)
        else:
            yield root / folder


def _advice(dataset: Mapping[str, Any]) -> str:
    paths = f'{dataset.get("ann_file")} {dataset.get("data_prefix")} {dataset.get("data_root")}'
    name = next((name for part, name in _PREPARED.items() if part in paths), None)
    if name:
        advice = f'type  python tools/dataset_tools/prepare.py {name}  to see what is needed'
    elif str(dataset['type']).endswith('CocoDataset'):
        advice = 'type  python tools/dataset_tools/voc_to_coco.py ROOT OUT  if the boxes are in the layout of VOC'
    else:
        advice = 'put the data there'
    return f'{advice}, or give its folder with --data-root FOLDER.'
