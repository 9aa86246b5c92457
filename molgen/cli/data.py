"""``molgen data prepare``: raw data to the store that training reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import typer

from molgen.cli.console import bar_of_stages, note
from molgen.cli.images import needs_extra
from molgen.errors import UsageError
from molgen.locks import lock_folder
from molgen.sampling.destination import check_apart

if TYPE_CHECKING:
    from molgen.data.ensembles import Job


def prepare(
    dataset: Annotated[
        str,
        typer.Argument(
            help="A data set that ships (qm9, drugs, ccd, ensembles, conformers, "
            "geom-drugs, cifar10), "
            "or a YAML file that specifies one."
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Option(help="Raw file or folder; qm9 is downloaded when not given."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the store; default data/NAME.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing store.")] = False,
    workers: Annotated[int, typer.Option(help="Processes for molecules.")] = 2,
) -> None:
    """Read raw molecules (and settle their bond graphs) or images; write a memory-mapped store."""
    if workers < 1:
        raise UsageError(f"workers is {workers}", "Use 1 or more")
    folder = out or Path("data") / Path(dataset).stem
    if source is not None:
        check_apart([folder], (source, *source.absolute().parents))
    make = _OTHERS.get(dataset)
    with lock_folder(folder):
        if make is not None:
            counts = make(source, folder, force)
        else:
            counts = _molecules(dataset, source, folder, force, workers)
    parts = [f"{count} {name.replace('_', ' ')}" for name, count in counts.items()]
    note(f"{folder}: {', '.join(parts)}")


def ensembles(
    smiles: Annotated[
        Path,
        typer.Argument(help="SMILES: .smi, or .tsv with a column smiles; .xz on top of either."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder; completed if it was begun.")],
    n: Annotated[int | None, typer.Option("--n", "-n", min=1, help="Molecules at most.")] = None,
    split: Annotated[str | None, typer.Option(help="Only rows of this split.")] = None,
    shuffle: Annotated[
        int | None, typer.Option(help="Seed of the order of the molecules; unset, the file's.")
    ] = None,
    starts: Annotated[int, typer.Option(min=1, help="Embeddings of a rigid molecule.")] = 60,
    starts_per_torsion: Annotated[
        int, typer.Option(min=0, help="Embeddings more for each rotatable bond.")
    ] = 10,
    max_starts: Annotated[int, typer.Option(min=1, help="Embeddings at most.")] = 150,
    window: Annotated[float, typer.Option(min=0, help="Largest energy, kcal/mol.")] = 8.0,
    rmsd: Annotated[
        float, typer.Option(min=0, help="Conformers nearer than this are one, Å.")
    ] = 0.3,
    seed: Annotated[int, typer.Option(min=0, help="Of the embeddings.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Search conformer ensembles: ETKDGv3, MMFF94s, distinct by symmetric heavy-atom RMSD.

    Finished parts are kept: the same command goes on after a kill. ``molgen data prepare
    ensembles --source OUT`` makes a store of them.
    """
    from molgen.chem.conformers.ensemble import SearchOptions
    from molgen.data.ensembles import Job

    if max_starts < starts:
        raise UsageError(f"max_starts is {max_starts}, starts {starts}", "Raise --max-starts")
    options = SearchOptions(
        starts=starts,
        starts_per_torsion=starts_per_torsion,
        max_starts=max_starts,
        rmsd=rmsd,
        window=window,
        seed=seed,
    )
    _make(Job(smiles, split, shuffle, n, options), out, workers, "searching conformers")


def trajectories(
    source: Annotated[
        Path,
        typer.Argument(help="SMILES as for ensembles, or .sdf: conformers to start from."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder; completed if it was begun.")],
    n: Annotated[int | None, typer.Option("--n", "-n", min=1, help="Molecules at most.")] = None,
    split: Annotated[str | None, typer.Option(help="Only rows of this split.")] = None,
    shuffle: Annotated[
        int | None, typer.Option(help="Seed of the order of the molecules; unset, the file's.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the embeddings.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Minimise conformers by MMFF94s and keep geometries on the way, to train a refiner on.

    A SMILES starts from an ETKDGv3 embedding, a record of an SDF file from its own geometry, such
    as ``molgen conformers`` makes. Finished parts are kept: the same command goes on after a kill.
    """
    from molgen.chem.conformers.trajectory import TrajectoryOptions
    from molgen.data.ensembles import Job

    job = Job(source, split, shuffle, n, TrajectoryOptions(seed=seed))
    _make(job, out, workers, "minimising")


def _make(job: Job, out: Path, workers: int, label: str) -> None:
    """Make the conformers of a job with a bar, and say how many there are."""
    from molgen.data.ensembles import prepare_ensembles

    with lock_folder(out), bar_of_stages() as advance:
        counts = prepare_ensembles(
            job, out, workers, lambda n_done, n_all, _: advance(label, n_done, n_all)
        )
    note(f"{out}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))


def _molecules(
    name: str, source: Path | None, folder: Path, force: bool, workers: int
) -> Mapping[str, int]:
    from molgen.config.dataset import load_dataset
    from molgen.data.prepare import prepare as prepare_store

    dataset = load_dataset(name, tuple(_OTHERS))
    with bar_of_stages() as advance:
        manifest = prepare_store(
            dataset,
            source,
            folder,
            n_workers=workers,
            progress=lambda n_done, n: advance("settling bonds", n_done, n),
            force=force,
        )
    return manifest.counts


def _cifar10(source: Path | None, folder: Path, force: bool) -> Mapping[str, int]:
    with needs_extra():
        from molgen.images.cifar10 import prepare_cifar10

    return prepare_cifar10(source, folder, force=force)


def _conformers(source: Path | None, folder: Path, force: bool) -> Mapping[str, int]:
    from molgen.data.prepare_conformers import prepare_conformers

    if source is None:
        raise UsageError(
            "conformers need a source", "Give --source: a folder of ensembles, or an .npz"
        )
    _check_no_store(folder, force)
    return prepare_conformers(source, folder)


def _geom_drugs(source: Path | None, folder: Path, force: bool) -> Mapping[str, int]:
    from molgen.data.geom_drugs import HINT, prepare_geom_drugs

    if source is None:
        raise UsageError("geom-drugs needs a --source", HINT)
    _check_no_store(folder, force)
    with bar_of_stages() as advance:
        return prepare_geom_drugs(
            source, folder, progress=lambda n, _: advance("reading molecules", n, None)
        )


def _check_no_store(folder: Path, force: bool) -> None:
    from molgen.data.conformer_store import MANIFEST

    if (folder / MANIFEST).exists() and not force:
        raise UsageError(f"{folder} holds a store", "Add --force to replace it")


_OTHERS: Mapping[str, Callable[[Path | None, Path, bool], Mapping[str, int]]] = MappingProxyType(
    {"cifar10": _cifar10, "conformers": _conformers, "geom-drugs": _geom_drugs}
)
"""Stores of another kind."""
