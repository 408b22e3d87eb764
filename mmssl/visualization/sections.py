"""Sections of a report."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.nn.functional import normalize

from mmssl.dependencies import require
from mmssl.evaluation import (
    Features,
    Result,
    RunFacts,
    evenly_spaced,
    has_labels,
    meanings,
    next_step,
    protocols,
    table_lines,
    verdict,
)
from mmssl.progress import Progress
from mmssl.visualization.charts import Curve, curve_chart, lines_chart, map_chart, marked_chart, usage_chart
from mmssl.visualization.html import Figure, Section, charts, code, details, paragraph, table
from mmssl.visualization.image_sections import class_name
from mmssl.visualization.records import environment

_MONITORED = {
    'deviation': 'deviation',
    'effective_rank': 'effective rank',
    'mean_cosine': 'mean cosine',
    'entropy': 'entropy of the usage',
    'largest': 'largest share of the images',
    'dead': 'share without images',
    'change': 'share of images that changed',
}


_CLUSTER_CURVES = {  # title and caption
    'label_change': ('images that changed cluster (%)', 'In the last batch, or of all images at the last k-means.'),
    'largest_cluster': ('largest cluster (%)', 'Share of all images.'),
}
_MOST_LINES = 8  # per chart: more colours cannot be distinguished
_MAPS = {'tsne': 't-SNE', 'umap': 'UMAP', 'pca': 'PCA'}


def results_section(results: Sequence[Result], facts: RunFacts | None = None) -> Section:
    """The verdict on a run, then the table of results with the protocols.

    Args:
        results: Results from :func:`~mmssl.evaluation.compare_baselines`.
        facts: Facts of the run, for the verdict and the next step.

    Returns:
        The section.
    """
    sentences = map(paragraph, verdict(results, facts))
    following = []
    if facts is not None:
        step = next_step(facts)
        following = [paragraph(step.what), code(step.lines), paragraph(step.images)]
    return Section('Results', [*sentences, *following, *_results_table(results), _meanings(results[-1])])


def _results_table(results: Sequence[Result]) -> list[str]:
    names = [result.name for result in results]
    return [
        table(['', *names], table_lines(results), strong=len(results) <= 3),  # one network and its baselines
        *(paragraph(sentence, muted=True) for sentence in protocols(results[-1])),
    ]


def _meanings(result: Result) -> str:
    closing = 'These measures distinguish a healthy run from a collapsed one; they are not accuracies.'
    return paragraph(' '.join([*meanings(result), closing]), muted=True)


def probe_section(title: str, results: Sequence[Result], sentences: Sequence[str] = ()) -> Section:
    """Table of a probe, and a chart of low-shot accuracy over the number of images, unless it has too many lines.

    Args:
        title: Title of the section.
        results: Results from :func:`~mmssl.probe.probe_features`: the baselines, then the networks.
        sentences: Sentences that sum up the results.

    Returns:
        The section.
    """
    parts = [*map(paragraph, sentences), *_results_table(results)]
    curves = {result.name: _low_shot_curve(result) for result in results}
    shots = {name: curve for name, curve in curves.items() if len(curve.steps) > 1}
    if 0 < len(shots) <= _MOST_LINES:
        drawing = lines_chart(shots, 'low-shot SVM, top-1 (%)', 'labelled images per class', doubling=True)
        parts.insert(len(sentences) + 1, charts([Figure(drawing, 'Mean over the draws.')]))
    return Section(title, [*parts, _meanings(results[-1])])


def stages_section(results: Sequence[Result]) -> Section:
    """Charts of the accuracies by stage of the networks.

    Args:
        results: Results from :func:`~mmssl.probe.probe_features`, with labels and ``layer`` (``'stage1'``, ...); other
            layers are left out.

    Returns:
        The section.
    """
    curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for result in results:
        if result.layer.startswith('stage'):
            for measure in result.headline():
                points = curves.setdefault(measure.short, {}).setdefault(result.name, [])
                points.append((int(result.layer.removeprefix('stage')), measure.value))
    figures = []
    for title, networks in curves.items():
        lines = {name: Curve(*zip(*points)) for name, points in networks.items()}
        figures.append(Figure(lines_chart(lines, f'{title}, top-1 (%)', 'stage')))
    text = 'Features of each stage of the backbone, averaged over the image.'
    return Section('Stage by stage', [paragraph(text), charts(figures)])


def _low_shot_curve(result: Result) -> Curve:
    measures = [measure for measure in result.measures if 'shots' in measure.details]
    return Curve([measure.details['shots'] for measure in measures], [measure.value for measure in measures])


def training_section(scalars: Mapping[str, Curve]) -> Section:
    """Charts of loss, learning rate and online k-NN, and the share of the time spent waiting for data.

    Args:
        scalars: Curves from :func:`~mmssl.visualization.read_scalars`.

    Returns:
        The section; missing quantities are left out.
    """
    figures = []
    if 'loss' in scalars:  # a run of very few steps logs none
        loss = curve_chart(scalars['loss'], 'loss', smooth=True)
        figures.append(Figure(loss, 'Pale: logged values. Line: running mean.'))
    if 'lr' in scalars:
        rate = curve_chart(scalars['lr'], 'learning rate', start=0)
        figures.append(Figure(rate, 'Learning rate of the first parameter group.'))
    if 'knn_top1' in scalars:
        accuracy = marked_chart(scalars['knn_top1'], 'online k-NN top-1 (%)', 'step')
        text = 'On parts of the gallery and query set; the first point is the untrained network.'
        figures.append(Figure(accuracy, text))
    if 'prototypes_used' in scalars:
        shares = curve_chart(_percent(scalars['prototypes_used']), 'prototypes used in a batch (%)', True, 0)
        figures.append(Figure(shares, 'Share of the prototypes that are the first choice of an image in the batch.'))
    return Section('Training', [charts(figures), *_timing(scalars)])


def _percent(curve: Curve) -> Curve:
    steps, shares = curve
    return Curve(steps, [100 * share for share in shares])


def monitors_section(scalars: Mapping[str, Curve]) -> Section | None:
    """Charts of the monitors: spread of the features, and use of clusters and prototypes.

    Args:
        scalars: Curves from :func:`~mmssl.visualization.read_scalars`.

    Returns:
        The section; None if the monitors logged nothing.
    """
    panels = monitor_panels(scalars)
    titles = [f'{title} ({next(iter(lines))})' if len(lines) == 1 else title for title, lines in panels.items()]
    figures = [Figure(lines_chart(lines, title)) for title, lines in zip(titles, panels.values())]
    if not figures:
        return None
    text = (
        'Features are those of the backbone, embeddings those of the neck. Deviation is 1 if they spread evenly and 0 '
        'if all images have the same; effective rank counts the directions in which they differ (in the results, also '
        'the direction that all share); the mean cosine of two images is 1 in a collapse. The first point is the '
        'untrained network. Entropy is 1 if all clusters are used equally and 0 if one has all images; dead clusters '
        'have no image.'
    )
    return Section('What the monitors saw', [paragraph(text), charts(figures)])


def monitor_panels(scalars: Mapping[str, Curve]) -> dict[str, dict[str, Curve]]:
    """Lines logged by the monitors, by panel title; missing quantities are left out."""
    panels: dict[str, dict[str, Curve]] = {}
    for name, curve in scalars.items():
        part, _, measure = name.rpartition('/')
        if part and measure in _MONITORED:
            panels.setdefault(_MONITORED[measure], {})[part] = curve
    return {title: panels[title] for title in _MONITORED.values() if title in panels}


def map_section(
    features: Features, classes: Sequence[str] | None = None, count: int = 2000, method: str = 'tsne'
) -> Section:
    """Map of the features in two dimensions, coloured by class, or without labels by k-means cluster.

    Args:
        features: Features of a data set.
        classes: Names of the classes.
        count: Maximum number of points, evenly spaced in the data set.
        method: ``'tsne'``, ``'umap'`` or ``'pca'``.

    Returns:
        The section.

    Raises:
        ValueError: There is no such method.
        ImportError: UMAP is not installed.
    """
    places = evenly_spaced(len(features), count)
    rows = normalize(features.features[places], dim=1).numpy()
    with Progress('Drawing the map of the features', None, log=False):
        points = project(rows, method)
    if features.labels is None or not has_labels(features.labels):
        groups = _clusters(rows)
        names, colours = {int(group): f'cluster {group + 1}' for group in np.unique(groups)}, 'k-means clusters'
    else:
        groups = features.labels[places].numpy()
        names, colours = {int(group): class_name(classes, group) for group in np.unique(groups)}, 'classes'
    title = f'{_MAPS[method]} map of the features, coloured by {colours}'
    text = f'{len(points)} images of the gallery, by {_MAPS[method]} of the unit features; colours are {colours}.'
    text += '' if method == 'pca' else ' Distances between distant groups mean little.'
    return Section('Map of the features', [charts([Figure(map_chart(points, groups, names, title), text)])])


def project(rows: np.ndarray, method: str = 'tsne') -> np.ndarray:
    """Project features to two dimensions.

    Args:
        rows: Shape ``(N, D)``.
        method: ``'tsne'`` or ``'umap'`` (after PCA to 50 dimensions; only PCA for fewer than 10 rows), or ``'pca'``.

    Returns:
        Shape ``(N, 2)``.

    Raises:
        ValueError: There is no such method.
        ImportError: UMAP is not installed; the message has the command that installs it.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if method not in _MAPS:
        raise ValueError(f"A map by {method!r}: choose 'tsne', 'umap' or 'pca'.")
    if method == 'pca' or len(rows) < 10:
        return PCA(2, random_state=0).fit_transform(rows)
    reduced = PCA(min(50, *rows.shape), random_state=0).fit_transform(rows)
    if method == 'umap':
        return require('umap').UMAP(n_neighbors=min(15, len(rows) - 1), random_state=0, n_jobs=1).fit_transform(reduced)
    return TSNE(perplexity=min(30, (len(rows) - 1) / 3), init='pca', random_state=0).fit_transform(reduced)


