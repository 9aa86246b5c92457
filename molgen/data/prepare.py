"""From a source of molecules to a finished store, one road for every data set."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import rdkit
from numpy.typing import NDArray

from molgen.atomic import atomic_folder
from molgen.chem.constitution import constitution
from molgen.chem.distances import DistanceStatistics
from molgen.chem.mol import build_mol
from molgen.chem.workers import run_with_limit
from molgen.config.dataset import Dataset
from molgen.data import perceive, splits
from molgen.data.manifest import VERSION, Manifest, file_entry, write_manifest
from molgen.data.perceive import LeftOut
from molgen.data.policy import objection
from molgen.data.records import Record, Source, Unreadable
from molgen.data.distances import CHARGE_WEIGHT, DISTANCES_FILE, ELEMENT_WEIGHT, SIGMA
from molgen.data.reference import REFERENCE_FILE, make_reference, save_reference
from molgen.data.sources import reader_named
from molgen.data.statistics import statistics_of_split
from molgen.data.store import Entry, MoleculeStore, pack, save_arrays, stored_pos
from molgen.errors import OutputError

TIME_LIMIT_S: Final = 20.0  # bond perception of one molecule; a usual one takes a millisecond
LEFT_OUT_FILE: Final = "left_out.tsv"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Judged:
    """A molecule that a data set takes.

    Attributes:
        entry: The molecule.
        compound: SMILES without stereo.
        from_smiles: Whether its bonds are those of the source, and not perceived.
    """

    entry: Entry
    compound: str
    from_smiles: bool


@dataclass
class _Sorted:
    """The molecules of a source, sorted into kept and left out."""

    kept: list[Judged] = field(default_factory=list)
    left_out: list[tuple[int, str, str]] = field(default_factory=list)  # number, name, reason


def prepare(
    dataset: Dataset,
    source: Path | None,
    out: Path,
    n_workers: int = 1,
    progress: Progress | None = None,
    *,
    force: bool = False,
) -> Manifest:
    """Read the molecules of a data set, settle their bonds and write the store.

    Everything is written beside `out` and moved there in one step at the end: an interrupted run
    leaves no folder of that name.

    Args:
        dataset: What the molecules are, and what is left out.
        source: The raw file or folder; None for what the data set's reader finds by itself.
        out: The folder to make.
        n_workers: Processes for bond perception.
        progress: Called with the number of molecules done and the number of all.
        force: Replace an existing folder.

    Returns:
        The manifest of the new store.

    Raises:
        DataError: The source cannot be read, or nothing of it is kept.
        OutputError: `out` exists and `force` is not given, or it cannot be written.
    """
    if out.exists() and not force:
        raise OutputError(f"{out} already exists", "Add --force to replace it")
    found = reader_named(dataset.reader)(source, out.parent / "raw")
    result = _sort(found, dataset, n_workers, progress)
    with _writing(out), atomic_folder(out) as beside:
        return _write(found.name, dataset, beside, result)


def judge(record: Record | Entry | Unreadable, dataset: Dataset) -> Judged | LeftOut:
    """Settle the bonds of a molecule if it has none, and say whether the data set takes it.

    Args:
        record: As the source gives it.
        dataset: What is taken.
    """
    if isinstance(record, Unreadable):
        return LeftOut(record.reason)
    from_smiles = True
    if isinstance(record, Record):
        settled = perceive.settle(record, dataset.total_charge or 0)
        if isinstance(settled, LeftOut):
            return settled
        entry, from_smiles = Entry(settled.molecule, record.source_index), settled.from_smiles
    else:
        entry = record
    if reason := objection(entry.molecule, dataset):
        return LeftOut(reason)
    built = build_mol(replace(entry.molecule, pos=entry.geometries[0].astype(np.float32)))
    if built.reason and not built.reason.startswith("net charge"):
        return LeftOut(built.reason.partition(":")[0])
    return Judged(entry, constitution(built.mol), from_smiles)


def _sort(
    source: Source, dataset: Dataset, n_workers: int, progress: Progress | None
) -> _Sorted:
    result = _Sorted()
    waiting: deque[tuple[int, str]] = deque()
    work = partial(judge, dataset=dataset)
    answers = run_with_limit(work, _as_stored(source, waiting), TIME_LIMIT_S, n_workers)
    for n_done, answer in enumerate(answers, start=1):
        number, name = waiting.popleft()
        if isinstance(answer, Judged):
            result.kept.append(answer)
        else:
            result.left_out.append((number, name, answer.reason))
        if progress is not None:
            progress(n_done, source.n_records)
    return result


def _as_stored(
    source: Source, waiting: deque[tuple[int, str]]
) -> Iterator[Record | Entry | Unreadable]:
    """The records at the store's precision, so that bonds fit what readers of the store see."""
    for record in source.read():
        if isinstance(record, Record):
            waiting.append((record.source_index, record.smiles))
            yield replace(record, pos=stored_pos(record.pos))
        else:
            waiting.append((record.source_index, getattr(record, "name", "")))
            yield record


def _write(source_name: str, dataset: Dataset, folder: Path, result: _Sorted) -> Manifest:
    kept, compounds = [one.entry for one in result.kept], [one.compound for one in result.kept]
    numbers = np.array([entry.source_index for entry in kept], np.int64)
    arrays = pack(kept, splits.split_codes(dataset, numbers, compounds))
    save_arrays(folder, arrays)
    _write_left_out(folder / LEFT_OUT_FILE, result.left_out)
    n_kept, n_left_out = len(kept), len(result.left_out)
    n_from_smiles = sum(one.from_smiles for one in result.kept)
    manifest = Manifest(
        version=VERSION,
        source=source_name,
        rule=perceive.RULE,
        split_rule=splits.rule_of(dataset),
        tools=perceive.TOOLS,
        counts={
            "read": n_kept + n_left_out,
            "kept": n_kept,
            "bonds_from_smiles": n_from_smiles,
            "bonds_from_geometry": n_kept - n_from_smiles,
            "left_out": n_left_out,
            "atoms": len(arrays["atomic_numbers"]),
            "bonds": len(arrays["bonds"]),
            "conformers": len(arrays["conformer_weight"]),
        },
        left_out=dict(Counter(reason for _, _, reason in result.left_out).most_common()),
        splits=splits.sizes(arrays["split"]),
        files={path.name: file_entry(path) for path in sorted(folder.iterdir())},
    )
    write_manifest(folder, manifest)
    _add_reference(folder, dataset, compounds, arrays["split"])
    return manifest


def _add_reference(
    folder: Path, dataset: Dataset, compounds: list[str], codes: NDArray[np.uint8]
) -> None:
    """Fingerprint and counts of the training part, for novelty and total variations."""
    train = [name for name, code in zip(compounds, codes.tolist(), strict=True) if code == 0]
    store = MoleculeStore.open(folder)
    statistics = statistics_of_split(store, "train")
    reference = make_reference(dataset.name, train, statistics, rdkit.__version__)
    save_reference(folder / REFERENCE_FILE, reference)
    molecules = (store[int(index)] for index in store.split("train"))
    counted = DistanceStatistics.count(molecules, dataset.atomic_numbers)
    weighted = replace(
        counted, sigma=SIGMA, element_weight=ELEMENT_WEIGHT, charge_weight=CHARGE_WEIGHT
    )
    weighted.save(folder / DISTANCES_FILE)


def _write_left_out(path: Path, rows: list[tuple[int, str, str]]) -> None:
    lines = ["source_index\tname\treason", *(f"{n}\t{name}\t{why}" for n, name, why in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error
