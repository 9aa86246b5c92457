"""Molecules in and out of a conformer model: heavy atoms are placed, hydrogens follow."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom

from molgen.chem.conformers.core import Core, CorePattern, find_core
from molgen.chem.graph_classes import BOND_PLACE, CIS, MAX_PATH, N_STEREO, PATH_PLACE
from molgen.chem.graph_features import GraphFeatures, graph_features, heavy_atoms
from molgen.chem.protonation import graph_at_ph
from molgen.chem.smiles import read_smiles
from molgen.errors import ChemistryError

MAX_HEAVY: Final = 200
"""Heavy atoms at most; pairs make time and memory grow with the square."""

MAX_EMBEDDED: Final = 1_000
"""Heavy atoms at most of what an embedding may be tried on."""

FLAT: Final = 0.1
"""Signed volume of three unit bonds below which a centre has no handedness; tetrahedral is 0.77."""

EMBEDDING_LIMIT_S: Final = 10
"""Seconds to settle stereo that is open; it stays open after that."""

_OPEN: Final = Chem.StereoSpecified.Unspecified

STEREO_SETTLED: Final = "molgen_stereo_settled"
"""Property of a molecule whose input left stereo open."""


@dataclass(frozen=True)
class Query:
    """A molecule that conformers can be made of.

    Attributes:
        mol: With all hydrogens, atoms of the input in their order, no conformers.
        graph: Features of its heavy atoms.
        key: Number that the graph determines, for random numbers of its own.
        notes: What was decided that the input leaves open.
        core: Atoms whose coordinates are given; None for none.
        given_pos: Heavy atoms of the 3D conformers that the input has, Å, ``[K, N, 3]``.
    """

    mol: Chem.Mol
    graph: GraphFeatures
    key: int
    notes: tuple[str, ...] = ()
    core: Core | None = None
    given_pos: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0, 3)))


@dataclass(frozen=True)
class Refused:
    """A molecule that the network makes no conformers of.

    Attributes:
        reason: Why, in a few words.
        query: The molecule, where an embedding might; else None.
    """

    reason: str
    query: Query | None = None


def query(
    given: Chem.Mol | str,
    *,
    largest_fragment: bool = False,
    core: CorePattern | None = None,
    settles_stereo: bool = True,
) -> Query | Refused:
    """A molecule as the conformer model reads it, or why it cannot.

    Args:
        given: A SMILES, or a molecule with or without hydrogens; conformers are left behind.
        largest_fragment: Whether to leave out all fragments but the largest.
        core: What keeps its coordinates; None for nothing.
        settles_stereo: Whether stereo that is open becomes that of an embedding, which takes its
            time; else it stays open.
    """
    with rdBase.BlockLogs():
        mol = read_smiles(given) if isinstance(given, str) else given
        if mol is None:
            return Refused("not a SMILES that RDKit can read")
        parts = len(Chem.GetMolFrags(mol))
        if parts > 1 and not largest_fragment:
            return Refused("more than one fragment")
        if parts > 1:
            mol = _largest_fragment(mol)
        if not mol.GetNumHeavyAtoms():
            return Refused("no heavy atoms")
        try:
            notes = [f"the largest of {parts} fragments"] if parts > 1 else []
            return _query(mol, notes, core, settles_stereo=settles_stereo)
        except (ValueError, RuntimeError) as error:  # unsanitised, or beyond RDKit
            return Refused(f"RDKit cannot treat it ({' '.join(str(error).split())[:80]})")


def _query(
    mol: Chem.Mol, notes: list[str], core: CorePattern | None, *, settles_stereo: bool
) -> Query | Refused:
    n_heavy = mol.GetNumHeavyAtoms()
    if n_heavy > MAX_EMBEDDED:
        return Refused(f"{n_heavy} heavy atoms, more than {MAX_EMBEDDED}")
    full = Chem.AddHs(mol)
    found = None if core is None else find_core(core, full, heavy_atoms(full))
    if isinstance(found, str):
        return Refused(found)
    given = [one.GetPositions() for one in full.GetConformers() if one.Is3D()]
    full.RemoveAllConformers()
    if settles_stereo and n_heavy <= MAX_HEAVY:
        full = _with_open_stereo_settled(full)
    if full.HasProp(STEREO_SETTLED):
        notes.append("open stereo: one isomer of several")
    graph = graph_features(full)
    content = b"".join(one.tobytes() for one in (graph.atoms, graph.pairs, graph.centres))
    key = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())
    pos = np.array(given).reshape(len(given), full.GetNumAtoms(), 3)[:, graph.index]
    made = Query(full, graph, key, tuple(notes), found, pos)
    if n_heavy > MAX_HEAVY:
        return Refused(f"{n_heavy} heavy atoms, the model takes 1 to {MAX_HEAVY}", made)
    if (graph.atoms[:, 0] == 0).any():
        return Refused("an element that the model does not know", made)
    return made


def _largest_fragment(mol: Chem.Mol) -> Chem.Mol:
    """The fragment of most heavy atoms, the first of these; with the molecule's properties."""
    members = max(
        Chem.GetMolFrags(mol),
        key=lambda atoms: sum(mol.GetAtomWithIdx(i).GetAtomicNum() > 1 for i in atoms),
    )
    kept = Chem.RWMol(mol)
    for atom in sorted(set(range(mol.GetNumAtoms())) - set(members), reverse=True):
        kept.RemoveAtom(atom)
    alone = kept.GetMol()
    Chem.SanitizeMol(alone)
    return alone


def at_ph(given: Chem.Mol | str | Refused, ph: float) -> Chem.Mol | str | Refused:
    """What is given in its state at a pH, or why there is none.

    Raises:
        UsageError: Dimorphite-DL is missing, or the pH is out of range.
    """
    if isinstance(given, Refused):
        return given
    mol = given if isinstance(given, Chem.Mol) else read_smiles(given)
    if mol is None:
        return given  # whoever reads it says why
    try:
        state = graph_at_ph(mol, ph)
    except ChemistryError as error:
        return Refused(error.message)
    for name in mol.GetPropNames(includePrivate=True):
        state.SetProp(name, mol.GetProp(name))
    return state


def single(given: object) -> Chem.Mol | str | None:
    """What is given, if it is one molecule or SMILES; None for several."""
    return given if isinstance(given, (str, Chem.Mol)) else None


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
