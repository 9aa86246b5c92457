"""``molgen evaluate``: the checks of a file of molecules, beside real molecules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molgen.cli import bulk, options
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
    from molgen.metrics.real import Real
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
    shards: bulk.Shards = None,
    shard: bulk.Place = None,
    engine: bulk.EngineName = "processes",
    address: bulk.Address = None,
    force: options.Force = False,
) -> None:
    """Check every record of files; every rate is over all records of a file."""
    if xtb_n is not None and not xtb:
        raise UsageError("--xtb-n without --xtb has no effect", "Add --xtb")
    how = bulk.InShards(shards, shard, engine, address)
    where = _Where(tuple(files), reference, against, json_out, csv_out, report_out, out, keep)
    _check(where, how)
    from molgen.metrics.files import check_config

    given = {
        "charge": charge,
        "perception": perception,
        "posebusters": posebusters,
        "xtb": (xtb_n or XTB_N) if xtb else None,
        "add_hydrogens": add_hs or None,
    }
    config = _config(checks, {name: one for name, one in given.items() if one is not None})
    check_config(config)
    _say_what_is_slow(config)
    if how.is_asked:
        _in_shards(config, where, how, force=force)
        return
    inputs = (*files, against, checks, Path(reference))
    with hold(where.outputs, inputs, force=force):
        _evaluate(config, where)


@dataclass(frozen=True)
class _Where:
    """Files that are read and written, as the command was told."""

    files: tuple[Path, ...]
    reference: str
    against: Path | None
    json: str | None
    csv: str | None
    report: str | None
    out: str | None
    keep: str

    @property
    def outputs(self) -> dict[str, str | None]:
        """By option."""
        return {
            "--json": self.json,
            "--csv": self.csv,
            "--report": self.report,
            "--out": self.out,
        }


def _check(where: _Where, how: bulk.InShards) -> None:
    if where.against is not None and len(where.files) > 1:
        raise UsageError("--against compares one file", "Give one file")
    if len(set(where.files)) < len(where.files):
        raise UsageError("a file is given twice", "Give each once")
    if where.keep not in KEPT:
        raise UsageError(*unknown("filter", where.keep, KEPT))
    out = where.out
    if where.keep != "all" and out is None:
        raise UsageError("--filter without --out has no effect", "Add --out")
    if out is not None and not how.is_asked and not out.endswith((".sdf", ".sdf.gz")):
        raise UsageError(f"{out} is no name of an SDF file", "Use .sdf or .sdf.gz")


def _config(checks: Path | None, given: Mapping[str, Any]) -> EvaluationConfig:
    """What a file of checks says, and the options, which win."""
    from molgen.config.evaluation import EvaluationConfig
    from molgen.config.reading import load_tree, validated

    tree = {} if checks is None else load_tree(checks)
    return validated(
        EvaluationConfig, {**tree, **given}, "options" if checks is None else str(checks)
    )


def _evaluate(config: EvaluationConfig, where: _Where) -> None:
    """Read, check, write, print."""
    from molgen.metrics.compare import described
    from molgen.metrics.faults import ADVICE
    from molgen.metrics.files import compare_files, evaluate_records, read_all
    from molgen.metrics.real import load_real
    from molgen.metrics.verdicts import as_csv

    with bar_of_stages() as progress:
        real = load_real(where.reference, config, progress=progress)
        read = {str(file): read_all(file, config) for file in where.files}
        found = {
            name: evaluate_records(records, real.reference, config, name=name, progress=progress)
            for name, records in read.items()
        }
    against = where.against
    comparison = None if against is None else compare_files(where.files[0], against)
    judged = [one for each in found.values() for one in each.records]
    records = [one for each in read.values() for one in each]
    if where.json is not None:
        emit_json(_scores(found, where.reference, comparison, against), where.json)
    if where.csv is not None:
        emit_csv(as_csv(judged), where.csv)
    _write_report(where.report, records, found, real)
    _write_records(where.out, records, judged, where.keep)
    if STDOUT not in (where.json, where.csv):
        emit(_table(found, read, real, config))
        for line in () if comparison is None else described(comparison, str(against)):
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
    from molgen.report.records import write_judged
    from molgen.sampling.destination import destination

    if out is None:
        return
    n, n_left = write_judged(destination(out), records, judged, keep)
    left = f"; {n_left} have no molecule to write" if n_left else ""
    note(f"{out}: {n} records{left}")


def _in_shards(config: EvaluationConfig, where: _Where, how: bulk.InShards, *, force: bool) -> None:
    from molgen.bulk.jobs import EvaluateJob

    if len(where.files) > 1 or any((where.against, where.json, where.csv, where.report)):
        raise UsageError(
            "shards are of one file and write records and verdicts",
            "Leave out --json, --csv, --report, --against; molgen merge makes a table",
        )
    if where.out is None:
        raise UsageError("where do the shards go?", "Give --out a folder")
    how.check(out=where.out, force=force)
    (file,) = where.files
    bulk.in_shards(lambda: EvaluateJob.of(file, config, where.keep), how, where.out, quiet=False)
