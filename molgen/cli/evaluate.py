"""``molgen evaluate``: the checks of a file of molecules, beside real molecules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molgen.cli.console import bar_of_stages, emit, emit_json
from molgen.errors import UsageError
from molgen.sampling.destination import STDOUT, check_writable

if TYPE_CHECKING:
    from molgen.eval.rate import Spread

XTB_N = 100  # a second or so each


def evaluate(
    file: Annotated[Path, typer.Argument(help="Molecules: .sdf, .sdf.gz or .xyz.")],
    reference: Annotated[str, typer.Option(help="Real molecules to compare with.")] = "qm9",
    against: Annotated[
        Path | None,
        typer.Option(help="A second SDF: symmetric heavy-atom RMSD, record by record."),
    ] = None,
    xtb: Annotated[
        bool,
        typer.Option(
            "--xtb",
            help="Relax in GFN2-xTB too: strain and bonds by a judge that knows no force field. "
            "Needs molgen[xtb].",
        ),
    ] = False,
    xtb_n: Annotated[
        int | None,
        typer.Option(help="How many records, the first, --xtb takes. [default: 100]", min=1),
    ] = None,
    json_out: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the numbers; - for stdout.")
    ] = None,
) -> None:
    """Check every record of a file; every rate is over all records."""
    if json_out not in (None, STDOUT):
        check_writable(Path(json_out))
    if xtb_n is not None and not xtb:
        raise UsageError("--xtb-n without --xtb has no effect", "Add --xtb")
    from molgen.eval.ceiling import load_ceiling
    from molgen.eval.files import compare_files, evaluate_file
    from molgen.eval.table import render

    with bar_of_stages() as progress:
        n_relaxed = (xtb_n or XTB_N) if xtb else None
        evaluation = evaluate_file(file, reference, xtb=n_relaxed, progress=progress)
    comparison = compare_files(file, against) if against is not None else None
    scores = {"file": str(file), "reference": reference, **evaluation.to_dict()}
    if comparison is not None:
        scores["against"] = {"file": str(against), **comparison.to_dict()}
    if json_out is not None:
        emit_json(scores, json_out)
    if json_out != STDOUT:
        emit(render(evaluation, load_ceiling(reference)))
        if comparison is not None:
            emit(_rmsd_line(comparison.rmsd, against))


def _rmsd_line(rmsd: Spread, against: Path | None) -> str:
    if rmsd.median is None or rmsd.mean is None:
        return f"heavy-atom RMSD to {against}: no pair of records is the same compound"
    return (
        f"heavy-atom RMSD to {against}, Å: median {rmsd.median:.3f}, mean {rmsd.mean:.3f} "
        f"over {rmsd.n} of {rmsd.n + rmsd.n_failed} pairs"
    )
