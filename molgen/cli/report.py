"""What ``molgen sample`` says when it is done: a summary, a table, a JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from molgen.cli.console import bar_of_stages, emit, emit_json, note
from molgen.sampling.destination import STDOUT

if TYPE_CHECKING:
    from molgen.metrics.evaluation import Evaluation
    from molgen.sampling.recording import Recordable, Start
    from molgen.sampling.run import Run, Tally


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
    if json_out is not None:  # first: printing may fail
        emit_json(facts(run, tally, start, seconds, evaluation), json_out)
    if evaluation is not None and not quiet:
        from molgen.chem.relaxation import LABEL
        from molgen.metrics.ceiling import load_ceiling
        from molgen.metrics.table import COMPOSITION, render

        if start.n_done:
            note(f"Checked: what was drawn since --resume. For all: molgen evaluate {out}")
        say = note if STDOUT in (out, json_out) else emit
        given = COMPOSITION if _is_given(run) else ()
        if run.relaxing is not None:
            say(
                f"Relaxed by {LABEL}: scores of the force field's geometries, not of the "
                'model\'s; "before decoding" is the model alone'
            )
        say(render(evaluation, load_ceiling(run.model.info.dataset.reference), given))
        say(f"{seconds:.1f} s, {tally.n_drawn / seconds:.1f} molecules per second")


def summary(run: Recordable, tally: Tally, start: Start) -> str:
    """One line: how many records, and how many molecules failed which check."""
    faults = _listing(tally.faults)
    n_faults = tally.faults.total()
    resumed = f", {start.n_done} of them from before" if start.n_done else ""
    if run.leaves_gaps:
        rejected = f"; rejected {n_faults} of {tally.n_drawn} drawn"
    else:
        rejected = f"; {n_faults} of {tally.n_drawn} drawn fail a check of bonds or request"
    n_relaxed = tally.n_relaxed
    relaxed = "" if n_relaxed is None else f"; {n_relaxed} relaxed by MMFF94s"
    return f"{run.n_records} records{resumed}{rejected}{faults}{relaxed}"


def facts(
    run: Run, tally: Tally, start: Start, seconds: float, evaluation: Evaluation | None
) -> dict[str, Any]:
    """The run and its scores as plain JSON types under stable names."""
    from molgen.chem.relaxation import LABEL

    request = run.request
    return {
        "model": run.model.name,
        "steps": request.steps,
        "seed": request.seed,
        "solver": run.plan.solver.name,
        "grid": {"origin": run.plan.origin, **run.plan.grid.to_dict()},
        "input_scale": run.plan.input_scale,
        "logit_bias": run.plan.logit_bias.to_dict() or None,
        "decode": request.decode,
        "relax": LABEL if request.relax else None,
        "n_relaxed": tally.n_relaxed,
        "valid_only": request.valid_only,
        "n_atoms": request.n_atoms,
        "formula": request.formula,
        "like": request.like,
        "scaffold": request.scaffold,
        "guidance": request.guidance,
        "guidance_interval": request.guidance_interval,
        "avoid": request.avoid,
        "network_calls": run.network_calls,
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
    from molgen.data.reference import reference_of
    from molgen.metrics.evaluate import evaluate
    from molgen.metrics.perception import Criterion

    changed = run.request.decode != "argmax" or run.request.relax
    raw = tally.raw if changed else None
    with bar_of_stages(show=False if quiet else None) as progress:
        found = evaluate(
            tally.molecules,
            reference_of(run.model.info.dataset, run.model.info.config.data.folder),
            raw=raw,
            criterion=Criterion(run.total_charge),
            progress=progress,
        )
    return replace(found, atom_count_tv=None, element_tv=None) if _is_given(run) else found


def _is_given(run: Run) -> bool:
    """Whether the request decides the composition of every molecule."""
    return run.given is not None and not run.given.task.partial


def _listing(faults: Mapping[str, int]) -> str:
    if not faults:
        return ""
    ranked = sorted(faults.items(), key=lambda item: -item[1])
    return " (" + ", ".join(f"{n} {reason}" for reason, n in ranked) + ")"
