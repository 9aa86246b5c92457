"""Records in an SDF file and a row for every input in a table beside it, completed after a kill.

The records of an input reach the file before its row reaches the table, so what the table tells is
there; the rest is cut off.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from molgen.chem.conformers.files import Row
from molgen.chem.render import is_sealed
from molgen.chem.resume import whole_chunks
from molgen.chem.write import open_writer
from molgen.errors import OutputError, UsageError
from molgen.sampling.destination import Destination

FORCE: Final = "Use --force in place of --resume"

Cell = str | int | float


@dataclass(frozen=True)
class Counts:
    """What a run has made.

    Attributes:
        rows: Inputs.
        molecules: Those with records.
        records: All of them.
    """

    rows: int = 0
    molecules: int = 0
    records: int = 0

    def plus(self, n_records: int) -> Counts:
        """With one more input."""
        made = self.molecules + (n_records > 0)
        return Counts(self.rows + 1, made, self.records + n_records)


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


def leave_out(rows: Iterator[Row], names: Sequence[str]) -> None:
    """Pass over inputs that are done.

    Args:
        rows: Of the input, from its beginning.
        names: Of those that are done.

    Raises:
        UsageError: The input has others.
    """
    for known, row in zip(names, islice(rows, len(names)), strict=False):
        if known != row.name:
            raise UsageError(f"the input has {row.name} in place of {known}", FORCE)


@dataclass(frozen=True)
class Made:
    """What became of one input.

    Attributes:
        name: Of the input.
        records: SDF records.
        cells: What the table says between the name and the run.
    """

    name: str
    records: list[str]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class StatusTable:
    """The file of the records with its table.

    Attributes:
        target: The file.
        columns: Of the table between the number and name of a row and the run.
        counted: The one of them that holds the number of records.
        run: Fingerprint of the run.
        first: Number of rows before the first one.
    """

    target: Destination
    columns: tuple[str, ...]
    counted: str
    run: str
    first: int = 0

    @property
    def header(self) -> tuple[str, ...]:
        """Names of all columns."""
        return ("row", "name", *self.columns, "run")

    @property
    def path(self) -> Path:
        """The table."""
        return status_table(self.target.path)

    @property
    def partial(self) -> Path:
        """The table while it is being written."""
        return status_table(self.target.partial)

    def fresh(self) -> Start:
        """The start of a new run; what an earlier one left is removed."""
        for path in (self.target.path, self.path, self.partial):
            path.unlink(missing_ok=True)
        return Start()

    def start(self) -> Start | None:
        """Where to go on; None where everything is there.

        Raises:
            UsageError: What is there is of another run.
            DataError: It cannot be read.
        """
        if self.target.path.exists():
            self._rows(self.path)
            return None
        table = self.path if self.path.exists() else self.partial
        if not table.exists():
            return Start()
        if table == self.path:  # killed between the two renames
            table.replace(self.partial)
        return _start(self._rows(self.partial), _ends_of_records(self.target.partial))

    def write(self, start: Start, made: Iterable[Made], on_row: Callable[[int], None]) -> Counts:
        """Write what is missing, and give the files their names.

        Args:
            start: What is there.
            made: The missing rows in order.
            on_row: Told how many rows are there.

        Raises:
            OutputError: A file cannot be written.
        """
        counts = start.counts
        with (
            open_writer(self.target.partial, keep_bytes=start.record_bytes) as writer,
            _opened(self.partial, start.table_bytes) as table,
        ):
            if not start.table_bytes:
                _append(table, self.header)
            for one in made:
                for record in one.records:
                    writer.append(record)
                writer.flush()
                counts = counts.plus(len(one.records))
                _append(table, (self.first + counts.rows, one.name, *one.cells, self.run))
                on_row(counts.rows)
        self.partial.replace(self.path)
        self.target.finish()
        return counts

    def _rows(self, path: Path) -> list[tuple[str, int, int]]:
        """Name, number of records and end in bytes of every whole row, the header's first.

        Raises:
            UsageError: The table is of another run, or none.
        """
        rows, end = [("", 0, 0)], 0
        counted = self.header.index(self.counted)
        try:
            lines = path.read_bytes().splitlines(keepends=True)
        except OSError as error:
            raise UsageError(f"cannot read {path} ({error.strerror})", FORCE) from None
        for place, line in enumerate(line for line in lines if line.endswith(b"\n")):
            end += len(line)
            cells = next(csv.reader([line.decode(errors="replace")]), [])
            if not place and tuple(cells) == self.header:
                rows[0] = ("", 0, end)
                continue
            if not place or len(cells) != len(self.header) or cells[-1] != self.run:
                raise UsageError(f"{path} is of another run", FORCE)
            rows.append((cells[1], int(cells[counted]), end))
        return rows


def status_table(path: Path) -> Path:
    """The status table beside a file of records."""
    return path.with_name(f"{path.name}.csv")


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
        if counts.records + n not in ends:
            break
        counts, table_bytes = counts.plus(n), end
        names.append(name)
    return Start(tuple(names), counts, table_bytes, ends[counts.records])


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


def _append(table: BinaryIO, cells: tuple[Cell, ...]) -> None:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    try:
        table.write(line.getvalue().encode())
    except OSError as error:
        raise OutputError(
            f"cannot write the status table ({error.strerror})",
            "Free some space, then repeat the command with --resume",
        ) from None
