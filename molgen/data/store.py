"""The packed store: a folder of flat arrays that training maps into memory.

Molecules lie one after another; `n_atoms`, `n_bonds` and `n_conformers` tell where each begins. A
molecule is one bond graph with one or more geometries. Positions are thousandths of an ångström,
centred on the mean of the atoms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from molgen.chem.molecule import Molecule
from molgen.data.manifest import Manifest, read_manifest, sha256_of
from molgen.data.splits import SPLITS
from molgen.errors import DataError

DTYPES: Final[dict[str, tuple[type[np.generic], ...]]] = {
    "n_atoms": (np.uint16,),
    "n_bonds": (np.uint16,),
    "n_conformers": (np.uint16,),
    "atomic_numbers": (np.uint8,),
    "formal_charge": (np.int8,),
    "bonds": (np.uint16,),
    "pos_milli_angstrom": (np.int16, np.int32),
    "conformer_weight": (np.float32,),
    "split": (np.uint8,),
    "source_index": (np.int64,),
}
"""The arrays of a store, each in a file of its name, and their types, the smallest that fits."""

PREPARE_HINT: Final = "Run: molgen data prepare NAME"
MAX_COUNT: Final = 65_535  # atoms, bonds or conformers of one molecule
MILLI: Final = 1000.0


@dataclass(frozen=True)
class Entry:
    """One molecule on its way into a store.

    Attributes:
        molecule: Graph, and its first geometry.
        source_index: The source's own number.
        pos: Positions of all its conformers, Å, ``[K, n, 3]``; None for the one of the molecule.
        weight: Of every conformer, ``[K]``, above 0; None for equal ones.
    """

    molecule: Molecule
    source_index: int
    pos: NDArray[np.floating[Any]] | None = None
    weight: NDArray[np.floating[Any]] | None = None

    @property
    def geometries(self) -> NDArray[np.floating[Any]]:
        """Positions of all conformers, ``[K, n, 3]``."""
        return self.molecule.pos[None] if self.pos is None else self.pos

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weights of all conformers, ``[K]``, which sum to 1."""
        weight = np.ones(len(self.geometries)) if self.weight is None else self.weight
        return np.asarray(weight, np.float64) / np.sum(weight)


