"""The model zoo.

``list`` shows recipes and weights. ``download`` fetches weights into the cache (or a folder) and continues interrupted
downloads. ``verify`` compares downloaded files with their hashes. ``convert`` writes the weights of the backbone of
another project's checkpoint. ``publish`` writes checkpoints of own runs, with index and cards, into a folder that any
static server can serve. The environment variable ``MMSSL_ZOO`` names such a folder, or its URL.
"""

import argparse

from mmssl.apis import find_entry, zoo_entries
from mmssl.apis.zoo import ZooEntry, is_url, list_entries
from mmssl.command_line import weights_file

ERRORS = (ValueError, OSError, ImportError)
HEADS = ('name', 'pre-trained on', 'epochs', 'weights', 'results, and whose')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands and their options."""
    commands = parser.add_subparsers(required=True, metavar='list|download|verify|convert|publish')
    listing = commands.add_parser('list', help='recipes and weights')
    listing.add_argument('pattern', nargs='?', default='*', help="pattern for names, for example 'swav*'")
    listing.add_argument('--pretrained', action='store_true', help='only entries with weights')
    listing.set_defaults(act=show)
    download = commands.add_parser('download', help='fetch weights')
    download.add_argument('names', nargs='+', help='names that list shows')
    download.add_argument('--dest', help='folder instead of the cache')
    download.add_argument('--heads', action='store_true', help='also fetch neck, prototypes and teacher')
    download.set_defaults(act=fetch)
    verify = commands.add_parser('verify', help='compare weights with their hashes')
    verify.add_argument('names', nargs='*', help='names that list shows (default: all downloaded ones)')
    verify.add_argument('--dest', help='folder instead of the cache')
    verify.set_defaults(act=compare)
    convert = commands.add_parser('convert', help="write the backbone's weights of another project's checkpoint")
    convert.add_argument('checkpoint', help='file, or a name that list shows')
    convert.add_argument('out', type=weights_file, help='file to write, .pth or .safetensors')
    convert.set_defaults(act=extract)
    add_publish_options(commands.add_parser('publish', help='write checkpoints of own runs into a folder to be served'))


def run(args: argparse.Namespace) -> None:
    """Run the subcommand."""
    args.act(args)


def add_publish_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``publish``."""
    parser.add_argument('checkpoints', nargs='+', metavar='CHECKPOINT', help='checkpoint, or work directory of a run')
    parser.add_argument('--out', required=True, help='folder of the release; other entries in it stay')
    parser.add_argument('--licence', default='', help='licence of the weights (needed)')
    parser.add_argument('--data-licence', default='', help='licence of the training images (needed)')
    parser.add_argument('--data', default='', help="name of the training images (default: the recipe's)")
    parser.add_argument('--author', default='', help='who publishes the weights')
    parser.add_argument('--command', default='', help="how they were trained (default: the recipe's command)")
    parser.add_argument('--limits', default='', help='what they are not good for, for the card')
    parser.add_argument('--name', default='', help='name of the entry (default: the name of the recipe)')
    parser.add_argument('--results', help='evaluation.json of tools/test.py (default: the one next to the checkpoint)')
    parser.add_argument('--half', action='store_true', help='store kernels and matrices in half precision')
    parser.set_defaults(act=release)


def show(args: argparse.Namespace) -> None:
    """Print the entries whose names match."""
    entries = list_entries(args.pattern, args.pretrained)
    if not entries:
        raise ValueError(f'No name matches {args.pattern!r}: leave out the pattern to see all.')
    rows = [row(entry) for entry in entries]
    widths = [max(len(row[place]) for row in (HEADS, *rows)) for place in range(len(HEADS))]
    for cells in (HEADS, *rows):
        print('  '.join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())


def row(entry: ZooEntry) -> tuple[str, ...]:
    """The cells of an entry's row."""
    project = entry.trained_by.removeprefix('https://github.com/')
    weights = 'download' if is_url(entry.weights) else 'here' if entry.weights else 'by hand' if entry.page else 'none'
    if entry.has_weights and not entry.checksum:
        weights += ', unverified'
    whose = f'{project}; not checked here' if project else entry.author or 'measured here'
    figures = ', '.join(f'{name} {value:g}' for name, value in entry.results.items())
    length = f'{entry.iterations:,} steps' if entry.iterations else str(entry.epochs)
    return entry.name, entry.training_data, length, weights, f'{figures} ({whose})' if figures else ''


def fetch(args: argparse.Namespace) -> None:
    """Download weights and print where they are."""
    from mmssl.apis import fetch_weights

    for entry in [find_entry(name) for name in args.names]:
        print(f'{entry.name}: {fetch_weights(entry, args.dest)}{licence(entry)}')
        if args.heads:
            print(f'  Heads: {fetch_weights(entry, args.dest, heads=True)}')


def licence(entry: ZooEntry) -> str:
    """Whose the weights are, and under which terms."""
    if entry.published:
        author = f'Published by {entry.author}; licence' if entry.author else 'Licence'
        return f'\n  {author} {entry.licence}; licence of the training images {entry.data_licence}. Card: {entry.card}'
    terms = f'licence {entry.licence}' if entry.licence else 'see there for the licence'
    return f'\n  Trained by {entry.trained_by}, not checked here; {terms}.'


def compare(args: argparse.Namespace) -> None:
    """Compare all weights with their hashes, and then report every difference."""
    from mmssl.apis import cached_weights, verify_weights

    entries = [find_entry(name) for name in args.names] or list(zoo_entries().values())
    if not args.names:
        entries = [entry for entry in entries if cached_weights(entry, args.dest)]
    if not entries:
        raise FileNotFoundError('No weights were downloaded yet: type  mmssl zoo download NAME')
    problems = []
    for entry in entries:
        try:
            print(verify_weights(entry, args.dest))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError('\n'.join(problems))


def extract(args: argparse.Namespace) -> None:
    """Write the weights of a backbone, and say what was used and what was left out."""
    from mmssl.apis import fetch_weights
    from mmssl.export import convert_checkpoint

    known = args.checkpoint in zoo_entries()
    print(convert_checkpoint(fetch_weights(find_entry(args.checkpoint)) if known else args.checkpoint, args.out))


def release(args: argparse.Namespace) -> None:
    """Publish checkpoints, and say how to use the folder."""
    from mmssl.apis import Terms, publish_checkpoints

    terms = Terms(args.licence, args.data_licence, args.data, args.author, args.command, args.limits)
    names = publish_checkpoints(args.checkpoints, args.out, terms, args.name, args.results, args.half)
    print(f'Published in {args.out}: {", ".join(names)}')
    print(
        f'Use it with MMSSL_ZOO={args.out}, or with its URL once it is served:\n'
        f'  python -m http.server --bind 127.0.0.1 --directory {args.out}'
    )
