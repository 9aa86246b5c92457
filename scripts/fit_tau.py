"""Find at which total variance the calls of a distilled model are best made (`molgen.flow.tau`).

    python scripts/fit_tau.py runs/qm9-few/model.safetensors --out wide.safetensors

An estimate is a mean over molecules, so it is more compact than they are, and so is what comes of
it; called with wider states a network makes wider molecules, with fewer rings. How much wider is
found by trying, for every ladder: a factor at each of four noise levels, between which the calls
interpolate, is moved up and down as long as the molecules come nearer to held-out real ones. What
counts is the mean of seven distances, each divided by what it is where nothing is scaled: elements,
ring sizes, numbers of rings, bond lengths, angles, torsions, radii of gyration; and a share of
undecoded graphs that is lost counts twice. All trials of a ladder see the same noise.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from results_scores import Real, distances_of, real_of
from trials import drawn, held_out

from molgen.checkpoint import LoadedModel, load_model, save_model
from molgen.chem import valence
from molgen.errors import MolgenError
from molgen.eval.distribution import element_counts, total_variation
from molgen.models.info import Ladder

ROOT = Path(__file__).resolve().parents[1]

KNOTS = (20.0, 2.0, 0.7, 0.25)
"""Å; levels whose factors are found."""

STEP = 0.1
"""By how much a factor moves."""

RANGE = (0.9, 1.5)
"""Least and largest factor."""

STABLE = 2.0
"""What all undecoded graphs together are worth, where 1 is the mean of the distances as it was."""

SEED = 30_000
"""Far from the seeds that reports use."""


@dataclass(frozen=True)
class Score:
    """What molecules of one trial are like.

    Attributes:
        distances: From real ones, by name; what there is none of is left out.
        stable: Share of them whose graphs are stable undecoded.
    """

    distances: dict[str, float]
    stable: float

    def against(self, plain: Score) -> float:
        """1 for what is as good as where nothing is scaled; less is better."""
        both = [name for name in plain.distances if name in self.distances]
        ratios = [self.distances[name] / plain.distances[name] for name in both]
        return float(np.mean(ratios)) + STABLE * (plain.stable - self.stable)


def tau_of(sigma: Sequence[float], factors: Sequence[float]) -> tuple[float, ...]:
    """Factors of calls from those at `KNOTS`, linear in the logarithm of the level.

    Example:
        >>> tau_of((20.0, 2.0, 0.25), (1.0, 1.2, 1.1, 1.0))
        (1.0, 1.2, 1.0)
    """
    levels = [-math.log(level) for level in sigma]
    found = np.interp(levels, [-math.log(level) for level in KNOTS], factors)
    return tuple(round(float(value), 4) for value in found)


def moved(sigma: Sequence[float]) -> list[int]:
    """Knots that change any call of a ladder."""
    plain = [1.0] * len(KNOTS)
    other = [[*plain[:knot], 2.0, *plain[knot + 1 :]] for knot in range(len(KNOTS))]
    return [knot for knot, factors in enumerate(other) if set(tau_of(sigma, factors)) != {1.0}]


def descend(
    score: Callable[[tuple[float, ...]], float], knots: Sequence[int], rounds: int
) -> tuple[float, ...]:
    """Factors at all knots, of which some are moved one after the other while the score falls.

    Args:
        score: Of factors; less is better.
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
    score: Callable[[tuple[float, ...]], float], factors: tuple[float, ...], knot: int, sign: int
) -> tuple[float, ...]:
    """One factor moved in one direction as long as the score falls."""
    while True:
        factor = round(factors[knot] + sign * STEP, 4)
        trial = (*factors[:knot], factor, *factors[knot + 1 :])
        if not RANGE[0] <= factor <= RANGE[1] or score(trial) >= score(factors):
            return factors
        factors = trial


@dataclass(frozen=True)
class HeldOut:
    """Molecules to compare with.

    Attributes:
        real: Their shapes and rings.
        elements: Atoms of each element.
    """

    real: Real
    elements: dict[int, int]


def measure(loaded: LoadedModel, steps: int, n: int, beside: HeldOut) -> Score:
    """Draw molecules with a model's own ladder, and compare."""
    tally = drawn(loaded, steps, n, SEED)
    stable = sum(valence.is_stable(molecule) for molecule in tally.raw) / n
    distances = distances_of(tally.molecules, beside.real)
    distances["element_tv"] = total_variation(element_counts(tally.molecules), beside.elements)
    return Score({name: value for name, value in distances.items() if value}, stable)


def fitted(loaded: LoadedModel, steps: int, n: int, rounds: int, beside: HeldOut) -> Ladder:
    """A ladder with the factors that were found for it."""
    ladder = loaded.info.ladders[steps]

    def with_factors(factors: tuple[float, ...]) -> LoadedModel:
        tried = replace(ladder, tau=tau_of(ladder.sigma, factors))
        return replace(loaded, info=replace(loaded.info, ladders={steps: tried}))

    plain: list[Score] = []

    def score(factors: tuple[float, ...]) -> float:
        found = measure(with_factors(factors), steps, n, beside)
        plain.append(found)
        value = found.against(plain[0])
        shown = " ".join(f"{name} {value:.3f}" for name, value in found.distances.items())
        print(f"{steps} calls, tau {factors}: {value:.3f} (stable {found.stable:.3f}, {shown})")
        return value

    factors = descend(score, moved(ladder.sigma), rounds)
    return replace(ladder, tau=tau_of(ladder.sigma, factors))


def main() -> None:
    """Try, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="distilled")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, nargs="+", help="ladders; all without it")
    parser.add_argument("--n", type=int, default=1000, help="molecules per trial")
    parser.add_argument("--rounds", type=int, default=2, help="how often each factor is moved")
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "qm9")
    options = parser.parse_args()
    loaded = load_model(options.weights, "cpu")
    steps = options.steps or sorted(loaded.info.ladders)
    missing = [count for count in steps if count not in loaded.info.ladders]
    if missing or loaded.info.config.distil is None:
        raise SystemExit("fit_tau.py: give distilled weights, and numbers of calls that they know")
    molecules = held_out(options.data, SEED)
    beside = HeldOut(real_of(molecules), element_counts(molecules))
    ladders = dict(loaded.info.ladders)
    for count in steps:
        ladders[count] = fitted(loaded, count, options.n, options.rounds, beside)
        print(f"{count} calls: {ladders[count].tau}", flush=True)
    save_model(options.out, loaded.model, replace(loaded.info, ladders=ladders))


if __name__ == "__main__":
    try:
        main()
    except MolgenError as error:
        raise SystemExit(f"error: {error}") from None
