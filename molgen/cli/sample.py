"""``molgen sample``: noise to a file of molecules, and one table of what they are worth."""

from __future__ import annotations

from dataclasses import replace

from molgen.cli import options
from molgen.cli.console import note
from molgen.cli.output import find_target, write_records
from molgen.flow.plan_options import PlanOptions
from molgen.sampling.request import Request, parse_interval, parse_sizes


def sample(
    model: options.SuitedModel = None,
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
    workers: options.Workers = None,
    n_atoms: options.Sizes = None,
    decode: options.Decode = "geometry",
    relax: options.Relax = False,
    valid_only: options.ValidOnly = False,
    formula: options.Formula = None,
    like: options.Like = None,
    scaffold: options.Scaffold = None,
    guidance: options.Guidance = None,
    guidance_interval: options.GuidanceInterval = None,
    avoid: options.Avoid = None,
    int8: options.Int8 = False,
    schedule: options.Schedule = None,
    grid: options.Grid = None,
    shift: options.Shift = None,
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
        plan=PlanOptions(schedule, solver, eta, kappa, tv, grid, rho, shift),
        n_atoms=parse_sizes(n_atoms) if n_atoms is not None else None,
        batch_size=batch_size,
        decode=decode,
        valid_only=valid_only,
        formula=formula,
        like=like,
        scaffold=scaffold,
        guidance=guidance,
        guidance_interval=parse_interval(guidance_interval)
        if guidance_interval is not None
        else None,
        avoid=avoid,
        int8=int8,
        relax=relax,
    )
    target = find_target(out, json_out, resume=resume, force=force)
    from molgen.api import load
    from molgen.cli.report import report
    from molgen.sampling.known.given import remark
    from molgen.sampling.recording import Start, find_start

    run = replace(load(model or request.usual_model, device).run(request), workers=workers)
    if not quiet and (text := remark(run.model.info, run.known)):
        note(f"Note: {text}")
    start = find_start(run, target) if resume and target is not None else Start()
    if start is None:
        note(f"{out} is complete: {n} records of this run are there")
        return
    wanted = metrics and (json_out is not None or not quiet)
    tally, seconds = write_records(run, target, start, keep=wanted, quiet=quiet)
    report(run, tally, start, seconds, out=out, json_out=json_out, metrics=wanted, quiet=quiet)
