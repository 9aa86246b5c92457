"""What ``molgen sample`` says when it is done: a summary, a table, a JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from molgen.cli.console import bar_of_stages, emit, emit_json, note
from molgen.sampling.destination import STDOUT

if TYPE_CHECKING:
    from molgen.eval.evaluation import Evaluation
    from molgen.sampling.recording import Start
    from molgen.sampling.run import Run, Tally

REFERENCE = "qm9"


def report(
    run: Run,
    tally: Tally,
    start: Start,
    seconds: float,
    *,
    out: str,
    json_out: str | None,
    metrics: bool,
    quiet: bool,
) -> None:
    """Summarise a finished run.

    Args:
        run: What was asked for.
        tally: What was drawn.
        start: Where the run began; after ``--resume``, not at zero.
        seconds: Time that drawing and writing took.
        out: The output, for the summary.
        json_out: Where the numbers go as JSON; None for nowhere, ``-`` for stdout.
        metrics: Whether to check the molecules.
        quiet: Whether to leave out summary and table.
    """
    if not quiet:
        note(f"{out}: {summary(run, tally, start)}")
    evaluation = _evaluate(run, tally, quiet=quiet) if metrics and tally.n_drawn else None
    if evaluation is not None and not quiet:
        from molgen.eval.ceiling import load_ceiling
        from molgen.eval.table import render

        if start.n_done:
            note(f"Checked: what was drawn since --resume. For all: molgen evaluate {out}")
        say = note if STDOUT in (out, json_out) else emit
        say(render(evaluation, load_ceiling(REFERENCE)))
        say(f"{seconds:.1f} s, {tally.n_drawn / seconds:.1f} molecules per second")
    if json_out is not None:
        emit_json(facts(run, tally, start, seconds, evaluation), json_out)


def summary(run: Run, tally: Tally, start: Start) -> str:
    """One line: how many records, and how many molecules failed which check."""
    faults = _listing(tally.faults)
    n_faults = tally.faults.total()
    resumed = f", {start.n_done} of them from before" if start.n_done else ""
    if run.request.valid_only:
        rejected = f"; rejected {n_faults} of {tally.n_drawn} drawn"
    else:
        rejected = f"; {n_faults} of {tally.n_drawn} drawn fail a check"
    return f"{run.request.n} records{resumed}{rejected}{faults}"


def facts(
    run: Run, tally: Tally, start: Start, seconds: float, evaluation: Evaluation | None
) -> dict[str, Any]:
    """The run and its scores as plain JSON types under stable names."""
    request = run.request
    return {
        "model": run.model.name,
        "steps": request.steps,
        "seed": request.seed,
        "solver": run.plan.solver.name,
        "grid": {"origin": run.plan.origin, **run.plan.grid.to_dict()},
        "decode": request.decode,
        "valid_only": request.valid_only,
        "n_atoms": request.n_atoms,
        "formula": request.formula,
        "like": request.like,
        "scaffold": request.scaffold,
        "n_records": request.n,
        "n_resumed": start.n_done,
        "n_drawn": tally.n_drawn,
        "n_rejected": tally.faults.total() if request.valid_only else 0,
        "faults": dict(tally.faults.most_common()),
        "seconds": round(seconds, 3),
        "molecules_per_second": round(tally.n_drawn / seconds, 3),
        "metrics": evaluation.to_dict() if evaluation is not None else None,
    }


def _evaluate(run: Run, tally: Tally, *, quiet: bool) -> Evaluation:
    from molgen.data.reference import load_reference
    from molgen.eval.metrics import evaluate

    raw = None if run.request.decode == "argmax" else tally.raw
    with bar_of_stages(show=False if quiet else None) as progress:
        return evaluate(tally.molecules, load_reference(REFERENCE), raw=raw, progress=progress)


def _listing(faults: Mapping[str, int]) -> str:
    if not faults:
        return ""
    ranked = sorted(faults.items(), key=lambda item: -item[1])
    return " (" + ", ".join(f"{n} {reason}" for reason, n in ranked) + ")"
