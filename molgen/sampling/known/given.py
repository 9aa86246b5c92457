"""From a formula or a file to what a run knows of its molecules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from molgen.chem.composition import composition, is_flat_drawing, lacks_hydrogens
from molgen.chem.elements import SYMBOLS
from molgen.chem.formula import parse_formula
from molgen.chem.read import read_records
from molgen.errors import UsageError
from molgen.models.info import ModelInfo
from molgen.sampling.known.parts import Known, Part
from molgen.sampling.known.roads import has_per_atom_levels
from molgen.sampling.request import COMPLETING_MODEL, Request


def find_known(info: ModelInfo, request: Request) -> Known | None:
    """What a request says of its molecules; None when it leaves everything to the model.

    Raises:
        UsageError: It asks for atoms or sizes that the model does not know.
        DataError: A file cannot be read.
    """
    if request.formula is not None:
        known = _of_formula(info, request.formula)
    elif request.like is not None:
        known = _of_file(info, Path(request.like))
    elif request.scaffold is not None:
        known = _of_scaffold(info, Path(request.scaffold))
    else:
        return None
    _check_size(info, known)
    return known


def remark(info: ModelInfo, known: Known | None) -> str:
    """What a user should know of a request that the model was not trained for; else empty."""
    if known is None:
        return ""
    if not known.is_whole:
        if has_per_atom_levels(info):
            return ""
        return (
            f"{info.name} was trained with one noise level for all atoms: it keeps a scaffold, but "
            f"few of the geometries around it are sound; {COMPLETING_MODEL} was made for it"
        )
    unseen = sorted({part.n_atoms for part in known.parts if not info.n_atoms[part.n_atoms]})
    if not unseen:
        return ""
    sizes = ", ".join(str(size) for size in unseen[:5]) + (", ..." if len(unseen) > 5 else "")
    return f"no training molecule of {info.name} has {sizes} atoms: expect poor ones"


def _of_formula(info: ModelInfo, formula: str) -> Known:
    return Known(
        (Part(_classes(info, parse_formula(formula).atomic_numbers, formula)),), True, formula
    )


def _of_file(info: ModelInfo, path: Path) -> Known:
    return Known(tuple(_compositions(info, path)), is_whole=True, label=path.name)


def _compositions(info: ModelInfo, path: Path) -> Iterator[Part]:
    for record in read_records(path):
        where = f"{path}, record {record.index + 1}"
        atoms = composition(record)
        if not atoms:
            raise UsageError(f"{where}: {record.reason or 'no atoms'}", "Remove the record")
        if lacks_hydrogens(record):
            raise UsageError(f"{where} has no hydrogens", "Add them, as RDKit's AddHs does")
        yield Part(_classes(info, atoms, where))


def _of_scaffold(info: ModelInfo, path: Path) -> Known:
    record = next(iter(read_records(path)))
    if record.molecule is None or is_flat_drawing(record):
        reason = record.reason or "no 3D coordinates"
        raise UsageError(f"{path}: {reason}", "Give the scaffold as a 3D SDF or XYZ file")
    molecule = record.molecule
    if not molecule.n_atoms or not np.isfinite(molecule.pos).all():
        raise UsageError(f"{path} holds no usable atoms", "Give a scaffold of one atom or more")
    charges = molecule.formal_charge.tolist()
    for charge in charges:
        if charge not in info.vocabulary.charges:
            known = ", ".join(f"{value:+d}" for value in info.vocabulary.charges)
            raise UsageError(f"{path} has a charge of {charge:+d}", f"{info.name} knows {known}")
    part = Part(
        element=_classes(info, molecule.atomic_numbers.tolist(), str(path)),
        pos=molecule.pos.astype(np.float64),
        charge=np.array([info.vocabulary.charges.index(charge) for charge in charges]),
    )
    return Known((part,), is_whole=False, label=path.name)


def _classes(info: ModelInfo, atoms: Sequence[int], where: str) -> NDArray[np.int64]:
    known = info.vocabulary.atomic_numbers
    for atom in atoms:
        if atom not in known:
            raise UsageError(
                f"{where} holds {SYMBOLS[atom]}, which {info.name} does not know",
                f"Use {', '.join(info.vocabulary.symbols)} only",
            )
    return np.array([known.index(atom) for atom in atoms], dtype=np.int64)


def _check_size(info: ModelInfo, known: Known) -> None:
    if known.is_whole and known.most_atoms > info.max_atoms:
        raise UsageError(
            f"{known.label} asks for {known.most_atoms} atoms; {info.name} makes up to "
            f"{info.max_atoms}",
            f"Stay within {info.max_atoms} atoms, hydrogens included",
        )
    if not known.is_whole and known.most_atoms >= info.max_atoms:
        raise UsageError(
            f"scaffold {known.label} has {known.most_atoms} atoms; {info.name} makes molecules of "
            f"up to {info.max_atoms}",
            f"Keep fewer than {info.max_atoms} atoms of it",
        )
