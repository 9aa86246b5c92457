"""A run of conformers into an SDF file and a status table, completed after a kill.

The records of a molecule reach the file before its row reaches the table, so what the table tells
is there; the rest is cut off. Chunks are drawn as in an unbroken run, so the bytes are the same.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from molgen.chem.conformers.files import Inputs, NamedMolecule
from molgen.chem.conformers.query import Refused
from molgen.chem.conformers.records import records_of
from molgen.chem.conformers.results import ConformerResult
from molgen.chem.render import RUN, TagValue, is_sealed, one_line
from molgen.chem.resume import whole_chunks
from molgen.chem.write import open_writer
from molgen.errors import OutputError, UsageError
from molgen.option import deciding
from molgen.sampling.conformers.request import ConformerRequest
from molgen.sampling.conformers.stream import chunk_size, stream_conformers
from molgen.sampling.destination import Destination
from molgen.tasks.conformer_weights import LoadedConformerModel

if TYPE_CHECKING:
    from rdkit.Chem import Mol

COLUMNS: Final = (
    *("row", "name", "status", "conformers", "redrawn", "stereo_wrong"),
    *("etkdg", "energy_method", "reason", "run"),
)
"""Of the status table."""

FORCE: Final = "Use --force in place of --resume"


@dataclass(frozen=True)
class Counts:
    """What a run has made.

    Attributes:
        rows: Molecules of the input.
        molecules: Those with conformers.
        conformers: All of them.
    """

    rows: int = 0
    molecules: int = 0
    conformers: int = 0

    def plus(self, n_conformers: int) -> Counts:
        """With one more molecule."""
        made = self.molecules + (n_conformers > 0)
        return Counts(self.rows + 1, made, self.conformers + n_conformers)


@dataclass(frozen=True)
class Start:
    """Where a run begins.

    Attributes:
        names: Of the rows that are there.
        counts: What is there.
        table_bytes: Length of the whole rows.
        record_bytes: Length of their records; None for a new file.
    """

    names: tuple[str, ...] = ()
    counts: Counts = field(default_factory=Counts)
    table_bytes: int = 0
    record_bytes: int | None = None


@dataclass(frozen=True)
class ConformerRun:
    """What is to be written where.

    Attributes:
        loaded: The model.
        request: What is asked of every molecule.
        inputs: The molecules.
        digest: Of the inputs; empty where they can be read only once.
        core_digest: Of the core; empty for none.
        target: The file of the records.
    """

    loaded: LoadedConformerModel
    request: ConformerRequest
    inputs: Inputs
    digest: str
    core_digest: str
    target: Destination

    @property
    def table(self) -> Path:
        """The status table."""
        return status_table(self.target.path)

    @property
    def partial_table(self) -> Path:
        """The status table while it is being written."""
        return status_table(self.target.partial)

    @property
    def fingerprint(self) -> str:
        """Eight hex digits, equal for runs that write the same."""
        content = {
            "request": deciding(self.request),
            "model": self.loaded.digest,
            "inputs": self.digest,
            "core": self.core_digest,
        }
        text = json.dumps(content, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    @property
    def facts(self) -> dict[str, TagValue]:
        """Tags that all records have."""
        return {
            "molgen_model": self.loaded.info.name,
            "molgen_seed": self.request.seed,
            "molgen_steps": self.request.steps,
            "molgen_minimise": self.request.minimise,
            RUN: self.fingerprint,
        }

    def fresh(self) -> Start:
        """The start of a new run; what an earlier one left is removed."""
        for path in (self.target.path, self.table, self.partial_table):
            path.unlink(missing_ok=True)
        return Start()

    def start(self) -> Start | None:
        """Where to go on; None where everything is there.

        Raises:
            UsageError: What is there is of another run.
            DataError: It cannot be read.
        """
        if self.target.path.exists():
            _rows_of(self.table, self.fingerprint)
            return None
        table = self.table if self.table.exists() else self.partial_table
        if not table.exists():
            return Start()
        if table == self.table:  # killed between the two renames
            table.replace(self.partial_table)
        rows = _rows_of(self.partial_table, self.fingerprint)
        return _start(rows, _ends_of_records(self.target.partial))

    def write(self, start: Start, on_row: Callable[[int], None]) -> Counts:
        """Make what is missing, and give the files their names.

        Args:
            start: What is there.
            on_row: Told how many rows are there.

        Raises:
            OutputError: A file cannot be written.
            UsageError: The input differs from that of the rows that are there.
        """
        counts, facts, run = start.counts, self.facts, self.fingerprint
        results = self._results(start)
        with (
            open_writer(self.target.partial, keep_bytes=start.record_bytes) as writer,
            _opened(self.partial_table, start.table_bytes) as table,
        ):
            if not start.table_bytes:
                _append(table, COLUMNS)
            for name, result in results:
                for record in records_of(result, name, facts):
                    writer.append(record)
                writer.flush()
                n = 0 if result.wrong is None else len(result.wrong)
                counts = counts.plus(n)
                _append(table, _status(self.inputs.first + counts.rows, name, result, run))
                on_row(counts.rows)
        self.partial_table.replace(self.table)
        self.target.finish()
        return counts

    def _results(self, start: Start) -> Iterator[tuple[str, ConformerResult]]:
        """Name and result of every row that is missing."""
        n_done = start.counts.rows
        skip = n_done % chunk_size(self.request)
        rows = self.inputs.rows()
        for known, row in zip(start.names, islice(rows, n_done - skip), strict=False):
            if known != row.name:
                raise UsageError(f"the input has {row.name} in place of {known}", FORCE)
        names: list[str] = []

        def given() -> Iterator[Mol | Refused]:
            for row in rows:
                one: NamedMolecule = row.read()
                names.append(one.name)
                yield Refused(one.reason) if one.mol is None else one.mol

        results = stream_conformers(self.loaded.model, given(), self.request, skip)
        for place, result in enumerate(results, start=skip):
            yield names[place], result


def status_table(path: Path) -> Path:
    """The status table beside a file of conformers."""
    return path.with_name(f"{path.name}.csv")


def _status(row: int, name: str, result: ConformerResult, run: str) -> tuple[str | int, ...]:
    n, n_wrong = (0, 0) if result.wrong is None else (len(result.wrong), int(result.wrong.sum()))
    made = (row, name, result.status, n, result.redrawn, n_wrong, result.n_etkdg, result.method)
    return (*made, one_line(result.reason), run)


def _rows_of(path: Path, run: str) -> list[tuple[str, int, int]]:
    """Name, number of conformers and end in bytes of every whole row, the header's first.

    Raises:
        UsageError: The table is of another run, or none.
    """
    rows, end = [("", 0, 0)], 0
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror})", FORCE) from None
    for place, line in enumerate(line for line in lines if line.endswith(b"\n")):
        end += len(line)
        cells = next(csv.reader([line.decode(errors="replace")]), [])
        if not place and tuple(cells) == COLUMNS:
            rows[0] = ("", 0, end)
            continue
        if not place or len(cells) != len(COLUMNS) or cells[-1] != run:
            raise UsageError(f"{path} is of another run", FORCE)
        rows.append((cells[1], int(cells[3]), end))
    return rows


def _ends_of_records(path: Path) -> dict[int, int]:
    """Where the file can be cut, in bytes, by the number of whole records before."""
    ends, n = {0: 0}, 0
    if not path.exists():
        return ends
    for chunk in whole_chunks(path):
        if not all(is_sealed(".sdf", text.decode(errors="replace")) for text in chunk.texts):
            break
        n += len(chunk.texts)
        ends[n] = chunk.n_bytes
    return ends


def _start(rows: list[tuple[str, int, int]], ends: dict[int, int]) -> Start:
    """Where the last row ends whose records are all there."""
    (_, _, table_bytes), *told = rows
    names: list[str] = []
    counts = Counts()
    for name, n, end in told:
        if counts.conformers + n not in ends:
            break
        counts, table_bytes = counts.plus(n), end
        names.append(name)
    return Start(tuple(names), counts, table_bytes, ends[counts.conformers])


def _opened(path: Path, keep_bytes: int) -> BinaryIO:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        file = os.fdopen(handle, "r+b", buffering=0)
        file.truncate(keep_bytes)
        file.seek(keep_bytes)
    except OSError as error:
        raise OutputError(
            f"cannot write {path} ({error.strerror})", "Choose another --out"
        ) from None
    return file


def _append(table: BinaryIO, cells: tuple[str | int, ...]) -> None:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    try:
        table.write(line.getvalue().encode())
    except OSError as error:
        raise OutputError(
            f"cannot write the status table ({error.strerror})",
            "Free some space, then repeat the command with --resume",
        ) from None
