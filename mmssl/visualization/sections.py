"""The parts of a report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn.functional import normalize

from mmssl.dependencies import require
from mmssl.evaluation import (
    Features,
    headline,
    protocols,
    table_lines,
    verdict,
)
from mmssl.evaluation.evaluate import spread
from mmssl.visualization.charts import Curve, curve_chart, lines_chart, map_chart, marked_chart, usage_chart
from mmssl.visualization.html import Section, charts, code, paragraph, table
from mmssl.visualization.image_sections import class_name
from mmssl.visualization.records import environment

_MONITORED = {
    'deviation': 'deviation',
    'effective_rank': 'effective rank',
    'mean_cosine': 'mean cosine',
    'entropy': 'entropy of the usage',
    'largest': 'share of the largest',
    'dead': 'share of dead ones',
    'change': 'share that changed since the last look',
}
_MEASURES = (
    'Other view found: how often the nearest of all second views belongs to the same image. Alignment: mean squared '
    'distance of two views of an image (0 to 4). Uniformity: about -4 (evenly spread) to 0. Effective rank: '
    'directions in use. Deviation: 1 (evenly spread) to 0. A collapsed network has alignment, uniformity and deviation '
    '0, and effective rank 1. These measures tell a sound run from a collapsed one; they are no accuracy.'
)


_MOST_LINES = 8  # of a chart, as many as there are colours that can be told apart
_MAPS = {'tsne': 't-SNE', 'umap': 'UMAP', 'pca': 'PCA'}


def results_section(rows: Sequence[Mapping[str, Any]]) -> Section:
    """The table of results, with what was measured and how it stands against the baselines.

    Args:
        rows: From :func:`~mmssl.evaluation.compare_baselines`.

    Returns:
        The section.
    """
    return Section('Results', [
        *map(paragraph, verdict(rows)),
        *_results_table(rows),
        paragraph(_MEASURES, muted=True),
    ])  # fmt: skip


def _results_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    names = [str(row['name']) for row in rows]
    return [
        table(['', *names], table_lines(rows), strong=len(rows) <= 3),  # one network and its baselines
        *(paragraph(sentence, muted=True) for sentence in protocols(rows[-1])),
    ]


def probe_section(title: str, rows: Sequence[Mapping[str, Any]], sentences: Sequence[str] = ()) -> Section:
    """The table of a probe, and, where the lines can be told apart, low-shot accuracy over the number of images.

    Args:
        title: Of the section.
        rows: The baselines, then the networks, each with ``name`` and what
            :func:`~mmssl.evaluation.probe_features` gives.
        sentences: What it comes to.

    Returns:
        The section.
    """
    parts = [*map(paragraph, sentences), *_results_table(rows)]
    shots = {row['name']: _low_shot_curve(row) for row in rows if len(row.get('low_shot', ())) > 1}
    if 0 < len(shots) <= _MOST_LINES:
        drawing = lines_chart(shots, 'low-shot SVM, top-1 (%)', 'labelled images a class', doubling=True)
        parts.insert(len(sentences) + 1, charts([drawing], ['Mean over the draws.']))
    return Section(title, [*parts, paragraph(_MEASURES, muted=True)])


def stages_section(rows: Sequence[Mapping[str, Any]]) -> Section:
    """How the accuracies change from stage to stage of the networks.

    Args:
        rows: With labels, each with ``name`` and ``layer`` (``'stage1'``, ...) and what
            :func:`~mmssl.evaluation.probe_features` gives; rows of other layers are left out.

    Returns:
        The section.
    """
    curves: dict[str, dict[str, tuple[list, list]]] = {}
    for row in rows:
        if row['layer'].startswith('stage'):
            for measure, value in headline(row).items():
                places, values = curves.setdefault(measure, {}).setdefault(row['name'], ([], []))
                places.append(int(row['layer'].removeprefix('stage')))
                values.append(value)
    drawings = [lines_chart(found, f'{measure}, top-1 (%)', 'stage') for measure, found in curves.items()]
    text = 'Features of each stage of the backbone, averaged over the image.'
    return Section('Stage by stage', [paragraph(text), charts(drawings)])


def _low_shot_curve(row: Mapping[str, Any]) -> Curve:
    return [int(k) for k in row['low_shot']], [found['mean'] for found in row['low_shot'].values()]


def training_section(scalars: Mapping[str, Curve]) -> Section:
    """Loss, learning rate, online k-NN, and what share of the time went into waiting for data.

    Args:
        scalars: From :func:`~mmssl.visualization.read_scalars`.

    Returns:
        The section; what was not logged is left out.
    """
    drawings, captions = [curve_chart(scalars['loss'], 'loss', smooth=True)], ['Pale: as logged. Line: running mean.']
    if 'lr' in scalars:
        drawings.append(curve_chart(scalars['lr'], 'learning rate', start=0))
        captions.append('Of the first parameter group.')
    if 'knn_top1' in scalars:
        drawings.append(marked_chart(scalars['knn_top1'], 'online k-NN top-1 (%)', 'step'))
        captions.append('On parts of the gallery and the query set; the first point is the untrained network.')
    if 'prototypes_used' in scalars:
        shares = [100 * share for share in scalars['prototypes_used'][1]]
        drawings.append(curve_chart((scalars['prototypes_used'][0], shares), 'prototypes used in a batch (%)', True, 0))
        captions.append('Share of the prototypes that some image of the batch chose first.')
    return Section('Training', [charts(drawings, captions), *_timing(scalars)])


def monitors_section(scalars: Mapping[str, Curve]) -> Section | None:
    """What the monitors saw: how far the features spread, and how evenly clusters and prototypes are used.

    Args:
        scalars: From :func:`~mmssl.visualization.read_scalars`.

    Returns:
        The section; None where nothing was logged.
    """
    panels = monitor_panels(scalars)
    titles = [f'{title} ({next(iter(lines))})' if len(lines) == 1 else title for title, lines in panels.items()]
    drawings = [lines_chart(lines, title) for title, lines in zip(titles, panels.values())]
    if not drawings:
        return None
    text = (
        'Features: of the backbone; embedding: what the neck makes of them. Deviation is 1 where they spread evenly '
        'and 0 where all images look the same; effective rank counts the directions in which they differ (the '
        'results count the one that all share, too); the mean cosine of two images is 1 in a collapse. The first '
        'point is the untrained network. Entropy is 1 where all clusters are used equally, 0 where one has everything; '
        'dead ones have no image.'
    )
    return Section('What the monitors saw', [paragraph(text), charts(drawings)])


def monitor_panels(scalars: Mapping[str, Curve]) -> dict[str, dict[str, Curve]]:
    """What the monitors logged, as lines by the title of their panel; what was not logged is left out."""
    panels: dict[str, dict[str, Curve]] = {}
    for name, curve in scalars.items():
        part, _, measure = name.rpartition('/')
        if part and measure in _MONITORED:
            panels.setdefault(_MONITORED[measure], {})[part] = curve
    return {title: panels[title] for title in _MONITORED.values() if title in panels}


def map_section(
    features: Features, classes: Sequence[str] | None = None, count: int = 2000, method: str = 'tsne'
) -> Section:
    """The features in two dimensions, coloured by class, or by k-means cluster where there are no labels.

    Args:
        features: Of a data set.
        classes: Names of the classes.
        count: Most points that are drawn, spread evenly over the data set.
        method: ``'tsne'``, ``'umap'`` or ``'pca'``.

    Returns:
        The section.

    Raises:
        ValueError: No such method.
        ImportError: UMAP is not installed.
    """
    places = spread(len(features), count)
    rows = normalize(features.features[places], dim=1).numpy()
    points = project(rows, method)
    if features.labels is None:
        groups = _clusters(rows)
        names, colours = {int(group): f'cluster {group + 1}' for group in np.unique(groups)}, 'k-means clusters'
    else:
        groups = features.labels[places].numpy()
        names, colours = {int(group): class_name(classes, group) for group in np.unique(groups)}, 'classes'
    title = f'{_MAPS[method]} map of the features, coloured by {colours}'
    text = f'{len(points)} images of the gallery, by {_MAPS[method]} of the unit features; colours are {colours}.'
    text += '' if method == 'pca' else ' Distances between far groups mean little.'
    return Section('Map of the features', [charts([map_chart(points, groups, names, title)], [text])])


def project(rows: np.ndarray, method: str = 'tsne') -> np.ndarray:
    """Features in two dimensions.

    Args:
        rows: Shape ``(N, D)``.
        method: ``'tsne'`` or ``'umap'`` (both after PCA to 50 dimensions; PCA where there are fewer than 10 rows) or
            ``'pca'``.

    Returns:
        Shape ``(N, 2)``.

    Raises:
        ValueError: No such method.
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
    """How evenly the prototypes are used.

    Args:
        counts: How many images choose each prototype first, shape ``(K,)``.

    Returns:
        The section.
    """
    dead = int((counts == 0).sum())
    text = (
        f'{len(counts)} prototypes, {int(counts.sum())} images of the gallery in their evaluation view; '
        f'{dead} {"prototype is" if dead == 1 else "prototypes are"} the first choice of none. The balance that '
        'training asks for holds in every batch of augmented views, so some unevenness here is normal; a few '
        'prototypes with nearly everything would be a collapse.'
    )
    return Section('Prototype usage', [charts([usage_chart(counts.tolist())]), paragraph(text)])


