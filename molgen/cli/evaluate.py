"""``molgen evaluate``: the checks of a file of molecules, beside real molecules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molgen.cli import options
from molgen.cli.console import bar_of_stages, emit, emit_csv, emit_json, note
from molgen.cli.output import hold
from molgen.did_you_mean import unknown
from molgen.errors import DataError, UsageError
from molgen.sampling.destination import STDOUT

if TYPE_CHECKING:
    from molgen.chem.io import Record
    from molgen.metrics.compare import Comparison
    from molgen.metrics.evaluation import Evaluation
    from molgen.metrics.verdicts import Verdict

XTB_N = 100  # a second or so each

KEPT = ("all", "pass", "fail")


def evaluate(
    file: Annotated[
        Path, typer.Argument(help="Molecules: .sdf, .mol2, .pdb or .xyz, .gz too; - for stdin.")
    ],
    reference: Annotated[str, typer.Option(help="Real molecules to compare with.")] = "qm9",
    against: Annotated[
        Path | None,
        typer.Option(
            help="A second SDF: symmetric heavy-atom RMSD of records of the same title or place."
        ),
    ] = None,
    charge: Annotated[
        int | None,
        typer.Option(help="Total charge of every molecule; unset, that of each record's atoms."),
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
    posebusters: Annotated[
        str | None,
        typer.Option(
            metavar="fast|full",
            help="PoseBusters' checks of each molecule; full also compares energies. Needs "
            "molgen[posebusters].",
        ),
    ] = None,
    json_out: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the numbers; - for stdout.")
    ] = None,
    csv_out: Annotated[
        str | None,
        typer.Option(
            "--csv", metavar="FILE", help="Write the verdict on each record; - for stdout."
        ),
    ] = None,
    report_out: Annotated[
        str | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="Write a page (.html): rates, drawings, 3D, every record with its verdict.",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="FILE", help="Write the records with their verdict: .sdf."),
    ] = None,
    keep: Annotated[
        str, typer.Option("--filter", metavar="all|pass|fail", help="Which records --out gets.")
    ] = "all",
    force: options.Force = False,
) -> None:
    """Check every record of a file; every rate is over all records."""
    if xtb_n is not None and not xtb:
        raise UsageError("--xtb-n without --xtb has no effect", "Add --xtb")
    _check_out(out, keep)
    from molgen.metrics.posebusters import check_posebusters

    check_posebusters(posebusters)
    from molgen.chem.read import read_records
    from molgen.data.reference import load_reference
    from molgen.metrics.ceiling import load_ceiling
    from molgen.metrics.files import (
        ADVICE,
        bust,
        compare_files,
        criterion_of,
        evaluate_records,
        fault_of,
    )
    from molgen.metrics.table import render
    from molgen.metrics.verdicts import verdicts

    outputs = {"--json": json_out, "--csv": csv_out, "--report": report_out, "--out": out}
    with hold(outputs, (file, against), force=force):
        known = load_reference(reference)
        records = list(read_records(file))
        with bar_of_stages() as progress:
            if posebusters is not None and all(one.mol is None for one in records):
                raise DataError(f"{file} has no bonds for PoseBusters", "Give an .sdf file")
            busted = None if posebusters is None else bust(records, posebusters, None, progress)
            evaluation = evaluate_records(
                records,
                known,
                name=str(file),
                charge=charge,
                xtb=(xtb_n or XTB_N) if xtb else None,
                busted=busted,
                progress=progress,
            )
        comparison = compare_files(file, against) if against is not None else None
        scores = {"file": str(file), "reference": reference, **evaluation.to_dict()}
        if comparison is not None:
            scores["against"] = {"file": str(against), **comparison.to_dict()}
        if json_out is not None:
            emit_json(scores, json_out)
        if csv_out or report_out or out:
            judged = verdicts(records, charge=charge, busted=busted)
            _write_csv(csv_out, judged)
            _write_report(report_out, str(file), records, judged, evaluation, reference)
            _write_records(out, records, judged, keep)
    if STDOUT not in (json_out, csv_out):
        emit(render(evaluation, load_ceiling(reference), criterion=criterion_of(records, charge)))
        if comparison is not None:
            emit(_rmsd_line(comparison, against))
    for fault in dict.fromkeys(fault.partition(":")[0] for fault in map(fault_of, records)):
        if fault in ADVICE:
            note(f"Note: {fault}. {ADVICE[fault]}")


def _check_out(out: str | None, keep: str) -> None:
    if keep not in KEPT:
        raise UsageError(*unknown("filter", keep, KEPT))
    if keep != "all" and out is None:
        raise UsageError("--filter without --out has no effect", "Add --out")
    if out is not None and not out.endswith((".sdf", ".sdf.gz")):
        raise UsageError(f"{out} is no name of an SDF file", "Use .sdf or .sdf.gz")


def _write_csv(out: str | None, judged: list[Verdict]) -> None:
    from molgen.metrics.verdicts import as_csv

    if out is not None:
        emit_csv(as_csv(judged), out)


def _write_report(
    out: str | None,
    name: str,
    records: list[Record],
    judged: list[Verdict],
    evaluation: Evaluation,
    reference: str,
) -> None:
    from molgen.atomic import atomic_path
    from molgen.metrics.ceiling import load_ceiling
    from molgen.report.build import report

    if out is None:
        return
    text = report(name, records, judged, evaluation, load_ceiling(reference))
    with atomic_path(Path(out)) as beside:
        beside.write_text(text, encoding="utf-8")
    note(f"{out}: {len(records)} records, {len(text) / 2**20:.1f} MB; open it in a browser")


def _write_records(
    out: str | None, records: list[Record], judged: list[Verdict], keep: str
) -> None:
    """Records with their verdict as two more tags."""
    from molgen.chem.write import open_writer
    from molgen.metrics.verdicts import judged_records
    from molgen.sampling.destination import destination

    if out is None:
        return
    target, n, n_left = destination(out), 0, 0
    with open_writer(target.partial) as writer:
        for one, mol, tags in judged_records(records, judged):
            if keep != "all" and (not one.is_judged or one.valid != (keep == "pass")):
                continue
            if mol is None:
                n_left += 1
                continue
            writer.write(mol, one.title or f"record-{one.index + 1}", tags)
            n += 1
    target.finish()
    left = f"; {n_left} have no molecule to write" if n_left else ""
    note(f"{out}: {n} records{left}")


def _rmsd_line(found: Comparison, against: Path | None) -> str:
    rmsd, (n, n_others) = found.rmsd, found.n_each
    why = ", ".join(f"{count} {reason}" for reason, count in found.reasons.most_common())
    said = f" ({why})" if why else ""
    if n != n_others:
        said += f"; the files have {n} and {n_others} records"
    if rmsd.median is None or rmsd.mean is None:
        return f"heavy-atom RMSD to {against}: 0 of {found.n} pairs are the same compound{said}"
    return (
        f"heavy-atom RMSD to {against}, Å: median {rmsd.median:.3f}, mean {rmsd.mean:.3f} "
        f"over {rmsd.n} of {found.n} pairs{said}"
    )
