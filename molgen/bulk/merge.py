"""One file of all shards, checked while it is copied."""

from __future__ import annotations

import gzip
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from molgen.atomic import atomic_path
from molgen.bulk.folder import Folder
from molgen.bulk.shards import Shard
from molgen.chem.parquet import SUFFIX as PARQUET
from molgen.chem.parquet import Row, write_parquet
from molgen.chem.read import read_records
from molgen.errors import DataError, OutputError, UsageError
from molgen.sampling.status_table import status_table

BLOCK: Final = 1 << 20
PACKED: Final = ".gz"
END: Final = b"$$$$\n"


def merge(folder: Folder, to: Path, on_rows: Callable[[int], None]) -> int:
    """Put the shards of a folder one after another, and their status tables.

    Args:
        folder: Where every shard is there.
        to: ``.sdf``, ``.sdf.gz`` or ``.parquet``.
        on_rows: Told the number of rows that are there.

    Returns:
        Number of records.

    Raises:
        UsageError: The name has another suffix, or a shard is missing.
        DataError: A shard is damaged.
        OutputError: The file cannot be written.
    """
    if not to.name.endswith((".sdf", ".sdf.gz", PARQUET)):
        raise UsageError(
            f"cannot merge into {to.name}", "Use a name that ends in .sdf, .sdf.gz or .parquet"
        )
    shards = folder.manifest.shards
    if missing := folder.missing(shards):
        raise UsageError(
            f"{len(missing)} of {len(shards)} shards of {folder.path} are missing",
            "Repeat the command that makes them",
        )
    try:
        merge_parts = _merged_table if to.name.endswith(PARQUET) else _merged
        n = merge_parts(folder, shards, to, on_rows)
        if folder.manifest.tables:
            _merge_tables(folder, shards, status_table(to))
    except OSError as error:
        raise OutputError(f"cannot write {to} ({error.strerror})", "Free some space") from None
    return n


def _merged(
    folder: Folder, shards: tuple[Shard, ...], to: Path, on_rows: Callable[[int], None]
) -> int:
    n = n_rows = 0
    with atomic_path(to) as beside, beside.open("wb") as target:
        for shard in shards:
            part = folder.part(shard)
            found = _copied(part, target, packs=to.name.endswith(PACKED))
            if not folder.manifest.tables and found != shard.n_rows:
                raise DataError(
                    f"{part} holds {found} records, not {shard.n_rows}",
                    "Remove it and repeat the command that makes it",
                )
            n, n_rows = n + found, n_rows + shard.n_rows
            on_rows(n_rows)
    return n


def _merged_table(
    folder: Folder, shards: tuple[Shard, ...], to: Path, on_rows: Callable[[int], None]
) -> int:
    def rows() -> Iterator[Row]:
        n_rows = 0
        for shard in shards:
            part = folder.part(shard)
            for record in read_records(part) if _copied(part, None, packs=False) else ():
                if record.mol is None:
                    raise DataError(
                        f"{part}: {record.reason}",
                        "Remove it and repeat the command that makes it",
                    )
                yield record.mol, record.title, record.tags
            n_rows += shard.n_rows
            on_rows(n_rows)

    with atomic_path(to) as beside:
        return write_parquet(beside, rows())


def _copied(part: Path, target: BinaryIO | None, *, packs: bool) -> int:
    """Copy a part, if there is a target, and count its records.

    A series of gzip files is a gzip file, so packed ones are copied as they are.
    """
    n = 0
    try:
        with gzip.open(part) as file:
            for line in file:
                n += line == END
                if target is not None and not packs:
                    target.write(line)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{part} is damaged ({error})", "Remove it and repeat the command that makes it"
        ) from None
    if target is not None and packs:
        with part.open("rb") as packed:
            shutil.copyfileobj(packed, target, BLOCK)
    return n


def _merge_tables(folder: Folder, shards: tuple[Shard, ...], to: Path) -> None:
    with atomic_path(to) as beside, beside.open("wb") as target:
        for place, shard in enumerate(shards):
            with status_table(folder.part(shard)).open("rb") as table:
                header, *rows = table.readlines()
            if len(rows) != shard.n_rows:
                raise DataError(
                    f"{table.name} holds {len(rows)} rows, not {shard.n_rows}",
                    "Remove the shard and repeat the command that makes it",
                )
            target.writelines(([] if place else [header]) + rows)
