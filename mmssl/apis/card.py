"""The card of published weights, in Markdown: what they are, what may be done with them, and how to load them."""

import shlex
from collections.abc import Iterator

from mmssl.apis.release import Release
from mmssl.evaluation import table_lines
from mmssl.export import architecture_of, loading_code
from mmssl.weights import resnet_prefix


def card_text(release: Release) -> str:
    """Write the card of a release.

    Args:
        release: The release.

    Returns:
        Markdown.
    """
    parts = (_what, _data, _training, _figures, _loading, _limits, _again)
    return '\n'.join([f'# {release.name}', *(line for part in parts for line in ('', *part(release))), ''])


def _what(release: Release) -> Iterator[str]:
    entry, terms = release.entry, release.terms
    size = sum(len(content) for content in release.files.values()) / 1e6
    number = sum(tensor.numel() for tensor in release.backbone.values())
    yield f'An image backbone trained without labels: {entry["In Collection"]} on {release.data}.'
    yield ''
    yield f'- backbone: `{entry["Weights"]}`, {number:,} numbers; {_architecture(release)}'
    if 'Heads' in entry:
        yield f'- rest of the algorithm, to go on training: `{entry["Heads"]}`'
    yield f'- licence of the weights: {terms.licence}' + (f'; author: {terms.author}' if terms.author else '')
    yield f'- size of the files: {size:.2f} MB; sha256 of each is in `model-index.yml`'
    if release.half:
        yield (
            '- kernels and matrices are stored in half precision. Features differ from those of the checkpoint by at '
            f'most {100 * release.difference:.2g} % of the largest feature (32 images of noise)'
        )
    if release.left_out:
        yield f'- not published, since they are rows of the training images: {", ".join(release.left_out)}'


def _architecture(release: Release) -> str:
    settings = release.config['model']['backbone']
    kind = str(settings['type']).rpartition('.')[2]
    rest = ', '.join(f'{key}={value!r}' for key, value in settings.items() if key != 'type')
    return f'`{kind}({rest})`'


def _data(release: Release) -> Iterator[str]:
    yield '## Data'
    yield ''
    images = release.entry['Metadata']['Images']
    yield f'{release.data}, {images:,} images. Licence: {release.terms.data_licence}.'


def _training(release: Release) -> Iterator[str]:
    metadata = release.entry['Metadata']
    yield '## Training'
    yield ''
    yield f'{metadata["Epochs"]} epochs in batches of {metadata["Batch Size"]}, with mmssl:'
    yield from ('', '```bash', release.command, '```')


def _figures(release: Release) -> Iterator[str]:
    yield '## Figures'
    yield ''
    if not release.results:
        yield 'None were measured.'
        return
    names = [result.name for result in release.results[:-1]] + ['these weights']
    yield f'| | {" | ".join(names)} |'
    yield '|---' * (len(names) + 1) + '|'
    yield from (f'| {" | ".join(cells)} |' for cells in table_lines(release.results))
    yield ''
    yield f'Measured on {release.data}' + (' (before rounding to half precision)' if release.half else '') + ' by'
    yield from ('', '```bash', release.measured_by, '```')


def _loading(release: Release) -> Iterator[str]:
    recipe, file = release.recipe, release.entry['Weights']
    size = f'{recipe.size} x {recipe.size} pixels' if recipe.size else 'of any size; none was recorded'
    yield '## Load'
    yield ''
    yield 'With mmssl (for weights outside the package, `MMSSL_ZOO` names the folder or URL of this card):'
    yield ''
    yield from ('```python', 'import mmssl', '', f'model = mmssl.get_model({release.name!r}, pretrained=True)', '```')
    if resnet_prefix(release.backbone) == '':
        yield ''
        yield 'Without mmssl, in torchvision:'
        yield ''
        yield from ('```python', loading_code(architecture_of(release.backbone), 'torchvision', file), '```')
    yield ''
    yield (
        f'Images: {len(recipe.mean)} channels, {size}, values from 0 to 255, from which the mean {list(recipe.mean)} '
        f'is subtracted before they are divided by the deviation {list(recipe.std)}. The metadata of the file hold the '
        'same, with the architecture.'
    )


def _limits(release: Release) -> Iterator[str]:
    yield '## Limits'
    yield ''
    yield (
        f'Trained on {release.data} alone: on other images, compare with raw pixels and the untrained network '
        'first (`tools/benchmarks/probe.py`). The figures are those of one run.'
    )
    if release.terms.limits:
        yield ''
        yield release.terms.limits


def _again(release: Release) -> Iterator[str]:
    terms = release.terms
    options = {
        '--name': release.name,
        '--licence': terms.licence,
        '--data-licence': terms.data_licence,
        '--data': terms.data,
        '--author': terms.author,
        '--command': terms.command,
        '--limits': terms.limits,
    }
    words = [word for option, value in options.items() if value for word in (option, value)]
    half = ' --half' if release.half else ''
    yield '## Publish again'
    yield ''
    yield 'This command replaces the entry, its files and this card by those of another checkpoint:'
    yield ''
    yield from (
        '```bash',
        f'python tools/model_zoo.py publish CHECKPOINT --out FOLDER {shlex.join(words)}{half}',
        '```',
    )
