"""Load a model by its name in the zoo, or from a file."""

from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config
from torch import Tensor

from mmssl.apis.weights import fetch_weights
from mmssl.apis.zoo import find_entry, zoo_entries
from mmssl.checkpoint import CheckpointError
from mmssl.evaluation import untrained
from mmssl.models import BaseAlgorithm
from mmssl.probe import load_trained
from mmssl.weights import read_weights


def get_model(name: str, pretrained: bool = False, heads: bool = False) -> BaseAlgorithm:
    """Build the algorithm of a config, untrained or with the weights that the zoo names.

    Pre-trained weights fill the backbone, every key of it, which is what features, detectors and segmenters need. Neck,
    head and memories, which only serve the pre-training, are as at its start, unless ``heads`` asks for them.

    Args:
        name: A name from :func:`~mmssl.apis.list_models`. :func:`~mmssl.apis.load` opens checkpoints of your own.
        pretrained: Whether to load weights; they are downloaded into the cache once, see
            :func:`~mmssl.apis.fetch_weights`. Weights inside the package and in a folder are used where they are.
        heads: Whether to load the rest of the algorithm, too, which published weights of mmssl have: neck, prototypes,
            teacher and queue, to go on training. Rows per image are not published.

    Returns:
        The algorithm, on the CPU and in eval mode. ``model.backbone`` is the network, ``model.extract_feat`` gives its
        averaged features, :func:`~mmssl.apis.extract_features` those of files, and ``model.cfg`` is the config.

    Raises:
        ValueError: The zoo has no such name, its weights are not published or must be downloaded by hand, or they do
            not fit this network.
        DownloadError: The weights cannot be downloaded.
    """
    entry = find_entry(name)
    # files first, since building takes seconds; published weights hold the config of their network
    weights = fetch_weights(entry) if pretrained or entry.config is None else None
    rest = read_weights(fetch_weights(entry, heads=True)) if heads else {}
    given = None if entry.config is None else Config.fromfile(entry.config)
    trained = None if weights is None else load_trained(weights, given)
    config = trained.config if trained else given
    model = untrained(config)
    if trained and pretrained:
        trained.fill(model.backbone)
    _fill_rest(model, rest, name)
    model.cfg = config
    return model.eval()


def _fill_rest(model: BaseAlgorithm, rest: Mapping[str, Tensor], name: str) -> None:
    try:
        unexpected = model.load_state_dict(rest, strict=False).unexpected_keys
    except RuntimeError as error:
        raise CheckpointError(f'The heads of {name} do not fit ({" ".join(str(error).split())[:200]}).') from error
    if unexpected:
        raise CheckpointError(f'The heads of {name} hold {unexpected[0]}, which its algorithm does not have.')


def load(source: str | Path, config: str | Path | Config | None = None) -> BaseAlgorithm:
    """Load a trained algorithm from a checkpoint, a work directory or the zoo.

    Args:
        source: A checkpoint (``.pth`` or ``.safetensors``), the work directory of a run, whose newest checkpoint is
            used, or a name from :func:`~mmssl.apis.list_models`, whose weights are downloaded into the cache once.
        config: Config of the training, or its path; by default the one in the checkpoint.

    Returns:
        The algorithm, on the CPU and in eval mode, as from :func:`~mmssl.apis.get_model`. The checkpoint of a training
        fills all of it, memories too; any other file fills only the backbone.

    Raises:
        FileNotFoundError: There is no such file, or the folder has no checkpoint.
        ValueError: The zoo has no such name, the file holds no config and none was given, or they do not fit.
        DownloadError: The weights cannot be downloaded.
    """
    if not Path(source).exists() and (str(source) in zoo_entries() or _looks_like_a_name(source)):
        return get_model(str(source), pretrained=True)
    given = Config.fromfile(config) if isinstance(config, str | Path) else config
    trained = load_trained(source, given)
    model = trained.algorithm()
    model.cfg = trained.config
    return model


def _looks_like_a_name(source: str | Path) -> bool:
    return Path(source).name == str(source) and not Path(source).suffix
