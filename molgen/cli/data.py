"""``molgen data prepare``: raw data to the store that training reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import typer

from molgen.cli.console import bar_of_stages, note
from molgen.cli.images import needs_extra
from molgen.errors import UsageError
from molgen.names import unknown


def prepare(
    dataset: Annotated[str, typer.Argument(help="Which data: qm9, conformers or cifar10.")],
    source: Annotated[
        Path | None,
        typer.Option(
            help="Raw file or folder that is already here; qm9 is downloaded when not given."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the store; default data/NAME.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing store.")] = False,
    workers: Annotated[int, typer.Option(help="Processes for molecules.")] = 2,
) -> None:
    """Read raw molecules (and settle their bond graphs) or images; write a memory-mapped store."""
    if dataset not in _DATASETS:
        raise UsageError(*unknown("data set", dataset, _DATASETS))
    if workers < 1:
        raise UsageError(f"workers is {workers}", "Use 1 or more")
    folder = out or Path("data") / dataset
    counts = _DATASETS[dataset](source, folder, force, workers)
    parts = [f"{count} {name.replace('_', ' ')}" for name, count in counts.items()]
    note(f"{folder}: {', '.join(parts)}")


def _qm9(source: Path | None, folder: Path, force: bool, workers: int) -> Mapping[str, int]:
    from molgen.data.qm9 import prepare_qm9

    with bar_of_stages() as advance:
        manifest = prepare_qm9(
            source,
            folder,
            n_workers=workers,
            progress=lambda n_done, n: advance("settling bonds", n_done, n),
            force=force,
        )
    return manifest.counts


def _cifar10(source: Path | None, folder: Path, force: bool, _: int) -> Mapping[str, int]:
    with needs_extra():
        from molgen.images.cifar10 import prepare_cifar10

    return prepare_cifar10(source, folder, force=force)


def _conformers(source: Path | None, folder: Path, force: bool, _: int) -> Mapping[str, int]:
    from molgen.data.conformer_store import MANIFEST
    from molgen.data.prepare_conformers import prepare_conformers

    if source is None:
        raise UsageError(
            "conformers need a source", "Give --source: a folder of ensembles, or an .npz"
        )
    if (folder / MANIFEST).exists() and not force:
        raise UsageError(f"{folder} holds a store", "Add --force to replace it")
    return prepare_conformers(source, folder)


_DATASETS: Mapping[str, Callable[[Path | None, Path, bool, int], Mapping[str, int]]] = (
    MappingProxyType({"qm9": _qm9, "conformers": _conformers, "cifar10": _cifar10})
)
