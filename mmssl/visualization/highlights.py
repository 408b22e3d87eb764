"""A highlight curve as a picture: the curve over time, and the images of its top moments."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor

from mmssl.evaluation.highlights import Moment
from mmssl.visualization.charts import save_figure
from mmssl.visualization.images import to_image


def draw_highlights(
    path: str | Path, curve: Tensor, rate: float, moments: Sequence[Moment], images: Sequence[Tensor], title: str
) -> None:
    """Draw a curve over the seconds of its video, and above it the images of the moments, in the order of time.

    Args:
        path: File to write; its suffix decides the format.
        curve: Scores, shape ``(T,)``.
        rate: Steps per second.
        moments: Moments to mark; at least one.
        images: Image of each moment, uint8 or uint16, shape ``(C, H, W)``.
        title: Title of the picture.
    """
    figure = Figure(figsize=(1.7 * max(len(moments), 4), 3.6), layout='constrained')
    above, below = figure.subfigures(2, 1, height_ratios=(2, 3))
    in_time = sorted(zip(moments, images), key=lambda pair: pair[0].step)
    tiles = above.subplots(1, len(moments), squeeze=False)[0]
    for tile, (moment, image) in zip(tiles, in_time):
        tile.imshow(to_image(image), cmap='gray')
        tile.set_title(f'{moment.seconds:.1f} s', fontsize=9)
        tile.axis('off')
    axes = below.subplots()
    axes.plot([step / rate for step in range(len(curve))], curve.tolist())
    axes.plot([moment.seconds for moment in moments], [moment.score for moment in moments], 'o')
    axes.set(xlabel='seconds', ylabel='highlight score')
    figure.suptitle(title, fontsize=10)
    save_figure(figure, path)
