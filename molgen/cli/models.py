"""``molgen models``: the shipped weights, read from their headers alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from molgen.cli.console import emit

if TYPE_CHECKING:
    from molgen.images.info import ImageInfo
    from molgen.models.info import ModelInfo


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the models that the package ships."""
    from molgen.checkpoint import available_models, shipped
    from molgen.images.info import DOMAIN, read_image_info

    molecules = available_models()
    images = [read_image_info(path) for path in shipped(DOMAIN)]
    if as_json:
        trees = [info.to_dict() for info in molecules] + [info.to_dict() for info in images]
        emit(json.dumps(trees, indent=2))
        return
    _table([("name", "elements", "atoms", "molecules", "tuned for steps"), *map(_row, molecules)])
    if images:
        emit("")
        _table([("name", "pixels", "images", "tuned for steps"), *map(_image_row, images)])


def _table(rows: list[tuple[str, ...]]) -> None:
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


def _image_row(info: ImageInfo) -> tuple[str, ...]:
    side = info.config.data.size
    return (
        info.name,
        f"{side}x{side}",
        str(info.training.get("data", "-")),
        " ".join(map(str, sorted(info.plans))) or "-",
    )
