"""From a request's formula or file to what is given of its molecules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from molgen.chem.composition import (
    charge_of,
    composition,
    is_flat_drawing,
    is_mixture,
    lacks_hydrogens,
    most_bonds,
)
from molgen.chem.formula import parse_formula
from molgen.chem.given import has_open_valence
from molgen.chem.read import read_records
from molgen.errors import UsageError
from molgen.models.info import ModelInfo
from molgen.sampling.request import COMPLETING_MODEL, Request
from molgen.tasks.formula import compositions
from molgen.tasks.given import Conditioning
from molgen.tasks.scaffold import around


def find_conditioning(info: ModelInfo, request: Request) -> Conditioning | None:
    """What a request gives of its molecules; None when it leaves everything to the model.

    Raises:
        UsageError: It asks for atoms or sizes that the model does not know.
        DataError: A file cannot be read.
    """
    given = {name: getattr(request, name) for name in ("formula", "like", "scaffold")}
    asked = [name for name, value in given.items() if value is not None]
    if asked and info.vocabulary.hydrogens:
        raise UsageError(
            f"{info.name} names heavy atoms together with their hydrogens: nothing of a molecule "
            f"can be given, so --{asked[0]} is not for it",
            f"Leave out --{asked[0]} or --model {info.name}",
        )
    if request.formula is not None:
        formula = parse_formula(request.formula)
        _check_possible(request.formula, formula.atomic_numbers, formula.charge)
        return compositions(info, [(request.formula, formula.atomic_numbers)], request.formula)
    if request.like is not None:
        path = Path(request.like)
        return compositions(info, list(_compositions(path)), path.name)
    if request.scaffold is not None:
        return _scaffold(info, Path(request.scaffold))
    return None


def remark(info: ModelInfo, given: Conditioning | None) -> str:
    """What a user should know of a request that the model was not trained for; else empty."""
    if given is None or given.task.per_atom:
        return ""
    if given.task.partial:
        return (
            f"{info.name} was trained with one noise level for all atoms: it keeps a scaffold, but "
            f"few of the geometries around it are sound; {COMPLETING_MODEL} was made for it"
        )
    unseen = sorted({one.n_atoms for one in given.atoms if not info.n_atoms[one.n_atoms]})
    if not unseen:
        return ""
    sizes = ", ".join(str(size) for size in unseen[:5]) + (", ..." if len(unseen) > 5 else "")
    return f"no training molecule of {info.name} has {sizes} atoms: expect poor ones"


def _compositions(path: Path) -> Iterator[tuple[str, list[int]]]:
    """Place and atomic numbers of every record of a file."""
    for record in read_records(path):
        where = f"{path}, record {record.index + 1}"
        atoms = composition(record)
        if not atoms:
            raise UsageError(f"{where}: {record.reason or 'no atoms'}", "Remove the record")
        if lacks_hydrogens(record):
            raise UsageError(f"{where} has no hydrogens", "Add them, as RDKit's AddHs does")
        charge = charge_of(record)
        if charge:
            raise UsageError(
                f"{where} has a charge of {charge:+d}, and molecules like it would have none",
                "Remove the record, or give its formula with the charge",
            )
        if is_mixture(record):
            raise UsageError(
                f"{where} is a salt or a mixture of several molecules", "Remove the record"
            )
        _check_possible(where, atoms)
        yield where, list(atoms)


def _check_possible(where: str, atoms: Sequence[int], charge: int = 0) -> None:
    """Refuse atoms whose bonds do not suffice to hold all of them together."""
    ends = sum(most_bonds(z) for z in atoms) + max(charge, 0)
    if ends < 2 * (len(atoms) - 1):
        raise UsageError(
            f"{where}: the atoms are too many hydrogens or halogens for one molecule",
            "Remove some of them",
        )


def _scaffold(info: ModelInfo, path: Path) -> Conditioning:
    record = next(iter(read_records(path)))
    if record.molecule is None or is_flat_drawing(record):
        reason = record.reason or "no 3D coordinates"
        raise UsageError(f"{path}: {reason}", "Give the scaffold as a 3D SDF or XYZ file")
    if not record.molecule.n_atoms or not np.isfinite(record.molecule.pos).all():
        raise UsageError(f"{path} holds no usable atoms", "Give a scaffold of one atom or more")
    given = around(info, record.molecule, path.name, str(path))
    if record.mol is not None and not has_open_valence(record.mol):
        raise UsageError(
            f"{path} has no open valence: nothing can be attached",
            "Remove a hydrogen where the molecule is to go on",
        )
    return given
