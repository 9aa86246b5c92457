"""From a model's beliefs to one molecule: each head's own maximum, or the joint maximum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from molgen.chem.atom_classes import implicit_hydrogens
from molgen.chem.beliefs import Beliefs
from molgen.chem.distances import DistanceStatistics, with_distances
from molgen.chem.joint import decode_joint
from molgen.chem.kekule import is_kekulisable
from molgen.chem.molecule import Molecule, bonds_of_matrix, n_fragments
from molgen.chem.valence import is_stable

__all__ = [
    "DECODERS", "Beliefs", "Decoder", "decode_argmax", "decode_map", "is_consistent",
]  # fmt: skip


def decode_argmax(beliefs: Beliefs) -> Molecule:
    """The most probable class of every atom and every pair, each on its own.

    Args:
        beliefs: The model's log-probabilities.

    Returns:
        A molecule that may break valences, fall apart or carry another charge.
    """
    vocabulary = beliefs.vocabulary
    element = beliefs.element_log_prob.argmax(axis=1)
    elements = np.array(vocabulary.atomic_numbers, dtype=np.uint8)
    charges = np.array(vocabulary.charges, dtype=np.int8)
    return Molecule(
        atomic_numbers=elements[element],
        pos=np.asarray(beliefs.pos, dtype=np.float32),
        formal_charge=charges[beliefs.charge_log_prob.argmax(axis=1)],
        bonds=bonds_of_matrix(beliefs.bond_log_prob.argmax(axis=2)),
        hydrogens=implicit_hydrogens(vocabulary, element),
    )


def is_consistent(molecule: Molecule, total_charge: int | None = 0) -> bool:
    """Whether a bond graph is connected, stable, of the right charge and can be kekulised.

    Args:
        molecule: Any molecule; positions are not read.
        total_charge: Sum of its formal charges; None for any.

    Returns:
        True when all four hold.
    """
    return (
        is_stable(molecule)
        and total_charge in {None, int(molecule.formal_charge.sum())}
        and n_fragments(molecule.n_atoms, molecule.bonds) == 1
        and is_kekulisable(molecule)
    )


DECODERS: Final[Mapping[str, Callable[[Beliefs, DistanceStatistics | None], list[Beliefs]]]] = {
    "argmax": lambda _, __: [],
    "geometry": lambda one, known: [one] if known is None else [with_distances(one, known), one],
    "map": lambda one, _: [one],
}
"""What is searched where the heads' own maximum is not consistent, one after the other, by the
decoder's name on the command line."""


@dataclass(frozen=True)
class Decoder:
    """The heads' own maximum where it is a consistent molecule, else the joint maximum.

    The joint maximum is the best molecule that a bounded search finds; see `molgen.chem.joint`
    for when it is known to be the optimum. ``geometry`` also weighs the distances of the final
    positions (`molgen.chem.distances`), ``map`` does not, ``argmax`` never searches.

    Attributes:
        name: A name of `DECODERS`.
        total_charge: Of the molecule; None for any.
        distances: Of the molecules that the model was trained on; without, geometry is map.
    """

    name: str = "map"
    total_charge: int | None = 0
    distances: DistanceStatistics | None = None

    @property
    def searches(self) -> bool:
        """Whether it ever looks for another molecule than the heads' maximum."""
        return self.name != "argmax"

    def __call__(self, beliefs: Beliefs) -> Molecule:
        """A connected molecule of the total charge without a broken valence; else the argmax."""
        molecule = decode_argmax(beliefs)
        if self.searches and not is_consistent(molecule, self.total_charge):
            for one in DECODERS[self.name](beliefs, self.distances):
                joint = decode_joint(one, self.total_charge)
                if joint is not None:
                    return joint
        return molecule


def decode_map(beliefs: Beliefs, total_charge: int | None = 0) -> Molecule:
    """What ``Decoder("map", total_charge)`` makes of some beliefs."""
    return Decoder("map", total_charge)(beliefs)
