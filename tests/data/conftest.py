"""Hand-picked QM9 molecules and sources made of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from molgen.data.records import Record
from molgen.data.store import MoleculeStore

Records = dict[str, Record]


@pytest.fixture(scope="session")
def records() -> Records:
    """Molecules of QM9 (CC0) by a name that says why they were picked."""
    raw = json.loads((Path(__file__).parent / "molecules.json").read_text(encoding="utf-8"))
    return {
        name: Record(
            source_index=entry["source_index"],
            atomic_numbers=np.array(entry["atomic_numbers"], dtype=np.uint8),
            pos=np.array(entry["pos"]),
            smiles=entry["smiles"],
        )
        for name, entry in raw.items()
    }


@pytest.fixture(scope="session")
def sample() -> MoleculeStore:
    """The store that the repository carries."""
    return MoleculeStore.open(Path(__file__).resolve().parents[2] / "data" / "sample")


@pytest.fixture
def npz_of(tmp_path: Path) -> Callable[[Sequence[Record]], Path]:
    """Writes records to an ``.npz`` file in the format that `prepare_qm9` reads."""

    def write(chosen: Sequence[Record]) -> Path:
        path = tmp_path / "tiny.npz"
        np.savez(
            path,
            n_atoms=np.array([len(record.atomic_numbers) for record in chosen], dtype=np.uint8),
            Z=np.concatenate([record.atomic_numbers for record in chosen]),
            pos_milliA=np.concatenate(
                [np.rint(record.pos * 1000).astype(np.int16) for record in chosen]
            ),
            smiles=np.array([record.smiles.encode() for record in chosen]),
            index=np.array([record.source_index for record in chosen], dtype=np.int32),
        )
        return path

    return write
