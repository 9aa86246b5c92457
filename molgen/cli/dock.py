"""``molgen dock``: ligands to poses in a receptor, by AutoDock Vina."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molgen.cli import bulk, options
from molgen.cli.console import note
from molgen.cli.output import find_target
from molgen.docking.request import DockRequest
from molgen.errors import UsageError
from molgen.sampling.destination import check_apart, check_new

if TYPE_CHECKING:
    from molgen.bulk.jobs import Job
    from molgen.docking.vina import VinaDocker

_BOX = "Box"


@options.takes(DockRequest)
def dock(
    request: DockRequest,
    ligands: Annotated[
        str, typer.Argument(metavar="FILE", help="Ligands in 3D with hydrogens: .sdf (.gz too).")
    ],
    receptor: Annotated[
        Path, typer.Option(help=".pdbqt, or .pdb of the protein alone, which Meeko prepares.")
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="FILE", help=".sdf or .sdf.gz, for the poses.")
    ],
    center: Annotated[
        str | None, typer.Option(metavar="X,Y,Z", rich_help_panel=_BOX, help="Of the box, Å.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="X,Y,Z", rich_help_panel=_BOX, help="Of the box, Å.")
    ] = None,
    autobox: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", rich_help_panel=_BOX, help="In place of these: around this ligand."
        ),
    ] = None,
    padding: Annotated[
        float, typer.Option(min=0, rich_help_panel=_BOX, help="Å around it, on every side.")
    ] = 4.0,
    shards: bulk.Shards = None,
    shard: bulk.Place = None,
    engine: bulk.EngineName = "processes",
    address: bulk.Address = None,
    resume: options.Resume = False,
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> None:
    """Dock ligands; OUT.csv says for every ligand what became of it, OUT.ranked.csv ranks them.

    Bonds, order of atoms and tags of the poses are the ligand's. Rings keep the conformation that
    is given. Nothing is protonated: give the state that is to be docked.
    """
    inputs = (ligands, receptor, autobox)
    where = _Where(receptor, center, size, autobox, padding)
    how = bulk.InShards(shards, shard, engine, address, request.workers)
    if how.is_asked:
        how.check(out=out, force=force)
        bulk.in_shards(lambda: _job(request, ligands, where), how, out, quiet=quiet)
        return
    if not out.endswith((".sdf", ".sdf.gz")):
        raise UsageError(f"{out} is no name of an SDF file", "Use .sdf or .sdf.gz")
    with find_target(out, inputs=inputs, resume=resume, force=force) as target:
        from molgen.chem.conformers.files import Inputs
        from molgen.docking.run import DockRun
        from molgen.sampling.progress import progress_bar

        if target is None:
            raise UsageError("stdout cannot hold several files", "Give --out a file")
        docker = _docker(request, where)
        source = Inputs(ligands)
        n, digest = source.survey()
        run = DockRun(docker, request, source, digest, target)
        tables = [run.table.path, run.table.partial, run.ranking]
        check_apart(tables, inputs)
        if not resume:
            check_new(tables[0], "--out", force=force)
        start = run.table.start() if resume else run.table.fresh()
        if start is None:
            run.rank()  # a kill may have come just before
            note(f"{out} is complete")
            return
        show = False if quiet else None
        try:
            with progress_bar("ligands", n, show=show, done=start.counts.rows) as advance:
                made = run.write(start, advance)
                run.rank()
        except KeyboardInterrupt:
            note(f"{target.partial} holds what was made so far; --resume completes it")
            raise
    note(
        f"{out}: {made.records} poses of {made.molecules} ligands; {made.rows} rows in "
        f"{tables[0]}, ranked in {tables[2]}"
    )


@dataclass(frozen=True)
class _Where:
    """The receptor and the box, as they are given."""

    receptor: Path
    center: str | None
    size: str | None
    autobox: str | None
    padding: float


def _docker(request: DockRequest, where: _Where) -> VinaDocker:
    from molgen.docking.api import box_of
    from molgen.docking.box import parse_triple
    from molgen.docking.receptor import receptor_pdbqt
    from molgen.docking.vina import VinaDocker

    box = box_of(
        None if where.center is None else parse_triple(where.center),
        None if where.size is None else parse_triple(where.size),
        where.autobox,
        where.padding,
    )
    return VinaDocker(
        receptor_pdbqt(where.receptor),
        box,
        request.exhaustiveness,
        request.poses,
        request.seed,
        request.posebusters,
    )


def _job(request: DockRequest, ligands: str, where: _Where) -> Job:
    from molgen.bulk.jobs import DockJob
    from molgen.chem.conformers.files import Inputs

    return DockJob.of(_docker(request, where), replace(request, workers=1), Inputs(ligands))
