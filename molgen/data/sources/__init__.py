"""Readers of raw data, one file each; a specification names the one that its files need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Final

from molgen.data.records import Source
from molgen.data.sources import ensembles, qm9, sdf, smiles_npz
from molgen.errors import DataError
from molgen.did_you_mean import suggestion

Reader = Callable[[Path | None, Path], Source]
"""From the given path, if there is one, and a folder for downloads to a source."""

READERS: Final = MappingProxyType(
    {
        "qm9": qm9.find_source,
        "sdf": sdf.find_source,
        "smiles-npz": smiles_npz.find_source,
        "ensembles": ensembles.find_source,
    }
)
"""Every reader by the name that specifications use."""


def reader_named(name: str) -> Reader:
    """A reader by its name.

    Raises:
        DataError: There is no such reader.
    """
    if name not in READERS:
        raise DataError(f'no reader "{name}"', suggestion(name, READERS))
    return READERS[name]
