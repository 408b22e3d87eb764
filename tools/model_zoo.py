"""The model zoo: tools/model_zoo.py list|download|verify|convert.

``list`` shows recipes and weights. ``download`` fetches weights into the cache (or a folder) and continues interrupted
downloads. ``verify`` compares downloaded files with their hashes. ``convert`` writes the weights of the backbone of
another project's checkpoint.
"""

import argparse

from mmssl.apis import find_entry, list_models, zoo_entries
from mmssl.apis.zoo import ZooEntry
from mmssl.command_line import one_sentence

HEADS = ('name', 'pre-trained on', 'epochs', 'weights', 'results, and whose')


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar='list|download|verify|convert')
    listing = commands.add_parser('list', help='recipes and weights')
    listing.add_argument('pattern', nargs='?', default='*', help="pattern for names, for example 'swav*'")
    listing.add_argument('--pretrained', action='store_true', help='only entries with weights')
    listing.set_defaults(run=show)
    download = commands.add_parser('download', help='fetch weights')
    download.add_argument('names', nargs='+', help='names that list shows')
    download.add_argument('--dest', help='folder instead of the cache')
    download.set_defaults(run=fetch)
    verify = commands.add_parser('verify', help='compare weights with their hashes')
    verify.add_argument('names', nargs='*', help='names that list shows (default: all downloaded ones)')
    verify.add_argument('--dest', help='folder instead of the cache')
    verify.set_defaults(run=compare)
    convert = commands.add_parser('convert', help="write the backbone's weights of another project's checkpoint")
    convert.add_argument('checkpoint', help='file, or a name that list shows')
    convert.add_argument('out', help='file to write, .pth or .safetensors')
    convert.set_defaults(run=extract)
    return parser.parse_args()


def show(args: argparse.Namespace) -> None:
    """Print the entries whose names match."""
    names = list_models(args.pattern, args.pretrained)
    if not names:
        raise ValueError(f'No name matches {args.pattern!r}: leave out the pattern to see all.')
    rows = [row(find_entry(name)) for name in names]
    widths = [max(len(row[place]) for row in (HEADS, *rows)) for place in range(len(HEADS))]
    for cells in (HEADS, *rows):
        print('  '.join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())


def row(entry: ZooEntry) -> tuple[str, ...]:
    """The cells of an entry's row."""
    project = entry.trained_by.removeprefix('https://github.com/')
    weights = 'download' if entry.weights else 'by hand' if entry.page else 'none'
    if entry.has_weights and not entry.checksum:
        weights += ', unverified'
    whose = f'{project}; not checked here' if project else 'measured here'
    figures = ', '.join(f'{name} {value:g}' for name, value in entry.results.items())
    return entry.name, entry.training_data, str(entry.epochs), weights, f'{figures} ({whose})' if figures else ''


def fetch(args: argparse.Namespace) -> None:
    """Download weights and print where they are."""
    from mmssl.apis import fetch_weights

    for entry in [find_entry(name) for name in args.names]:
        print(f'{entry.name}: {fetch_weights(entry, args.dest)}{licence(entry)}')


def licence(entry: ZooEntry) -> str:
    """Whose the weights are, and under which terms."""
    terms = f'licence {entry.licence}' if entry.licence else 'see there for the licence'
    return f'\n  Trained by {entry.trained_by}, not checked here; {terms}.'


def compare(args: argparse.Namespace) -> None:
    """Compare all weights with their hashes, and then report every difference."""
    from mmssl.apis import cached_weights, verify_weights

    entries = [find_entry(name) for name in args.names] or list(zoo_entries().values())
    if not args.names:
        entries = [entry for entry in entries if cached_weights(entry, args.dest)]
    if not entries:
        raise FileNotFoundError('No weights were downloaded yet: type  python tools/model_zoo.py download NAME')
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


if __name__ == '__main__':
    arguments = parse_args()
    with one_sentence((ValueError, OSError, ImportError)):
        arguments.run(arguments)