def clusters_section(counts: Tensor, scalars: Mapping[str, Curve]) -> Section:
    """How evenly the samples are spread over the clusters that the method keeps, and how these changed.

    Args:
        counts: Members of each cluster at the end, shape ``(K,)``.
        scalars: From :func:`~mmssl.visualization.read_scalars`; what was not logged is left out.

    Returns:
        The section.
    """
    drawings, captions = [usage_chart(counts.tolist(), 'cluster')], ['At the end, all images of the training.']
    for name, title in (('label_change', 'images that changed cluster (%)'), ('largest_cluster', 'largest (%)')):
        if name in scalars:
            drawings.append(
                curve_chart((scalars[name][0], [100 * share for share in scalars[name][1]]), title, True, 0)
            )
            captions.append(
                'Of the last batch, or of all at the last k-means.' if name == 'label_change' else 'Of all.'
            )
    text = (
        f'{len(counts)} clusters of {int(counts.min())} to {int(counts.max())} images, half of them below '
        f'{int(counts.sort().values[len(counts) // 2])}. One cluster with nearly everything would be a collapse.'
    )
    return Section('Clusters', [charts(drawings, captions), paragraph(text)])


def export_section(check: str, loading: str, path: str | Path) -> Section:
    """The exported file, that it loads, and how.

    Args:
        check: What loading it gave.
        loading: Lines of code that load it.
        path: The file.

    Returns:
        The section.
    """
    return Section('The backbone, exported', [paragraph(f'{Path(path).name}: {check}.'), code(loading)])


def reproduction_section(command: str, config: str | None = None, extra: Mapping[str, str] | None = None) -> Section:
    """What was typed, on which machine.

    Args:
        command: The exact command.
        config: The whole config as text.
        extra: Further lines of the table.

    Returns:
        The section.
    """
    lines = [[title, text] for title, text in {**environment(), **(extra or {})}.items()]
    parts = [code(command), table([], lines)]
    if config:
        parts += ['<details><summary>The whole config</summary>', code(config), '</details>']
    return Section('Environment and command', parts)


def _timing(scalars: Mapping[str, Curve]) -> list[str]:
    if 'time' not in scalars or 'data_time' not in scalars:
        return []
    step, waiting = (np.mean(scalars[name][1]) for name in ('time', 'data_time'))
    return [
        paragraph(
            f'A step took {step:.3g} s on average, {100 * waiting / step:.0f} % of it waiting for data.', muted=True
        )
    ]


def _clusters(rows: np.ndarray, most: int = 10) -> np.ndarray:
    from sklearn.cluster import KMeans

    return KMeans(min(most, len(rows)), n_init=3, random_state=0).fit_predict(rows)
