"""Append molecules to a file, one record after another, so that a kill leaves it readable."""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from rdkit import Chem

from molgen.atomic import create
from molgen.chem.render import FORMATS, Format, Tags
from molgen.chem.resume import suffix_of
from molgen.errors import OutputError

STDOUT: Final = "-"
"""Stands for standard output, as uncompressed SDF."""

HINTS: Final = {
    errno.EBADF: "It is closed; give --out a file",
    errno.ENOSPC: "Free some space, then repeat the command with --resume",
    errno.EPIPE: "The program that reads the output has ended",
}
"""What to do about a failed write, by error number."""

COMPRESSION: Final = 6
"""Level of gzip; 9 takes half as long again for 6 % less."""

MEMBER_SIZE: Final = 64
"""Records in one gzip member: at most one fewer can be lost to a kill."""


def open_writer(path: str | Path, *, keep_bytes: int | None = None) -> RecordWriter:
    """Open a file for streaming records.

    Args:
        path: A file name that ends with a key of `FORMATS`, or ``-`` for SDF on standard output.
        keep_bytes: Continue a file after this many bytes, as `completed_records` counts them;
            None starts a new file and replaces what was there.

    Returns:
        The writer; close it, or use it as a context manager.

    Raises:
        DataError: The name has no known suffix.
        OutputError: The file cannot be opened.
    """
    if str(path) == STDOUT:
        stream: Any = getattr(sys.stdout, "buffer", None) or _TextStream()
        return RecordWriter(stream, "standard output", FORMATS[".sdf"], closes=False)
    form = FORMATS[suffix_of(path)]
    try:
        is_new = keep_bytes is None
        handle = create(Path(path)) if is_new else os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        file = os.fdopen(handle, "r+b", buffering=0)
        file.truncate(keep_bytes or 0)
        file.seek(keep_bytes or 0)
    except OSError as error:
        raise OutputError(
            f"cannot write {path} ({error.strerror})", "Choose another output file"
        ) from error
    return RecordWriter(file, str(path), form)


class _TextStream(io.RawIOBase):
    """Standard output where it takes text alone, as in a notebook."""

    def write(self, data: Any, /) -> int:
        """Pass bytes on as text."""
        sys.stdout.write(bytes(data).decode())
        return len(data)

    def flush(self) -> None:
        """Pass on what is waiting there."""
        sys.stdout.flush()


class RecordWriter:
    """Writes records to one open file and keeps the file whole.

    Each record reaches the operating system before `write` returns; in a compressed file, before
    `flush` returns or with the last record of a member. When a write fails, the file is cut back
    to its last whole record.

    Attributes:
        name: The file, for messages.
        n_written: Records that have reached the file through this writer.
    """

    def __init__(
        self, file: BinaryIO | io.FileIO, name: str, form: Format, *, closes: bool = True
    ) -> None:
        self.name = name
        self.n_written = 0
        self._file = file
        self._format = form
        self._closes = closes
        self._waiting: list[bytes] = []

    @property
    def form(self) -> Format:
        """The format of the file."""
        return self._format

    def write(self, mol: Chem.Mol, title: str, tags: Tags) -> None:
        """Append one record.

        Args:
            mol: With a conformer; invalid molecules are written as they are.
            title: One non-empty line, unique within the file.
            tags: Values stored beside the molecule.

        Raises:
            OutputError: The disk is full or the reader of a pipe has gone.
        """
        self.append(self._format.render(mol, title, tags))

    def append(self, record: str) -> None:
        """Append one record that `form` has rendered already.

        Raises:
            OutputError: The disk is full or the reader of a pipe has gone.
        """
        self._waiting.append(record.encode())
        if not self._format.is_compressed or len(self._waiting) >= MEMBER_SIZE:
            self.flush()

    def flush(self) -> None:
        """Bring every record to the file.

        Raises:
            OutputError: The disk is full or the reader of a pipe has gone.
        """
        if not self._waiting:
            return
        text = b"".join(self._waiting)
        self._append(
            gzip.compress(text, COMPRESSION, mtime=0) if self._format.is_compressed else text
        )
        self.n_written += len(self._waiting)
        self._waiting.clear()

    def close(self) -> None:
        """Write what is waiting and close the file; standard output stays open.

        Raises:
            OutputError: The disk is full or the reader of a pipe has gone.
        """
        try:
            self.flush()
        finally:
            self._waiting.clear()
            if self._closes:
                self._file.close()

    def __enter__(self) -> Self:
        """The writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def _append(self, data: bytes) -> None:
        written = 0
        try:
            while written < len(data):
                written += self._file.write(data[written:]) or 0
            self._file.flush()
        except OSError as error:
            self._cut(written)
            self._waiting.clear()
            raise OutputError(
                f"cannot write {self.name} after {self.n_written} records ({error.strerror})",
                HINTS.get(error.errno or 0, "Choose another output file"),
            ) from error

    def _cut(self, n_bytes: int) -> None:
        """Take back a record that did not fit; pipes and devices cannot be cut."""
        with contextlib.suppress(OSError, io.UnsupportedOperation):
            end = self._file.seek(-n_bytes, os.SEEK_CUR)
            self._file.truncate(end)
