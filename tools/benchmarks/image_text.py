"""What do images and sentences have in common? Retrieval by image and by text, and zero-shot classification.

    python tools/benchmarks/image_text.py work_dirs/convirt/epoch_12.pth --prompts data/scenes/prompts.json

The checkpoint is one of a method with a text tower, such as ConVIRT. The images are those of its config's evaluation
section: the gallery is searched; the query set searches, and is classified. ``--prompts`` is a JSON file with sentences
about each class, by its name. The network with random weights is measured in the same way, with the same words.
"""

import argparse
import json
from pathlib import Path

from mmengine.device import get_device

from mmssl.evaluation import Result, build_dataset, format_results, image_text_measures, untrained, write_results
from mmssl.probe import load_trained
from mmssl.ranges import COUNT, INDEX, option


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint', help='checkpoint of a training with texts')
    parser.add_argument('--prompts', type=Path, required=True, help='JSON file: sentences by the name of the class')
    parser.add_argument('--k', type=option(COUNT), nargs='+', default=[5, 10, 50], help='numbers of neighbours')
    parser.add_argument('--num-workers', type=option(INDEX), default=0, help='loading processes')
    parser.add_argument('--out', type=Path, help='JSON file for the results')
    return parser.parse_args()


def measure(checkpoint: str, prompts: Path, ks: list[int], num_workers: int) -> list[Result]:
    """Measure the untrained and the trained network.

    Args:
        checkpoint: Checkpoint of a training with texts.
        prompts: JSON file.
        ks: Numbers of neighbours.
        num_workers: Loading processes.

    Raises:
        ValueError: The checkpoint has no text tower, there is no query set, or the file of prompts does not fit.
    """
    trained = load_trained(checkpoint)
    model, evaluation = trained.algorithm(), trained.config.evaluation
    if not hasattr(model, 'embed_sentences'):
        raise ValueError(
            f'{checkpoint} is a {type(model).__name__}, which reads no texts: give the checkpoint of a ConVIRT.'
        )
    if 'query' not in evaluation:
        raise ValueError('The config has no evaluation.query: give it labelled images that search and are classified.')
    start = untrained(trained.config)
    start.tokenizer.load_state_dict(model.tokenizer.state_dict())
    sets = [build_dataset(evaluation[part]) for part in ('gallery', 'query')]
    loading = {'batch_size': evaluation.get('batch_size', 256), 'num_workers': num_workers}
    sentences = json.loads(prompts.read_text(encoding='utf-8'))
    networks = {'untrained': start, 'trained': model}
    return [
        Result(name, tuple(image_text_measures(network.to(get_device()), *sets, sentences, ks, **loading)))
        for name, network in networks.items()
    ]


def main() -> None:
    """Run the command."""
    args = parse_args()
    try:
        results = measure(args.checkpoint, args.prompts, args.k, args.num_workers)
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from error
    print(format_results(results))
    if args.out:
        write_results(args.out, results, checkpoint=args.checkpoint)


if __name__ == '__main__':
    main()
