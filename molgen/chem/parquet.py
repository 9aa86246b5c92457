"""Molecules in Parquet tables: a row each, with the geometry as a mol block and a column per tag.

What pandas, Polars, DuckDB and Spark read. Needs pyarrow (the extra ``molgen[dataframe]``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from rdkit import Chem, rdBase

from molgen.chem.mol import smiles_of
from molgen.chem.reading.record import Record, record_of_mol
from molgen.chem.reading.source import open_regular
from molgen.chem.render import RUN, SEAL, TagValue, mol_block, one_line
from molgen.errors import DataError, UsageError

SUFFIX: Final = ".parquet"
BLOCK: Final = "molblock"
OWN: Final = ("title", "smiles", BLOCK)
"""Columns of every table; further ones are tags."""

GROUP: Final = 5_000
"""Rows that are in memory together."""

Row = tuple[Chem.Mol, str, Mapping[str, TagValue]]
"""A molecule with a conformer, its title and its tags."""


def write_parquet(path: Path, rows: Iterable[Row]) -> int:
    """Write a table; tags are text, and those of the first `GROUP` rows are its columns.

    Returns:
        Number of rows.

    Raises:
        UsageError: pyarrow is missing.
        DataError: A later row has a tag that the first ones lack.
    """
    arrow, parquet = _arrow()
    records = (_columns(*row) for row in rows)
    first = list(islice(records, GROUP))
    names = list(dict.fromkeys(chain(OWN, *first)))
    schema = arrow.schema([(name, arrow.string()) for name in names])
    n = 0
    with parquet.ParquetWriter(path, schema) as writer:
        group = first
        while group:
            for place, one in enumerate(group, start=n + 1):
                if more := set(one) - set(names):
                    raise DataError(
                        f"record {place} has a field {min(more)!r} that the first {GROUP} lack",
                        "Write records of one kind",
                    )
            writer.write_table(arrow.Table.from_pylist(group, schema=schema))
            n += len(group)
            group = list(islice(records, GROUP))
    return n


def read_parquet(path: Path, max_atoms: int) -> Iterator[Record]:
    """Every row of a table as a record, its other columns as tags.

    Raises:
        UsageError: pyarrow is missing.
        DataError: It is no Parquet file, or has no column of mol blocks.
    """
    _, parquet = _arrow()
    try:
        with open_regular(path) as opened:
            yield from _rows(path, parquet.ParquetFile(opened), max_atoms)
    except (OSError, ValueError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:100]
        raise DataError(f"cannot read {path} as Parquet ({reason})", "Give an .sdf file") from None


def _rows(path: Path, file: Any, max_atoms: int) -> Iterator[Record]:
    names = file.schema_arrow.names
    if BLOCK not in names:
        raise DataError(
            f"{path} has no column {BLOCK!r}, only {', '.join(names[:8])}",
            "Write it with molgen export --to parquet",
        )
    rows = (row for batch in file.iter_batches(batch_size=GROUP) for row in batch.to_pylist())
    for index, row in enumerate(rows):
        yield _record(index, row, max_atoms)


def _columns(mol: Chem.Mol, title: str, tags: Mapping[str, TagValue]) -> dict[str, str]:
    own = {"title": title, "smiles": smiles_of(mol), BLOCK: mol_block(mol)}
    kept = {name: one_line(value) for name, value in tags.items() if name not in {RUN, SEAL}}
    return {**kept, **own}


def _record(index: int, row: Mapping[str, Any], limit: int) -> Record:
    title = str(row.get("title") or "")
    tags = {
        name: str(value) for name, value in row.items() if name not in OWN and value is not None
    }
    tags |= {"smiles": str(row["smiles"])} if row.get("smiles") else {}
    with rdBase.BlockLogs():
        mol: Any = Chem.MolFromMolBlock(str(row[BLOCK] or ""), sanitize=False, removeHs=False)
    if mol is None:
        return Record(index, title, reason="unreadable record", tags=tags)
    return record_of_mol(index, title, mol, limit, tags)


def _arrow() -> tuple[Any, Any]:
    if find_spec("pyarrow") is None:
        raise UsageError("Parquet needs pyarrow", 'Type: pip install "molgen[dataframe]"')
    return import_module("pyarrow"), import_module("pyarrow.parquet")
