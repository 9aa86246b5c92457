"""GEOM-Drugs as it is published (Axelrod and Gómez-Bombarelli, Sci. Data 2022), to a store.

Three shapes: RDKit pickles with their summary JSON (``rdkit_folder``), the MessagePack file
(``drugs_crude.msgpack``: positions, no bonds), and the pickles of MiDi (a list of SMILES and
molecules, no energies). Energies of the store give the published Boltzmann weights at 298.15 K.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds

from molgen.chem.boltzmann import KT_PER_KELVIN
from molgen.chem.mol import build_mol
from molgen.chem.smiles import read_smiles
from molgen.data.msgpack import read_msgpack
from molgen.data.perceive import LeftOut, settle
from molgen.data.prepare_conformers import Geometries, Progress, write_geometries
from molgen.data.records import Record
from molgen.data.restricted_pickle import UntrustedError, load_pickle
from molgen.errors import DataError

TEMPERATURE: Final = 298.15
"""K, of the published weights."""

MOST: Final = 50
"""Conformers of a molecule that are kept, those of highest weight."""

PICKLES: Final = (".pickle", ".pkl")
HINT: Final = "Give rdkit_folder with its summary JSON, drugs_crude.msgpack, or a pickle of MiDi"


@dataclass(frozen=True)
class _Conformer:
    """One conformer as published: a molecule or positions, and an energy, kcal/mol."""

    content: Any
    energy: float


def prepare_geom_drugs(
    source: Path, out: Path, max_heavy: int = 60, progress: Progress | None = None
) -> dict[str, int]:
    """Make a store of heavy atoms.

    Args:
        source: ``rdkit_folder`` or its summary JSON, the MessagePack file, or a pickle of MiDi.
        out: Folder of the store; an earlier store is replaced.
        max_heavy: Heavy atoms of a molecule at most.
        progress: Told after every thousandth molecule.

    Returns:
        Numbers of molecules, conformers and molecules left out; and of molecules that are
        unreadable, fragments or radicals, and of conformers of a changed graph.

    Raises:
        DataError: The source cannot be read, or holds nothing that fits.
    """
    why = Counter(dict.fromkeys(("unreadable", "fragments", "radicals", "changed_graph"), 0))
    made = write_geometries(read_geom_drugs(source, why), out, source.name, max_heavy, progress)
    return {**made, **why}


def read_geom_drugs(source: Path, why: Counter[str]) -> Iterator[Geometries]:
    """Every molecule that fits; the others without a molecule, counted by why they do not.

    Raises:
        DataError: The source cannot be read.
    """
    for smiles, conformers, gather in _molecules(source):
        with rdBase.BlockLogs():
            named = read_smiles(smiles)
            reason = _fault(named)
            reason = reason or ("" if conformers else "unreadable")
            found = None if named is None or reason else gather(smiles, named, conformers, why)
        if reason:
            why[reason] += 1
        yield found or Geometries(None, np.zeros((0, 0, 3)), np.zeros(0))


Gather = Callable[[str, Chem.Mol, list[_Conformer], Counter[str]], Geometries | None]


def _molecules(source: Path) -> Iterator[tuple[str, list[_Conformer], Gather]]:
    """SMILES and conformers of every molecule, those of highest weight first."""
    summaries = sorted(source.glob("summary_*.json")) if source.is_dir() else []
    entries: Iterator[tuple[str, list[_Conformer]]]
    gather: Gather
    if summaries or source.suffix == ".json":
        entries, gather = _of_summary(summaries[0] if summaries else source), _of_mols
    elif source.suffix == ".msgpack":
        entries, gather = _of_msgpack(source), _of_positions
    elif source.suffix in PICKLES:
        entries, gather = _of_midi(source), _of_mols
    else:
        raise DataError(f"{source} is not GEOM-Drugs as it is published", HINT)
    for smiles, conformers in entries:
        yield smiles, sorted(conformers, key=lambda one: one.energy)[:MOST], gather


def _of_summary(path: Path) -> Iterator[tuple[str, list[_Conformer]]]:
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        rows = [(smiles, one.get("pickle_path")) for smiles, one in summary.items()]
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"cannot read {path} ({error})", HINT) from None
    for smiles, name in rows:
        if not name:  # no conformers were made of it
            yield smiles, []
            continue
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise DataError(f"{path} names a file elsewhere ({name})", HINT)
        try:
            yield smiles, _conformers(load_pickle(path.parent / name), "rd_mol")
        except UntrustedError:
            raise
        except DataError:
            yield smiles, []


def _of_msgpack(path: Path) -> Iterator[tuple[str, list[_Conformer]]]:
    try:
        with path.open("rb") as file:
            for block in read_msgpack(file):
                if not isinstance(block, Mapping):
                    raise DataError(f"{path} holds no molecules", HINT)
                for smiles, one in block.items():
                    yield str(smiles), _conformers(one, "xyz")
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror})", HINT) from None


def _of_midi(path: Path) -> Iterator[tuple[str, list[_Conformer]]]:
    content = load_pickle(path)
    if not isinstance(content, list):
        raise DataError(f"{path} holds no list of molecules", HINT)
    for one in content:
        smiles, mols = one if isinstance(one, (list, tuple)) and len(one) == 2 else ("", [])
        found = mols if isinstance(mols, (list, tuple)) else [mols]
        yield str(smiles), [_Conformer(mol, 0.0) for mol in found]


def _conformers(molecule: object, name: str) -> list[_Conformer]:
    """Conformers of a published molecule, whatever its shape lacks left out."""
    listed = molecule.get("conformers") if isinstance(molecule, Mapping) else None
    found = [one for one in listed or () if isinstance(one, Mapping) and name in one]
    return [_Conformer(one[name], _energy(one)) for one in found]


def _energy(conformer: Mapping[str, Any]) -> float:
    """kcal/mol that gives the published weight; the energy itself where there is no weight."""
    weight = float(conformer.get("boltzmannweight") or 0.0)
    if weight > 0:
        return float(-KT_PER_KELVIN * TEMPERATURE * np.log(weight))
    return float(conformer.get("relativeenergy") or 0.0)


def _fault(mol: Chem.Mol | None) -> str:
    if mol is None or not mol.GetNumAtoms():
        return "unreadable"
    if len(Chem.GetMolFrags(mol)) > 1:
        return "fragments"
    return "radicals" if any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()) else ""


def _of_mols(
    _: str, named: Chem.Mol, conformers: list[_Conformer], why: Counter[str]
) -> Geometries | None:
    """Molecules with bonds: those whose graph is that of the SMILES, in the first one's order."""
    wanted, kept = _flat(named), []
    for one in conformers:
        mol = one.content
        is_right = isinstance(mol, Chem.Mol) and mol.GetNumConformers() and _flat(mol) == wanted
        if not is_right:
            why["changed_graph"] += 1
        else:
            kept.append((mol, one.energy))
    if not kept:
        return None
    first = kept[0][0]
    if first.GetNumAtoms() != Chem.AddHs(named).GetNumAtoms():
        why["changed_graph"] += len(kept)
        return None
    found = [(_in_order_of(first, mol), energy) for mol, energy in kept]
    return _geometries(first, [(pos, energy) for pos, energy in found if pos is not None])


