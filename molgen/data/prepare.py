"""From a source of coordinates and SMILES to a finished store."""

from __future__ import annotations

import os
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from molgen.chem.molecule import Molecule
from molgen.chem.workers import run_with_limit
from molgen.data import perceive, splits
from molgen.data.manifest import VERSION, Manifest, file_entry, write_manifest
from molgen.data.records import Record, Source
from molgen.data.store import pack, save_arrays, stored_pos
from molgen.errors import OutputError

TIME_LIMIT_S: Final = 20.0  # bond perception of one molecule; a usual one takes a millisecond
LEFT_OUT_FILE: Final = "left_out.tsv"

Progress = Callable[[int, int], None]


@dataclass
class _Sorted:
    """The molecules of a source, sorted into kept and left out."""

    molecules: list[Molecule] = field(default_factory=list)
    source_index: list[int] = field(default_factory=list)
    left_out: list[tuple[int, str, str]] = field(default_factory=list)  # number, SMILES, reason
    n_from_smiles: int = 0


def prepare(
    find_source: Callable[[], Source],
    out: Path,
    n_workers: int,
    progress: Progress | None = None,
    *,
    force: bool = False,
) -> Manifest:
    """Settle the bonds of every molecule of a source and write the store.

    Everything is written beside `out`, the manifest last, and moved there in one step at the end:
    an interrupted run leaves no folder of that name, and nothing reads what it does leave.

    Args:
        find_source: Opens the source; called once `out` is known to be writable.
        out: The folder to make.
        n_workers: Processes for bond perception.
        progress: Called with the number of molecules done and the number of all.
        force: Replace an existing folder.

    Returns:
        The manifest of the new store.

    Raises:
        DataError: The source cannot be read.
        OutputError: `out` exists and `force` is not given, or it cannot be written.
    """
    if out.exists() and not force:
        raise OutputError(f"{out} already exists", "Add --force to replace it")
    partial = out.with_name(f"{out.name}.partial-{os.getpid()}")
    with _writing(out):
        partial.mkdir(parents=True)
    try:
        source = find_source()
        result = _sort(source, n_workers, progress)
        with _writing(out):
            manifest = _write(source.name, partial, result)
            _move_into_place(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def _sort(source: Source, n_workers: int, progress: Progress | None) -> _Sorted:
    result = _Sorted()
    waiting: deque[Record] = deque()
    answers = run_with_limit(perceive.settle, _as_stored(source, waiting), TIME_LIMIT_S, n_workers)
    for n_done, answer in enumerate(answers, start=1):
        record = waiting.popleft()
        if isinstance(answer, perceive.Settled):
            result.molecules.append(answer.molecule)
            result.source_index.append(record.source_index)
            result.n_from_smiles += answer.from_smiles
        else:
            result.left_out.append((record.source_index, record.smiles, answer.reason))
        if progress is not None:
            progress(n_done, source.n_records)
    return result


def _as_stored(source: Source, waiting: deque[Record]) -> Iterator[Record]:
    """The records at the store's precision, so that bonds fit what readers of the store see."""
    for record in source.read():
        waiting.append(record)
        yield replace(record, pos=stored_pos(record.pos))


def _write(source_name: str, folder: Path, result: _Sorted) -> Manifest:
    numbers = np.array(result.source_index, dtype=np.int32)
    arrays = pack(result.molecules, splits.qm9_split(numbers), numbers)
    save_arrays(folder, arrays)
    _write_left_out(folder / LEFT_OUT_FILE, result.left_out)
    n_kept, n_left_out = len(numbers), len(result.left_out)
    manifest = Manifest(
        version=VERSION,
        source=source_name,
        rule=perceive.RULE,
        split_rule=splits.RULE,
        tools=perceive.TOOLS,
        counts={
            "read": n_kept + n_left_out,
            "kept": n_kept,
            "bonds_from_smiles": result.n_from_smiles,
            "bonds_from_geometry": n_kept - result.n_from_smiles,
            "left_out": n_left_out,
            "atoms": len(arrays["atomic_numbers"]),
            "bonds": len(arrays["bonds"]),
        },
        left_out=dict(Counter(reason for _, _, reason in result.left_out).most_common()),
        splits=splits.sizes(arrays["split"]),
        files={path.name: file_entry(path) for path in sorted(folder.iterdir())},
    )
    write_manifest(folder, manifest)
    return manifest


def _write_left_out(path: Path, rows: list[tuple[int, str, str]]) -> None:
    lines = ["source_index\tsmiles\treason", *(f"{n}\t{smiles}\t{why}" for n, smiles, why in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _move_into_place(partial: Path, out: Path) -> None:
    old = out.with_name(f"{partial.name}.old")
    if out.exists():
        out.replace(old)
    partial.replace(out)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error
