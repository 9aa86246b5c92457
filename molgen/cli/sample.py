"""``molgen sample``: noise to a file of molecules, and one table of what they are worth."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from molgen.cli import options
from molgen.cli.console import note
from molgen.errors import UsageError
from molgen.sampling.destination import (
    STDOUT,
    Destination,
    check_free,
    check_writable,
    destination,
)
from molgen.sampling.request import PlanOptions, Request, parse_sizes

if TYPE_CHECKING:
    from molgen.sampling.recording import Start
    from molgen.sampling.run import Run, Tally


def sample(
    model: options.Model = "qm9",
    steps: options.Steps = 4,
    n: options.Count = 1000,
    seed: options.Seed = 0,
    out: options.Out = "molecules.sdf",
    json_out: options.Json = None,
    resume: options.Resume = False,
    force: options.Force = False,
    metrics: options.Metrics = True,
    quiet: options.Quiet = False,
    device: options.Device = "auto",
    batch_size: options.BatchSize = None,
    n_atoms: options.Sizes = None,
    decode: options.Decode = "map",
    valid_only: options.ValidOnly = False,
    formula: options.Formula = None,
    like: options.Like = None,
    scaffold: options.Scaffold = None,
    int8: options.Int8 = False,
    schedule: options.Schedule = None,
    grid: options.Grid = None,
    solver: options.Solver = None,
    tv: options.TotalVariance = None,
    rho: options.Rho = None,
    eta: options.Eta = None,
    kappa: options.Kappa = None,
) -> None:
    """Make molecules from noise.

    Records come in order, exactly N of them; one that fails a check is written with its reason.
    While it runs, the file is called NAME.partial.EXT; --resume completes it.
    """
    request = Request(
        n=n,
        steps=steps,
        seed=seed,
        plan=PlanOptions(schedule, solver, eta, kappa, tv, grid, rho),
        n_atoms=parse_sizes(n_atoms) if n_atoms is not None else None,
        batch_size=batch_size,
        decode=decode,
        valid_only=valid_only,
        formula=formula,
        like=like,
        scaffold=scaffold,
        int8=int8,
    )
    target = _target(out, json_out, resume=resume, force=force)
    from molgen.api import load
    from molgen.cli.report import report
    from molgen.sampling.given import remark
    from molgen.sampling.recording import Start, find_start

    run = load(model, device).run(request)
    if not quiet and (text := remark(run.model.info, run.known)):
        note(f"Note: {text}")
    start = find_start(run, target) if resume and target is not None else Start()
    if start is None:
        note(f"{out} is complete: {n} records of this run are there")
        return
    wanted = metrics and (json_out is not None or not quiet)
    tally, seconds = _record(run, target, start, keep=wanted, quiet=quiet)
    report(run, tally, start, seconds, out=out, json_out=json_out, metrics=wanted, quiet=quiet)


def _target(out: str, json_out: str | None, *, resume: bool, force: bool) -> Destination | None:
    """Check every place that will be written before anything is computed."""
    if resume and force:
        raise UsageError("--resume and --force exclude each other", "Leave one of them out")
    if json_out is not None and json_out != STDOUT:
        check_writable(Path(json_out))
    if out == STDOUT:
        if json_out == STDOUT:
            raise UsageError("--out - and --json - both want stdout", "Give one of them a file")
        if resume:
            raise UsageError("stdout cannot be resumed", "Give --out a file")
        return None
    target = destination(out)
    if resume:
        check_writable(target.path)
    else:
        check_free(target, force=force)
    return target


def _record(
    run: Run, target: Destination | None, start: Start, *, keep: bool, quiet: bool
) -> tuple[Tally, float]:
    """Draw and write; return what was drawn and the seconds that it took."""
    from molgen.sampling.progress import progress_bar
    from molgen.sampling.recording import record
    from molgen.sampling.run import Tally

    tally = Tally(keep=keep)
    began = time.perf_counter()
    show = False if quiet else None
    try:
        with progress_bar("sampling", run.request.n, show=show, done=start.n_done) as advance:
            record(run, target, tally, start, advance)
    except KeyboardInterrupt:
        if target is not None:
            note(f"{target.partial} holds what was made so far; --resume completes it")
        raise
    return tally, time.perf_counter() - began