def _of_positions(
    smiles: str, named: Chem.Mol, conformers: list[_Conformer], why: Counter[str]
) -> Geometries | None:
    """Positions without bonds: the skeleton of the first one that is that of the SMILES."""
    first, bonds, kept = None, set(), []
    for one in conformers:
        rows = np.asarray(one.content, np.float64).reshape(-1, 4)
        numbers, pos = rows[:, 0].astype(np.uint8), rows[:, 1:]
        if first is None:
            first = _perceived(smiles, named, numbers, pos)
            bonds = _connected(numbers, pos)
        if first is None or _connected(numbers, pos) != bonds:
            why["changed_graph"] += 1
        else:
            kept.append((pos, one.energy))
    return None if first is None else _geometries(first, kept)


def _perceived(
    smiles: str, named: Chem.Mol, numbers: NDArray[np.uint8], pos: NDArray[np.float64]
) -> Chem.Mol | None:
    record = Record(0, numbers, pos, smiles)
    settled = settle(record, charge=Chem.GetFormalCharge(named))
    if isinstance(settled, LeftOut) or not settled.from_smiles:
        return None
    built = build_mol(settled.molecule, Chem.GetFormalCharge(named))
    return None if built.reason else built.mol


def _connected(numbers: NDArray[np.uint8], pos: NDArray[np.float64]) -> set[tuple[int, ...]]:
    mol = Chem.RWMol()
    for number in numbers.tolist():
        mol.AddAtom(Chem.Atom(int(number)))
    conformer = Chem.Conformer(len(numbers))
    conformer.SetPositions(np.ascontiguousarray(pos))
    mol.AddConformer(conformer)
    rdDetermineBonds.DetermineConnectivity(mol)
    return {
        tuple(sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))) for bond in mol.GetBonds()
    }


def _flat(mol: Chem.Mol) -> str:
    """SMILES without stereo."""
    return str(Chem.MolToSmiles(Chem.RemoveHs(mol), isomericSmiles=False))


def _in_order_of(first: Chem.Mol, mol: Chem.Mol) -> NDArray[np.float64] | None:
    """Positions of a molecule in another one's order of atoms; None where they do not match."""
    pos: NDArray[np.float64] = mol.GetConformer().GetPositions()
    numbers = [[a.GetAtomicNum() for a in one.GetAtoms()] for one in (first, mol)]
    if numbers[0] == numbers[1] and _bonds(first) == _bonds(mol):
        return pos
    match = mol.GetSubstructMatch(first)
    return pos[list(match)] if len(match) == len(pos) else None


def _bonds(mol: Chem.Mol) -> set[tuple[int, ...]]:
    return {tuple(sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx()))) for b in mol.GetBonds()}


def _geometries(mol: Chem.Mol, kept: Iterable[tuple[NDArray[np.float64], float]]) -> Geometries:
    pos, energy = zip(*kept, strict=True)
    bare = Chem.Mol(mol)
    bare.RemoveAllConformers()
    return Geometries(bare, np.stack(pos), np.array(energy))
