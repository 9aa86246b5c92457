"""Commands in shards: their options, and ``molgen status`` and ``molgen merge``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from molgen.cli import options
from molgen.cli.console import note
from molgen.did_you_mean import unknown
from molgen.errors import OutputError, UsageError
from molgen.sampling.destination import STDOUT, check_apart, check_new

if TYPE_CHECKING:
    from molgen.bulk.jobs import Job
    from molgen.bulk.run import Engine

_PANEL = "Many molecules"

ENGINES: Final = ("processes", "ray")

Shards = Annotated[
    int | None,
    typer.Option(
        rich_help_panel=_PANEL,
        help="Cut the run into so many files in the folder --out. The same command completes it.",
    ),
]
Place = Annotated[
    str | None,
    typer.Option(
        "--shard", metavar="I/N", rich_help_panel=_PANEL, help="Make shard I of N only, from 1 on."
    ),
]
EngineName = Annotated[
    str,
    typer.Option(
        "--engine",
        rich_help_panel=_PANEL,
        help="processes (--workers of this machine) or ray (an actor per GPU or core).",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(rich_help_panel=_PANEL, help="Of a Ray cluster; unset, one is started here."),
]


@dataclass(frozen=True)
class InShards:
    """How a run is cut and who makes it.

    Attributes:
        shards: Number of shards; None where only a place is given.
        place: Of one shard, such as ``3/100``; None for all.
        engine: A name of `ENGINES`.
        address: Of a Ray cluster.
        workers: Processes or actors; None for what suits.
        device: As the command was told.
    """

    shards: int | None
    place: str | None
    engine: str = "processes"
    address: str | None = None
    workers: int | None = None
    device: str = "auto"

    @property
    def is_asked(self) -> bool:
        """Whether there are to be shards at all."""
        return self.shards is not None or self.place is not None

    def check(self, *, out: str, force: bool, json_out: str | None = None) -> None:
        """Refuse options that do not go together.

        Raises:
            UsageError: There are such.
        """
        if self.shards is not None and self.place is not None:
            raise UsageError("--shards and --shard exclude each other", "Leave one of them out")
        if self.engine not in ENGINES:
            raise UsageError(*unknown("engine", self.engine, ENGINES))
        if self.address is not None and self.engine != "ray":
            raise UsageError("--address is of a Ray cluster", "Add --engine ray")
        if force or json_out is not None:
            raise UsageError(
                f"shards know no {'--force' if force else '--json'}",
                "Give --out a new folder" if force else "Evaluate what molgen merge makes of them",
            )
        if out == STDOUT or Path(out).suffix:
            raise UsageError(f"--out {out} is no name of a folder", "Give a name without a suffix")


def in_shards(job_of: Callable[[], Job], how: InShards, out: str, *, quiet: bool) -> None:
    """Make the shards of a run that are missing.

    Args:
        job_of: Makes the job, once the options are known to be good.
        how: Shards and workers.
        out: The folder.
        quiet: No bar.

    Raises:
        UsageError: The folder holds another run.
        OutputError: A shard was given up, or the folder cannot be written.
    """
    from molgen.bulk.folder import open_folder
    from molgen.bulk.run import Work, in_this_process, run_shards
    from molgen.bulk.shards import parse_place
    from molgen.sampling.progress import progress_bar

    place, n_shards = (None, how.shards or 0) if how.place is None else parse_place(how.place)
    job = job_of()
    folder = open_folder(Path(out), job.manifest(n_shards))
    shards = folder.manifest.shards
    chosen = shards if place is None else shards[place - 1 : place]
    engine: Engine = in_this_process if place is not None else _engine(how)
    n_rows = sum(one.n_rows for one in chosen)
    with progress_bar("rows", n_rows, show=False if quiet else None) as advance:
        failed = run_shards(Work(job, folder), chosen, engine, advance)
    if failed:
        first = folder.part(failed[0].shard).name
        raise OutputError(
            f"{len(failed)} of {len(chosen)} shards failed, such as {first} ({failed[0].reason})",
            "Repeat the command to try them again",
        )
    if not quiet:
        note(f"{out}: {len(chosen)} of {len(shards)} shards, {n_rows} rows")


def _engine(how: InShards) -> Engine:
    from molgen.cores import available_cores

    if how.engine == "ray":
        from molgen.bulk.ray_engine import RayEngine

        return RayEngine(how.address, how.workers)
    from molgen.bulk.processes import Processes

    on_gpu = how.device.startswith("cuda")
    return Processes(how.workers or (1 if on_gpu else available_cores()))


def status(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run in shards.")],
) -> None:
    """Say how far a run in shards has come."""
    from molgen.bulk.folder import read_folder
    from molgen.bulk.status import status as look

    found = read_folder(folder)
    now, run = look(found), found.manifest
    rate = f", {now.rate:.1f} rows/s" if now.rate else ""
    left = run.n_rows - now.n_rows
    rest = f", {_duration(left / now.rate)} left" if now.rate and left else ""
    typer.echo(f"{run.command} with {run.model}: {now.n_rows} of {run.n_rows} rows{rate}{rest}")
    typer.echo(
        f"shards: {now.n_shards} of {run.n_shards} made, {now.n_running} being made, "
        f"{len(now.failed)} failed"
    )
    for one in now.failed:
        typer.echo(f"failed: {found.part(one.shard).name} ({one.reason})")


def merge(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run in shards.")],
    to: Annotated[str, typer.Option("--to", metavar="FILE", help=".sdf, .sdf.gz or .parquet.")],
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> None:
    """Put the shards of a run into one file, with one status table if they have any."""
    from molgen.bulk.folder import read_folder
    from molgen.bulk.jobs import DOCK
    from molgen.bulk.merge import merge as merged
    from molgen.docking.run import rank, ranking
    from molgen.sampling.progress import progress_bar
    from molgen.sampling.status_table import status_table

    found, target = read_folder(folder), Path(to)
    ranked = [ranking(target)] if found.manifest.command == DOCK else []
    places = [target, *([status_table(target)] if found.manifest.tables else []), *ranked]
    if target.resolve().parent == folder.resolve():
        raise UsageError(f"{to} is in the folder of the shards", "Name a file outside of it")
    check_apart(places)
    for path in places:
        check_new(path, "--to", force=force)
    with progress_bar("rows", found.manifest.n_rows, show=False if quiet else None) as advance:
        n = merged(found, target, advance)
    for place in ranked:
        rank(status_table(target), place)
    if not quiet:
        note(f"{to}: {n} records of {found.manifest.n_rows} rows")


def _duration(seconds: float) -> str:
    """Time in the two largest units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s"))
    shown = [f"{value} {unit}" for value, unit in units if value][:2]
    return " ".join(shown) or "0 s"
