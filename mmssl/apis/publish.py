"""Publish the weights of own runs: safetensors, an index and a card, in a folder that any static server can serve."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import yaml
from mmengine.config import Config

from mmssl.apis.card import card_text
from mmssl.apis.release import Release, Terms
from mmssl.apis.zoo import INDEX, NAME, published_entries, recipes
from mmssl.checkpoint import plain_data
from mmssl.evaluation import Result, read_results
from mmssl.files import atomic_write, file_lock
from mmssl.probe import load_trained

_SAME_RECIPE = ('model', 'optim_wrapper', 'param_scheduler', 'train_cfg')
_PROGRESS = {'epoch', 'samples_seen', 'num_samples', 'global_batch_size'}


def publish_checkpoints(
    checkpoints: Sequence[str | Path],
    out: str | Path,
    terms: Terms,
    name: str = '',
    results: str | Path | None = None,
    half: bool = False,
) -> list[str]:
    """Publish checkpoints of mmssl into a folder that any static server can serve.

    Each entry has a file of its backbone and one of the rest of the algorithm, both in safetensors format, and a card.
    The index, ``model-index.yml``, is written last, and files that it no longer names are deleted only then, so a
    reader sees the old entry or the new one. Entries that are not published again stay as they are. Nothing is written
    if one of the checkpoints is refused.

    Args:
        checkpoints: Checkpoints or work directories of runs of mmssl.
        out: The folder; created if it does not exist.
        terms: What the checkpoints cannot say.
        name: Name of the entry; by default that of the recipe.
        results: File that ``tools/test.py CONFIG CHECKPOINT --baselines`` wrote; by default ``evaluation.json`` next to
            the checkpoint, if it was measured on that.
        half: Whether to store kernels and matrices in half precision; the card says how much the features differ.

    Returns:
        Names of the entries.

    Raises:
        FileNotFoundError: There is no such checkpoint or file of results.
        ValueError: A licence, a name, the training data or the command is missing, a checkpoint is not one of a run of
            mmssl, or the results are another's.
    """
    terms.check()
    if len(checkpoints) > 1 and (name or results):
        raise ValueError('--name and --results belong to one checkpoint: publish one at a time, or leave them out.')
    releases = [_release(Path(path), terms, name, results, half) for path in checkpoints]
    names = [release.name for release in releases]
    if len(set(names)) < len(names):
        twice = max(names, key=names.count)
        raise ValueError(f'Two of the checkpoints would be named {twice}: publish each alone, with --name.')
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    with file_lock(_lock_of(out)):
        _write(releases, out)
    return names


def _lock_of(out: Path) -> Path:
    """Lock file of a folder, outside of it, since everything in the folder is served."""
    return Path(gettempdir()) / f'mmssl_publish_{sha256(str(out.resolve()).encode()).hexdigest()[:16]}.lock'


def _release(path: Path, terms: Terms, name: str, results: str | Path | None, half: bool) -> Release:
    trained = load_trained(path)
    file = trained.file
    if not (file.config or {}).get('model') or not (file.progress or {}).keys() >= _PROGRESS:
        raise ValueError(f'{path} is no checkpoint of a run of mmssl (epoch_*.pth): give one, which holds its config.')
    recipe, config = _recipe_of(file.path)
    name = name or recipe
    if not NAME.fullmatch(name):
        raise ValueError(f'{name!r} is no name for {path}: give one of letters, digits and underscores as --name.')
    measured, measured_by = _results_of(file.path, recipe, results)
    data = terms.data or (recipes()[recipe].training_data if recipe else '')
    if not data or data == 'a folder of images':
        raise ValueError(f'{path} does not say what it was trained on: add --data NAME.')
    as_recipe = config is not None and _agrees(file.config or {}, config)
    command = terms.command or (f'python tools/train.py {_shown(recipe)}' if as_recipe else '')
    if not command:
        raise ValueError(f'{path} was not trained by a recipe of mmssl as it stands: add --command "HOW TO TRAIN IT".')
    return Release(name, trained, terms, data, command, measured, measured_by, half)


def _recipe_of(checkpoint: Path) -> tuple[str, Path | None]:
    """Name and path of the recipe whose copy lies in the work directory; the copy is not read."""
    known = {name: entry.config for name, entry in recipes().items() if entry.config}
    found = [path.stem for path in checkpoint.parent.glob('*.py') if path.stem in known]
    return (found[0], known[found[0]]) if len(found) == 1 else ('', None)


def _agrees(trained: Mapping[str, Any], config: Path) -> bool:
    """Whether a run had the settings of its recipe."""
    recipe = plain_data(Config.fromfile(config).to_dict())
    return all(trained.get(part) == recipe.get(part) for part in _SAME_RECIPE)


def _results_of(checkpoint: Path, recipe: str, given: str | Path | None) -> tuple[tuple[Result, ...], str]:
    """Figures of a checkpoint and the command that measured them; none if it was not measured."""
    path = Path(given) if given else checkpoint.parent / 'evaluation.json'
    if not path.is_file():
        if given:
            raise FileNotFoundError(
                f'No results at {path}: have tools/test.py CONFIG {checkpoint} --baselines write it.'
            )
        return (), ''
    measured = Path(json.loads(path.read_text(encoding='utf-8')).get('checkpoint', ''))
    again = f'measure it again with tools/test.py CONFIG {checkpoint} --baselines'
    if measured.name != checkpoint.name:
        if given:
            raise ValueError(f'{path} is about {measured.name}, not {checkpoint.name}: {again}.')
        return (), ''
    if path.stat().st_mtime < checkpoint.stat().st_mtime:
        raise ValueError(f'{path} is older than {checkpoint}: {again}, or delete the file.')
    return tuple(read_results(path)), f'python tools/test.py {_shown(recipe)} {checkpoint.name} --baselines'


def _shown(recipe: str) -> str:
    config = recipes()[recipe].config if recipe else None
    return f'configs/{config.parent.name}/{config.name}' if config else 'CONFIG'


def _write(releases: Sequence[Release], out: Path) -> None:
    index = _read_index(out)
    before = {file for model in index['Models'] for file in _files_of(model)}
    new = {release.name: release.entry for release in releases}
    cards = {release.name: card_text(release) for release in releases}  # before anything is written
    for release in releases:
        for name, content in release.files.items():
            _write_bytes(out / name, content)
        _write_bytes(out / f'{release.name}.md', cards[release.name].encode())
    models = {model['Name']: model for model in index['Models']} | new
    methods = sorted({model['In Collection'] for model in models.values()})
    index = {
        'Collections': [{'Name': method} for method in methods],
        'Models': [models[name] for name in sorted(models)],
    }
    _write_bytes(out / INDEX, yaml.safe_dump(index, sort_keys=False, allow_unicode=True, width=120).encode())
    for file in before - {file for model in models.values() for file in _files_of(model)}:
        (out / file).unlink(missing_ok=True)


def _read_index(out: Path) -> dict[str, Any]:
    if not (out / INDEX).is_file():
        return {'Models': []}
    published_entries(str(out))  # refuses an index whose names lead elsewhere
    return yaml.safe_load((out / INDEX).read_text(encoding='utf-8'))


def _files_of(model: Mapping[str, Any]) -> list[str]:
    return [model[key] for key in ('Weights', 'Heads', 'Card') if key in model]


def _write_bytes(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)
