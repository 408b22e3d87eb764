"""Findings in radiographs from few labels: the area under the ROC curve of a linear classifier on frozen features.

    python tools/benchmarks/radiographs.py work_dirs/convirt/iter_200000.pth --data chexpert:data/CheXpert-v1.0-small

``--data`` names the layout and the folder: ``chexpert``, ``rsna``, ``mura`` or ``covidx``. A logistic regression per
finding learns from 1 %, 10 % and all images of the first part, and is measured on the other part; the same for the
network with random weights. Images of a study (MURA) are averaged; COVIDx, whose classes exclude each other, gets
accuracies, as in the paper of ConVIRT. Images are padded to a square.
"""

import argparse
from pathlib import Path

import torch
from mmengine.device import get_device
from torch import Tensor, nn

from mmssl.datasets import MURA, CheXpert, COVIDx, ImageDataset, PaddedView, Radiographs, RSNAPneumonia
from mmssl.evaluation import (
    Measure,
    Result,
    auroc,
    extract_features,
    fit_findings,
    format_results,
    mean_per_group,
    write_results,
)
from mmssl.functional import hash_seed
from mmssl.probe import compared_networks
from mmssl.ranges import COUNT, INDEX, Range, option

LAYOUTS: dict[str, type[Radiographs]] = {'chexpert': CheXpert, 'rsna': RSNAPneumonia, 'mura': MURA, 'covidx': COVIDx}


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint', help='checkpoint of a training, or weights of a backbone')
    parser.add_argument('--data', required=True, help=f'LAYOUT:FOLDER with {", ".join(LAYOUTS)}')
    parser.add_argument(
        '--shares',
        type=option(Range(0, 1, without='low')),
        nargs='+',
        default=[0.01, 0.1, 1.0],
        help='shares of the images',
    )
    parser.add_argument('--draws', type=option(COUNT), default=5, help='draws of the images per share')
    parser.add_argument('--size', type=option(COUNT), help="side of the images in pixels (default: the training's)")
    parser.add_argument('--batch-size', type=option(COUNT), default=64)
    parser.add_argument('--num-workers', type=option(INDEX), default=0, help='loading processes')
    parser.add_argument('--out', type=Path, help='JSON file for the results')
    return parser.parse_args()


def open_parts(data: str) -> tuple[Radiographs, Radiographs]:
    """Images to learn from and images to measure on.

    Args:
        data: ``LAYOUT:FOLDER``.

    Raises:
        ValueError: Unknown layout, or the folder does not have it.
    """
    name, _, folder = data.partition(':')
    if name not in LAYOUTS or not folder:
        raise ValueError(f'--data {data}: write LAYOUT:FOLDER with one of {", ".join(LAYOUTS)}.')
    first, last = (LAYOUTS[name](folder, part) for part in LAYOUTS[name].parts)
    return first, last


def features_of(network: nn.Module, source: Radiographs, size: int, args: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Standardised rows, and the places of their images in the source."""
    dataset = ImageDataset(source, PaddedView(size), channels=network.channels)
    found = extract_features(network, dataset, args.batch_size, args.num_workers)
    return found.features, found.indices


def measure(name: str, network: nn.Module, parts: tuple[Radiographs, Radiographs], args: argparse.Namespace) -> Result:
    """Measure one network on all shares of the images."""
    train, test = parts
    (rows, places), (test_rows, test_places) = (features_of(network, part, network.size, args) for part in parts)
    mean, deviation = rows.mean(dim=0), rows.std(dim=0).clamp_min(1e-6)
    rows, test_rows = ((part - mean) / deviation for part in (rows, test_rows))
    measures = []
    for share in args.shares:
        values = []
        for draw in range(args.draws if share < 1 else 1):
            generator = torch.Generator().manual_seed(hash_seed(draw))
            chosen = torch.randperm(len(rows), generator=generator)[: max(round(share * len(rows)), 1)]
            weight, bias = fit_findings(rows[chosen], train.targets[places[chosen]])
            values.append(score(test_rows @ weight.T + bias, test, test_places))
        found = torch.tensor(values)
        spread = float(found.std()) if len(values) > 1 else None
        measures.append(
            Measure(
                f'{kind_of(test)} {share:.0%}',
                float(found.mean()),
                spread,
                protocol=f'{kind_of(test)}: logistic regression per finding on frozen features',
                short=f'{share:.0%}',
            )
        )
    return Result(name, tuple(measures), gallery=len(rows), query=len(test_rows), dim=rows.shape[1])


def kind_of(source: Radiographs) -> str:
    """What is measured: accuracy where classes exclude each other, else the area under the ROC curve."""
    return 'accuracy' if isinstance(source, COVIDx) else 'AUROC'


def score(scores: Tensor, source: Radiographs, places: Tensor) -> float:
    """Accuracy or mean area under the curve in percent.

    Args:
        scores: Logits, shape ``(N, F)``.
        source: The images.
        places: Their places in the source, shape ``(N,)``.
    """
    targets = source.targets[places]
    if kind_of(source) == 'accuracy':
        return 100 * float((scores.argmax(dim=1) == targets.argmax(dim=1)).double().mean())
    if source.studies is not None:
        scores, targets = mean_per_group(scores.sigmoid(), targets, source.studies[places])
    return 100 * auroc(scores, targets).mean


def main() -> None:
    """Run the command."""
    args = parse_args()
    try:
        (compared,) = compared_networks([args.checkpoint], size=args.size)
        parts = open_parts(args.data)
        networks = {'untrained': compared.untrained, 'trained': compared.network}
        results = [measure(name, network.to(get_device()), parts, args) for name, network in networks.items()]
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from error
    print(format_results(results))
    if args.out:
        write_results(args.out, results, checkpoint=args.checkpoint, data=args.data)


if __name__ == '__main__':
    main()
