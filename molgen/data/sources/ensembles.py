"""Conformer ensembles as ``molgen data prepare ensembles`` searched them, with their populations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from molgen.chem.boltzmann import boltzmann_weights
from molgen.chem.conformers.ensemble import NoEnsemble
from molgen.data.ensembles import count, read_ensembles
from molgen.data.records import Source, Unreadable
from molgen.data.sources.given import required
from molgen.data.sources.smiles_npz import entry_of
from molgen.data.store import Entry

TEMPERATURE: Final = 600.0
"""K, of the Boltzmann weights: populations at 300 K leave hardly more than one conformer."""


def find_source(source: Path | None, _: Path) -> Source:
    """Ensembles of a folder.

    Raises:
        DataError: There is no such folder, or one of its files is damaged.
    """
    folder = required(source)
    return Source(folder.name, count(folder)["molecules"], partial(_records, folder))


def _records(folder: Path) -> Iterator[Entry | Unreadable]:
    for number, found in read_ensembles(folder):
        if isinstance(found, NoEnsemble):
            yield Unreadable(number, "", found.reason)
            continue
        entry = entry_of(number, found.smiles, found.pos)
        if isinstance(entry, Entry):
            entry = replace(entry, weight=boltzmann_weights(found.energy, TEMPERATURE))
        yield entry
