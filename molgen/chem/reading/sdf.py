"""Records of SDF and MOL files, read by RDKit."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from rdkit import Chem, rdBase

from molgen.chem.reading.record import Record, record_of_mol, too_large
from molgen.chem.reading.source import INPUT_HINT
from molgen.chem.render import END_OF_RECORD
from molgen.errors import DataError

MAX_LINES: Final = 1_000_000
"""Lines of one record; the rest of a longer one is dropped."""

END_OF_BONDS: Final = "M  END"

_STAMPED: Final = re.compile(r".*V[23]000\s*$")
_COUNTS: Final = re.compile(r"(?=.{0,5}\d)([ \d]{3})([ \d]{3})(?: |$)")
_COUNTS_OF_V3000: Final = re.compile(r"M  V30 COUNTS (\d{1,9}) ")


def parse_sdf(path: Path, lines: Iterator[str], limit: int) -> Iterator[Record]:
    """Every record of an SDF file; the last one may lack its ``$$$$``.

    Args:
        path: For messages.
        lines: Of the file.
        limit: Largest number of atoms of a record.

    Raises:
        DataError: The file ends without any line of the format.
    """
    record: list[str] = []
    index = 0
    for line in lines:
        if line.rstrip() == END_OF_RECORD:
            yield _sdf_record(index, record, limit)
            record, index = [], index + 1
        elif len(record) < MAX_LINES:
            record.append(line)
    if not any(line.strip() for line in record):
        return
    if any(line.startswith(END_OF_BONDS) for line in record):
        yield _sdf_record(index, record, limit)
    elif index or _is_counts(record):
        yield Record(index, record[0].strip(), reason=f"truncated: no {END_OF_BONDS} line")
    else:
        raise DataError(f"{path} is not an SDF file", INPUT_HINT)


def _is_counts(record: list[str]) -> bool:
    return len(record) > 3 and bool(_STAMPED.match(record[3]) or _COUNTS.match(record[3]))


def _sdf_record(index: int, lines: list[str], limit: int) -> Record:
    title = lines[0].strip() if lines else ""
    tags = _tags(lines)
    if len(lines) >= MAX_LINES:
        return Record(index, title, reason=f"too large: more than {MAX_LINES} lines", tags=tags)
    counted = next((found for line in lines[:8] if (found := _COUNTS_OF_V3000.match(line))), None)
    if counted and int(counted[1]) > limit:
        return Record(index, title, reason=too_large(int(counted[1]), limit), tags=tags)
    block = "\n".join(_stamped(lines)) + "\n"
    with rdBase.BlockLogs():
        mol: Any = Chem.MolFromMolBlock(block, sanitize=False, removeHs=False)
    if mol is None:
        reason = f"unreadable record: {_complaint(block)}".rstrip(": ")
        return Record(index, title, reason=reason, tags=tags)
    return record_of_mol(index, title, mol, limit, tags)


def _stamped(lines: list[str]) -> list[str]:
    """The lines with the version stamp that some programs leave out."""
    if not _is_counts(lines) or _STAMPED.match(lines[3]):
        return lines
    return [*lines[:3], f"{lines[3][:33]:<33} V2000", *lines[4:]]


def _complaint(block: str) -> str:
    """What RDKit says of a block that it cannot read, as one line."""
    heard = _Listener()
    logger = logging.getLogger("rdkit")
    usual, logger.handlers[:] = logger.handlers[:], [heard]
    # A column that RDKit quotes may end within a letter of several bytes, which no logger can hold.
    plain = block.encode("ascii", "replace").decode()
    rdBase.LogToPythonLogger()
    try:
        Chem.MolFromMolBlock(plain, sanitize=False, removeHs=False)
    finally:
        rdBase.LogToCppStreams()
        logger.handlers[:] = usual
    said = (_TIME.sub("", line).strip() for text in heard.texts for line in text.splitlines())
    return next((line for line in said if line and not line.startswith(_HEADINGS)), "")[:100]


class _Listener(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


_TIME: Final = re.compile(r"^\[[\d:]+\]")
_HEADINGS: Final = ("****", "Post-condition", "Pre-condition", "Invariant")


def _tags(lines: list[str]) -> dict[str, str]:
    tags: dict[str, str] = {}
    rows = iter(lines)
    for line in rows:
        if line.startswith(">") and "<" in line and ">" in line[line.index("<") :]:
            name = line[line.index("<") + 1 : line.rindex(">")]
            tags[name] = "\n".join(iter(lambda: next(rows, ""), ""))
    return tags
