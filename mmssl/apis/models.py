"""Load a model by its name in the zoo."""

from mmengine.config import Config

from mmssl.apis.weights import fetch_weights
from mmssl.apis.zoo import find_entry
from mmssl.evaluation import untrained
from mmssl.models import BaseAlgorithm
from mmssl.probe import load_trained


def get_model(name: str, pretrained: bool = False) -> BaseAlgorithm:
    """Build the algorithm of a config, untrained or with the weights that the zoo names.

    Pre-trained weights fill the backbone, every key of it, which is what features, detectors and segmenters need. Neck,
    head and memories, which only serve the pre-training, are as at its start.

    Args:
        name: A name from :func:`~mmssl.apis.list_models`.
        pretrained: Whether to load weights; they are downloaded into the cache once, see
            :func:`~mmssl.apis.fetch_weights`.

    Returns:
        The algorithm, on the CPU and in eval mode. ``model.backbone`` is the network, ``model.extract_feat`` gives its
        averaged features, :func:`~mmssl.apis.extract_features` those of files, and ``model.cfg`` is the config.

    Raises:
        ValueError: The zoo has no such name, its weights are not published or must be downloaded by hand, or they do
            not fit this network.
        DownloadError: The weights cannot be downloaded.
    """
    entry = find_entry(name)
    weights = fetch_weights(entry) if pretrained else None  # first, since building takes seconds
    config = Config.fromfile(entry.config)
    model = untrained(config)
    if weights:
        load_trained(weights, config).fill(model.backbone)
    model.cfg = config
    return model.eval()
