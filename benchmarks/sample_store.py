"""Make data/sample and data/sample.sdf: 300 molecules of QM9's test split.

python -m benchmarks sample-store [data/qm9]
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from rdkit import Chem

from molgen.chem.mol import build_mol
from molgen.data import splits
from molgen.data.manifest import file_entry, sha256_of, write_manifest
from molgen.data.store import Entry, MoleculeStore, pack, save_arrays

ROOT = Path(__file__).resolve().parents[1]
N_SAMPLE = 300
SPLIT_RULE = (
    "all from QM9's test split; within the sample number 8 of every ten is val, number 9 test, "
    "the others train"
)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", type=Path, nargs="?", default=ROOT / "data" / "qm9")


def main(options: argparse.Namespace) -> None:
    """Choose, write."""
    store = MoleculeStore.open(options.store)
    test = store.split("test")
    chosen = test[np.linspace(0, len(test) - 1, N_SAMPLE).round().astype(int)]
    write_store(store, chosen, ROOT / "data" / "sample")
    write_sdf(store, chosen, ROOT / "data" / "sample.sdf")
    print(f"data/sample.sdf {sha256_of(ROOT / 'data' / 'sample.sdf')}")


def write_store(store: MoleculeStore, chosen: np.ndarray, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    places = np.arange(len(chosen)) % 10
    codes = np.where(places == 8, 1, np.where(places == 9, 2, 0)).astype(np.uint8)
    numbers = store.source_index[chosen].tolist()
    rows = zip(chosen.tolist(), numbers, strict=True)
    arrays = pack([Entry(store[row], number) for row, number in rows], codes)
    save_arrays(folder, arrays)
    n_atoms, n_bonds = len(arrays["atomic_numbers"]), len(arrays["bonds"])
    manifest = replace(
        store.manifest,
        source=f"{len(chosen)} molecules of the test split of {store.manifest.source}",
        split_rule=SPLIT_RULE,
        counts={"kept": len(chosen), "atoms": n_atoms, "bonds": n_bonds, "conformers": len(chosen)},
        left_out={},
        splits=splits.sizes(codes),
        files={path.name: file_entry(path) for path in sorted(folder.iterdir())},
    )
    write_manifest(folder, manifest)


def write_sdf(store: MoleculeStore, chosen: np.ndarray, path: Path) -> None:
    with Chem.SDWriter(str(path)) as writer:
        for index in chosen:
            mol = build_mol(store[int(index)]).mol
            mol.SetProp("_Name", f"qm9_{store.source_index[index]:06d}")
            writer.write(mol)
