"""How much of a file that a killed run left behind is whole and undamaged."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from molgen.chem.read import PARSERS, format_of
from molgen.chem.reading.record import MAX_ATOMS, Record
from molgen.chem.reading.source import open_regular
from molgen.chem.render import END_OF_RECORD, FORMATS, is_sealed
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


class Chunk(NamedTuple):
    """Records that a file can be cut behind: one, or those of a gzip member.

    Attributes:
        texts: What each holds.
        n_bytes: Where the last of them ends in the file.
    """

    texts: tuple[bytes, ...]
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
    n_records = n_bytes = 0
    for chunk in whole_chunks(path):
        n_records += len(chunk.texts)
        n_bytes = chunk.n_bytes
    return Completed(n_records, n_bytes)


def whole_chunks(path: str | Path) -> Iterator[Chunk]:
    """The whole records at the start of a file, not yet looked into.

    Raises:
        DataError: The name has no known suffix, or the file cannot be read.
    """
    suffix = suffix_of(path)
    try:
        with open_regular(path) as file:
            if FORMATS[suffix].is_compressed:
                yield from _members(file)
            else:
                for text, n_bytes in SPLITTERS[suffix](_lines(file)):
                    yield Chunk((text,), n_bytes)
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror})") from error


def read_back(path: str | Path, text: bytes) -> Record | None:
    """The record that a run has written; None where it is damaged.

    Args:
        path: The file, whose name tells the format.
        text: Of one record.
    """
    suffix = format_of(path)
    try:
        plain = text.decode()
        records = list(PARSERS[suffix](Path(path), iter(plain.splitlines()), MAX_ATOMS))
    except (UnicodeDecodeError, DataError):
        return None
    if len(records) != 1:
        return None
    (one,) = records
    has_reason = suffix == ".smi" and plain.count("\t") > 1  # an invalid molecule need not parse
    if one.reason and not has_reason:
        return None
    return one if is_sealed(suffix, plain) else None


def _split_sdf(lines: Iterator[tuple[bytes, int]]) -> Iterator[tuple[bytes, int]]:
    end = f"{END_OF_RECORD}\n".encode()
    record: list[bytes] = []
    for line, n_bytes in lines:
        record.append(line)
        if line == end:
            yield b"".join(record), n_bytes
            record = []


def _split_smiles(lines: Iterator[tuple[bytes, int]]) -> Iterator[tuple[bytes, int]]:
    return ((line, n_bytes) for line, n_bytes in lines if line.strip())


def _split_xyz(lines: Iterator[tuple[bytes, int]]) -> Iterator[tuple[bytes, int]]:
    for line, _ in lines:
        if not line.strip().isdigit() or len(line) > len(str(MAX_ATOMS)) + 1:
            return
        frame, n_bytes = [line], 0
        for _ in range(int(line) + 1):
            row, n_bytes = next(lines, (b"", 0))
            if not n_bytes:
                return
            frame.append(row)
        yield b"".join(frame), n_bytes


def _members(file: BinaryIO) -> Iterator[Chunk]:
    """Records in whole members; a member that is cut short or damaged ends them."""
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
        lines = ((line, 0) for line in b"".join(text).splitlines(keepends=True))
        yield Chunk(tuple(record for record, _ in _split_sdf(lines)), position)


def _lines(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Whole lines, each with the position after it."""
    position = 0
    for line in file:
        position += len(line)
        if line.endswith(b"\n"):
            yield line, position


Splitter = Callable[[Iterator[tuple[bytes, int]]], Iterator[tuple[bytes, int]]]

SPLITTERS: Final[Mapping[str, Splitter]] = {
    ".sdf": _split_sdf,
    ".smi": _split_smiles,
    ".xyz": _split_xyz,
}
"""Whole records among lines, each with the position after it."""
