"""Which atom of one molecule lies on which of another, by their skeletons alone.

A skeleton is a molecule's graph with elements as labels and every bond alike: what coordinates say
before bond orders and charges are decided.
"""

from __future__ import annotations

from typing import Final

from rdkit import Chem

MAX_MATCHES: Final = 256


def heavy_atom_matches(mol: Chem.Mol, other: Chem.Mol) -> list[dict[int, int]]:
    """All ways to lay the skeleton of `other` on that of `mol`, at most `MAX_MATCHES`.

    Args:
        mol: A molecule with explicit hydrogens.
        other: Another; its bond orders, charges and stereo do not count, nor do those of `mol`.

    Returns:
        For each match, the heavy atom of `mol` by heavy atom of `other`. Empty when the skeletons
        differ (hydrogens included) or hold no heavy atom.
    """
    if (mol.GetNumAtoms(), mol.GetNumBonds()) != (other.GetNumAtoms(), other.GetNumBonds()):
        return []
    skeleton, atoms = _heavy_skeleton(mol)
    other_skeleton, other_atoms = _heavy_skeleton(other)
    if not atoms or len(atoms) != len(other_atoms):
        return []
    if skeleton.GetNumBonds() != other_skeleton.GetNumBonds():
        return []
    found = skeleton.GetSubstructMatches(other_skeleton, uniquify=False, maxMatches=MAX_MATCHES)
    return [
        {source: atoms[target] for source, target in zip(other_atoms, match, strict=True)}
        for match in found
    ]


def _heavy_skeleton(mol: Chem.Mol) -> tuple[Chem.Mol, list[int]]:
    """Heavy atoms joined by single bonds, and their indices in `mol`.

    The number of hydrogens becomes the isotope label, which the substructure search compares; it
    replaces the hydrogens themselves, whose permutations would multiply the matches.
    """
    heavy = [atom for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1]
    place = {atom.GetIdx(): number for number, atom in enumerate(heavy)}
    skeleton = Chem.RWMol()
    for atom in heavy:
        node = Chem.Atom(atom.GetAtomicNum())
        node.SetIsotope(1 + _n_hydrogens(atom))
        skeleton.AddAtom(node)
    for bond in mol.GetBonds():
        begin, end = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        if begin in place and end in place:
            skeleton.AddBond(place[begin], place[end], Chem.BondType.SINGLE)
    return skeleton.GetMol(), list(place)


def _n_hydrogens(atom: Chem.Atom) -> int:
    return sum(neighbour.GetAtomicNum() == 1 for neighbour in atom.GetNeighbors())
