"""Conformations of ligands in crystals as an SDF file of heavy atoms, to measure conformers by."""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds

from molgen.atomic import atomic_path
from molgen.chem.conformers.placing import conformer_at
from molgen.chem.skeleton import heavy_atom_matches
from molgen.data.packed_npz import read_packed
from molgen.metrics.torsions import torsions_of

SIZES = (10, 60)
"""Heavy atoms."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("source", type=Path, help=".npz with n_atoms, Z, pos (Å), smiles, title")
    parser.add_argument("--out", type=Path, default=Path("data/crystals.sdf.gz"))
    parser.add_argument(
        "--training", type=Path, nargs="+", required=True, help=".npz whose smiles are left out"
    )
    parser.add_argument("--n", type=int, default=200, help="molecules, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")


def main(options: argparse.Namespace) -> int:
    """Write crystal conformations of molecules that training has not seen."""
    rdBase.DisableLog("rdApp.*")  # type: ignore[no-untyped-call]
    seen = {
        _flat(Chem.MolFromSmiles(text))
        for path in options.training
        for text in read_packed(path, ("n_atoms", "smiles"), "Give training data")["smiles"]
    }
    made = 0
    with atomic_path(options.out) as beside, gzip.open(beside, "wt", encoding="utf-8") as stream:
        writer = Chem.SDWriter(stream)
        for mol in _molecules(options.source, options.seed):
            flat = _flat(mol)
            if flat in seen:
                continue
            seen.add(flat)
            writer.write(mol)
            made += 1
            if made == options.n:
                break
        writer.close()
    print(f"{options.out}: {made} molecules")
    return 0


def _molecules(source: Path, seed: int) -> Iterator[Chem.Mol]:
    """Heavy atoms with bonds of the SMILES, where they fit the positions."""
    with np.load(source) as file:
        n_atoms, numbers, pos, smiles, title = (
            file[name] for name in ("n_atoms", "Z", "pos", "smiles", "title")
        )
    ends = np.cumsum(n_atoms, dtype=np.int64)
    for row in np.random.default_rng(seed).permutation(len(ends)).tolist():
        rows = slice(int(ends[row]) - int(n_atoms[row]), int(ends[row]))
        mol = _laid(smiles[row].decode(), numbers[rows], pos[rows])
        if mol is not None:
            mol.SetProp("_Name", title[row].decode())
            yield mol


def _laid(smiles: str, numbers: NDArray[Any], pos: NDArray[Any]) -> Chem.Mol | None:
    named = Chem.MolFromSmiles(smiles)
    if named is None or "." in smiles or not SIZES[0] <= named.GetNumAtoms() <= SIZES[1]:
        return None
    if not torsions_of(named) or any(atom.GetAtomicNum() == 1 for atom in named.GetAtoms()):
        return None
    bare = Chem.RWMol()
    for number in numbers.tolist():
        bare.AddAtom(Chem.Atom(int(number)))
    bare.AddConformer(conformer_at(pos.astype(np.float64)))
    rdDetermineBonds.DetermineConnectivity(bare)
    for match in heavy_atom_matches(bare.GetMol(), Chem.AddHs(named)):
        laid = Chem.Mol(named)
        laid.AddConformer(conformer_at(pos[[match[k] for k in range(laid.GetNumAtoms())]]))
        there = Chem.Mol(laid)
        Chem.AssignStereochemistryFrom3D(there)
        # Skeletons know no stereo: of all ways to lay one on the other, one must have the right.
        if Chem.MolToSmiles(there) == Chem.MolToSmiles(named):
            return laid
    return None


def _flat(mol: Chem.Mol) -> str:
    return str(Chem.MolToSmiles(mol, isomericSmiles=False))
