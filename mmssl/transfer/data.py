"""Is the data there? Asked before a network is built."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmssl.files import rebase_paths

# What tools/dataset_tools/prepare.py makes, by what stands in the paths of a data set.
_PREPARED = {'VOC20': 'voc', 'SegmentationClass': 'voc', 'train2017': 'coco', 'val2017': 'coco', 'gtFine': 'cityscapes'}
_TRAIN_IDS = '*_gtFine_labelTrainIds.png'


def check_data(*dataloaders: Mapping[str, Any]) -> None:
    """Refuse a config whose files of annotations or folders of images are not there.

    Args:
        dataloaders: Configs of MMDetection's or MMSegmentation's loaders.

    Raises:
        FileNotFoundError: Says what is missing, and what to type.
    """
    for dataloader in dataloaders:
        for dataset in _innermost(dataloader['dataset']):
            missing = [path for path in _paths(dataset) if not path.exists()]
            if missing:
                raise FileNotFoundError(
                    f'{dataset["type"]} has no {" and no ".join(map(str, missing))}: {_advice(dataset)}'
                )


def move_data(cfg: Config, root: str) -> None:
    """Let every path of a config that lies under its data root lie under another folder.

    Args:
        cfg: Changed in place.
        root: The folder.
    """
    dataset = next(_innermost(cfg.train_dataloader['dataset']))
    names = [f'{split}_{kind}' for split in ('train', 'val', 'test') for kind in ('dataloader', 'evaluator')]
    parts = {name: rebase_paths(cfg[name].to_dict(), dataset['data_root'], root) for name in names if cfg.get(name)}
    cfg.merge_from_dict(parts, allow_list_keys=False)


def _innermost(dataset: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The data sets inside RepeatDataset, ConcatDataset and their like."""
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
        elif folder.startswith('gtFine') and (root / folder).is_dir():  # the official archive lacks these files
            yield next((root / folder).rglob(_TRAIN_IDS), root / folder / _TRAIN_IDS)
        else:
            yield root / folder


def _advice(dataset: Mapping[str, Any]) -> str:
    paths = f'{dataset.get("ann_file")} {dataset.get("data_prefix")} {dataset.get("data_root")}'
    name = next((name for part, name in _PREPARED.items() if part in paths), None)
    if name:
        advice = f'type  python tools/dataset_tools/prepare.py {name}  for what is needed'
    elif str(dataset['type']).endswith('CocoDataset'):
        advice = 'type  python tools/dataset_tools/voc_to_coco.py ROOT OUT  where the boxes are in the layout of VOC'
    else:
        advice = 'put the data there'
    return f'{advice}, or give its folder with --data-root FOLDER.'
