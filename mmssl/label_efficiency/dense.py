"""Learning curves of detection (MMDetection) and segmentation (MMSegmentation)."""

import copy
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope, init_default_scope
from PIL import Image

from mmssl.apis.zoo import CONFIGS
from mmssl.datasets.images import EXTENSIONS
from mmssl.dependencies import require_transfer
from mmssl.export import Architecture, architecture_of, backbone_weights
from mmssl.export.plain import mm_settings
from mmssl.functional import hash_seed
from mmssl.label_efficiency.curves import Origin
from mmssl.label_efficiency.layouts import Layout
from mmssl.transfer import TransferRunner, check_data
from mmssl.weights import read_weights

_PASSES = 10  # fewest draws per labelled image
_VOID = 255  # value of pixels without a class in most masks


class _Dense:
    """What detection and segmentation share: a config, a part of the training images, a fixed number of steps.

    Args:
        layout: From :func:`find_layout`.
        network: The untrained network if there are no weights.
        steps: Steps of a fine-tuning; more if ten passes over the labelled images take more.
        batch_size: Images per step.
        rates: Learning rates to choose from.
        scale: Width and height that images are resized to (the aspect ratio is kept).
        frozen_stages: Number of stages that pre-trained and untrained weights keep; -1 for none, 0 for the stem.
        norm_eval: Whether batch norm of the backbone keeps the statistics that the weights came with.
    """

    unit = 'labelled images'
    target: Literal['mmdet', 'mmseg']
    config: str
    name: str
    measures: tuple[str, ...]
    keys: tuple[str, ...]  # of the measures in what the packages return
    percent: float  # what those values are multiplied with

    def __init__(
        self,
        layout: Layout,
        network: Architecture,
        steps: int = 300,
        batch_size: int = 8,
        rates: tuple[float, ...] = (0.01, 0.03, 0.1),
        scale: tuple[int, int] | None = None,
        frozen_stages: int = -1,
        norm_eval: bool = False,
    ) -> None:
        require_transfer(self.target)
        self.layout, self.network, self.rates = layout, network, rates
        self.steps, self.batch_size, self.scale = steps, batch_size, scale
        self.frozen = {'frozen_stages': frozen_stages, 'norm_eval': norm_eval}
        cfg = self._config(network)
        check_data(cfg.train_dataloader, cfg.test_dataloader)
        self.settings = {
            'data': str(layout.root.resolve()),
            'config': self.config,
            'steps': steps,
            'batch_size': batch_size,
            'rates': list(rates),
            'scale': list(scale or ()),
            **self.frozen,
            'untrained': _words(network),
            'classes': list(self.classes),
            'images': {'train': self.count(None)},
        }

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        raise NotImplementedError

    def _data(self, cfg: Config) -> None:
        """Set data sets and classes of a config."""
        raise NotImplementedError

    def _heads(self, cfg: Config, channels: list[int]) -> None:
        """Fit what follows the backbone to its channels."""
        raise NotImplementedError

    def _training_files(self) -> list[Path]:
        """All training images, with or without labels."""
        raise NotImplementedError

    def count(self, labels: int | None) -> int:
        """Number of labelled images; None stands for all."""
        return min(labels or self._length, self._length)

    def effort(self, labels: int | None) -> dict[str, int]:
        """Steps and images drawn in a fine-tuning; the same for every start."""
        steps = max(self.steps, -(-_PASSES * self.count(labels) // self.batch_size))
        return {'steps': steps, 'images_drawn': steps * self.batch_size}

    def unlabelled(self, folder: Path) -> Path:
        """Folder of links to the training images."""
        links = folder / 'training_images'
        links.mkdir(parents=True, exist_ok=True)
        for file in self._training_files():
            link = links / str(file.relative_to(self.layout.root)).replace('/', '_')
            if not link.is_symlink():
                link.symlink_to(file.resolve())
        return links

    def _network(self, origin: Origin) -> Architecture:
        """The network of the weights, or of those that an untrained start is like."""
        like = origin.file or origin.like
        return architecture_of(backbone_weights(read_weights(like))) if like else self.network

    def describe(self, origin: Origin) -> str:
        """Check that the package has the network of the weights; describe it."""
        network = self._network(origin)
        if network.in_channels != 3:
            raise ValueError(f'{origin.file} takes images of {network.in_channels} channels: give weights for three.')
        mm_settings(network, self.target)
        return _words(network)

    def drawn(self, labels: int | None, seed: int) -> list[int]:
        """Indices of the labelled images, part of what a larger number draws with the same seed."""
        order = torch.randperm(self._length, generator=torch.Generator().manual_seed(hash_seed(seed)))
        return sorted(order[: self.count(labels)].tolist())

    def halves(self, labels: int | None, seed: int) -> list[list[int]]:
        """The labelled images in two halves, for the choice of the learning rate."""
        drawn = self.drawn(labels, seed)
        mixed = torch.randperm(len(drawn), generator=torch.Generator().manual_seed(hash_seed(seed, 1))).tolist()
        return [sorted(drawn[place] for place in mixed[half::2]) for half in range(2)]

    def measure(self, origin: Origin, labels: int | None, seed: int, rate: float, folder: Path) -> dict[str, Any]:
        """Measures on the test images, from 0 to 100."""
        cfg = self._config(self._network(origin), self.drawn(labels, seed))
        return self._train(cfg, origin.file, labels, seed, rate, folder)

    def held_out(self, origin: Origin, labels: int | None, seed: int, rate: float, fold: int, folder: Path) -> float:
        """The first measure on one half of the labelled training images after fine-tuning on the other half."""
        halves = self.halves(labels, seed)
        cfg = self._config(self._network(origin), halves[1 - fold])
        held = copy.deepcopy(cfg.train_dataloader.dataset)
        # not in test mode, which would keep images without boxes, and so number the images in another way
        held.update(indices=halves[fold], test_mode=False, pipeline=cfg.val_dataloader.dataset.pipeline)
        cfg.val_dataloader.dataset = held
        return self._train(cfg, origin.file, labels, seed, rate, folder)[self.measures[0]]

    def _train(
        self, cfg: Config, weights: Path | None, labels: int | None, seed: int, rate: float, folder: Path
    ) -> dict[str, float]:
        steps = self.effort(labels)['steps']
        cfg.train_cfg = {'type': 'IterBasedTrainLoop', 'max_iters': steps, 'val_interval': steps}
        cfg.param_scheduler = [
            {'type': 'LinearLR', 'start_factor': 0.01, 'by_epoch': False, 'begin': 0, 'end': max(steps // 10, 1)},
            {'type': 'CosineAnnealingLR', 'by_epoch': False, 'T_max': steps, 'eta_min': 0.0},
        ]
        cfg.optim_wrapper.optimizer.lr = rate
        cfg.default_hooks.checkpoint = {
            'type': 'CheckpointHook',
            'by_epoch': False,
            'interval': steps + 1,
            'save_last': False,
        }
        cfg.log_processor = {'by_epoch': False}
        cfg.update(work_dir=str(folder), pretrained=str(weights) if weights else None, randomness={'seed': seed})
        # MMEngine keeps visualizers by name, and would write into the folder of the piece before.
        cfg.update(log_level='WARNING', launcher='none', experiment_name=str(folder))
        cfg.visualizer.update(name=str(folder), vis_backends=[])
        with _scope_of(self.target):
            TransferRunner.from_cfg(cfg).train()
        found = json.loads((folder / 'result.json').read_text())['metrics']
        # a detector that finds nothing has no measures
        return {name: round(self.percent * found.get(key, 0.0), 2) for name, key in zip(self.measures, self.keys)}

    def _config(self, network: Architecture, indices: list[int] | None = None) -> Config:
        cfg = Config.fromfile(CONFIGS / self.config)
        self._data(cfg)
        cfg.model.backbone.update({**mm_settings(network, self.target), **self.frozen})
        widths = [network.base_channels << stage for stage in range(4)]
        self._heads(cfg, [4 * width if network.bottleneck else width for width in widths])
        cfg.train_dataloader.update(
            batch_size=self.batch_size, num_workers=0, persistent_workers=False, drop_last=False,
            sampler={'type': 'InfiniteSampler', 'shuffle': True},
        )  # fmt: skip
        cfg.val_dataloader.update(num_workers=0, persistent_workers=False)
        cfg.test_dataloader = cfg.val_dataloader
        if indices is not None:
            cfg.train_dataloader.dataset.indices = indices
        return cfg

    @cached_property
    def _length(self) -> int:
        """Number of training images that have labels."""
        with _scope_of(self.target):
            return len(DATASETS.build(self._config(self.network).train_dataloader.dataset))


@contextmanager
def _scope_of(target: str) -> Iterator[None]:
    """Look components up in another package, and leave MMEngine's scope as it was."""
    with DefaultScope.overwrite_default_scope(target):
        init_default_scope(target)
        yield


class Detection(_Dense):
    """Average precision of FCOS with a narrow pyramid on boxes in VOC's or COCO's format; see ``_base``."""

    name, target = 'detection', 'mmdet'
    config = 'benchmarks/mmdetection/bccd/fcos_r18_fpn_cpu_20e_bccd.py'
    measures: tuple[str, ...] = ('AP', 'AP50')
    keys, percent = ('coco/bbox_mAP', 'coco/bbox_mAP_50'), 100.0

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names in the annotations, sorted (VOC), or in the order of their numbers (COCO)."""
        root = self.layout.root
        if self.layout.form == 'coco':
            kinds = json.loads((root / self.layout.train).read_text())['categories']
            return tuple(kind['name'] for kind in sorted(kinds, key=lambda kind: kind['id']))
        files = [root / 'Annotations' / f'{name}.xml' for name in _names(root / self.layout.train)]
        return tuple(
            sorted({node.text or '' for file in files for node in ElementTree.parse(file).iterfind('object/name')})
        )

    def _data(self, cfg: Config) -> None:
        metainfo = {'classes': self.classes}
        for part in ('train', 'test'):
            loader = cfg.train_dataloader if part == 'train' else cfg.val_dataloader
            loader.dataset.update(
                data_root=f'{self.layout.root}/', metainfo=metainfo, ann_file=getattr(self.layout, part)
            )
            if self.layout.form == 'coco':
                loader.dataset.update(
                    type='CocoDataset', data_prefix={'img': f'{self.layout.images[part]}/'.lstrip('/')}
                )
            for step in loader.dataset.pipeline:
                if step['type'] == 'Resize' and self.scale:
                    step['scale'] = self.scale
        cfg.model.bbox_head.num_classes = len(self.classes)

    def _heads(self, cfg: Config, channels: list[int]) -> None:
        cfg.model.neck.in_channels = channels

    def _training_files(self) -> list[Path]:
        root = self.layout.root
        if self.layout.form == 'coco':
            images = json.loads((root / self.layout.train).read_text())['images']
            return [root / self.layout.images['train'] / image['file_name'] for image in images]
        return [root / 'JPEGImages' / f'{name}.jpg' for name in _names(root / self.layout.train)]


class Segmentation(_Dense):
    """Mean intersection over union of an FCN on masks of class numbers.

    Args:
        ignore: Value of pixels without a class in the masks, above all classes; 255 by default.
        settings: Arguments of :class:`Detection`, in this order or by name.
    """

    name, target = 'segmentation', 'mmseg'
    config = 'benchmarks/mmsegmentation/camvid/fcn_r18_d8_cpu_1k_camvid.py'
    measures: tuple[str, ...] = ('mIoU', 'mean accuracy')
    keys, percent = ('mIoU', 'mAcc'), 1.0

    def __init__(self, *settings: Any, ignore: int | None = None, **further: Any) -> None:
        self.ignore = ignore
        super().__init__(*settings, **further)
        self.settings['ignore'] = ignore

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The numbers from 0 to the highest in the training masks."""
        files = self._files(self.layout.masks['train'])
        if not files:
            raise ValueError(
                f'No masks in {self.layout.root / self.layout.masks["train"]}: put one PNG per image there.'
            )
        values = {int(value) for file in files for value in np.unique(np.asarray(Image.open(file)))}
        highest = max(values - {_VOID, self.ignore}, default=0)
        if self.ignore is not None and (_VOID in values or self.ignore < highest):
            raise ValueError(
                f'--ignore {self.ignore}, but the masks hold {_VOID if _VOID in values else highest}, too: one value '
                'can be left out, and it must be above all classes; replace the others in the masks.'
            )
        return tuple(str(number) for number in range(highest + 1))

    def _data(self, cfg: Config) -> None:
        void = _VOID if self.ignore is None else self.ignore
        metainfo = {
            'classes': self.classes,
            'palette': [[number * 20 % 256] * 3 for number in range(len(self.classes))],
        }
        for part in ('train', 'test'):
            loader = cfg.train_dataloader if part == 'train' else cfg.val_dataloader
            image, mask = (self._files(folders[part])[0].suffix for folders in (self.layout.images, self.layout.masks))
            loader.dataset.update(
                data_root=str(self.layout.root),
                data_prefix={'img_path': self.layout.images[part], 'seg_map_path': self.layout.masks[part]},
                metainfo=metainfo,
                ignore_index=void,
                img_suffix=image,
                seg_map_suffix=mask,
            )
        cfg.model.decode_head.update(num_classes=len(self.classes), ignore_index=void)
        cfg.model.data_preprocessor.seg_pad_val = void
        cfg.val_evaluator.ignore_index = cfg.test_evaluator.ignore_index = void
        self._resize(cfg)

    def _resize(self, cfg: Config) -> None:
        if not self.scale:
            return
        width, height = self.scale
        cfg.model.data_preprocessor.size = (height, width)
        for step in cfg.train_dataloader.dataset.pipeline:
            if step['type'] == 'RandomResize':
                step['scale'] = (width, height)
            elif step['type'] == 'RandomCrop':
                step['crop_size'] = (height, width)

    def _heads(self, cfg: Config, channels: list[int]) -> None:
        cfg.model.decode_head.in_channels = channels[-1]

    def _training_files(self) -> list[Path]:
        return self._files(self.layout.images['train'])

    def _files(self, folder: str) -> list[Path]:
        return sorted(path for path in (self.layout.root / folder).iterdir() if path.suffix.lower() in EXTENSIONS)


def _names(file: Path) -> list[str]:
    return file.read_text().split()


def _words(network: Architecture) -> str:
    stem = 'a stem for small images' if network.stem == 'small' else 'a 7x7 stem'
    return f'a ResNet with stages of {network.blocks} blocks, {network.base_channels} base channels and {stem}'
