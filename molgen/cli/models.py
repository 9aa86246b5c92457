"""``molgen models``: the shipped weights, read from their headers alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molgen.cli.console import emit

if TYPE_CHECKING:
    from molgen.images.info import ImageInfo
    from molgen.models.info import ModelInfo
    from molgen.tasks.conformer_weights import ConformerInfo
    from molgen.weights_file import Header


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the models that the package ships."""
    from molgen.checkpoint import available_models, shipped
    from molgen.images.info import DOMAIN as IMAGES
    from molgen.images.info import read_image_info
    from molgen.tasks.conformer_weights import DOMAIN as CONFORMERS
    from molgen.tasks.conformer_weights import read_conformer_info

    molecules = available_models()
    conformers = [read_conformer_info(path) for path in shipped(CONFORMERS)]
    images = [read_image_info(path) for path in shipped(IMAGES)]
    if as_json:
        headers: list[Header[Any]] = [*molecules, *conformers, *images]
        emit(json.dumps([info.to_dict() for info in headers], indent=2))
        return
    _table([("name", "elements", "atoms", "molecules", "tuned for steps"), *map(_row, molecules)])
    if conformers:
        emit("")
        _table([("name", "conformers of", "trained on"), *map(_conformer_row, conformers)])
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
        " ".join(map(str, sorted(info.presets))) or "-",
    )


def _conformer_row(info: ConformerInfo) -> tuple[str, ...]:
    seen = int(info.training.get("molecules", 0))
    return (info.name, "given molecules", f"{seen:,} conformers")


def _image_row(info: ImageInfo) -> tuple[str, ...]:
    side = info.config.data.size
    return (
        info.name,
        f"{side}x{side}",
        str(info.training.get("data", "-")),
        " ".join(map(str, sorted(info.plans))) or "-",
    )
