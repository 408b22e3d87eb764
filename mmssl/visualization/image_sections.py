"""Sections of a report that show images."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmssl.datasets import collate
from mmssl.datasets.listing import printable
from mmssl.evaluation import Features, evenly_spaced, has_labels, nearest_neighbors
from mmssl.functional import kmeans, random_state_kept, unit
from mmssl.models.modes import eval_mode
from mmssl.visualization.activations import activation_maps, attention_block, attention_maps, heated
from mmssl.visualization.html import LegendEntry, Section, Tile, legend, paragraph, sheet
from mmssl.visualization.images import to_image


def views_section(dataset: Dataset, count: int = 6) -> Section:
    """Images, and the views of them that the network was trained on.

    Args:
        dataset: The training's :class:`~mmssl.datasets.ImageDataset`.
        count: Number of images, evenly spaced in the data set.

    Returns:
        The section.
    """
    rows = []
    with random_state_kept():
        for index in evenly_spaced(len(dataset), count):
            sample = dataset[index]
            shown = sample['sample_idx']
            name = dataset.name(shown)
            original = Tile(to_image(dataset.source.load(shown)), f'original, {name}', 'original', 'first')
            views = [
                Tile(to_image(view), f'view {place + 1} of {name}', f'{view.shape[-1]} px')
                for place, view in enumerate(sample['inputs'])
            ]
            rows.append([original, *views])
    text = 'Each row: an image, and its views as the network gets them, all drawn at one size.'
    return Section('What the network saw', [paragraph(text), sheet(rows)])


def picture_sections(model: nn.Module, dataset: Dataset, count: int = 4) -> list[Section]:
    """What a method draws of itself on some images; empty for most methods.

    Args:
        model: The algorithm; runs in eval mode.
        dataset: Gives what the training gives.
        count: Number of images, evenly spaced in the data set.

    Returns:
        One section per sheet of :meth:`~mmssl.models.BaseAlgorithm.picture_sheets`.
    """
    with random_state_kept(), eval_mode(model), torch.no_grad():
        samples = [dataset[place] for place in evenly_spaced(len(dataset), count)]
        sheets = model.picture_sheets(**model.data_preprocessor(collate(samples), training=False))
    sections = []
    for made in sheets:
        rows = [[Tile(to_image(picture), name, name) for picture, name in row] for row in made.rows]
        sections.append(Section(made.title, [paragraph(made.text), sheet(rows)]))
    return sections


def neighbors_section(
    gallery: Features, gallery_data: Dataset, query: Features, query_data: Dataset, count: int = 6, neighbors: int = 8
) -> Section:
    """Images of the query set with their nearest neighbours in the gallery.

    Args:
        gallery: Features of ``gallery_data``.
        gallery_data: Images to search.
        query: Features of ``query_data``; the same object as ``gallery`` if there is no query set.
        query_data: Images to find neighbours for.
        count: Number of images, evenly spaced in the query set and not hand-picked.
        neighbors: Number of neighbours per image.

    Returns:
        The section; with labels, frames show whether a neighbour has the same class.
    """
    places = evenly_spaced(len(query), count)
    itself = query is gallery
    wanted = min(neighbors + itself, len(gallery))
    found = nearest_neighbors(gallery.features, query.features[places], wanted)
    rows = []
    for place, near, similar in zip(places, found.rows.tolist(), found.cosines.tolist()):
        pairs = [(n, c) for n, c in zip(near, similar) if not (itself and n == place)][:neighbors]
        label = _label(query, place)
        name = _title(query, label)
        tiles = [Tile(_view(query_data, query, place), f'query {name}', name, 'first')]
        for number, cosine in pairs:
            tiles.append(_neighbor(gallery, gallery_data, number, cosine, label))
        rows.append(tiles)
    first, others = ('', 'images') if itself else (' of the query set', 'images in the gallery')
    text = f'First in each row: an image{first}, not hand-picked. Then its nearest {others}, by cosine.'
    parts = [paragraph(text), sheet(rows)]
    if has_labels(query.labels) and has_labels(gallery.labels):
        parts.insert(1, legend([LegendEntry('right', 'same class'), LegendEntry('wrong', 'other class')]))
    return Section('Nearest neighbours', parts)


def gallery_section(features: Features, dataset: Dataset, clusters: int = 10, shown: int = 5) -> Section:
    """Images of k-means clusters: those nearest to the centroid, and others of the cluster at random.

    Args:
        features: Features of ``dataset``.
        dataset: The images.
        clusters: Number of clusters, one per row, largest first.
        shown: Number of the nearest images, and of the random ones.

    Returns:
        The section; with labels, each row names the most frequent class.

    Raises:
        ValueError: There are more clusters than images.
    """
    rows = unit(features.features)
    centres, labels = kmeans(rows, clusters)
    sizes = labels.bincount(minlength=clusters)
    generator = torch.Generator().manual_seed(0)
    text = (
        f'{len(rows)} images in {clusters} k-means clusters of the unit features, largest first: left of the line the '
        'images nearest to the centroid, right of it others of the cluster at random.'
    )
    parts = [paragraph(text)]
    for cluster in sizes.argsort(descending=True, stable=True).tolist():
        members = (labels == cluster).nonzero()[:, 0]
        members = members[(rows[members] @ centres[cluster]).argsort(descending=True, stable=True)]
        rest = members[shown:]
        others = rest[torch.randperm(len(rest), generator=generator)[:shown]]
        tiles = [_member(features, dataset, number) for number in (*members[:shown].tolist(), *others.tolist())]
        edge = min(shown, len(members)) - 1
        tiles[edge] = replace(tiles[edge], kind='edge')
        parts += [paragraph(_content(features, members), muted=True), sheet([tiles], columns=2 * shown)]
    return Section('Clusters of images', parts)


def activation_section(model: nn.Module, dataset: Dataset, count: int = 12) -> Section:
    """Images with activation maps of the last feature map, and attention maps for transformers.

    Args:
        model: An algorithm.
        dataset: The images.
        count: Number of images, evenly spaced in the data set.

    Returns:
        The section.

    Raises:
        ValueError: The backbone gives no map that fits over an image.
    """
    with random_state_kept():
        samples = [dataset[place] for place in evenly_spaced(len(dataset), count)]
    maps = {'activation': activation_maps(model, samples)}
    text = (
        'Each image, and next to it the length of the last feature vector at each position (yellow: the maximum in '
        'this image), enlarged to the size of the image. The map is coarse if the last feature map is small.'
    )
    if attention_block(model.backbone) is not None:
        maps['attention'] = attention_maps(model, samples)
        text += ' Then the attention of the last block, averaged over its heads.'
    tiles = []
    for place, sample in enumerate(samples):
        image, name = to_image(sample['inputs'][0]), dataset.name(sample['sample_idx'])
        over = [Tile(heated(image, strengths[place]), f'{kind} over {name}') for kind, strengths in maps.items()]
        tiles += [Tile(image, name), *over]
    return Section('Activation maps', [paragraph(text), sheet([tiles], columns=6)])


@torch.no_grad()
def segments_section(model: nn.Module, dataset: Dataset, count: int = 6) -> Section | None:
    """Images, and what each part that the method finds in them shows, such as the slots of Slot Attention.

    Args:
        model: An algorithm.
        dataset: The images, all of one size.
        count: Number of images, evenly spaced in the data set.

    Returns:
        The section; None if the method finds no parts.
    """
    with random_state_kept(), eval_mode(model):
        samples = [dataset[place] for place in evenly_spaced(len(dataset), count)]
        shares = model.segments(model.data_preprocessor(collate(samples))['inputs'][0])
    if shares is None:
        return None
    rows = []
    for sample, own in zip(samples, shares.float().cpu()):
        image, name = sample['inputs'][0], dataset.name(sample['sample_idx'])
        gray = (255 * (1 - own)[:, None]).expand(-1, len(image), -1, -1)
        parts = (own[:, None] * image + 0.5 * gray).round().byte()  # what a part does not show is gray
        shown = [Tile(to_image(part), f'part {number} of {name}') for number, part in enumerate(parts, start=1)]
        rows.append([Tile(to_image(image), f'original, {name}', 'original', 'first'), *shown])
    text = 'Each row: an image, then the pixels that each part claims; the others are gray. The order has no meaning.'
    return Section('Parts of the images', [paragraph(text), sheet(rows)])


def _neighbor(gallery: Features, data: Dataset, number: int, cosine: float, label: int | None) -> Tile:
    own = _label(gallery, number)
    kind = '' if own is None or label is None else 'right' if own == label else 'wrong'
    name = _title(gallery, own)
    alt = f'{kind} neighbour {name}, cosine {cosine:.2f}'.strip()
    return Tile(_view(data, gallery, number), alt, name or f'{cosine:.2f}', kind)


def _member(features: Features, dataset: Dataset, number: int) -> Tile:
    title = _title(features, _label(features, number))
    return Tile(_view(dataset, features, number), title or dataset.name(int(features.indices[number])), title)


def _content(features: Features, members: Tensor) -> str:
    """Describe a cluster: its number of images, and their most frequent class."""
    if features.labels is None or not has_labels(features.labels[members]):
        return f'{len(members)} images'
    labels = features.labels[members]
    classes = labels[labels >= 0].bincount()
    name = class_name(features.classes, int(classes.argmax()))
    return f'{len(members)} images, {int(classes.max()) / len(members):.0%} of them {name}'


def _view(dataset: Dataset, features: Features, place: int) -> Any:
    """Image of a row: rows and images differ in number where images were left out."""
    with random_state_kept():
        return to_image(dataset[int(features.indices[place])]['inputs'][0])


def _label(features: Features, place: int) -> int | None:
    """Class of a row; None if it has none."""
    return None if features.labels is None or features.labels[place] < 0 else int(features.labels[place])


def _title(features: Features, label: int | None) -> str:
    return '' if label is None else class_name(features.classes, label)


def class_name(classes: Sequence[str] | None, label: int) -> str:
    """Name of a class, or its number if it has no name; -1 is no class."""
    if label < 0:
        return 'no class'
    return printable(classes[label]) if classes else f'class {label}'
