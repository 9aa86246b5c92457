"""Make molgen/reference/qm9.npz, the training set's fingerprint, from a prepared store.

Run: python scripts/make_reference.py [data/qm9]
"""

from __future__ import annotations

import sys
from pathlib import Path

import rdkit

from molgen.chem.constitution import constitution
from molgen.chem.mol import build_mol
from molgen.data.reference import make_reference, save_reference
from molgen.data.statistics import statistics_of_split
from molgen.data.store import MoleculeStore

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    store = MoleculeStore.open(sys.argv[1] if len(sys.argv) > 1 else ROOT / "data" / "qm9")
    smiles = (constitution(build_mol(store[int(index)]).mol) for index in store.split("train"))
    statistics = statistics_of_split(store, "train")
    reference = make_reference("qm9", smiles, statistics, rdkit.__version__)
    out = ROOT / "molgen" / "reference" / "qm9.npz"
    out.parent.mkdir(exist_ok=True)
    save_reference(out, reference)
    n_molecules = statistics.n_molecules
    print(f"{out}: {n_molecules} molecules, {len(reference.hashes)} distinct constitutions")


if __name__ == "__main__":
    main()