def prototypes_section(counts: Tensor) -> Section:
    """Chart of how evenly the prototypes are used.

    Args:
        counts: Number of images that choose each prototype first, shape ``(K,)``.

    Returns:
        The section.
    """
    dead = int((counts == 0).sum())
    text = (
        f'{len(counts)} prototypes, {int(counts.sum())} images of the gallery in their evaluation view; '
        f'{dead} {"prototype is" if dead == 1 else "prototypes are"} the first choice of none. Training balances the '
        'prototypes in every batch of augmented views, so some unevenness here is normal; a few prototypes with '
        'nearly all images would be a collapse.'
    )
    return Section('Prototype usage', [charts([Figure(usage_chart(counts.tolist()))]), paragraph(text)])


def clusters_section(counts: Tensor, scalars: Mapping[str, Curve]) -> Section:
    """Charts of how evenly images are spread over the method's clusters, and how these changed.

    Args:
        counts: Number of images in each cluster at the end, shape ``(K,)``.
        scalars: Curves from :func:`~mmssl.visualization.read_scalars`; missing quantities are left out.

    Returns:
        The section.
    """
    figures = [Figure(usage_chart(counts.tolist(), 'cluster'), 'At the end, over all training images.')]
    for name, (title, caption) in _CLUSTER_CURVES.items():
        if name in scalars:
            figures.append(Figure(curve_chart(_percent(scalars[name]), title, True, 0), caption))
    text = (
        f'{len(counts)} clusters of {int(counts.min())} to {int(counts.max())} images, half of them below '
        f'{int(counts.sort().values[len(counts) // 2])}. One cluster with nearly all images would be a collapse.'
    )
    return Section('Clusters', [charts(figures), paragraph(text)])


