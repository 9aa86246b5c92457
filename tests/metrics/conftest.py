"""Real molecules."""

from __future__ import annotations

from pathlib import Path

import pytest

from molgen.chem.molecule import Molecule
from molgen.data.store import MoleculeStore


@pytest.fixture(scope="session")
def real() -> list[Molecule]:
    """The 300 molecules of the repository's sample of QM9's test split."""
    store = MoleculeStore.open(Path(__file__).resolve().parents[2] / "data" / "sample")
    return [store[index] for index in range(len(store))]
