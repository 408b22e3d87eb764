"""Start a training from weights by name, those of the model zoo included."""

from pathlib import Path

from mmengine.config import Config

from mmssl.apis.weights import fetch_weights
from mmssl.apis.zoo import find_entry, zoo_entries
from mmssl.checkpoint import latest_checkpoint
from mmssl.models import find_weights


def use_init(cfg: Config, what: str | None = None) -> None:
    """Set the weights that the backbone of a training starts from; a name of the zoo becomes the path of its file.

    Names of torchvision and timm are left to :func:`~mmssl.models.find_weights`, which the Runner calls. A run that
    resumes needs no weights, so nothing is downloaded for it.

    Args:
        cfg: Config of the training; changed in place.
        what: A file, or a name of the zoo, torchvision or timm; by default ``model.backbone.init`` of the config.

    Raises:
        ValueError: The weights of the zoo are not published, or differ from the published ones.
        DownloadError: They cannot be downloaded.
    """
    if what:
        cfg.model.backbone['init'] = what
    name = cfg.model.backbone.get('init')
    if name and _in_zoo(name) and not _resumes(cfg):
        cfg.model.backbone['init'] = str(fetch_weights(find_entry(name)))


def fetch_start(what: str) -> Path:
    """Download the weights that a training starts from, if they are not here yet.

    Args:
        what: As in :func:`use_init`.

    Returns:
        Their file, or the folder of a run.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The name is unknown, or the file differs from the published one.
        DownloadError: The file cannot be downloaded.
    """
    if _in_zoo(what):
        return fetch_weights(find_entry(what))
    return find_weights(what)


def _in_zoo(what: str) -> bool:
    """Whether a name is one of the zoo; a file of that name counts first."""
    return what in zoo_entries() and not Path(what).exists()


def _resumes(cfg: Config) -> bool:
    return bool(cfg.get('resume') and (cfg.get('load_from') or latest_checkpoint(cfg.work_dir)))
