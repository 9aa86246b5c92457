"""Stores of conformers from geometries with SMILES, and from searched ensembles."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from molgen.chem.conformers.placing import conformer_at
from molgen.chem.conformers.query import stereo_is_right
from molgen.chem.conformers.ensemble import Ensemble
from molgen.chem.graph_features import graph_features
from molgen.chem.smiles import read_smiles
from molgen.data.conformer_store import MILLI, write_store
from molgen.data.ensembles import read_ensembles
from molgen.errors import DataError, UsageError
from molgen.data.packed_npz import read_packed

HELD_OUT_SHARE: Final = 50
"""One constitution of so many is held out."""

Progress = Callable[[int, int], None]
"""Told how many molecules were read, and how many of them were left out."""


@dataclass(frozen=True)
class Geometries:
    """Conformers of one molecule.

    Attributes:
        mol: With hydrogens; None where there is no molecule of these atoms.
        pos: Å, ``[K, N, 3]``.
        energy: kcal/mol, ``[K]``.
    """

    mol: Chem.Mol | None
    pos: NDArray[np.floating]
    energy: NDArray[np.floating]


def prepare_conformers(
    source: Path, out: Path, max_heavy: int = 60, progress: Progress | None = None
) -> dict[str, int]:
    """Make a store of heavy atoms.

    Args:
        source: A folder of ensembles, or an ``.npz`` of single geometries.
        out: Folder of the store; an earlier store is replaced.
        max_heavy: Heavy atoms of a molecule at most.
        progress: Told after every thousandth molecule.

    Returns:
        Numbers of molecules, conformers and molecules left out.

    Raises:
        DataError: The source cannot be read or holds nothing that fits.
    """
    return write_geometries(read_geometries(source), out, source.name, max_heavy, progress)


def write_geometries(
    geometries: Iterable[Geometries],
    out: Path,
    source: str,
    max_heavy: int,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Make a store of heavy atoms from any molecules.

    Args:
        geometries: The molecules.
        out: Folder of the store; an earlier store is replaced.
        source: What the manifest says of where they are from.
        max_heavy: Heavy atoms of a molecule at most.
        progress: Told after every thousandth molecule.

    Returns:
        Numbers of molecules, conformers and molecules left out.

    Raises:
        DataError: There is nothing that fits.
    """
    parts: dict[str, list[NDArray[Any]]] = {}
    counts = {"molecules": 0, "conformers": 0, "left_out": 0}
    for n_read, one in enumerate(geometries, start=1):
        made = _arrays(one, max_heavy)
        if made is None:
            counts["left_out"] += 1
        else:
            counts["molecules"] += 1
            counts["conformers"] += len(made["energy"])
            for name, value in made.items():
                parts.setdefault(name, []).append(value)
        if progress is not None and n_read % 1000 == 0:
            progress(n_read, counts["left_out"])
    if not parts:
        raise DataError(f"{source} holds no conformers", "Give ensembles or single geometries")
    arrays = {name: np.concatenate(values) for name, values in parts.items()}
    write_store(out, arrays, {"source": source, **counts})
    return counts


def read_geometries(source: Path) -> Iterator[Geometries]:
    """Molecules of a folder of ensembles or of an ``.npz`` of single geometries.

    Raises:
        DataError: The source cannot be read.
    """
    if source.is_dir():
        for _, one in read_ensembles(source):
            if isinstance(one, Ensemble):
                yield Geometries(_template(one.smiles), one.pos, one.energy)
        return
    file = read_packed(source, ("n_atoms", "smiles", "pos_milliA"), "Give single geometries")
    n_atoms, smiles, pos = file["n_atoms"].astype(np.int64), file["smiles"], file["pos_milliA"]
    ends = np.cumsum(n_atoms)
    for row, (end, n) in enumerate(zip(ends.tolist(), n_atoms.tolist(), strict=True)):
        yield Geometries(_template(str(smiles[row])), pos[None, end - n : end] / MILLI, np.zeros(1))


def is_held_out(mol: Chem.Mol) -> bool:
    """Whether training leaves a constitution out: by its SMILES without stereo."""
    text = Chem.MolToSmiles(Chem.RemoveHs(mol), isomericSmiles=False)
    return zlib.crc32(text.encode()) % HELD_OUT_SHARE == 0


def _arrays(one: Geometries, max_heavy: int) -> dict[str, NDArray[Any]] | None:
    """What the store says of a molecule; None where it is left out."""
    with rdBase.BlockLogs():
        mol = _with_stereo_of_first(one)
        if mol is None:
            return None
        try:
            graph = graph_features(mol)
        except UsageError:
            return None
        if not 2 <= len(graph.index) <= max_heavy or (graph.atoms[:, 0] == 0).any():
            return None
        held_out = is_held_out(mol)
    pos = one.pos[:, graph.index].astype(np.float64)
    # Two settings of a ring's tags may name one molecule, so conformers of an ensemble differ.
    kept = stereo_is_right(graph, pos)
    if not kept.any():
        return None
    pos = pos[kept] - pos[kept].mean(axis=1, keepdims=True)
    energy = one.energy[kept]
    return {
        "n_atoms": np.array([len(graph.index)]),
        "n_centres": np.array([len(graph.centres)]),
        "n_conformers": np.array([len(pos)]),
        "held_out": np.array([held_out]),
        "atoms": graph.atoms,
        "pairs": graph.pairs.reshape(-1),
        "centres": graph.centres,
        "pos": np.rint(pos.reshape(-1, 3) * MILLI).astype(np.int16),
        "energy": energy - energy.min(),
    }


def _template(smiles: str) -> Chem.Mol | None:
    """The molecule of a SMILES, with hydrogens."""
    with rdBase.BlockLogs():
        mol = read_smiles(smiles)
        return None if mol is None else Chem.AddHs(mol)


def _with_stereo_of_first(one: Geometries) -> Chem.Mol | None:
    """The molecule with all stereo as the first conformer has it; None where it does not fit."""
    if one.mol is None or len(Chem.GetMolFrags(one.mol)) > 1:
        return None
    if not one.mol.GetNumHeavyAtoms() or one.mol.GetNumAtoms() != one.pos.shape[1]:
        return None
    mol = Chem.Mol(one.mol)
    mol.RemoveAllConformers()
    mol.AddConformer(conformer_at(one.pos[0]))
    Chem.AssignStereochemistryFrom3D(mol)
    return mol
