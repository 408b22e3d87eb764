"""Measure the sentence embeddings of a checkpoint on pairs of sentences with scores.

Prints Spearman's correlation of the cosines with the scores: of the pixels, of the untrained network and of the
checkpoint. Writes similarity.json and similarity.html into the work directory. While you choose anything by the result,
give the development split of a benchmark, not its test split.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mmssl.command_line import open_config

if TYPE_CHECKING:
    from mmengine.config import Config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('checkpoint', help='checkpoint, or the work directory of a run (its newest checkpoint)')
    parser.add_argument('--config', help='config of the training (default: the one in the checkpoint)')
    parser.add_argument('--data', help="file of pairs: .csv, .tsv or .jsonl (default: the config's evaluation.pairs)")
    parser.add_argument(
        '--columns', nargs=2, default=['sentence1', 'sentence2'], metavar=('FIRST', 'SECOND'), help='columns of texts'
    )
    parser.add_argument('--score', default='score', help='column of the similarity (default: score)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/similarity'), help='folder for the results')


def source_of(args: argparse.Namespace) -> dict | None:
    """The source of the pairs of ``--data``."""
    if not args.data:
        return None
    return {'type': 'mmssl.TextFile', 'file': args.data, 'columns': args.columns, 'score': args.score}


def config_of(args: argparse.Namespace) -> 'Config | None':
    """The config of ``--config``."""
    if args.config and not Path(args.config).is_file():
        raise FileNotFoundError(f'No config {args.config}: give the config of the training, or leave out --config.')
    return open_config(args.config) if args.config else None


def run(args: argparse.Namespace) -> None:
    """Measure, print and write the results."""
    from mmengine.device import get_device

    from mmssl.evaluation import build_pairs, compare_similarity, format_table, meanings, write_results
    from mmssl.probe import load_trained
    from mmssl.visualization import describe_command, reproduction_section, similarity_section, write_report

    trained = load_trained(args.checkpoint, config_of(args))
    pairs = build_pairs(trained.config, source_of(args))
    results = compare_similarity(trained.algorithm().to(get_device()), trained.config, pairs)
    command = describe_command(sys.argv)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    paths = [args.work_dir / f'similarity.{kind}' for kind in ('json', 'html')]
    write_results(paths[0], results, command=command, data=args.data, checkpoint=str(args.checkpoint))
    write_report(paths[1], 'Similarity', [similarity_section(results, pairs), reproduction_section(command)])
    print(format_table(results), '', *meanings(results[-1]), *results[-1].notes, sep='\n')
    print('\nWritten to ' + ', '.join(map(str, paths)))
