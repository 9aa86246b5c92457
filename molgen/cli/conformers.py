"""``molgen conformers`` and ``molgen refine``: conformers to an SDF file, a status row for each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from molgen.cli import bulk, options
from molgen.cli.console import note
from molgen.cli.output import find_target
from molgen.errors import UsageError
from molgen.sampling.conformers.request import ConformerRequest, with_preset
from molgen.sampling.destination import STDOUT, check_apart, check_new

if TYPE_CHECKING:
    from molgen.bulk.jobs import Job

_INPUT = "Input"


@options.takes(ConformerRequest, timeout=300.0)
def conformers(
    context: typer.Context,
    request: ConformerRequest,
    molecules: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A SMILES; a .smi, .csv, .tsv or .sdf file (.gz too); - for standard input.",
        ),
    ],
    out: Annotated[
        str,
        typer.Option("--out", "-o", metavar="FILE", help=".sdf or .sdf.gz, for the conformers."),
    ],
    preset: Annotated[
        str | None,
        typer.Option(help="rapid, docking, ensemble or accurate; other options win over it."),
    ] = None,
    smiles_column: Annotated[
        str | None,
        typer.Option(rich_help_panel=_INPUT, help="Of a table; unset, smiles."),
    ] = None,
    name_column: Annotated[
        str | None,
        typer.Option(rich_help_panel=_INPUT, help="Of a table; unset, name, id or title."),
    ] = None,
    model: options.Model = "conformers",
    device: options.Device = "auto",
    resume: options.Resume = False,
    force: options.Force = False,
    quiet: options.Quiet = False,
    shards: bulk.Shards = None,
    shard: bulk.Place = None,
    engine: bulk.EngineName = "processes",
    address: bulk.Address = None,
) -> None:
    """Make conformers; OUT.csv says for every input what became of it.

    While it runs, the files are called NAME.partial.EXT; --resume completes them.
    """
    explicit = {
        name
        for name in context.params
        if (source := context.get_parameter_source(name)) is not None and source.name != "DEFAULT"
    }
    how = bulk.InShards(shards, shard, engine, address, request.workers, device)
    where = _Where(molecules, out, model, device, resume, force, quiet, how)
    _write(with_preset(request, preset, explicit), where, smiles_column, name_column)


def refine(
    geometries: Annotated[
        str, typer.Argument(metavar="FILE", help="An .sdf file (.gz too), or - for standard input.")
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="FILE", help=".sdf or .sdf.gz, for the result.")
    ],
    steps: Annotated[int, typer.Option(help="Calls of the refiner; it rests after four.")] = 4,
    minimise: Annotated[
        str, typer.Option(help="Afterwards: none, mmff94s or gfn2; see molgen conformers.")
    ] = "none",
    timeout: Annotated[
        float, typer.Option(help="Seconds for what follows the network, per molecule.")
    ] = 300.0,
    workers: Annotated[int, typer.Option(help="Processes for what follows the network.")] = 1,
    model: options.Model = "conformers",
    device: options.Device = "auto",
    resume: options.Resume = False,
    force: options.Force = False,
    quiet: options.Quiet = False,
    shards: bulk.Shards = None,
    shard: bulk.Place = None,
    engine: bulk.EngineName = "processes",
    address: bulk.Address = None,
) -> None:
    """Move geometries towards the minimum of MMFF94s next to them, by the network alone.

    The tag molgen_moved is the RMSD to the geometry that was given, Å, over heavy atoms. Where the
    stereo would change, the geometry is as it was. OUT.csv has a row for every input.
    """
    request = ConformerRequest(
        init="input", steps=steps, minimise=minimise, timeout=timeout, workers=workers
    )
    how = bulk.InShards(shards, shard, engine, address, workers, device)
    _write(request, _Where(geometries, out, model, device, resume, force, quiet, how))


@dataclass(frozen=True)
class _Where:
    """Input, output and how to write it."""

    molecules: str
    out: str
    model: str
    device: str
    resume: bool
    force: bool
    quiet: bool
    how: bulk.InShards


def _write(
    asked: ConformerRequest,
    where: _Where,
    smiles_column: str | None = None,
    name_column: str | None = None,
) -> None:
    molecules, out, model, resume = where.molecules, where.out, where.model, where.resume
    if where.how.is_asked:
        where.how.check(out=out, force=where.force)
        bulk.in_shards(
            lambda: _job(asked, where, smiles_column, name_column),
            where.how,
            out,
            quiet=where.quiet,
        )
        return
    if not out.endswith((".sdf", ".sdf.gz")):
        raise UsageError(f"{out} is no name of an SDF file", "Use .sdf or .sdf.gz")
    with find_target(out, inputs=(molecules, model), resume=resume, force=where.force) as target:
        from molgen.checkpoint import find_model
        from molgen.chem.conformers.core import read_core
        from molgen.chem.conformers.files import Inputs
        from molgen.sampling.conformers.run import ConformerRun
        from molgen.sampling.progress import progress_bar
        from molgen.sampling.status_table import status_table
        from molgen.tasks.conformer_weights import load_conformer_model

        if target is None:
            raise UsageError("stdout cannot hold two files", "Give --out a file")
        tables = [status_table(target.path), status_table(target.partial)]
        check_apart(tables, (molecules, model))
        if not resume:
            check_new(tables[0], "--out", force=where.force)
        if resume and molecules == STDOUT and target.partial.exists():
            note("standard input is read again from its start")
        inputs = Inputs(molecules, smiles_column, name_column)
        n, digest = inputs.survey()
        loaded = load_conformer_model(find_model(model), where.device)
        core = "" if asked.core is None else read_core(asked.core).digest
        run = ConformerRun(loaded, asked, inputs, digest, core, target)
        start = run.table.start() if resume else run.table.fresh()
        if start is None:
            note(f"{out} is complete")
            return
        show = False if where.quiet else None
        try:
            with progress_bar("molecules", n, show=show, done=start.counts.rows) as advance:
                made = run.write(start, advance)
        except KeyboardInterrupt:
            note(f"{target.partial} holds what was made so far; --resume completes it")
            raise
    note(
        f"{out}: {made.records} conformers of {made.molecules} molecules; "
        f"{made.rows} rows in {tables[0]}"
    )


def _job(
    asked: ConformerRequest, where: _Where, smiles_column: str | None, name_column: str | None
) -> Job:
    from molgen.bulk.jobs import ConformerJob
    from molgen.chem.conformers.files import Inputs

    one = replace(asked, workers=1)
    inputs = Inputs(where.molecules, smiles_column, name_column)
    return ConformerJob.of(one, inputs, where.model, where.device)
