"""Report of a whole run."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.config import Config
from torch import nn

from mmssl.datasets import ImageDataset, Subset
from mmssl.evaluation import (
    Result,
    RunFacts,
    build_dataset,
    evenly_spaced,
    extract_features,
    has_labels,
    in_classes_of,
)
from mmssl.visualization import image_sections as images
from mmssl.visualization import sections as part
from mmssl.visualization.html import Section, write_report
from mmssl.visualization.records import read_scalars


def report_run(
    path: str | Path,
    model: nn.Module,
    config: Config,
    results: Sequence[Result],
    command: str,
    title: str = 'Pre-training report',
    exported: Section | None = None,
    extra: Mapping[str, str] | None = None,
    facts: RunFacts | None = None,
) -> Path:
    """Write the complete report of a run into one HTML file.

    Args:
        path: The file.
        model: The trained algorithm.
        config: Config of the run, with ``work_dir``, ``train_dataloader.dataset`` and ``evaluation``.
        results: Results from :func:`~mmssl.evaluation.compare_baselines`.
        command: The exact command.
        title: Title of the page.
        exported: Section from :func:`~mmssl.visualization.export_section`.
        extra: Further rows for the table of the environment, for example the data and the training time.
        facts: Facts of the run, for the verdict and the next step at the top.

    Returns:
        The file.

    Raises:
        FileNotFoundError: The run left no log.
    """
    evaluation = config.evaluation
    gallery_data = thinned(build_dataset(evaluation.gallery))
    query_data = thinned(build_dataset(evaluation.query)) if 'query' in evaluation else gallery_data
    loading = (evaluation.get('batch_size', 256), evaluation.get('num_workers', 0))
    gallery = extract_features(model, gallery_data, *loading)
    query = gallery
    if query_data is not gallery_data:
        query = extract_features(model, query_data, *loading)
        query = in_classes_of(query, gallery.classes)[0] if has_labels(query.labels) else query
    scalars = read_scalars(config.work_dir)
    training_data = build_dataset(config.train_dataloader.dataset)
    drawn_data = build_dataset(evaluation.pretext) if 'pretext' in evaluation else training_data
    parts = [
        part.results_section(results, facts),
        part.training_section(scalars),
        *([monitors] if (monitors := part.monitors_section(scalars)) else []),
        images.views_section(training_data),
        *images.picture_sections(model, drawn_data),
        images.neighbors_section(gallery, gallery_data, query, query_data),
        part.map_section(gallery, gallery_data.source.classes),
    ]
    for found in model.assignments(lambda: gallery.features).values():
        counts = found.labels[found.labels >= 0].bincount(minlength=found.count).cpu()
        prototypes = found.kind == 'prototypes'
        parts.append(part.prototypes_section(counts) if prototypes else part.clusters_section(counts, scalars))
    if exported is not None:
        parts.append(exported)
    parts.append(part.reproduction_section(command, config.pretty_text, extra))
    return write_report(path, title, parts)


def thinned(dataset: ImageDataset, most: int = 10_000) -> ImageDataset:
    """A data set, reduced to at most ``most`` evenly spaced images.

    Args:
        dataset: The data set; not changed.
        most: Maximum number of images.

    Returns:
        The data set itself if it is small enough, else a reduced copy.
    """
    if len(dataset) <= most:
        return dataset
    thinned = copy.copy(dataset)
    thinned.source = Subset(dataset.source, indices=evenly_spaced(len(dataset), most))
    return thinned
