"""``molgen vary``: new molecules from given ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from molgen.cli import options
from molgen.cli.console import note
from molgen.cli.output import find_target, write_records
from molgen.sampling.editing.requests import VaryRequest

if TYPE_CHECKING:
    from molgen.sampling.destination import Destination
    from molgen.sampling.recording import Recordable


@options.takes(VaryRequest)
def vary(
    request: VaryRequest,
    file: options.Given,
    model: options.Model = "qm9",
    out: options.Out = "variations.sdf",
    resume: options.Resume = False,
    force: options.Force = False,
    quiet: options.Quiet = False,
    device: options.Device = "auto",
) -> None:
    """Make molecules near given ones, of as many atoms.

    N records for each molecule of FILE, in order, where the molecule stands; molgen_source names
    it and molgen_similarity says how near it is (Tanimoto). docs/editing.md measures --strength.
    """
    with find_target(out, inputs=(file, model), resume=resume, force=force) as target:
        from molgen.api import load
        from molgen.sampling.editing.originals import read_originals

        generator = load(model, device)
        run = generator.variations(read_originals(generator.model.info, file), request)
        _write(run, target, out, resume=resume, quiet=quiet)


def _write(
    run: Recordable, target: Destination | None, out: str, *, resume: bool, quiet: bool
) -> None:
    """Write a run, or say that it is there already."""
    from molgen.cli.report import summary
    from molgen.sampling.recording import Start, find_start

    start = find_start(run, target) if resume and target is not None else Start()
    if start is None:
        note(f"{out} is complete: {run.n_records} records of this run are there")
        return
    tally, _ = write_records(run, target, start, keep=False, quiet=quiet)
    if not quiet:
        note(f"{out}: {summary(run, tally, start)}")
