"""``molgen sample``: noise to a file of molecules, and one table of what they are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from molgen.cli import bulk, options
from molgen.cli.console import note
from molgen.cli.output import find_target, write_records
from molgen.flow.plan_options import PlanOptions
from molgen.sampling.request import Request

if TYPE_CHECKING:
    from molgen.bulk.jobs import Job


@options.takes(Request, nested={"plan": PlanOptions}, n=1000)
def sample(
    request: Request,
    model: options.SuitedModel = None,
    out: options.Out = "molecules.sdf",
    json_out: options.Json = None,
    resume: options.Resume = False,
    force: options.Force = False,
    metrics: options.Metrics = True,
    quiet: options.Quiet = False,
    device: options.Device = "auto",
    shards: bulk.Shards = None,
    shard: bulk.Place = None,
    engine: bulk.EngineName = "processes",
    address: bulk.Address = None,
) -> None:
    """Make molecules from noise.

    Records come in order, exactly N of them; one that fails a check is written with its reason.
    While it runs, the file is called NAME.partial.EXT; --resume completes it.
    """
    how = bulk.InShards(shards, shard, engine, address, request.workers, device)
    if how.is_asked:
        how.check(out=out, force=force, json_out=json_out)
        name = model or request.usual_model
        bulk.in_shards(lambda: _job(request, name, device), how, out, quiet=quiet)
        return
    inputs = (model, request.like, request.scaffold, request.avoid)
    with find_target(out, json_out, inputs=inputs, resume=resume, force=force) as target:
        from molgen.api import load
        from molgen.cli.report import report
        from molgen.sampling.conditioning import remark
        from molgen.sampling.recording import Start, find_start

        run = load(model or request.usual_model, device).run(request)
        if not quiet and (text := remark(run.model.info, run.given)):
            note(f"Note: {text}")
        start = find_start(run, target) if resume and target is not None else Start()
        if start is None:
            note(f"{out} is complete: {request.n} records of this run are there")
            return
        wanted = metrics and (json_out is not None or not quiet)
        tally, seconds = write_records(run, target, start, keep=wanted, quiet=quiet)
        report(run, tally, start, seconds, out=out, json_out=json_out, metrics=wanted, quiet=quiet)


def _job(request: Request, model: str, device: str) -> Job:
    from molgen.bulk.jobs import SampleJob

    return SampleJob(request, model, device)
