"""Results as text: tables, and sentences that compare them."""

import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from mmssl.evaluation.results import Measure, Result
from mmssl.words import counted

Purpose = Literal['detection', 'segmentation', 'classification', 'features']

_FEW_IMAGES = 500  # a guess, not measured: below it, the verdict says that the images are few
_PURPOSES = {
    'detection': 'Put these lines into your MMDetection config:',
    'segmentation': 'Put these lines into your MMSegmentation config:',
    'classification': 'Measure classifiers on its features; FOLDER has one sub-folder of images per class:',
    'features': 'Compute features in Python:',
}
_NOTHING_TO_GAIN = 99.5  # percent
_WIDE = 100  # characters of all names in the header


def format_results(results: Sequence[Result]) -> str:
    """Table with one row per measure and one column per result, followed by the protocols.

    Args:
        results: Results of networks that were measured in the same way; the measures of the last one make the rows.

    Returns:
        Lines of text.
    """
    return '\n'.join([format_table(results), '', *protocols(results[-1])])


def format_table(results: Sequence[Result]) -> str:
    """Only the table of :func:`format_results`; very long names become numbers that a list above it explains."""
    names, legend = [result.name for result in results], []
    if sum(map(len, names)) > _WIDE:
        legend = [*(f'{number}: {name}' for number, name in enumerate(names, 1)), '']
        names = [str(number) for number in range(1, len(names) + 1)]
    lines = [['', *names], *table_lines(results)]
    widths = [max(map(len, entries)) for entries in zip(*lines)]
    table = ['  '.join(f'{entry:>{width}}' for entry, width in zip(line, widths)) for line in lines]
    table.insert(1, '-' * len(table[0]))
    return '\n'.join([*legend, *table])


def table_lines(results: Sequence[Result]) -> list[list[str]]:
    """Rows of the table, one per measure: its title, and one entry per result.

    Args:
        results: Results, as in :func:`format_results`.
    """
    texts = [{measure.name: measure.text for measure in result.measures} for result in results]
    return [[measure.title, *(found.get(measure.name, '-') for found in texts)] for measure in results[-1].measures]


def protocols(result: Result) -> list[str]:
    """Describe how the accuracies were measured, one sentence each, or why there are none.

    Args:
        result: Result of a network.
    """
    return list(dict.fromkeys(measure.protocol for measure in result.measures if measure.labels)) or list(result.notes)


def meanings(result: Result) -> list[str]:
    """Explain the measures that need no labels, one sentence each.

    Args:
        result: Result of a network.
    """
    return list(dict.fromkeys(measure.protocol for measure in result.measures if not measure.labels))


@dataclass(frozen=True)
class RunFacts:
    """What a run rests on, and where its result is: the facts that :func:`verdict` puts into sentences.

    Attributes:
        images: Number of images that were drawn.
        steps: Optimizer steps.
        draws: Draws per image, on average.
        network: Name of the backbone.
        size: Side of the largest view, in pixels.
        minutes: Time for everything up to the end of the training.
        useful_minutes: Time in all in which the same machine takes as many steps as a network needs to learn something.
        purpose: What the backbone is for.
        checkpoint: Checkpoint of the run.
        loading: Lines from :func:`~mmssl.export.loading_code` that load the exported file, with its full path.
        mean: Mean per channel that images are normalised with, in the units of the images.
        std: Standard deviation per channel, likewise.
    """

    images: int
    steps: int
    draws: float
    network: str
    size: int
    minutes: float
    useful_minutes: float
    purpose: Purpose
    checkpoint: Path
    loading: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


class NextStep(NamedTuple):
    """What to do with the backbone of a run.

    Attributes:
        what: Sentence that introduces the lines.
        lines: A command, or lines of Python or of a config.
        images: Sentence about the images that the network takes: size and normalisation.
    """

    what: str
    lines: str
    images: str


def verdict(results: Sequence[Result], facts: RunFacts | None = None) -> list[str]:
    """Say whether a network learned, against which baselines, on what this rests, and what would help.

    Args:
        results: Raw pixels, untrained, the start weights if there were any, and trained; those of
            :func:`~mmssl.evaluation.compare_baselines`.
        facts: Facts of the run; None leaves out what only they can tell.

    Returns:
        Sentences, the judgement first. Differences within two standard errors of the trained network's accuracy are
        called noise.
    """
    learned, judgement = _judgement(results)
    sentences = [judgement, *standings(results)]
    if not results[-1].labelled:
        sentences += _without_labels(results)
    if facts is None:
        return sentences
    return [*sentences, *([] if learned else [_remedy(facts)]), _rests_on(facts, results[-1])]


def standings(results: Sequence[Result]) -> list[str]:
    """Compare a trained network with its baselines: one sentence per measure of the headline.

    Args:
        results: As in :func:`verdict`.
    """
    return [_standing(measure, results) for measure in _compared(results[-1])]


