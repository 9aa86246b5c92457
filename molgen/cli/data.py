"""``molgen data prepare``: raw data to the packed store that training reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molgen.cli.console import bar_of_stages, note
from molgen.errors import UsageError
from molgen.names import unknown

DATASETS = ("qm9",)


def prepare(
    dataset: Annotated[str, typer.Argument(help="Which data: qm9.")],
    source: Annotated[
        Path | None,
        typer.Option(help="Raw file or folder that is already here; downloaded when not given."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the store; default data/NAME.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing store.")] = False,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Read raw molecules, settle their bond graphs, write a memory-mapped store."""
    if dataset not in DATASETS:
        raise UsageError(*unknown("data set", dataset, DATASETS))
    if workers < 1:
        raise UsageError(f"workers is {workers}", "Use 1 or more")
    from molgen.data.qm9 import prepare_qm9

    folder = out or Path("data") / dataset
    with bar_of_stages() as advance:
        manifest = prepare_qm9(
            source,
            folder,
            n_workers=workers,
            progress=lambda n_done, n: advance("settling bonds", n_done, n),
            force=force,
        )
    counts = [f"{count} {name.replace('_', ' ')}" for name, count in manifest.counts.items()]
    note(f"{folder}: {', '.join(counts)}")
