"""``molgen calibrate``: the fits after the training of a few-step model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molgen.cli.console import note
from molgen.locks import lock
from molgen.sampling.destination import check_apart, check_new


def calibrate(
    weights: Annotated[
        str, typer.Argument(help="Distilled weights: a .safetensors file, or a shipped name.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The calibrated weights.")],
    stages: Annotated[
        list[str] | None,
        typer.Option(
            "--stage",
            help="Only this one: input-scale, distance-head, logit-bias, refine or element-bias; "
            "may be repeated.",
        ),
    ] = None,
    steps: Annotated[
        list[int] | None,
        typer.Option("--steps", help="Only presets of so many calls; may be repeated."),
    ] = None,
    store: Annotated[
        Path | None, typer.Option("--data", help="Store of real molecules; default the recipe's.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change one value of the recipe's section calibrate; may be repeated.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the stages that a killed run has finished.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace existing output.")] = False,
) -> None:
    """Fit what training leaves open: input scales, logit biases, the distance head, the refinement.

    The weights need no further training. Stages run in a fixed order and are kept one by one until
    all are done; a killed run goes on with --resume.
    """
    check_new(out, "--out", force=force)
    from molgen.calibrate.context import Context
    from molgen.calibrate.run import Calibration, stages_of
    from molgen.calibrate.run import calibrate as run
    from molgen.checkpoint import find_model, read_info
    from molgen.config.reading import with_overrides
    from molgen.data.store import MoleculeStore

    chosen, path = stages_of(stages or []), find_model(weights)
    config = read_info(path).config
    section = with_overrides(config.calibrate, overrides or [])
    data = MoleculeStore.open(store or config.data.folder)
    context = Context(section, data, tuple(steps or ()), note)
    calibration = Calibration(path, out, chosen)
    check_apart([out, calibration.folder], (path,))
    with lock(out):
        check_new(out, "--out", force=force)
        run(
            calibration,
            context,
            lambda stage, number, n: note(f"{stage}, {number + 1} of {n}"),
            resume=resume,
        )
    note(f"{out}; use it: molgen sample --model {out}")
