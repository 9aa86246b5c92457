"""A molecular graph as plain arrays: what a network is told of atoms, pairs and stereo.

Two versions: all atoms, or heavy atoms with their hydrogens counted. Stereo is given as labels
that a reflection flips: a centre with three neighbours in order and the sign of their triple
product, and cis or trans for the ends of a double bond.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from molgen.chem.graph_classes import (
    CIS,
    ELEMENTS,
    MAX_CHARGE,
    MAX_HYDROGENS,
    MAX_PATH,
    PAIR_CLASSES,
    RING_SIZES,
    TRANS,
)
from molgen.chem.smiles import read_smiles
from molgen.errors import UsageError

HYBRIDISATIONS: Final = (
    Chem.HybridizationType.SP,
    Chem.HybridizationType.SP2,
    Chem.HybridizationType.SP3,
    Chem.HybridizationType.SP3D,
)
BONDS: Final = (
    Chem.BondType.SINGLE,
    Chem.BondType.DOUBLE,
    Chem.BondType.TRIPLE,
    Chem.BondType.AROMATIC,
)
"""Bond classes 1 to 4; class 0 is no bond. Any other type counts as single."""

_CIS_TYPES: Final = (Chem.BondStereo.STEREOZ, Chem.BondStereo.STEREOCIS)
_TRANS_TYPES: Final = (Chem.BondStereo.STEREOE, Chem.BondStereo.STEREOTRANS)


@dataclass(frozen=True)
class GraphFeatures:
    """The graph of one molecule of ``N`` atoms.

    Attributes:
        atoms: Classes by column, see `molgen.chem.graph_classes`, ``[N, 10]`` uint8:
            element, formal charge, aromatic, number of hydrogens, hybridisation, membership in
            rings of 3 to 7.
        pairs: Codes of pairs, ``[N, N]`` uint16, symmetric; see `molgen.chem.graph_classes`.
        centres: Rows (centre, i, j, k, sign), ``[S, 5]`` int16: the triple product of
            ``(x_i - x_c), (x_j - x_c), (x_k - x_c)`` has this sign. A centre of four given
            neighbours has four rows.
        index: The atom of the molecule that each of these atoms is, ``[N]``.
    """

    atoms: NDArray[np.uint8]
    pairs: NDArray[np.uint16]
    centres: NDArray[np.int16]
    index: NDArray[np.int64]


def graph_features(mol: Chem.Mol | str, *, heavy: bool = True) -> GraphFeatures:
    """Features of a molecule.

    Args:
        mol: The molecule or its SMILES, with or without explicit hydrogens.
        heavy: Leave hydrogens out, but for those of hydrogen itself.

    Raises:
        UsageError: The SMILES cannot be read, or the molecule is empty.
    """
    given = read_smiles(mol) if isinstance(mol, str) else mol
    if given is None or not given.GetNumAtoms():
        raise UsageError(f"{mol!r} is no molecule", "Give a SMILES that RDKit can read")
    index = heavy_atoms(given) if heavy else np.arange(given.GetNumAtoms())
    place = {int(atom): row for row, atom in enumerate(index)}
    return GraphFeatures(
        atoms=np.array([_atom(given.GetAtomWithIdx(int(a))) for a in index], np.uint8),
        pairs=_pairs(given, index, place),
        centres=np.array(list(_centres(given, place)), np.int16).reshape(-1, 5),
        index=index,
    )


def heavy_atoms(mol: Chem.Mol) -> NDArray[np.int64]:
    """Numbers of the atoms that are not hydrogen; all atoms where there is no other."""
    kept = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() != 1]
    return np.array(kept or range(mol.GetNumAtoms()), np.int64)


def _atom(atom: Chem.Atom) -> list[int]:
    number, charge = atom.GetAtomicNum(), atom.GetFormalCharge()
    kind = atom.GetHybridization()
    rings = atom.GetOwningMol().GetRingInfo()
    return [
        ELEMENTS.index(number) + 1 if number in ELEMENTS else 0,
        min(max(charge, -MAX_CHARGE), MAX_CHARGE) + MAX_CHARGE,
        int(atom.GetIsAromatic()),
        min(atom.GetTotalNumHs(includeNeighbors=True), MAX_HYDROGENS),
        HYBRIDISATIONS.index(kind) + 1 if kind in HYBRIDISATIONS else 0,
        *(int(rings.IsAtomInRingOfSize(atom.GetIdx(), size)) for size in RING_SIZES),
    ]


def _pairs(mol: Chem.Mol, index: NDArray[np.int64], place: dict[int, int]) -> NDArray[np.uint16]:
    n = len(index)
    bond, ring, stereo = (np.zeros((n, n), np.int64) for _ in range(3))
    for one in mol.GetBonds():
        i, j = (place.get(end) for end in (one.GetBeginAtomIdx(), one.GetEndAtomIdx()))
        if i is None or j is None:
            continue
        kind = one.GetBondType()
        bond[i, j] = bond[j, i] = BONDS.index(kind) + 1 if kind in BONDS else 1
        for a, b, label in _cis_trans(one):
            if a in place and b in place:
                stereo[place[a], place[b]] = stereo[place[b], place[a]] = label
    for members in mol.GetRingInfo().AtomRings():
        rows = [place[atom] for atom in members if atom in place]
        ring[np.ix_(rows, rows)] = 1
    paths = Chem.GetDistanceMatrix(mol)[np.ix_(index, index)]
    path = np.minimum(paths, MAX_PATH).astype(np.int64)
    return np.ravel_multi_index((bond, path, ring, stereo), PAIR_CLASSES).astype(np.uint16)


def _cis_trans(bond: Chem.Bond) -> Iterator[tuple[int, int, int]]:
    """Labels of all pairs of neighbours across a double bond of known stereo."""
    is_cis = bond.GetStereo() in _CIS_TYPES
    if not is_cis and bond.GetStereo() not in _TRANS_TYPES:
        return
    first, last = bond.GetStereoAtoms()
    for one in _others(bond.GetBeginAtom(), bond.GetEndAtomIdx()):
        for other in _others(bond.GetEndAtom(), bond.GetBeginAtomIdx()):
            swapped = (one != first) != (other != last)
            yield one, other, CIS if is_cis != swapped else TRANS


def _others(atom: Chem.Atom, without: int) -> list[int]:
    return [near.GetIdx() for near in atom.GetNeighbors() if near.GetIdx() != without]


def _centres(mol: Chem.Mol, place: dict[int, int]) -> Iterator[tuple[int, int, int, int, int]]:
    """Rows of all centres whose tag is tetrahedral.

    RDKit lists neighbours in the order of bonds; what is not there (a hydrogen, a lone pair) comes
    last. Seen from the first, CCW of the others is a negative triple product.
    """
    tags = {Chem.ChiralType.CHI_TETRAHEDRAL_CCW: -1, Chem.ChiralType.CHI_TETRAHEDRAL_CW: 1}
    for atom in mol.GetAtoms():
        sign = tags.get(atom.GetChiralTag())
        if sign is None or atom.GetIdx() not in place or atom.GetDegree() not in {3, 4}:
            continue
        near = [bond.GetOtherAtomIdx(atom.GetIdx()) for bond in atom.GetBonds()]
        full: list[int | None] = [*near, None] if len(near) == 3 else list(near)
        for three in combinations(range(4), 3):
            ends = [full[one] for one in three]
            if any(end is None or end not in place for end in ends):
                continue
            (missing,) = set(range(4)) - set(three)
            i, j, k = (place[end] for end in ends if end is not None)
            yield place[atom.GetIdx()], i, j, k, sign * (-1) ** missing
