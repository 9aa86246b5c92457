"""Find what the elements should lean to on the way, so that molecules have those of real ones.

    python scripts/fit_lean.py wide.safetensors --out leaning.safetensors

A student's own molecules drift in their elements, and molecules that were made wider by `tau` have
more nitrogen. In the last call elements are bound by valences and positions; in those before it
they only say where to go, and there a little less of one element leaves a network the time to make
a molecule that suits. For every ladder with more than one call molecules are drawn round after
round, and the lean of an element falls where there was too much of it (`molgen.flow.plan`).
Hydrogen and carbon are left alone: how many there are follows from the others, rings and multiple
bonds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from molgen.api import Generator
from molgen.checkpoint import LoadedModel, load_model, save_model
from molgen.data.reference import load_reference
from molgen.errors import MolgenError
from molgen.eval.distribution import element_counts, total_variation
from molgen.sampling.request import Request
from molgen.sampling.run import Tally
from molgen.train.census import RARE
from molgen.train.decided import shares_of

GAIN = 4.0
"""Change of a lean per round and unit of the logarithm by which the element's share is off."""

LARGEST = 2.5
"""Largest absolute value of a lean: an element that is certain should not change for it."""

SETTLED_AFTER = 0.5
"""Share of the rounds after which leans are averaged: they never rest."""

LEFT_ALONE = (1, 6)
"""Atomic numbers without a lean."""

SEED = 60_000
"""Of the first round; far from the seeds that reports use."""


def with_lean(loaded: LoadedModel, steps: int, lean: NDArray[np.float64]) -> LoadedModel:
    """The same weights, one of whose ladders leans."""
    rounded = tuple(round(float(one), 3) + 0.0 for one in lean)
    ladder = replace(loaded.info.ladders[steps], lean=rounded)
    ladders = {**loaded.info.ladders, steps: ladder}
    return replace(loaded, info=replace(loaded.info, ladders=ladders))


def leans(
    loaded: LoadedModel, steps: int, n: int, rounds: int, reference: str
) -> Iterator[NDArray[np.float64]]:
    """The lean after every round.

    Args:
        loaded: Distilled weights.
        steps: Calls of the ladder.
        n: Molecules per round.
        rounds: Number of rounds, each with noise of its own.
        reference: Whose elements are wanted.
    """
    vocabulary = loaded.info.vocabulary
    counts = load_reference(reference).element_counts
    wanted = shares_of(counts, vocabulary)
    free = ~np.isin(vocabulary.atomic_numbers, LEFT_ALONE)
    lean = np.array(loaded.info.ladders[steps].lean or np.zeros(len(wanted)))
    for place in range(rounds):
        tally = Tally(keep=True)
        request = Request(n=n, steps=steps, seed=SEED + place)
        for _ in Generator(with_lean(loaded, steps, lean)).run(request).stream(tally):
            pass
        made = element_counts(tally.molecules)
        off = np.log((wanted + RARE) / (shares_of(made, vocabulary) + RARE))
        print(f"{steps} calls, lean {np.round(lean, 2)}: TV {total_variation(made, counts):.4f}")
        lean = np.clip(lean + np.where(free, GAIN * off, 0.0), -LARGEST, LARGEST)
        yield lean


def main() -> None:
    """Draw, lean, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="distilled")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, nargs="+", help="ladders; all without it")
    parser.add_argument("--n", type=int, default=500, help="molecules per round")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--reference", default="qm9", help="whose elements are wanted")
    options = parser.parse_args()
    if options.n < 1 or options.rounds < 1:
        raise SystemExit("fit_lean.py: give --n 1 or more, and --rounds 1 or more")
    loaded = load_model(options.weights, "cpu")
    steps = options.steps or sorted(count for count in loaded.info.ladders if count > 1)
    known = [count for count in steps if count > 1 and count in loaded.info.ladders]
    if known != steps or loaded.info.config.distil is None:
        raise SystemExit("fit_lean.py: give distilled weights, and numbers of calls above 1")
    for count in steps:
        found = list(leans(loaded, count, options.n, options.rounds, options.reference))
        settled = np.mean(found[int(SETTLED_AFTER * len(found)) :], axis=0)
        loaded = with_lean(loaded, count, settled)
        print(f"{count} calls: {loaded.info.ladders[count].lean}", flush=True)
    save_model(options.out, loaded.model, loaded.info)


if __name__ == "__main__":
    try:
        main()
    except MolgenError as error:
        raise SystemExit(f"error: {error}") from None