@dataclass(frozen=True)
class MoleculeStore:
    """A finished store, read through memory maps.

    Attributes:
        path: The folder.
        manifest: What it holds.
        n_atoms: Shape (M,), uint16.
        n_bonds: Shape (M,), uint16.
        n_conformers: Shape (M,), uint16.
        atomic_numbers: Shape (A,), uint8.
        formal_charge: Shape (A,), int8.
        bonds: Rows (i, j, order) with i < j counted within the molecule, shape (B, 3), uint16.
        pos_milli_angstrom: All conformers, one after the other, shape (P, 3), int16 or int32.
        conformer_weight: Shape (C,), float32; those of a molecule sum to 1.
        split_code: Position in `SPLITS`, shape (M,), uint8.
        source_index: The source's own numbers, shape (M,), int64.
        atom_offsets: First atom of each molecule, then A, shape (M + 1,), int64.
        bond_offsets: First bond of each molecule, then B, shape (M + 1,), int64.
        conformer_offsets: First conformer of each molecule, then C, shape (M + 1,), int64.
        pos_offsets: First position of each molecule, then P, shape (M + 1,), int64.
    """

    path: Path
    manifest: Manifest
    n_atoms: NDArray[np.uint16]
    n_bonds: NDArray[np.uint16]
    n_conformers: NDArray[np.uint16]
    atomic_numbers: NDArray[np.uint8]
    formal_charge: NDArray[np.int8]
    bonds: NDArray[np.uint16]
    pos_milli_angstrom: NDArray[np.int16] | NDArray[np.int32]
    conformer_weight: NDArray[np.float32]
    split_code: NDArray[np.uint8]
    source_index: NDArray[np.int64]
    atom_offsets: NDArray[np.int64]
    bond_offsets: NDArray[np.int64]
    conformer_offsets: NDArray[np.int64]
    pos_offsets: NDArray[np.int64]

    @classmethod
    def open(cls, path: str | Path) -> MoleculeStore:
        """Open a store.

        Args:
            path: The folder.

        Raises:
            DataError: The folder is not a finished store: no manifest, another version, a file
                missing or of another size than the manifest says.
        """
        folder = Path(path)
        manifest = read_manifest(folder, PREPARE_HINT)
        arrays = {name: _load(folder, name) for name in DTYPES}
        arrays["split_code"] = arrays.pop("split")
        _check_lengths(folder, arrays)
        return cls(
            path=folder,
            manifest=manifest,
            atom_offsets=offsets_of(arrays["n_atoms"]),
            bond_offsets=offsets_of(arrays["n_bonds"]),
            conformer_offsets=offsets_of(arrays["n_conformers"]),
            pos_offsets=offsets_of(_n_positions(arrays)),
            **arrays,
        )

    def __len__(self) -> int:
        return len(self.n_atoms)

    def __getitem__(self, index: int) -> Molecule:
        """Molecule number `index`, counted from 0 (negative from the end); first conformer."""
        index = self._row(index)
        atoms = slice(self.atom_offsets[index], self.atom_offsets[index + 1])
        bonds = slice(self.bond_offsets[index], self.bond_offsets[index + 1])
        return Molecule(
            atomic_numbers=np.array(self.atomic_numbers[atoms]),
            pos=self.conformers(index)[0],
            formal_charge=np.array(self.formal_charge[atoms]),
            bonds=self.bonds[bonds].astype(np.int16),
        )

    def conformers(self, index: int) -> NDArray[np.float32]:
        """Positions of every conformer of a molecule, Å, ``[K, n, 3]``."""
        index = self._row(index)
        rows = slice(self.pos_offsets[index], self.pos_offsets[index + 1])
        pos = (self.pos_milli_angstrom[rows] / MILLI).astype(np.float32)
        return pos.reshape(-1, int(self.n_atoms[index]), 3)

    def weights(self, index: int) -> NDArray[np.float32]:
        """Weights of the conformers of a molecule, ``[K]``, which sum to 1."""
        index = self._row(index)
        rows = slice(self.conformer_offsets[index], self.conformer_offsets[index + 1])
        return np.array(self.conformer_weight[rows])

    def _row(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"molecule {index} of a store of {len(self)}")
        return index % len(self)

    def split(self, name: str) -> NDArray[np.int64]:
        """Indices of the molecules of ``"train"``, ``"val"`` or ``"test"``, ascending.

        Raises:
            DataError: There is no split of this name.
        """
        if name not in SPLITS:
            raise DataError(f"no split named '{name}'", f"Choose one of: {', '.join(SPLITS)}")
        return np.flatnonzero(self.split_code == SPLITS.index(name))

    def verify(self) -> None:
        """Check every file against its SHA-256.

        Raises:
            DataError: A file's content is not what the manifest says.
        """
        for name, entry in self.manifest.files.items():
            if sha256_of(self.path / name) != entry.sha256:
                raise DataError(f"{self.path / name} is damaged (SHA-256 differs)", PREPARE_HINT)


