"""Find the highlights of a video: a curve over its time, from its images alone.

CHECKPOINT is a training of RASL (our reconstruction) on feature sequences; --network is the network that made these
features of frames, and --rate the steps per second. Sound is not needed. Prints the top moments, and writes
curve.csv and curve.png into the work directory.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmssl.command_line import CORRECTABLE
from mmssl.ranges import COUNT, POSITIVE, option

if TYPE_CHECKING:
    from torch import Tensor

ERRORS = (*CORRECTABLE, OSError)  # a video that cannot be read is an OSError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('video', help='video file')
    parser.add_argument('--checkpoint', required=True, help='checkpoint of RASL, or the work directory of its run')
    parser.add_argument(
        '--network',
        required=True,
        help='network of the features: a checkpoint, or a name of the zoo, torchvision or timm',
    )
    parser.add_argument(
        '--rate', type=option(POSITIVE), default=2.0, help='steps per second, as in the training (default: 2)'
    )
    parser.add_argument('--top', type=option(COUNT), default=5, help='number of moments to print')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/highlights'), help='folder for the results')


def load_model(path: str) -> tuple[Any, int]:
    """The trained RASL, and the steps of the windows that it was trained on."""
    from mmengine.device import get_device

    from mmssl.models import RASL
    from mmssl.probe import load_trained

    trained = load_trained(path)
    model = trained.algorithm()
    if not isinstance(model, RASL):
        raise ValueError(f'{path} holds {type(model).__name__}, which has no highlight curve: give a training of RASL.')
    return model.to(get_device()), trained.config.train_dataloader.dataset.length


def check_width(model: Any, visual: 'Tensor', network: str) -> None:
    """Refuse features of another network than that of the training."""
    given, needed = visual.shape[1], model.backbone.in_channels
    if given != needed:
        raise ValueError(
            f'{network} gives {given} features per frame, but the checkpoint was trained with {needed}: give as '
            '--network the network that made the features of its training.'
        )


def write(args: argparse.Namespace, curve: 'Tensor', moments: list, frames: list['Tensor']) -> list[Path]:
    """Write the curve as a table and as a picture."""
    from mmssl.files import write_csv
    from mmssl.visualization.highlights import draw_highlights

    paths = [args.work_dir / f'curve.{end}' for end in ('csv', 'png')]
    args.work_dir.mkdir(parents=True, exist_ok=True)
    rows = [[f'{step / args.rate:.3f}', f'{score:.4f}'] for step, score in enumerate(curve.tolist())]
    write_csv(paths[0], [['seconds', 'score'], *rows])
    title = f'Highlights of {Path(args.video).name} (RASL, reconstruction)'
    draw_highlights(paths[1], curve, args.rate, moments, frames, title)
    return paths


def run(args: argparse.Namespace) -> None:
    """Compute, print and write."""
    from mmssl.apis.start import fetch_start
    from mmssl.datasets import open_video
    from mmssl.evaluation import highlight_curve, top_moments
    from mmssl.probe import frame_network, video_sequence

    model, length = load_model(args.checkpoint)
    video = open_video(args.video)
    visual = video_sequence(
        video, frame_network(fetch_start(args.network)), args.rate, minimum=model.k + 1, sound=False
    ).visual
    check_width(model, visual, args.network)
    curve = highlight_curve(model, visual, length)
    moments = top_moments(curve, args.rate, args.top)
    print(f'{args.video}: {len(curve)} steps at {args.rate:g} per second. Top moments:')
    for moment in moments:
        print(f'{moment.seconds:8.1f} s  score {moment.score:+.2f}')
    chosen = video.at_rate(args.rate)
    frames = [chosen.read([moment.step])[:, 0] for moment in moments]
    print('Written to ' + ', '.join(map(str, write(args, curve, moments, frames))))
