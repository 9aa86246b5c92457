"""Find how estimates on the way should lean, so that molecules have real ones' atoms and rings.

    python scripts/fit_lean.py wide.safetensors --out leaning.safetensors

A student's own molecules drift in their elements, those that `tau` has made wider more than others,
and have too many rings: what is half an element or half a bond becomes one too often. So estimates
lean (`molgen.flow.lean`). For every ladder molecules are drawn round after round, and the lean of
an element falls where there was too much of it, that of "no bond" rises where there were too many
rings. Carbon is what the others are measured against; what is too rare to be counted is left alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from trials import drawn, held_out

from molgen.checkpoint import LoadedModel, load_model, save_model
from molgen.chem.elements import N_BOND_CLASSES, Vocabulary
from molgen.chem.molecule import Molecule
from molgen.errors import MolgenError
from molgen.eval.distribution import element_counts
from molgen.eval.geometry import ring_counts
from molgen.flow.lean import Lean
from molgen.train.decided import shares_of

ROOT = Path(__file__).resolve().parents[1]

ELEMENT_GAIN = 4.0
"""Change of a lean per round and unit of the logarithm by which the element's share is off."""

RING_GAIN = 2.0
"""Change of the lean of no bond per round and ring that a molecule has too many."""

LARGEST_ELEMENT, LARGEST_UNBONDED = 1.0, 3.0
"""Largest absolute values: what is certain should not change, and a wrong element costs a graph."""

SETTLED_AFTER = 0.5
"""Share of the rounds after which leans are averaged: they never rest."""

MANIFOLD = 4.0
"""By how much less of an element than wanted is taken as seen, at least."""

PIVOT = 6
"""Atomic number of the element that does not lean."""

COUNTABLE = 0.01
"""Share of an element from which on a few hundred molecules say how much there is of it."""

SEED = 60_000
"""Of the first round; far from the seeds that reports use."""


@dataclass(frozen=True)
class Content:
    """What molecules are made of.

    Attributes:
        elements: Shares of the elements, in the order of the vocabulary.
        rings: Rings per molecule.
    """

    elements: np.ndarray
    rings: float

    @classmethod
    def of(cls, molecules: Sequence[Molecule], vocabulary: Vocabulary) -> Content:
        """Of a set of molecules."""
        rings = sum(n * count for n, count in ring_counts(molecules).items()) / len(molecules)
        return cls(shares_of(element_counts(molecules), vocabulary), rings)


@dataclass(frozen=True)
class Weights:
    """What is added, as numbers that can be moved.

    Attributes:
        element: To the elements, in the order of the vocabulary.
        unbonded: To no bond.
    """

    element: np.ndarray
    unbonded: float

    @classmethod
    def of(cls, lean: Lean, vocabulary: Vocabulary) -> Weights:
        """Of a ladder that may lean already."""
        added = lean.to_dict()
        element = np.array(added.get("element", [0.0] * vocabulary.n_elements))
        return cls(element, added.get("bond", [0.0])[0])

    def moved(self, made: Content, real: Content, free: np.ndarray) -> Weights:
        """A step towards what makes the content of real molecules.

        Args:
            made: What these weights make.
            real: What is wanted.
            free: Elements that may lean.
        """
        seen = made.elements.clip(min=real.elements / MANIFOLD)
        off = np.log(real.elements / seen, where=free, out=np.zeros(len(free)))
        element = self.element + ELEMENT_GAIN * off
        unbonded = self.unbonded + RING_GAIN * (made.rings - real.rings)
        return Weights(
            np.clip(element, -LARGEST_ELEMENT, LARGEST_ELEMENT),
            float(np.clip(unbonded, -LARGEST_UNBONDED, LARGEST_UNBONDED)),
        )

    def lean(self) -> Lean:
        """As a ladder has it."""
        bond = (self.unbonded, *[0.0] * (N_BOND_CLASSES - 1))
        added = {"element": self.element, "bond": bond}
        return Lean.of({name: np.round(one, 3).tolist() for name, one in added.items()})


def with_lean(loaded: LoadedModel, steps: int, lean: Lean) -> LoadedModel:
    """The same weights, one of whose ladders leans."""
    ladder = replace(loaded.info.ladders[steps], lean=lean)
    ladders = {**loaded.info.ladders, steps: ladder}
    return replace(loaded, info=replace(loaded.info, ladders=ladders))


def walk(loaded: LoadedModel, steps: int, n: int, rounds: int, real: Content) -> Iterator[Weights]:
    """The weights after every round.

    Args:
        loaded: Distilled weights.
        steps: Calls of the ladder.
        n: Molecules per round.
        rounds: Number of rounds, each with noise of its own.
        real: What is wanted.
    """
    vocabulary = loaded.info.vocabulary
    free = (np.array(vocabulary.atomic_numbers) != PIVOT) & (real.elements > COUNTABLE)
    weights = Weights.of(loaded.info.ladders[steps].lean, vocabulary)
    for place in range(rounds):
        tally = drawn(with_lean(loaded, steps, weights.lean()), steps, n, SEED + place)
        made = Content.of(tally.molecules, vocabulary)
        off = np.abs(made.elements - real.elements).sum() / 2
        print(f"{steps} calls, {weights.lean().to_dict()}: elements {off:.4f} off, ", end="")
        print(f"{made.rings:.2f} rings of {real.rings:.2f}", flush=True)
        weights = weights.moved(made, real, free)
        yield weights


def main() -> None:
    """Draw, lean, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("weights", type=Path, help="distilled")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, nargs="+", help="ladders; all without it")
    parser.add_argument("--n", type=int, default=500, help="molecules per round")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "qm9")
    options = parser.parse_args()
    if options.n < 1 or options.rounds < 1:
        raise SystemExit("fit_lean.py: give --n 1 or more, and --rounds 1 or more")
    loaded = load_model(options.weights, "cpu")
    steps = options.steps or sorted(loaded.info.ladders)
    missing = [count for count in steps if count not in loaded.info.ladders]
    if missing or loaded.info.config.distil is None:
        raise SystemExit("fit_lean.py: give distilled weights, and numbers of calls that they know")
    real = Content.of(held_out(options.data, SEED), loaded.info.vocabulary)
    for count in steps:
        found = list(walk(loaded, count, options.n, options.rounds, real))
        settled = found[int(SETTLED_AFTER * len(found)) :]
        element = np.mean([one.element for one in settled], axis=0)
        unbonded = float(np.mean([one.unbonded for one in settled]))
        loaded = with_lean(loaded, count, Weights(element, unbonded).lean())
        print(f"{count} calls: {loaded.info.ladders[count].lean.to_dict()}", flush=True)
    save_model(options.out, loaded.model, loaded.info)


if __name__ == "__main__":
    try:
        main()
    except MolgenError as error:
        raise SystemExit(f"error: {error}") from None
