"""From a model's beliefs to one molecule: each head's own maximum, or the joint maximum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from molgen.chem.beliefs import Beliefs
from molgen.chem.distances import with_distances
from molgen.chem.joint import decode_joint
from molgen.chem.kekule import is_kekulisable
from molgen.chem.molecule import Molecule, bonds_of_matrix, n_fragments
from molgen.chem.valence import is_stable

__all__ = [
    "DECODERS", "Beliefs", "decode_argmax", "decode_geometry", "decode_map", "is_consistent",
]  # fmt: skip


def decode_argmax(beliefs: Beliefs) -> Molecule:
    """The most probable class of every atom and every pair, each on its own.

    Args:
        beliefs: The model's log-probabilities.

    Returns:
        A molecule that may break valences, fall apart or carry a net charge.
    """
    vocabulary = beliefs.vocabulary
    elements = np.array(vocabulary.atomic_numbers, dtype=np.uint8)
    charges = np.array(vocabulary.charges, dtype=np.int8)
    return Molecule(
        atomic_numbers=elements[beliefs.element_log_prob.argmax(axis=1)],
        pos=np.asarray(beliefs.pos, dtype=np.float32),
        formal_charge=charges[beliefs.charge_log_prob.argmax(axis=1)],
        bonds=bonds_of_matrix(beliefs.bond_log_prob.argmax(axis=2)),
    )


def decode_map(beliefs: Beliefs) -> Molecule:
    """The heads' own maximum where it is a consistent molecule, else the joint maximum.

    The joint maximum is the best molecule that a bounded search finds; see `molgen.chem.joint`
    for when it is known to be the optimum.

    Args:
        beliefs: The model's log-probabilities.

    Returns:
        A connected, neutral molecule without a broken valence; the argmax when none was
        found.
    """
    molecule = decode_argmax(beliefs)
    if is_consistent(molecule):
        return molecule
    joint = decode_joint(beliefs)
    return molecule if joint is None else joint


def decode_geometry(beliefs: Beliefs) -> Molecule:
    """As `decode_map`, with a search that also weighs the distances of the final positions.

    Args:
        beliefs: The model's log-probabilities and positions.

    Returns:
        The heads' own maximum where it is consistent, as with `decode_map`; else the best
        molecule by heads and distances together (`molgen.chem.distances`).
    """
    molecule = decode_argmax(beliefs)
    if is_consistent(molecule):
        return molecule
    joint = decode_joint(with_distances(beliefs))
    return decode_map(beliefs) if joint is None else joint


def is_consistent(molecule: Molecule) -> bool:
    """Whether a bond graph is neutral, connected, stable and can be kekulised.

    Args:
        molecule: Any molecule; positions are not read.

    Returns:
        True when all four hold.
    """
    return (
        is_stable(molecule)
        and int(molecule.formal_charge.sum()) == 0
        and n_fragments(molecule.n_atoms, molecule.bonds) == 1
        and is_kekulisable(molecule)
    )


DECODERS: Final[Mapping[str, Callable[[Beliefs], Molecule]]] = {
    "argmax": decode_argmax,
    "geometry": decode_geometry,
    "map": decode_map,
}
"""Decoders by their name on the command line."""
