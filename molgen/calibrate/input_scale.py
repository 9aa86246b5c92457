"""Input scales at which the calls of a student are best made (`molgen.flow.input_scale`).

An estimate is a mean over molecules, so it varies less than they do, and so do the states that it
leads to: the network takes these for smaller molecules. Called with wider states it makes wider
molecules with fewer rings. The scales are found by coordinate descent: those at four noise levels,
between which calls interpolate, move as long as the molecules come nearer to held-out ones. The
score is the mean of seven distances, each relative to the unscaled one, and the share of undecoded
graphs that is lost. All trials of a preset see the same noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import numpy as np

from molgen.calibrate.context import Context, drawn
from molgen.checkpoint import LoadedModel
from molgen.chem import valence
from molgen.metrics.real_set import RealSet
from molgen.models.info import SamplingPreset

KNOTS: Final = (20.0, 2.0, 0.7, 0.25)
"""Å; noise levels whose scales are found."""

STEP: Final = 0.1
"""By how much a scale moves."""

RANGE: Final = (0.9, 1.5)
"""Least and largest scale."""

STABLE_WEIGHT: Final = 2.0
"""Worth of all undecoded graphs together, where 1 is the mean of the unscaled distances."""


@dataclass(frozen=True)
class Score:
    """Molecules of one trial.

    Attributes:
        distances: From real ones, by name.
        stable: Share of the undecoded graphs that are stable.
    """

    distances: dict[str, float]
    stable: float

    def against(self, plain: Score) -> float:
        """1 for what is as good as unscaled calls; less is better."""
        both = [name for name in plain.distances if name in self.distances]
        ratios = [self.distances[name] / plain.distances[name] for name in both]
        return float(np.mean(ratios)) + STABLE_WEIGHT * (plain.stable - self.stable)


def calibrate(loaded: LoadedModel, context: Context) -> LoadedModel:
    """The weights with an input scale for every call of every preset."""
    real = RealSet.of(context.held_out())
    presets = dict(loaded.info.presets)
    for steps in context.presets(loaded.info):
        presets[steps] = _fitted(loaded, steps, real, context)
    return replace(loaded, info=replace(loaded.info, presets=presets))


def scales_of(sigma: Sequence[float], scales: Sequence[float]) -> tuple[float, ...]:
    """Scales of calls from those at `KNOTS`, linear in the logarithm of the level.

    Args:
        sigma: Levels of the calls, Å.
        scales: At the knots.

    Example:
        >>> scales_of((20.0, 2.0, 0.25), (1.0, 1.2, 1.1, 1.0))
        (1.0, 1.2, 1.0)
    """
    levels = [-math.log(level) for level in sigma]
    found = np.interp(levels, [-math.log(level) for level in KNOTS], scales)
    return tuple(round(float(value), 4) for value in found)


def effective_knots(sigma: Sequence[float]) -> list[int]:
    """Knots that change any call of a preset with these levels (Å)."""
    plain = [1.0] * len(KNOTS)
    other = [[*plain[:knot], 2.0, *plain[knot + 1 :]] for knot in range(len(KNOTS))]
    return [knot for knot, scales in enumerate(other) if set(scales_of(sigma, scales)) != {1.0}]


def descend(
    score: Callable[[tuple[float, ...]], float], knots: Sequence[int], rounds: int
) -> tuple[float, ...]:
    """Scales at all knots after coordinate descent from 1.

    Args:
        score: Of scales; less is better.
        knots: Those to move.
        rounds: How often each has its turn.
    """
    tried = cache(score)
    best = (1.0,) * len(KNOTS)
    for _ in range(rounds):
        before = best
        for knot in knots:
            for sign in (1, -1):
                best = _along(tried, best, knot, sign)
        if best == before:
            break
    return best


def _along(
    score: Callable[[tuple[float, ...]], float], scales: tuple[float, ...], knot: int, sign: int
) -> tuple[float, ...]:
    """One scale moved in one direction as long as the score falls."""
    while True:
        scale = round(scales[knot] + sign * STEP, 4)
        trial = (*scales[:knot], scale, *scales[knot + 1 :])
        if not RANGE[0] <= scale <= RANGE[1] or score(trial) >= score(scales):
            return scales
        scales = trial


def _fitted(loaded: LoadedModel, steps: int, real: RealSet, context: Context) -> SamplingPreset:
    preset = loaded.info.presets[steps]
    options = context.config.input_scale
    plain: list[Score] = []

    def score(scales: tuple[float, ...]) -> float:
        tried = replace(preset, input_scale=scales_of(preset.sigma, scales))
        info = replace(loaded.info, presets={steps: tried})
        found = _measure(replace(loaded, info=info), steps, options.n, context.config.seed, real)
        plain.append(found)
        value = found.against(plain[0])
        stable = f"{found.stable:.3f} stable"
        context.report(f"{steps} calls, input scale {scales}: {value:.3f}, {stable}")
        return value

    scales = descend(score, effective_knots(preset.sigma), options.rounds)
    return replace(preset, input_scale=scales_of(preset.sigma, scales))


def _measure(loaded: LoadedModel, steps: int, n: int, seed: int, real: RealSet) -> Score:
    tally = drawn(loaded, steps, n, seed)
    stable = sum(valence.is_stable(molecule) for molecule in tally.raw) / n
    distances = real.distances(tally.molecules)
    return Score({name: value for name, value in distances.items() if value}, stable)
