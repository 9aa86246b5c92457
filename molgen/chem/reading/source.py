"""Lines of a file, of a gzip file or of standard input: text of any encoding, bounded."""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from molgen.errors import DataError

INPUT_HINT: Final = (
    "Give an .sdf, .mol, .mol2, .pdb, .xyz or .smi file (.gz too), .parquet, or - for stdin"
)

STDIN: Final = "-"
"""Stands for standard input."""

MAX_LINE: Final = 1 << 20
"""Characters of a line that is read; a longer one is replaced by `LONG_LINE`."""

LONG_LINE: Final = f"(line of more than {MAX_LINE} characters)"

HEAD: Final = 512
"""Bytes at the start in which a NUL tells that a file is not text."""

_GZIP: Final = b"\x1f\x8b"
_ESCAPE: Final = "surrogateescape"


def read_lines(path: str | Path) -> Iterator[str]:
    """Lines without their ends.

    UTF-8, with or without a byte-order mark; a line that is not is read as Latin-1.

    Args:
        path: A regular file, or ``-`` for standard input.

    Raises:
        DataError: It cannot be read, is no regular file, is not text or is a damaged gzip file.
    """
    try:
        with _opened(path) as binary:
            yield from _text_lines(path, binary)
    except EOFError as error:
        raise DataError(f"{path} is truncated", "Restore or make the file again") from error
    except gzip.BadGzipFile as error:
        raise DataError(f"{path} is not a gzip file", "Remove .gz from its name") from error
    except zlib.error as error:
        raise DataError(f"{path} is damaged", "Restore or make the file again") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot read {path} ({reason})", INPUT_HINT) from error


@contextmanager
def _opened(path: str | Path) -> Iterator[io.BufferedReader | gzip.GzipFile]:
    if str(path) == STDIN:
        stream = sys.stdin.buffer
        stream = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)
        is_packed = stream.peek(2)[:2] == _GZIP
        yield gzip.GzipFile(fileobj=stream) if is_packed else stream
        return
    with open_regular(path) as file:
        yield gzip.GzipFile(fileobj=file) if str(path).lower().endswith(".gz") else file


def open_regular(path: str | Path) -> io.BufferedReader:
    """Open a regular file for reading; a pipe or a device is refused and never waited for.

    Raises:
        DataError: It is not a regular file.
        OSError: It cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise DataError(f"{path} is not a regular file", "Give a file, or - for standard input")
    return os.fdopen(handle, "rb")


def _text_lines(path: str | Path, binary: io.BufferedReader | gzip.GzipFile) -> Iterator[str]:
    if b"\0" in binary.peek(HEAD)[:HEAD]:
        raise DataError(f"{path} is not a text file", INPUT_HINT)
    text = io.TextIOWrapper(binary, encoding="utf-8-sig", errors=_ESCAPE)
    try:
        for line in _bounded(text):
            yield _as_text(line.replace("\0", "\ufffd").rstrip("\r\n"))
    finally:
        text.detach()  # whoever opened the stream closes it


def _bounded(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(MAX_LINE):
        if len(line) < MAX_LINE or line.endswith("\n"):
            yield line
            continue
        while (rest := text.readline(MAX_LINE)) and not rest.endswith("\n"):
            pass
        yield LONG_LINE


def _as_text(line: str) -> str:
    if line.isascii():
        return line
    raw = line.encode("utf-8", _ESCAPE)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
