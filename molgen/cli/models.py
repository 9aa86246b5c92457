"""``molgen models``: the shipped weights, read from their headers alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from molgen.cli.console import emit

if TYPE_CHECKING:
    from molgen.models.info import ModelInfo


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the models that the package ships."""
    from molgen.checkpoint import available_models

    infos = available_models()
    if as_json:
        emit(json.dumps([info.to_dict() for info in infos], indent=2))
        return
    rows = [("name", "elements", "atoms", "molecules", "tuned for steps"), *map(_row, infos)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        emit("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(info: ModelInfo) -> tuple[str, ...]:
    sizes = [size for size, n in enumerate(info.n_atoms) if n]
    return (
        info.name,
        " ".join(info.vocabulary.symbols),
        f"{sizes[0]}-{sizes[-1]}",
        f"{sum(info.n_atoms):,}",
        " ".join(map(str, sorted(info.ladders))) or "-",
    )
