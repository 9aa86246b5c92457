"""How much of a file that a killed run left behind is whole."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from molgen.chem.render import END_OF_RECORD, FORMATS
from molgen.errors import DataError

BLOCK: Final = 1 << 16
GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS  # 16: expect a gzip header


class Completed(NamedTuple):
    """The whole records at the start of a file.

    Attributes:
        n_records: How many there are.
        n_bytes: Where the last of them ends.
    """

    n_records: int
    n_bytes: int


def suffix_of(path: str | Path) -> str:
    """The longest known suffix of a file name.

    Args:
        path: Any file name.

    Returns:
        A key of `FORMATS`.

    Raises:
        DataError: The name ends with none of them.
    """
    name = Path(path).name.lower()
    for suffix in sorted(FORMATS, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix
    raise DataError(f"{path}: unknown format", f"Use one of {', '.join(FORMATS)}")


def completed_records(path: str | Path) -> Completed:
    """Count the whole records of a file, so that it can be cut there and continued.

    Args:
        path: A file that a `RecordWriter` wrote, perhaps without closing it.

    Returns:
        The count and the byte where the file can be cut. In a compressed file that is the end of
        the last whole gzip member.

    Raises:
        DataError: The name has no known suffix, or the file cannot be read.
    """
    suffix = suffix_of(path)
    try:
        with Path(path).open("rb") as file:
            return SCANNERS[suffix](file)
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror})") from error


def _scan_sdf(file: BinaryIO) -> Completed:
    end = f"{END_OF_RECORD}\n".encode()
    return _last(n_bytes for line, n_bytes in _lines(file) if line == end)


def _scan_smiles(file: BinaryIO) -> Completed:
    return _last(n_bytes for line, n_bytes in _lines(file) if line.strip())


def _scan_xyz(file: BinaryIO) -> Completed:
    return _last(_frame_ends(_lines(file)))


def _frame_ends(lines: Iterator[tuple[bytes, int]]) -> Iterator[int]:
    for line, _ in lines:
        if not line.strip().isdigit():
            return
        n_bytes = 0
        for _ in range(int(line) + 1):
            _, n_bytes = next(lines, (b"", 0))
            if not n_bytes:
                return
        yield n_bytes


def _scan_gzip(file: BinaryIO) -> Completed:
    """Count records in whole members; a member that is cut short does not count."""
    n_records = n_bytes = 0
    end = f"{END_OF_RECORD}\n".encode()
    for text, member_end in _members(file):
        n_records += sum(line == end for line in text.splitlines(keepends=True))
        n_bytes = member_end
    return Completed(n_records, n_bytes)


def _members(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    rest, position = b"", 0
    while True:
        reader, text = zlib.decompressobj(GZIP_WINDOW), []
        while not reader.eof:
            rest = rest or file.read(BLOCK)
            if not rest:
                return
            try:
                text.append(reader.decompress(rest))
            except zlib.error:
                return
            position += len(rest) - len(reader.unused_data)
            rest = reader.unused_data
        yield b"".join(text), position


def _lines(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Whole lines, each with the position after it."""
    position = 0
    for line in file:
        position += len(line)
        if line.endswith(b"\n"):
            yield line, position


def _last(ends: Iterator[int]) -> Completed:
    all_ends = [0, *ends]
    return Completed(len(all_ends) - 1, all_ends[-1])


SCANNERS: Final[Mapping[str, Callable[[BinaryIO], Completed]]] = {
    ".sdf": _scan_sdf,
    ".sdf.gz": _scan_gzip,
    ".smi": _scan_smiles,
    ".xyz": _scan_xyz,
}
