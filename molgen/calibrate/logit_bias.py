"""Biases of element and bond logits, so that molecules have the atoms and rings of real ones.

An element or a bond that is undecided becomes one too often in a few calls (logit adjustment, Menon
et al. 2021, arXiv 2007.07314). For every preset molecules are drawn round after round: the bias of
an element falls where there was too much of it, that of "no bond" rises where there were too many
rings. Carbon is the reference; elements too rare to be counted get no bias.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from molgen.calibrate.context import Context, drawn
from molgen.checkpoint import LoadedModel
from molgen.chem.elements import N_BOND_CLASSES, Vocabulary
from molgen.chem.molecule import Molecule
from molgen.flow.logit_bias import LogitBias
from molgen.metrics.distribution import element_counts
from molgen.metrics.geometry import ring_counts
from molgen.train.target_decoder import shares_of

ELEMENT_GAIN: Final = 4.0
"""Change of a bias per round and unit of the logarithm by which the element's share is off."""

RING_GAIN: Final = 2.0
"""Change of the bias of no bond per round and ring that a molecule has too many."""

LARGEST_ELEMENT: Final = 1.0
LARGEST_NO_BOND: Final = 3.0
"""Largest absolute values: certain classes should not change."""

AVERAGED_FROM: Final = 0.5
"""Share of the rounds after which biases are averaged: the controller never settles."""

LEAST_SHARE: Final = 0.25
"""Least part of an element's wanted share that is taken as seen."""

PIVOT: Final = 6
"""Atomic number of the element without a bias."""

COUNTABLE: Final = 0.01
"""Least share of an element that some hundred molecules can measure."""


@dataclass(frozen=True)
class Content:
    """What molecules are made of.

    Attributes:
        elements: Shares of the elements, in the order of the vocabulary.
        rings: Rings per molecule.
    """

    elements: NDArray[np.float64]
    rings: float

    @classmethod
    def of(cls, molecules: Sequence[Molecule], vocabulary: Vocabulary) -> Content:
        """Of some molecules."""
        rings = sum(n * count for n, count in ring_counts(molecules).items()) / len(molecules)
        return cls(shares_of(element_counts(molecules), vocabulary), rings)


@dataclass(frozen=True)
class Bias:
    """Biases as numbers that a controller moves.

    Attributes:
        element: Of the elements, in the order of the vocabulary.
        no_bond: Of no bond.
    """

    element: NDArray[np.float64]
    no_bond: float

    @classmethod
    def of(cls, bias: LogitBias, vocabulary: Vocabulary) -> Bias:
        """Of a preset."""
        added = bias.to_dict()
        element = np.array(added.get("element", [0.0] * vocabulary.n_elements))
        return cls(element, added.get("bond", [0.0])[0])

    def moved(self, made: Content, real: Content, free: NDArray[np.bool_]) -> Bias:
        """A step towards the content of real molecules.

        Args:
            made: What these biases make.
            real: What is wanted.
            free: Elements that may have a bias.
        """
        seen = made.elements.clip(min=LEAST_SHARE * real.elements)
        off = np.log(real.elements / seen, where=free, out=np.zeros(len(free)))
        element = self.element + ELEMENT_GAIN * off
        no_bond = self.no_bond + RING_GAIN * (made.rings - real.rings)
        return Bias(
            np.clip(element, -LARGEST_ELEMENT, LARGEST_ELEMENT),
            float(np.clip(no_bond, -LARGEST_NO_BOND, LARGEST_NO_BOND)),
        )

    def rounded(self) -> LogitBias:
        """As a preset has it."""
        bond = (self.no_bond, *[0.0] * (N_BOND_CLASSES - 1))
        element = np.round(self.element, 3).tolist()
        return LogitBias.of({"element": element, "bond": np.round(bond, 3).tolist()})


def calibrate(loaded: LoadedModel, context: Context) -> LoadedModel:
    """The weights with logit biases for every preset."""
    real = Content.of(context.held_out(), loaded.info.vocabulary)
    for steps in context.presets(loaded.info):
        rounds = list(_rounds(loaded, steps, real, context))
        late = rounds[int(AVERAGED_FROM * len(rounds)) :]
        element = np.mean([one.element for one in late], axis=0)
        no_bond = float(np.mean([one.no_bond for one in late]))
        loaded = _with_bias(loaded, steps, Bias(element, no_bond))
    return loaded


def _rounds(loaded: LoadedModel, steps: int, real: Content, context: Context) -> Iterator[Bias]:
    """The biases after every round."""
    vocabulary, options = loaded.info.vocabulary, context.config.logit_bias
    free = (np.array(vocabulary.atomic_numbers) != PIVOT) & (real.elements > COUNTABLE)
    bias = Bias.of(loaded.info.presets[steps].logit_bias, vocabulary)
    for place in range(options.rounds):
        seed = context.config.seed + place
        tally = drawn(_with_bias(loaded, steps, bias), steps, options.n, seed)
        made = Content.of(tally.molecules, vocabulary)
        off = np.abs(made.elements - real.elements).sum() / 2
        context.report(
            f"{steps} calls, logit bias {bias.rounded().to_dict()}: elements {off:.4f} off, "
            f"{made.rings:.2f} rings of {real.rings:.2f}"
        )
        bias = bias.moved(made, real, free)
        yield bias


def _with_bias(loaded: LoadedModel, steps: int, bias: Bias) -> LoadedModel:
    preset = replace(loaded.info.presets[steps], logit_bias=bias.rounded())
    presets = {**loaded.info.presets, steps: preset}
    return replace(loaded, info=replace(loaded.info, presets=presets))
