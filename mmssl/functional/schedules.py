"""Schedules in closed form: the value at any step, without the steps before it."""

import math

__all__: list[str] = []  # short names, used through the module: schedules.cosine


def cosine(step: float, steps: float, start: float, end: float) -> float:
    """Half a cosine from ``start`` at step 0 to ``end`` at step ``steps``; constant outside that range.

    Source: SGDR, eq. 5 without restarts (Loshchilov and Hutter, ICLR 2017).
    """
    return end + (start - end) * (1 + math.cos(math.pi * _progress(step, steps))) / 2


def linear(step: float, steps: float, start: float, end: float) -> float:
    """A straight line from ``start`` at step 0 to ``end`` at step ``steps``; constant outside that range."""
    return start + (end - start) * _progress(step, steps)


def gaussian(step: float, steps: float, start: float, end: float) -> float:
    """Half a bell from near ``start`` at step 0 to ``end`` at step ``steps``; constant afterwards.

    Source: temporal ensembling, section 3 (Laine and Aila, ICLR 2017), with the factor 5 of its ramp.
    """
    return start + (end - start) * math.exp(-5 * (1 - _progress(step, steps)) ** 2)


def jump(step: float, steps: float, start: float, end: float) -> float:
    """``start`` before step ``steps``, ``end`` from there on."""
    return start if step < steps else end


def _progress(step: float, steps: float) -> float:
    return min(max(step / steps, 0.0), 1.0) if steps > 0 else 1.0


def warmup_cosine(
    step: float,
    steps: int,
    base: float,
    end: float = 0.0,
    warmup_steps: int = 0,
    warmup_start: float = 0.0,
    warmup_reaches_base: bool = False,
) -> float:
    """A straight line from ``warmup_start`` to ``base``, then half a cosine to ``end``.

    Args:
        step: The step about to be taken, from 0.
        steps: Length of the run, warm-up included.
        base: Value after the warm-up.
        end: Final value of the cosine, which it would have at step ``steps``.
        warmup_steps: Length of the warm-up.
        warmup_start: Value at step 0; may be 0.
        warmup_reaches_base: Whether the last warm-up step already has ``base``, as in SwAV (``numpy.linspace``);
            otherwise the first step after it does, as in MoCo v3.

    Returns:
        The value at ``step``.
    """
    if step < warmup_steps:
        return linear(step, warmup_steps - int(warmup_reaches_base), warmup_start, base)
    return cosine(step - warmup_steps, steps - warmup_steps, base, end)


def warmup_halving(step: float, warmup_steps: int, half_life: float | None = None) -> float:
    """Factor of a rate: a straight line to 1 over the warm-up, halved every ``half_life`` steps from the start on.

    Args:
        step: The step about to be taken, from 0.
        warmup_steps: Length of the warm-up, whose last step has the full rate; 0 for none.
        half_life: Steps until the rate has halved; None for never.

    Source: OCRL, ``utils/tools.py`` (Yoon et al., ICML 2023).
    """
    rise = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    return rise * (0.5 ** (step / half_life) if half_life else 1.0)