def export_section(check: str, loading: str, path: str | Path) -> Section:
    """The exported file, its check, and how to load it.

    Args:
        check: Result of loading the file.
        loading: Lines of code that load it.
        path: The file.

    Returns:
        The section.
    """
    return Section('The backbone, exported', [paragraph(f'{Path(path).name}: {check}.'), code(loading)])


def reproduction_section(command: str, config: str | None = None, extra: Mapping[str, str] | None = None) -> Section:
    """Command, environment and config of a run.

    Args:
        command: The exact command.
        config: The whole config as text.
        extra: Further rows of the table.

    Returns:
        The section.
    """
    lines = [[title, text] for title, text in {**environment(), **(extra or {})}.items()]
    parts = [code(command), table([], lines)]
    if config:
        parts.append(details('The whole config', [code(config)]))
    return Section('Environment and command', parts)


def _timing(scalars: Mapping[str, Curve]) -> list[str]:
    if 'time' not in scalars or 'data_time' not in scalars:
        return []
    step, waiting = (np.mean(scalars[name].values) for name in ('time', 'data_time'))
    text = f'A step took {step:.3g} s on average, {100 * waiting / step:.0f} % of it waiting for data.'
    return [paragraph(text, muted=True)]


def _clusters(rows: np.ndarray, most: int = 10) -> np.ndarray:
    from sklearn.cluster import KMeans

    return KMeans(min(most, len(rows)), n_init=3, random_state=0).fit_predict(rows)
