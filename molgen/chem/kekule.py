"""Whether the aromatic bonds of a graph can be written as alternating single and double bonds."""

from __future__ import annotations

from molgen.chem.elements import AROMATIC
from molgen.chem.molecule import Molecule
from molgen.chem.valence import KEKULE_VALENCES, bond_counts


def is_kekulisable(molecule: Molecule) -> bool:
    """Whether double bonds can be placed so that every aromatic atom keeps its valence.

    An aromatic atom whose valence exceeds its bonds by one needs one double bond among its
    aromatic bonds; the others (the nitrogen of pyrrole, the oxygen of furan) need none. The
    double bonds are thus a perfect matching of the atoms that need one.

    Args:
        molecule: Any molecule; positions are not read.

    Returns:
        True when such a matching exists, and so for every molecule without aromatic bonds.
    """
    aromatic = molecule.bonds[molecule.bonds[:, 2] == AROMATIC, :2].tolist()
    if not aromatic:
        return True
    needs = _needs_double_bond(molecule)
    if needs is None:
        return False
    neighbours: dict[int, list[int]] = {atom: [] for atom in needs}
    for begin, end in aromatic:
        if begin in neighbours and end in neighbours:
            neighbours[begin].append(end)
            neighbours[end].append(begin)
    return _has_perfect_matching(neighbours)


def _needs_double_bond(molecule: Molecule) -> list[int] | None:
    """Aromatic atoms one bond short of a valence; None if an atom fits no valence at all."""
    needs = []
    for atom, (n_aromatic, order) in enumerate(bond_counts(molecule).tolist()):
        if n_aromatic == 0:
            continue
        key = (int(molecule.atomic_numbers[atom]), int(molecule.formal_charge[atom]))
        missing = {valence - n_aromatic - order for valence in KEKULE_VALENCES.get(key, ())}
        if 0 in missing:
            continue
        if 1 not in missing:
            return None
        needs.append(atom)
    return needs


def _has_perfect_matching(neighbours: dict[int, list[int]]) -> bool:
    """Search with the most constrained vertex first; ring systems are small and sparse."""
    if not neighbours:
        return True
    vertex = min(neighbours, key=lambda v: len(neighbours[v]))
    return any(
        _has_perfect_matching(_without(neighbours, vertex, partner))
        for partner in neighbours[vertex]
    )


def _without(neighbours: dict[int, list[int]], *removed: int) -> dict[int, list[int]]:
    return {
        vertex: [other for other in others if other not in removed]
        for vertex, others in neighbours.items()
        if vertex not in removed
    }