def next_step(facts: RunFacts) -> NextStep:
    """What to type next for the purpose of a run.

    Args:
        facts: Facts of the run.
    """
    mean, std = ([round(value, 3) for value in values] for values in (facts.mean, facts.std))
    images = (
        f'The network was trained on images of {facts.size} x {facts.size} pixels, normalised per channel with mean '
        f'{mean} and deviation {std}.'
    )
    probe = shlex.join([sys.executable, '-m', 'mmssl', 'probe', str(facts.checkpoint.resolve()), '--data', 'FOLDER'])
    return NextStep(_PURPOSES[facts.purpose], probe if facts.purpose == 'classification' else facts.loading, images)


def _compared(trained: Result) -> list[Measure]:
    return [measure for measure in trained.headline() if measure.short]


def _judgement(results: Sequence[Result]) -> tuple[bool, str]:
    *baselines, trained = results
    compared = _compared(trained)
    reference = baselines[1:]  # raw pixels are judged apart: a network may learn and still be behind them
    names = ' and the '.join(['untrained network', 'start weights'][: len(reference)])
    if _certain(compared, reference):
        return False, f'These images cannot tell whether it learned: the {names} is right already.'
    if _collapsed(results):
        return False, 'It did not learn: its features collapsed, so that all images look alike to it.'
    for name, baseline in reversed([*zip(['untrained network', 'start weights'], reference)]):
        signs = [_sign(measure, trained, baseline) for measure in compared]
        if min(signs) < 0 < max(signs):
            return False, f'It learned only in part: above the {name} in some measures, below in others.'
        if min(signs) < 0 or max(signs) == 0:
            where = 'below' if min(signs) < 0 else 'no better than'
            return False, f'It did not learn: it is {where} the {name}.'
    behind = [measure.short for measure in compared if _sign(measure, trained, baselines[0]) < 0]
    pixels = f', but raw pixels are still better in {" and ".join(behind)}' if behind else ''
    return True, f'It learned: it is above the {names}{pixels}.'


def _certain(compared: Sequence[Measure], reference: Sequence[Result]) -> bool:
    """Whether the baselines leave nothing to gain in any measure."""
    values = [baseline.measure(measure.name).value for measure in compared for baseline in reference]
    return bool(values) and min(values) >= _NOTHING_TO_GAIN


def _collapsed(results: Sequence[Result]) -> bool:
    ranks = [measure.value for result in results[1:] for measure in result.measures if measure.name == 'effective rank']
    return len(ranks) == len(results) - 1 and ranks[-1] < min(2.0, ranks[0] / 2)


def _standing(measure: Measure, results: Sequence[Result]) -> str:
    *baselines, trained = results
    noise = _noise(measure, trained)
    names = ('raw pixels', 'the untrained one', 'the start weights')
    places = []
    for name, result in zip(names, baselines):
        value = result.measure(measure.name).value
        places.append(f'{_distance(measure.value, value, noise)} {name} ({value:.1f} %)')
    *first, last = [*places[1:], places[0]]
    return (
        f'In {measure.short}{" accuracy" if measure.labels else ""} the pre-trained network ({measure.value:.1f} %) is '
        f'{", ".join(first)} and {last}.'
    )


def _distance(value: float, other: float, noise: float) -> str:
    points = abs(value - other)
    if points < 0.05:
        return 'level with'
    if points <= noise:
        return f'within the noise ({noise:.1f} points) of'
    return f'{points:.1f} points {"above" if value > other else "below"}'


def _sign(measure: Measure, trained: Result, baseline: Result) -> int:
    points = measure.value - baseline.measure(measure.name).value
    return 0 if abs(points) <= max(_noise(measure, trained), 0.05) else (1 if points > 0 else -1)


def _noise(measure: Measure, result: Result) -> float:
    """Two standard errors, in points: ``2 sqrt(p (1 - p) / n)``; 0 if it is not recorded how many images there were."""
    count = result.query if measure.labels else measure.details.get('images', 0)
    share = measure.value / 100
    return 200 * math.sqrt(share * (1 - share) / count) if count else 0.0


def _without_labels(results: Sequence[Result]) -> list[str]:
    values: dict[str, list[str]] = {'alignment': [], 'effective rank': []}
    for result in results[1:]:
        for measure in result.measures:
            if measure.name in values:
                values[measure.name].append(f'{measure.text} ({result.name})')
    return [f'{name[0].upper()}{name[1:]}: {", ".join(texts)}.' for name, texts in values.items() if texts]


def _remedy(facts: RunFacts) -> str:
    if facts.minutes < facts.useful_minutes:
        return f'What would help: more steps; type --minutes {math.ceil(facts.useful_minutes)} or more.'
    if facts.images < _FEW_IMAGES:
        return f'What would help: more images; {facts.images:,} are few.'
    return 'What would help: a longer training, or another method (docs/choose_a_method.md).'


def _rests_on(facts: RunFacts, trained: Result) -> str:
    measured = f'{trained.query:,} images for the accuracies' if trained.query else 'images that it was trained on'
    few = ' So few images do not show what it is worth on others.' if facts.images < _FEW_IMAGES else ''
    return (
        f'This rests on {facts.images:,} images, {counted(facts.steps, "step")} and '
        f'{counted(facts.draws, "draw")} per image in '
        f'{facts.minutes:.1f} minutes, with {facts.network} at {facts.size} pixels, and on {measured}.{few}'
    )
