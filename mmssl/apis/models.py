"""A model by the name that the zoo gives it."""

from mmengine.config import Config

from mmssl.apis.weights import fetch_weights
from mmssl.apis.zoo import find_entry
from mmssl.evaluation import untrained
from mmssl.models import BaseAlgorithm
from mmssl.probe import load_trained


def get_model(name: str, pretrained: bool = False) -> BaseAlgorithm:
    """The algorithm of a config, untrained or with the weights that the zoo names.

    Pre-trained weights are those of the backbone, every key of it: what features, detectors and segmenters need. Neck,
    head and memories, which serve the pre-training only, are as its start would have them.

    Args:
        name: As :func:`~mmssl.apis.list_models` gives it.
        pretrained: Whether to load weights; they are fetched into the cache once, see
            :func:`~mmssl.apis.fetch_weights`.

    Returns:
        The algorithm, on the CPU and in eval mode. ``model.backbone`` is the network, ``model.extract_feat`` gives its
        averaged features, :func:`~mmssl.apis.extract_features` those of files, and ``model.cfg`` is the config.

    Raises:
        ValueError: The zoo has no such name, no weights of it are published, they must be downloaded by hand, or they
            are not those of this network.
        DownloadError: The weights cannot be fetched.
    """
    entry = find_entry(name)
    weights = fetch_weights(entry) if pretrained else None  # before the seconds that building takes
    config = Config.fromfile(entry.config)
    model = untrained(config)
    if weights:
        load_trained(weights, config).fill(model.backbone)
    model.cfg = config
    return model.eval()
