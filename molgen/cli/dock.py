"""``molgen dock``: ligands to poses in a receptor, by AutoDock Vina."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molgen.cli import options
from molgen.cli.console import note
from molgen.cli.output import find_target
from molgen.docking.request import DockRequest
from molgen.errors import UsageError
from molgen.sampling.destination import check_apart, check_new

if TYPE_CHECKING:
    from molgen.docking.box import Box

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
    resume: options.Resume = False,
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> None:
    """Dock ligands; OUT.csv says for every ligand what became of it, OUT.ranked.csv ranks them.

    Bonds, order of atoms and tags of the poses are the ligand's. Rings keep the conformation that
    is given. Nothing is protonated: give the state that is to be docked.
    """
    if not out.endswith((".sdf", ".sdf.gz")):
        raise UsageError(f"{out} is no name of an SDF file", "Use .sdf or .sdf.gz")
    inputs = (ligands, receptor, autobox)
    with find_target(out, inputs=inputs, resume=resume, force=force) as target:
        from molgen.chem.conformers.files import Inputs
        from molgen.docking.receptor import receptor_pdbqt
        from molgen.docking.run import DockRun
        from molgen.docking.vina import VinaDocker
        from molgen.sampling.progress import progress_bar

        if target is None:
            raise UsageError("stdout cannot hold several files", "Give --out a file")
        box = _box(center, size, autobox, padding)
        docker = VinaDocker(
            receptor_pdbqt(receptor),
            box,
            request.exhaustiveness,
            request.poses,
            request.seed,
            request.posebusters,
        )
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
        except KeyboardInterrupt:
            note(f"{target.partial} holds what was made so far; --resume completes it")
            raise
    note(
        f"{out}: {made.records} poses of {made.molecules} ligands; {made.rows} rows in "
        f"{tables[0]}, ranked in {tables[2]}"
    )


def _box(center: str | None, size: str | None, autobox: str | None, padding: float) -> Box:
    from molgen.docking.api import box_of
    from molgen.docking.box import parse_triple

    return box_of(
        None if center is None else parse_triple(center),
        None if size is None else parse_triple(size),
        autobox,
        padding,
    )
