"""Conformers of many molecules, searched or minimised in parts, each a file that is whole or not
there.

A folder holds ``settings.json`` and parts ``part-<first>-<last>.npz``. A run that is killed loses
the part that it was at; repeated, it makes the parts that are missing.
"""

from __future__ import annotations

import json
import lzma
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np
from numpy.typing import NDArray

from molgen.chem.conformers.ensemble import Ensemble, NoEnsemble, SearchOptions
from molgen.chem.conformers.trajectory import BLOCK_END, TrajectoryOptions
from molgen.chem.workers import Unfinished, run_with_limit
from molgen.errors import DataError, OutputError
from molgen.atomic import atomic_path
from molgen.npz_file import read_npz

PART: Final = 50
"""Molecules in one file: some minutes of a core."""

TIME_LIMIT_S: Final = 300.0
"""Wall-clock seconds for one molecule."""

SETTINGS: Final = "settings.json"
ARRAYS: Final = (
    *("source_index", "smiles", "n_atoms", "n_conformers", "n_starts", "energy"),
    "pos_milli_angstrom",
)
MILLI: Final = 1000.0

Progress = Callable[[int, int, int], None]
"""Told how many molecules are done, how many there are, and how many have no ensemble."""


@dataclass(frozen=True)
class Job:
    """Which molecules are searched, and how.

    Attributes:
        source: File of SMILES, one a line (``.smi``), or tab-separated with a column ``smiles``
            and perhaps ``split`` (``.tsv``), or of records (``.sdf``); ``.xz`` on top of each.
        split: Rows of this split only; None for all.
        shuffle: Seed of the order in which molecules are taken; None for the file's.
        n: Molecules to take at most; None for all.
        options: How their conformers are made.
    """

    source: Path
    split: str | None = None
    shuffle: int | None = None
    n: int | None = None
    options: SearchOptions | TrajectoryOptions = field(default_factory=SearchOptions)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the ensembles, but for how many there are."""
        return {
            "source": self.source.name,
            "split": self.split,
            "shuffle": self.shuffle,
            "options": asdict(self.options),
        }


def prepare_ensembles(
    job: Job, out: Path, n_workers: int = 1, progress: Progress | None = None
) -> dict[str, int]:
    """Search the ensembles that are not there yet.

    Args:
        job: Which and how.
        out: The folder; made where it is missing, completed where it was begun.
        n_workers: Processes.
        progress: Told of every molecule.

    Returns:
        Numbers of molecules, ensembles, conformers and failures in the folder.

    Raises:
        DataError: The source cannot be read.
        OutputError: The folder was begun with other settings.
    """
    rows = read_rows(job)
    _settle_settings(out, job.settings)
    n_failed = 0
    for first in range(0, len(rows), PART):
        chosen = rows[first : first + PART]
        path = out / f"part-{first:07d}-{first + len(chosen) - 1:07d}.npz"
        if path.exists():
            n_failed += int((_load(path)["n_conformers"] == 0).sum())
            continue
        answers: list[Ensemble | NoEnsemble] = []
        for answer in _made([text for _, text in chosen], job.options, n_workers):
            answers.append(answer)
            n_failed += isinstance(answer, NoEnsemble)
            if progress is not None:
                progress(first + len(answers), len(rows), n_failed)
        _write(path, [index for index, _ in chosen], answers)
    return count(out)


def read_rows(job: Job) -> list[tuple[int, str]]:
    """SMILES or SDF records of a job, each with the number of its row.

    Raises:
        DataError: The file cannot be read or names no SMILES.
    """
    try:
        with _opened(job.source) as lines:
            rows = list(_rows(lines, job))
    except (OSError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {job.source} ({error})", "Give SMILES or an SDF file") from None
    if not rows:
        raise DataError(f"{job.source} holds no molecules of this split", "Look at --split")
    if job.shuffle is not None:
        random.Random(job.shuffle).shuffle(rows)  # noqa: S311 - an order, not a secret
    return rows[: job.n]


def read_ensembles(folder: Path) -> Iterator[tuple[int, Ensemble | NoEnsemble]]:
    """Every molecule of a folder with the number of its row, part after part."""
    for path in sorted(folder.glob("part-*.npz")):
        part = _load(path)
        atom = conformer = 0
        for row, n_conformers in enumerate(part["n_conformers"].tolist()):
            index, n_atoms = int(part["source_index"][row]), int(part["n_atoms"][row])
            if not n_conformers:
                yield index, NoEnsemble(str(part["smiles"][row]))
                continue
            n_rows = n_atoms * n_conformers
            pos = part["pos_milli_angstrom"][atom : atom + n_rows].astype(np.float32) / MILLI
            energy = part["energy"][conformer : conformer + n_conformers]
            yield (
                index,
                Ensemble(
                    smiles=str(part["smiles"][row]),
                    pos=pos.reshape(n_conformers, n_atoms, 3).astype(np.float32),
                    energy=energy,
                    n_starts=int(part["n_starts"][row]),
                ),
            )
            atom, conformer = atom + n_rows, conformer + n_conformers


def count(folder: Path) -> dict[str, int]:
    """Numbers of molecules, ensembles, conformers and failures in a folder."""
    conformers = [_load(path)["n_conformers"] for path in sorted(folder.glob("part-*.npz"))]
    each = np.concatenate(conformers) if conformers else np.zeros(0, np.int64)
    return {
        "molecules": len(each),
        "ensembles": int((each > 0).sum()),
        "conformers": int(each.sum()),
        "failures": int((each == 0).sum()),
    }


def _made(
    texts: Sequence[str], options: SearchOptions | TrajectoryOptions, n_workers: int
) -> Iterator[Ensemble | NoEnsemble]:
    for answer in run_with_limit(options.conformers, texts, TIME_LIMIT_S, n_workers):
        yield NoEnsemble(answer.reason) if isinstance(answer, Unfinished) else answer


def _write(path: Path, indices: list[int], answers: list[Ensemble | NoEnsemble]) -> None:
    found = [one for one in answers if isinstance(one, Ensemble)]
    pos = [one.pos - one.pos.mean(axis=1, keepdims=True) for one in found]
    arrays: dict[str, Any] = {
        "source_index": np.array(indices, np.int64),
        "smiles": np.array([_text(one) for one in answers]),
        "n_atoms": np.array([_shape(one)[1] for one in answers], np.uint16),
        "n_conformers": np.array([_shape(one)[0] for one in answers], np.uint16),
        "n_starts": np.array([getattr(one, "n_starts", 0) for one in answers], np.uint16),
        "energy": np.concatenate([np.zeros(0, np.float32), *(one.energy for one in found)]),
        "pos_milli_angstrom": np.rint(
            np.concatenate([np.zeros((0, 3)), *(x.reshape(-1, 3) for x in pos)]) * MILLI
        ).astype(np.int16),
    }
    try:
        with atomic_path(path) as beside, beside.open("wb") as file:
            np.savez_compressed(file, **arrays)
    except OSError as error:
        raise OutputError(
            f"cannot write {path} ({error.strerror})", "Choose another --out"
        ) from None


def _text(answer: Ensemble | NoEnsemble) -> str:
    return answer.smiles if isinstance(answer, Ensemble) else answer.reason


def _shape(answer: Ensemble | NoEnsemble) -> tuple[int, int]:
    """Numbers of conformers and of atoms."""
    return answer.pos.shape[:2] if isinstance(answer, Ensemble) else (0, 0)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    return read_npz(path, ARRAYS, "Delete it and repeat the run")


def _settle_settings(out: Path, settings: dict[str, Any]) -> None:
    path = out / SETTINGS
    text = json.dumps(settings, indent=2) + "\n"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            with atomic_path(path) as beside:
                beside.write_text(text, encoding="utf-8")
        elif json.loads(path.read_text(encoding="utf-8")) != json.loads(text):
            raise OutputError(
                f"{out} was begun with other settings ({path})", "Choose another --out"
            )
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error})", "Choose another --out") from None
    except OSError as error:
        raise OutputError(
            f"cannot write {out} ({error.strerror})", "Choose another --out"
        ) from None


def _opened(path: Path) -> TextIO:
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def _rows(lines: TextIO, job: Job) -> Iterator[tuple[int, str]]:
    """Number and SMILES of every row that counts; numbers are counted without the header."""
    name = job.source.with_suffix("").name if job.source.suffix == ".xz" else job.source.name
    if name.endswith(".sdf"):
        yield from enumerate(_records(lines))
        return
    if not name.endswith(".tsv"):
        for index, line in enumerate(lines):
            if line.strip():
                yield index, line.split()[0]
        return
    header = next(lines, "").rstrip("\n").split("\t")
    if "smiles" not in header or (job.split is not None and "split" not in header):
        raise DataError(f"{job.source} has no such column", 'Its first line must name "smiles"')
    for index, line in enumerate(lines):
        row = dict(zip(header, line.rstrip("\n").split("\t"), strict=False))
        if job.split is None or row["split"] == job.split:
            yield index, row["smiles"]


def _records(lines: TextIO) -> Iterator[str]:
    """Blocks of an SDF file, without their data fields."""
    block: list[str] = []
    for line in lines:
        if line.startswith("$$$$"):
            yield "".join(block)
            block = []
        elif not block or not block[-1].startswith(BLOCK_END):
            block.append(line)
