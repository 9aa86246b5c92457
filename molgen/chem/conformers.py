"""Molecules in and out of a conformer model: heavy atoms are placed, hydrogens follow."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom
from rdkit.Geometry import Point3D

from molgen.chem.force_field import relax_conformers
from molgen.chem.graph_classes import BOND_PLACE, CIS, MAX_PATH, N_STEREO, PATH_PLACE
from molgen.chem.graph_features import GraphFeatures, graph_features
from molgen.chem.smiles import read_smiles

MAX_HEAVY: Final = 200
"""Heavy atoms at most; pairs make time and memory grow with the square."""

FLAT: Final = 0.1
"""Signed volume of three unit bonds below which a centre has no handedness; tetrahedral is 0.77."""

EMBEDDING_LIMIT_S: Final = 10
"""Seconds to settle stereo that is open; it stays open after that."""

_OPEN: Final = Chem.StereoSpecified.Unspecified

STEREO_SETTLED: Final = "molgen_stereo_settled"
"""Property of a molecule whose input left stereo open."""

STEREO_WRONG: Final = "molgen_stereo_wrong"
"""Property of a molecule: numbers of the conformers whose stereo is wrong, by commas."""


@dataclass(frozen=True)
class Query:
    """A molecule that conformers can be made of.

    Attributes:
        mol: With all hydrogens, atoms of the input in their order, no conformers.
        graph: Features of its heavy atoms.
        key: Number that the graph determines, for random numbers of its own.
    """

    mol: Chem.Mol
    graph: GraphFeatures
    key: int


@dataclass(frozen=True)
class Refused:
    """A molecule that no conformers can be made of.

    Attributes:
        reason: Why, in a few words.
    """

    reason: str


def query(given: Chem.Mol | str) -> Query | Refused:
    """A molecule as the conformer model reads it, or why it cannot.

    Args:
        given: A SMILES, or a molecule with or without hydrogens; conformers are left behind.
    """
    with rdBase.BlockLogs():
        mol = read_smiles(given) if isinstance(given, str) else given
        if mol is None or not mol.GetNumAtoms():
            return Refused("not a SMILES that RDKit can read")
        if reason := _unfit(mol):
            return Refused(reason)
        full = Chem.AddHs(mol)
        full.RemoveAllConformers()
        full = _with_open_stereo_settled(full)
        graph = graph_features(full)
    if (graph.atoms[:, 0] == 0).any():
        return Refused("an element that the model does not know")
    content = b"".join(one.tobytes() for one in (graph.atoms, graph.pairs, graph.centres))
    return Query(full, graph, int.from_bytes(hashlib.blake2b(content, digest_size=8).digest()))


def single(given: object) -> Chem.Mol | str | None:
    """What is given, if it is one molecule or SMILES; None for several."""
    return given if isinstance(given, (str, Chem.Mol)) else None


def _unfit(mol: Chem.Mol) -> str:
    if len(Chem.GetMolFrags(mol)) > 1:
        return "more than one fragment"
    n_heavy = mol.GetNumHeavyAtoms()
    if not 1 <= n_heavy <= MAX_HEAVY:
        return f"{n_heavy} heavy atoms, the model takes 1 to {MAX_HEAVY}"
    return ""


def _with_open_stereo_settled(mol: Chem.Mol) -> Chem.Mol:
    """One stereoisomer, where the molecule leaves several open: that of an embedding.

    All conformers of a molecule are to be of one isomer, and not every choice can exist.
    """
    if not any(one.specified == _OPEN for one in Chem.FindPotentialStereo(mol)):
        return mol
    probe = Chem.Mol(mol)
    settings: Any = rdDistGeom.ETKDGv3()
    settings.randomSeed = 1
    settings.timeout = EMBEDDING_LIMIT_S
    if rdDistGeom.EmbedMolecule(probe, settings) < 0:
        return mol
    Chem.AssignStereochemistryFrom3D(probe)
    probe.RemoveAllConformers()
    probe.SetBoolProp(STEREO_SETTLED, True)
    return probe


def stereo_is_right(graph: GraphFeatures, pos: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether conformers have all labelled centres and double bonds as asked for.

    Args:
        graph: The labels.
        pos: Heavy atoms, ``[K, N, 3]``.

    Returns:
        ``[K]``.
    """
    return _centres_are_right(graph, pos) & _double_bonds_are_right(graph, pos)


def _centres_are_right(graph: GraphFeatures, pos: NDArray[np.floating]) -> NDArray[np.bool_]:
    c, i, j, k, sign = graph.centres.astype(np.int64).T
    bonds = [pos[:, end] - pos[:, c] for end in (i, j, k)]
    first, second, third = (
        bond / np.maximum(np.linalg.norm(bond, axis=-1, keepdims=True), 1e-6) for bond in bonds
    )
    volume = (first * np.cross(second, third)).sum(axis=-1) * sign
    return np.asarray((volume > FLAT).all(axis=1))


