"""``molgen export``: files that another program can dock or read."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molgen.cli import options
from molgen.cli.console import note
from molgen.errors import MolgenError, OutputError, UsageError
from molgen.sampling.destination import check_apart

if TYPE_CHECKING:
    from rdkit import Chem

STATUS = "status.csv"

TABLES = ("parquet", "sdf", "smi")
"""Formats that hold all records in one file."""


def export(
    molecules: Annotated[
        str,
        typer.Argument(metavar="FILE", help=".sdf or .mol (.gz too), or - for standard input."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="FOLDER", help="For the files; a file for parquet, sdf, smi."
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            help="pdbqt (by Meeko), mol2 (by Open Babel), pdb, xyz, mol; parquet, sdf, smi for all "
            "records in one file."
        ),
    ] = "pdbqt",
    ph: Annotated[
        float | None,
        typer.Option(
            min=0, max=14, help="Protonate for this pH (by Dimorphite-DL); unset, as given."
        ),
    ] = None,
    ring_conformers: Annotated[
        int,
        typer.Option(
            min=1, max=100, help="Files of each molecule, of other ring conformations, at most."
        ),
    ] = 1,
    force: options.Force = False,
) -> None:
    """Write each record as a file of its own, named by its title; FOLDER/status.csv tells of all.

    Refused with a reason: more than one fragment, missing hydrogens, coordinates that are not 3D,
    and what is another molecule when it is read back. Protonated only with --ph, never minimised.
    """
    from molgen.did_you_mean import unknown
    from molgen.export import FORMATS

    if to not in {*FORMATS, *TABLES}:
        raise UsageError(*unknown("format", to, [*FORMATS, *TABLES]))
    if to in TABLES:
        n_made, number, status = _into_table(molecules, out, to, ph, ring_conformers, force=force)
    else:
        n_made, number, status = _into_files(molecules, out, to, ph, ring_conformers, force=force)
    how = "" if ph is None else f" at pH {ph:g}"
    note(f"{out}: {n_made} of {number} records as {to}{how}; a row for each in {status}")


def _into_files(
    molecules: str, out: Path, to: str, ph: float | None, k: int, *, force: bool
) -> tuple[int, int, Path]:
    from molgen.atomic import atomic_path
    from molgen.export import exported
    from molgen.locks import lock

    if (out / STATUS).exists() and not force:
        raise OutputError(f"{out} holds an export", "Use --force or another folder")
    out.mkdir(parents=True, exist_ok=True)
    status = out / STATUS
    n_made = number = 0
    taken: set[str] = set()
    with (
        lock(status),
        atomic_path(status) as beside,
        beside.open("w", newline="", encoding="utf-8") as table,
    ):
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(["row", "name", "status", "file", "smiles", "reason"])
        for number, name, mols, reason in _prepared(molecules, ph, k):
            made = []
            for place, mol in enumerate(mols, start=1):
                title = name if len(mols) == 1 else f"{name}_r{place}"
                file = _file_name(title, to)
                if file in taken:  # another title with the same letters left
                    file = _file_name(f"{title}_row{number}", to)
                taken.add(file)
                check_apart([out / file], (molecules,))
                try:
                    text = exported(mol, to)
                    with atomic_path(out / file) as path:
                        path.write_text(text, encoding="utf-8")
                    made.append(file)
                except UsageError:
                    raise
                except MolgenError as error:
                    reason = error.message  # noqa: PLW2901 - the last one is told
            n_made += bool(made)
            state = "ok" if made else "failed"
            smiles = _smiles(mols[0]) if made else ""
            rows.writerow([number, name, state, " ".join(made), smiles, reason])
    return n_made, number, status


def _into_table(
    molecules: str, out: Path, to: str, ph: float | None, k: int, *, force: bool
) -> tuple[int, int, Path]:
    from molgen.atomic import atomic_path
    from molgen.chem.parquet import write_parquet
    from molgen.chem.render import FORMATS
    from molgen.cli.output import hold

    status = out.with_name(f"{out.name}.status.csv")
    counts = [0, 0]
    with (
        hold({"--out": str(out), STATUS: str(status)}, (molecules,), force=force),
        atomic_path(status) as beside,
        atomic_path(out) as target,
        beside.open("w", newline="", encoding="utf-8") as table,
    ):
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(["row", "name", "status", "smiles", "reason"])

        def records() -> Iterator[tuple[Chem.Mol, str, dict[str, Any]]]:
            for number, name, mols, reason in _prepared(molecules, ph, k):
                counts[:] = counts[0] + bool(mols), number
                state = ("ok", _smiles(mols[0])) if mols else ("failed", "")
                rows.writerow([number, name, *state, reason])
                for place, mol in enumerate(mols, start=1):
                    tags = mol.GetPropsAsDict(includePrivate=False, includeComputed=False)
                    yield mol, name if len(mols) == 1 else f"{name}_r{place}", tags

        if to == "parquet":
            write_parquet(target, records())
        else:
            render = FORMATS[f".{to}"].render
            with target.open("w", encoding="utf-8") as file:
                file.writelines(render(mol, name, tags) for mol, name, tags in records())
    return counts[0], counts[1], status


def _prepared(
    molecules: str, ph: float | None, k: int
) -> Iterator[tuple[int, str, list[Chem.Mol], str]]:
    """Each record: its number, its name, what is to be written of it, why nothing is."""
    from molgen.chem.conformers.files import Inputs
    from molgen.chem.protonation import at_ph
    from molgen.export import fault_of

    for number, row in enumerate(Inputs(molecules).rows(), start=1):
        one = row.read()
        reason = one.reason if one.mol is None else fault_of(one.mol)
        if one.mol is None or reason:
            yield number, one.name, [], reason
            continue
        try:
            mol = one.mol if ph is None else at_ph(one.mol, ph)
            yield number, one.name, _with_rings(mol, k), ""
        except UsageError:
            raise
        except MolgenError as error:
            yield number, one.name, [], error.message


def _with_rings(mol: Chem.Mol, k: int) -> list[Chem.Mol]:
    """The molecule as it is, and in other conformations of its rings."""
    if k == 1:
        return [mol]
    from molgen.sampling.conformers.rings import ring_conformers

    return ring_conformers(mol, k)


def _smiles(mol: Chem.Mol) -> str:
    from molgen.chem.mol import smiles_of

    return smiles_of(mol)


def _file_name(title: str, suffix: str) -> str:
    """A title as a file name: letters that file systems do not take are underscores."""
    safe = "".join(c if c.isalnum() or c in "-_.+=" else "_" for c in title)[:200]
    return f"{safe.lstrip('.') or 'molecule'}.{suffix}"
