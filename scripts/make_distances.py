"""Make molgen/reference/qm9_distances.npz: distances of the training set, by elements and bond.

Run: python scripts/make_distances.py [data/qm9]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from molgen.chem.distances import N_BINS, DistanceCounts, bins_of, save_distances
from molgen.chem.elements import N_BOND_CLASSES, QM9
from molgen.chem.molecule import bond_matrix
from molgen.data.store import MoleculeStore

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    store = MoleculeStore.open(sys.argv[1] if len(sys.argv) > 1 else ROOT / "data" / "qm9")
    counted = count(store)
    out = ROOT / "molgen" / "reference" / "qm9_distances.npz"
    save_distances(out, counted)
    print(f"{out}: {counted.counts.sum() // 2} pairs, {out.stat().st_size} bytes")


def count(store: MoleculeStore) -> DistanceCounts:
    """Count the pairs of the training molecules, every one from both of its ends."""
    numbers = QM9.atomic_numbers
    class_of = np.zeros(max(numbers) + 1, dtype=np.int64)
    class_of[list(numbers)] = range(len(numbers))
    shape = (len(numbers), len(numbers), N_BOND_CLASSES, N_BINS + 1)
    counts = np.zeros(shape, dtype=np.int64)
    for index in store.split("train"):
        molecule = store[int(index)]
        apart = ~np.eye(molecule.n_atoms, dtype=bool)
        element = np.broadcast_to(class_of[molecule.atomic_numbers], apart.shape)
        bond, place = bond_matrix(molecule)[apart], bins_of(molecule.pos)[apart]
        np.add.at(counts, (element.T[apart], element[apart], bond, place), 1)
    return DistanceCounts(numbers, counts)


if __name__ == "__main__":
    main()