def _double_bonds_are_right(graph: GraphFeatures, pos: NDArray[np.floating]) -> NDArray[np.bool_]:
    right = np.ones(len(pos), np.bool_)
    stereo, bond = graph.pairs % N_STEREO, graph.pairs // BOND_PLACE
    path = graph.pairs // PATH_PLACE % (MAX_PATH + 1)
    for i, j in zip(*np.nonzero(np.triu(stereo)), strict=True):
        near_i, near_j = np.flatnonzero(path[i] == 1), np.flatnonzero(path[j] == 1)
        ends = [(a, b) for a in near_i for b in near_j if bond[a, b] > 1]
        if not ends:
            continue
        a, b = ends[0]
        axis = pos[:, b] - pos[:, a]
        one, other = (_across(pos[:, end] - pos[:, base], axis) for end, base in ((i, a), (j, b)))
        is_cis = (one * other).sum(axis=-1) > 0
        right &= is_cis == (stereo[i, j] == CIS)
    return right


def _across(vectors: NDArray[np.floating], axis: NDArray[np.floating]) -> NDArray[np.floating]:
    """The part of vectors that is perpendicular to an axis, ``[K, 3]``."""
    along = (vectors * axis).sum(axis=-1) / np.maximum((axis * axis).sum(axis=-1), 1e-12)
    return vectors - along[:, None] * axis


def mirrored_where_it_helps(
    graph: GraphFeatures, pos: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Conformers ``[K, N, 3]``, reflected where all centres had the wrong hand.

    The reflection of a conformer is one of the mirror image, so this is the same as the conformer
    that a model with reflected labels would have made.
    """
    helps = ~_centres_are_right(graph, pos) & _centres_are_right(graph, -pos)
    return np.where(helps[:, None, None], -pos, pos)


def relaxed_where_stereo_stays(asked: Query, mol: Chem.Mol) -> NDArray[np.bool_] | None:
    """Relax conformers by MMFF94s; one whose stereo would change stays as it was.

    Args:
        asked: The molecule.
        mol: With hydrogens and conformers, which are moved.

    Returns:
        Which were relaxed, ``[K]``; None where the force field has no parameters.
    """
    moved = Chem.Mol(mol)
    if not relax_conformers(moved):
        return None
    kept = np.ones(mol.GetNumConformers(), bool)
    pairs = zip(mol.GetConformers(), moved.GetConformers(), strict=True)
    for row, (before, after) in enumerate(pairs):
        there = [one.GetPositions()[asked.graph.index][None] for one in (before, after)]
        was_right, is_right = (bool(stereo_is_right(asked.graph, pos)[0]) for pos in there)
        kept[row] = is_right or not was_right
        if kept[row]:
            before.SetPositions(after.GetPositions())
    return kept


def with_conformers(asked: Query, pos: NDArray[np.floating], wrong: NDArray[np.bool_]) -> Chem.Mol:
    """The molecule with conformers; hydrogens are placed by the geometry around them.

    Args:
        asked: The molecule.
        pos: Heavy atoms, Å, ``[K, N, 3]``.
        wrong: Conformers whose stereo is wrong, ``[K]``; their numbers become a property.
    """
    whole = Chem.Mol(asked.mol)
    for conformer in _all_atoms(asked, pos):
        whole.AddConformer(_conformer(conformer), assignId=True)
    if wrong.any():
        whole.SetProp(STEREO_WRONG, ",".join(str(k) for k in np.flatnonzero(wrong)))
    return whole


def _all_atoms(asked: Query, pos: NDArray[np.floating]) -> NDArray[np.float64]:
    """Positions of all atoms, ``[K, M, 3]``."""
    mol, index = asked.mol, asked.graph.index
    found = np.zeros((len(pos), mol.GetNumAtoms(), 3))
    found[:, index] = pos
    if len(index) == mol.GetNumAtoms():
        return found
    with rdBase.BlockLogs():
        bare = Chem.RemoveAllHs(mol)
        for conformer in pos:
            bare.AddConformer(_conformer(conformer), assignId=True)
        grown = Chem.AddHs(bare, addCoords=True)
    placed = np.stack([one.GetPositions() for one in grown.GetConformers()])
    for row, atom in enumerate(index.tolist()):
        found[:, _hydrogens(mol, atom)] = placed[:, _hydrogens(grown, row)]
    return found


def _hydrogens(mol: Chem.Mol, atom: int) -> list[int]:
    near = mol.GetAtomWithIdx(atom).GetNeighbors()
    return [one.GetIdx() for one in near if one.GetAtomicNum() == 1]


def _conformer(pos: NDArray[np.floating]) -> Chem.Conformer:
    conformer = Chem.Conformer(len(pos))
    conformer.Set3D(True)
    for place, (x, y, z) in enumerate(np.asarray(pos, np.float64).tolist()):
        conformer.SetAtomPosition(place, Point3D(x, y, z))
    return conformer
