"""``molgen train``: a configuration to a checkpoint, within a time box."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from molgen.cli.console import note
from molgen.errors import UsageError

_CLOCK = re.compile(r"(?:(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d{2})")


def parse_clock(text: str) -> timedelta:
    """Read ``HH:MM:SS`` or ``MM:SS``.

    Raises:
        UsageError: If the text is neither, or no time at all.

    Example:
        >>> parse_clock("00:09:30").total_seconds()
        570.0
    """
    match = _CLOCK.fullmatch(text)
    parts = {unit: int(value or 0) for unit, value in match.groupdict().items()} if match else {}
    clock = timedelta(**parts)
    if not clock:
        raise UsageError(f'max-time is "{text}"', "Type HH:MM:SS, such as 00:09:30")
    return clock


def train(
    config: Annotated[Path, typer.Argument(help="A recipe, such as configs/qm9.yaml.")],
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
    clock = parse_clock(max_time) if max_time is not None else None
    from molgen.config import load_config
    from molgen.train.run import train as run_training

    weights = run_training(
        load_config(config, overrides or []),
        name=config.stem,
        max_time=clock,
        resume=resume,
        out=out,
        device=device,
    )
    note(f"{weights} holds the averaged weights; use it: molgen sample --model {weights}")
