"""A trained algorithm from what a run left behind."""

from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import nn

from mmssl.checkpoint import latest_checkpoint, read_checkpoint
from mmssl.registry import MODELS
from mmssl.weights import load_backbone


def load_trained(path: str | Path, config: Config | None = None) -> tuple[nn.Module, Config]:
    """Build what a checkpoint holds, in eval mode on the CPU.

    A checkpoint of a training holds its config, and the whole algorithm is filled, its memories too (not the rows that
    several processes had cut among them). Of another file the backbone alone is.

    Args:
        path: A checkpoint, or the work directory of a run, whose newest one is taken.
        config: What to build; by default the config of the checkpoint.

    Returns:
        The algorithm and its config.

    Raises:
        FileNotFoundError: There is no such file, or the folder has no checkpoint.
        ValueError: The file holds no config and none is given, or it does not fit.
    """
    path, content = _read(Path(path))
    meta = content.get('meta', {}) if isinstance(content, dict) else {}
    if (config is None and not isinstance(meta, dict)) or (config is None and 'cfg' not in meta):
        raise ValueError(f'{path} holds no config of mmssl: give the one that it was made with (--config).')
    config = config or Config.fromstring(meta['cfg'], '.py')
    model = MODELS.build(config.model)
    if 'progress' in meta:
        model.allocate(meta['progress']['num_samples'])
        _fill(model, content['state_dict'], path)
    else:
        load_backbone(path, model.backbone)
    return model.eval(), config


def _read(path: Path) -> tuple[Path, dict[str, Any]]:
    if path.is_dir():
        found = latest_checkpoint(path)
        if found is None:
            raise FileNotFoundError(f'No checkpoint in {path}: give the work directory of a run, or a .pth file.')
        return found
    if not path.is_file():
        raise FileNotFoundError(f'No checkpoint at {path}: give a .pth or .safetensors file, or a work directory.')
    return path, {} if path.suffix == '.safetensors' else read_checkpoint(path)


def _fill(model: nn.Module, state: dict[str, Any], path: Path) -> None:
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise ValueError(
            f'{path} does not fit the config ({" ".join(lines[1:2]).strip()[:200]}): leave --config out, or give the '
            'config of that training.'
        ) from error
