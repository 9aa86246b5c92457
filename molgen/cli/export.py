"""``molgen export``: a file for every record that another program can dock or read."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import typer

from molgen.cli import options
from molgen.cli.console import note
from molgen.errors import MolgenError, OutputError, UsageError
from molgen.sampling.destination import check_apart

STATUS = "status.csv"


def export(
    molecules: Annotated[
        str,
        typer.Argument(metavar="FILE", help=".sdf or .mol (.gz too), or - for standard input."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="For the files.")],
    to: Annotated[str, typer.Option(help="pdbqt (by Meeko), pdb, xyz or mol.")] = "pdbqt",
    force: options.Force = False,
) -> None:
    """Write each record as a file of its own, named by its title; FOLDER/status.csv tells of all.

    Refused with a reason: more than one fragment, missing hydrogens, coordinates that are not 3D,
    and what the program that writes it cannot treat. Nothing is protonated or minimised.
    """
    from molgen.atomic import atomic_path
    from molgen.chem.conformers.files import Inputs
    from molgen.chem.export import WRITERS, fault_of
    from molgen.did_you_mean import unknown
    from molgen.locks import lock

    if to not in WRITERS:
        raise UsageError(*unknown("format", to, WRITERS))
    if (out / STATUS).exists() and not force:
        raise OutputError(f"{out} holds an export", "Use --force or another folder")
    n_made = number = 0
    out.mkdir(parents=True, exist_ok=True)
    status = out / STATUS
    with (
        lock(status),
        atomic_path(status) as beside,
        beside.open("w", newline="", encoding="utf-8") as table,
    ):
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(["row", "name", "status", "file", "reason"])
        for number, row in enumerate(Inputs(molecules).rows(), start=1):
            one = row.read()
            name, reason = _file_name(one.name, to), one.reason
            if one.mol is not None:
                reason = fault_of(one.mol)
            if one.mol is not None and not reason:
                check_apart([out / name], (molecules,))
                try:
                    text = WRITERS[to](one.mol)
                    with atomic_path(out / name) as path:
                        path.write_text(text, encoding="utf-8")
                except UsageError:
                    raise
                except MolgenError as error:
                    reason = error.message
            n_made += not reason
            state = ("failed", "") if reason else ("ok", name)
            rows.writerow([number, one.name, *state, reason])
    note(f"{out}: {n_made} of {number} records as {to}; a row for each in {status}")


def _file_name(title: str, suffix: str) -> str:
    """A title as a file name: letters that file systems do not take are underscores."""
    safe = "".join(c if c.isalnum() or c in "-_.+=" else "_" for c in title)[:200]
    return f"{safe.lstrip('.') or 'molecule'}.{suffix}"
