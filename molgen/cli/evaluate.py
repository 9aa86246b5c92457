"""``molgen evaluate``: the checks of a file of molecules, beside real molecules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molgen.cli import options
from molgen.cli.console import bar_of_stages, emit, emit_csv, emit_json, note
from molgen.cli.output import hold
from molgen.did_you_mean import unknown
from molgen.errors import UsageError
from molgen.sampling.destination import STDOUT

if TYPE_CHECKING:
    from molgen.chem.read import Record
    from molgen.config.evaluation import EvaluationConfig
    from molgen.metrics.compare import Comparison
    from molgen.metrics.evaluation import Evaluation
    from molgen.metrics.files import Real
    from molgen.metrics.verdicts import Verdict

XTB_N = 100  # a second or so each

KEPT = ("all", "pass", "fail")


def evaluate(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES...",
            help="Molecules: .sdf, .mol2, .pdb, .xyz or .parquet, .gz too; - for stdin. Several "
            "are compared side by side.",
        ),
    ],
    reference: Annotated[
        str, typer.Option(help="Real molecules to compare with: qm9, drugs, or a file of them.")
    ] = "qm9",
    against: Annotated[
        Path | None,
        typer.Option(
            help="A second SDF: symmetric heavy-atom RMSD of records of the same title or place; "
            "COV and AMR where compounds have several conformers."
        ),
    ] = None,
    checks: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML", help="Which checks to make, and the bounds that a record has to keep."
        ),
    ] = None,
    charge: Annotated[
        int | None,
        typer.Option(help="Total charge of every molecule; unset, that of each record's atoms."),
    ] = None,
    add_hs: Annotated[
        bool, typer.Option("--add-hs", help="Add hydrogens that the bonds ask for, in 3D.")
    ] = False,
    perception: Annotated[
        str | None,
        typer.Option(
            metavar="rdkit|combined",
            help="Who finds bonds in coordinates; combined also asks Open Babel. Needs "
            "molgen[openbabel]. [default: rdkit]",
        ),
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
    """Check every record of files; every rate is over all records of a file."""
    if xtb_n is not None and not xtb:
        raise UsageError("--xtb-n without --xtb has no effect", "Add --xtb")
    if against is not None and len(files) > 1:
        raise UsageError("--against compares one file", "Give one file")
    if len(set(files)) < len(files):
        raise UsageError("a file is given twice", "Give each once")
    _check_out(out, keep)
    from molgen.config.evaluation import EvaluationConfig
    from molgen.config.reading import load_tree, validated
    from molgen.metrics.faults import ADVICE
    from molgen.metrics.files import (
        check_config,
        compare_files,
        evaluate_records,
        load_real,
        read_all,
    )

    given = {
        "charge": charge,
        "perception": perception,
        "posebusters": posebusters,
        "xtb": (xtb_n or XTB_N) if xtb else None,
        "add_hydrogens": add_hs or None,
    }
    tree = {} if checks is None else load_tree(checks)
    tree |= {name: value for name, value in given.items() if value is not None}
    config = validated(EvaluationConfig, tree, "options" if checks is None else str(checks))
    check_config(config)
    _say_what_is_slow(config)
    outputs = {"--json": json_out, "--csv": csv_out, "--report": report_out, "--out": out}
    inputs = [*files, against, checks, Path(reference)]
    with hold(outputs, inputs, force=force):
        with bar_of_stages() as progress:
            real = load_real(reference, config, progress=progress)
            read = {str(file): read_all(file, config) for file in files}
            found = {
                name: evaluate_records(
                    records, real.reference, config, name=name, progress=progress
                )
                for name, records in read.items()
            }
        comparison = compare_files(files[0], against) if against is not None else None
        if json_out is not None:
            emit_json(_scores(found, reference, comparison, against), json_out)
        judged = [one for each in found.values() for one in each.records]
        records = [one for each in read.values() for one in each]
        if csv_out is not None:
            from molgen.metrics.verdicts import as_csv

            emit_csv(as_csv(judged), csv_out)
        _write_report(report_out, records, found, real)
        _write_records(out, records, judged, keep)
    if STDOUT not in (json_out, csv_out):
        emit(_table(found, read, real, config))
        for line in _comparison_lines(comparison, against):
            emit(line)
    for fault in dict.fromkeys(one.record.partition(":")[0] for one in judged):
        if fault in ADVICE:
            note(f"Note: {fault}. {ADVICE[fault]}")


def _say_what_is_slow(config: EvaluationConfig) -> None:
    """Say what takes long before it is begun."""
    slow = []
    if config.xtb is not None:
        slow.append(
            f"GFN2-xTB takes about a second a record of QM9's size, 20 of a drug's, and "
            f"{config.xtb} records are asked for"
        )
    if config.posebusters == "full":
        slow.append("PoseBusters' energies take some 2 s a record")
    for one in slow:
        note(f"Note: {one}, on one core.")


def _table(
    found: Mapping[str, Evaluation],
    read: Mapping[str, list[Record]],
    real: Real,
    config: EvaluationConfig,
) -> str:
    from molgen.metrics.faults import criterion_of
    from molgen.metrics.table import render, render_side_by_side

    if len(found) > 1:
        return render_side_by_side(found, real.ceiling)
    ((name, evaluation),) = found.items()
    return render(evaluation, real.ceiling, criterion=criterion_of(read[name], config))


def _scores(
    found: Mapping[str, Evaluation],
    reference: str,
    comparison: Comparison | None,
    against: Path | None,
) -> dict[str, Any]:
    each = [{"file": name, "reference": reference, **one.to_dict()} for name, one in found.items()]
    if len(each) > 1:
        return {"files": each}
    if comparison is not None:
        each[0]["against"] = {"file": str(against), **comparison.to_dict()}
    return each[0]


def _check_out(out: str | None, keep: str) -> None:
    if keep not in KEPT:
        raise UsageError(*unknown("filter", keep, KEPT))
    if keep != "all" and out is None:
        raise UsageError("--filter without --out has no effect", "Add --out")
    if out is not None and not out.endswith((".sdf", ".sdf.gz")):
        raise UsageError(f"{out} is no name of an SDF file", "Use .sdf or .sdf.gz")


def _write_report(
    out: str | None, records: list[Record], found: Mapping[str, Evaluation], real: Real
) -> None:
    from molgen.atomic import atomic_path
    from molgen.report.build import report

    if out is None:
        return
    text = report(records, found, real.ceiling)
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


def _comparison_lines(comparison: Comparison | None, against: Path | None) -> list[str]:
    if comparison is None:
        return []
    ensembles = comparison.ensembles
    return [
        _rmsd_line(comparison, against),
        *([] if ensembles is None else [_ensemble_line(ensembles)]),
    ]


def _ensemble_line(scores: Mapping[str, float]) -> str:
    n, failed = round(scores["molecules"]), round(scores["failed"])
    parts = [
        f"{kind} AMR {scores[f'amr_{short}']:.3f} Å, COV {scores[f'cov_{short}@0.75']:.3f}"
        for kind, short in (("recall", "r"), ("precision", "p"))
    ]
    missing = f", {failed} of them without conformers" if failed else ""
    return f"ensembles of {n} compounds{missing}, 0.75 Å: {'; '.join(parts)}"


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
