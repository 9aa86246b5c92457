"""``molgen train``: a configuration to a checkpoint, within a time box."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from molgen.cli.console import note


def train(
    config: Annotated[
        Path, typer.Argument(help="A recipe: a YAML file, or the name of a shipped one.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one value; may be repeated."),
    ] = None,
    max_time: Annotated[
        str | None, typer.Option(metavar="HH:MM:SS", help="Stop, annealed, within this time.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; default runs/NAME.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Train a model; a killed run goes on with --resume."""
    from molgen.config import load_config
    from molgen.train.pace import seconds_of

    recipe = load_config(config, overrides or [])
    seconds = seconds_of(max_time)
    from molgen.train.run import train as run_training

    weights = run_training(
        recipe,
        name=config.stem,
        max_time=timedelta(seconds=seconds) if seconds else None,
        resume=resume,
        out=out,
        device=device,
    )
    note(f"{weights} holds the averaged weights; use it: molgen sample --model {weights}")