def pack(entries: Sequence[Entry], split: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """The arrays of a store, positions centred and rounded to 0.001 Å.

    Args:
        entries: M molecules of 1 to 65,535 atoms, bonds and conformers.
        split: Split code of each, shape (M,).

    Raises:
        DataError: A molecule is empty, too large, or has a position that is not finite.
    """
    for entry in entries:
        _check_fits(entry)
    molecules = [entry.molecule for entry in entries]
    places = [_milli_angstrom(entry.geometries).reshape(-1, 3) for entry in entries]
    columns = {
        "n_atoms": [molecule.n_atoms for molecule in molecules],
        "n_bonds": [molecule.n_bonds for molecule in molecules],
        "n_conformers": [len(entry.geometries) for entry in entries],
        "atomic_numbers": _joined([m.atomic_numbers for m in molecules], ()),
        "formal_charge": _joined([m.formal_charge for m in molecules], ()),
        "bonds": _joined([m.bonds for m in molecules], (3,)),
        "pos_milli_angstrom": _joined(places, (3,)),
        "conformer_weight": _joined([entry.weights for entry in entries], ()),
        "split": split,
        "source_index": [entry.source_index for entry in entries],
    }
    reach = max((float(np.abs(place).max(initial=0)) for place in places), default=0.0)
    is_wide = reach > np.iinfo(np.int16).max
    return {
        name: np.asarray(columns[name], dtype=dtypes[-1] if is_wide else dtypes[0])
        for name, dtypes in DTYPES.items()
    }


def stored_pos(pos: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Positions as they come back from a store: centred, to 0.001 Å, shape (n, 3), Å."""
    return (_milli_angstrom(pos) / MILLI).astype(np.float32)


def save_arrays(folder: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write each array to its own ``.npy`` file."""
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)


def _load(folder: Path, name: str) -> NDArray[Any]:
    path = folder / f"{name}.npy"
    try:
        array = np.asarray(np.lib.format.open_memmap(path, mode="r"))
    except (OSError, ValueError):
        raise DataError(f"{path} is not a readable array", PREPARE_HINT) from None
    if array.dtype not in DTYPES[name]:
        raise DataError(f"{path} holds {array.dtype}, not {DTYPES[name][0].__name__}", PREPARE_HINT)
    return array


def _check_lengths(folder: Path, arrays: dict[str, NDArray[Any]]) -> None:
    n_molecules = len(arrays["n_atoms"])
    sums = {
        name: int(arrays[name].sum(dtype=np.int64))
        for name in ("n_atoms", "n_bonds", "n_conformers")
    }
    expected = {
        "n_bonds": (n_molecules,),
        "n_conformers": (n_molecules,),
        "atomic_numbers": (sums["n_atoms"],),
        "formal_charge": (sums["n_atoms"],),
        "bonds": (sums["n_bonds"], 3),
        "pos_milli_angstrom": (int(_n_positions(arrays).sum()), 3),
        "conformer_weight": (sums["n_conformers"],),
        "split_code": (n_molecules,),
        "source_index": (n_molecules,),
    }
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise DataError(f"{folder}: {name} does not fit the other arrays", PREPARE_HINT)


def _n_positions(arrays: dict[str, NDArray[Any]]) -> NDArray[np.int64]:
    """Positions of every molecule, those of all its conformers."""
    if arrays["n_atoms"].shape != arrays["n_conformers"].shape:
        return np.zeros(0, np.int64)
    product: NDArray[np.int64] = arrays["n_atoms"].astype(np.int64) * arrays["n_conformers"]
    return product


def offsets_of(counts: NDArray[Any]) -> NDArray[np.int64]:
    """Where each of some runs begins, and where the last ends, ``[M + 1]``."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _joined(parts: list[NDArray[Any]], row: tuple[int, ...]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros((0, *row))


def _milli_angstrom(pos: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    exact = pos.astype(np.float64)
    centre = exact.mean(axis=-2, keepdims=True)
    scaled: NDArray[np.float64] = np.rint((exact - centre) * MILLI)
    return scaled


def _check_fits(entry: Entry) -> None:
    molecule, n = entry.molecule, len(entry.geometries)
    counts = (molecule.n_atoms, molecule.n_bonds + 1, n)
    if not all(1 <= count <= MAX_COUNT for count in counts):
        size = f"{molecule.n_atoms} atoms, {molecule.n_bonds} bonds and {n} conformers"
        raise DataError(f"molecule {entry.source_index} has {size}, a store takes 1 to {MAX_COUNT}")
    if not np.isfinite(entry.geometries).all():
        raise DataError(f"molecule {entry.source_index} has a position that is not finite")
