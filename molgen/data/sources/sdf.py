"""Molecules with bonds from an SDF file; records of one title and graph are conformers."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from rdkit import Chem, rdBase

from molgen.chem.mol import molecule_of
from molgen.data.records import Record, Source, Unreadable
from molgen.data.sources.given import required
from molgen.data.store import Entry
from molgen.errors import ChemistryError, DataError


def find_source(source: Path | None, _: Path) -> Source:
    """Molecules of an SDF file, ``.sdf`` or ``.sdf.gz``, hydrogens included.

    Raises:
        DataError: There is no such file.
    """
    path = required(source)
    try:
        with _opened(path) as stream:
            n_records = sum(line.startswith(b"$$$$") for line in stream)
    except (OSError, EOFError) as error:
        raise DataError(f"cannot read {path} ({error})", "Give an SDF file") from None
    return Source(path.name, n_records, partial(_merged, path))


def _merged(path: Path) -> Iterator[Record | Entry | Unreadable]:
    """Consecutive records of one title and one graph as one molecule."""
    title, before = "", None
    for name, record in _records(path):
        if not isinstance(record, Entry):
            yield record
            continue
        if before is not None and name and name == title and _is_same(before, record):
            before = replace(before, pos=np.concatenate([before.geometries, record.geometries]))
            continue
        if before is not None:
            yield before
        title, before = name, record
    if before is not None:
        yield before


def _records(path: Path) -> Iterator[tuple[str, Entry | Unreadable]]:
    with rdBase.BlockLogs(), _opened(path) as stream:
        supplier = Chem.ForwardSDMolSupplier(stream, sanitize=True, removeHs=False)
        for number, mol in enumerate(cast("Iterator[Chem.Mol | None]", supplier)):
            if mol is None:
                yield "", Unreadable(number, f"record {number + 1}", "RDKit cannot read it")
                continue
            title = mol.GetProp("_Name")
            try:
                yield title, Entry(molecule_of(mol), number)
            except ChemistryError as error:
                yield title, Unreadable(number, title, error.message)


def _is_same(one: Entry, other: Entry) -> bool:
    return all(
        np.array_equal(getattr(one.molecule, name), getattr(other.molecule, name))
        for name in ("atomic_numbers", "formal_charge", "bonds")
    )


def _opened(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path) if path.suffix == ".gz" else path.open("rb"))
