"""The packed store: a folder of flat arrays that training maps into memory.

Molecules lie one after another; `n_atoms` and `n_bonds` tell where each begins. Positions are
thousandths of an ångström, centred on the mean of the atoms, which keeps all of QM9 within 32 MiB.
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

DTYPES: Final[dict[str, Any]] = {
    "n_atoms": np.uint8,
    "atomic_numbers": np.uint8,
    "pos_milli_angstrom": np.int16,
    "formal_charge": np.int8,
    "n_bonds": np.uint8,
    "bonds": np.uint8,
    "split": np.uint8,
    "source_index": np.int32,
}
"""The arrays of a store, each in a file of its name, and their types."""

PREPARE_HINT: Final = "Run: molgen data prepare qm9"
MAX_COUNT: Final = 255  # atoms or bonds of one molecule
MILLI: Final = 1000.0


@dataclass(frozen=True)
class MoleculeStore:
    """A finished store, read through memory maps.

    Attributes:
        path: The folder.
        manifest: What it holds.
        n_atoms: Shape (M,), uint8.
        atomic_numbers: Shape (A,), uint8.
        pos_milli_angstrom: Shape (A, 3), int16.
        formal_charge: Shape (A,), int8.
        n_bonds: Shape (M,), uint8.
        bonds: Rows (i, j, order) with i < j counted within the molecule, shape (B, 3), uint8.
        split_code: Position in `SPLITS`, shape (M,), uint8.
        source_index: The source's own numbers, shape (M,), int32.
        atom_offsets: First atom of each molecule, then A, shape (M + 1,), int64.
        bond_offsets: First bond of each molecule, then B, shape (M + 1,), int64.
    """

    path: Path
    manifest: Manifest
    n_atoms: NDArray[np.uint8]
    atomic_numbers: NDArray[np.uint8]
    pos_milli_angstrom: NDArray[np.int16]
    formal_charge: NDArray[np.int8]
    n_bonds: NDArray[np.uint8]
    bonds: NDArray[np.uint8]
    split_code: NDArray[np.uint8]
    source_index: NDArray[np.int32]
    atom_offsets: NDArray[np.int64]
    bond_offsets: NDArray[np.int64]

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
            atom_offsets=_offsets(arrays["n_atoms"]),
            bond_offsets=_offsets(arrays["n_bonds"]),
            **arrays,
        )

    def __len__(self) -> int:
        return len(self.n_atoms)

    def __getitem__(self, index: int) -> Molecule:
        """Molecule number `index`, counted from 0 (negative from the end)."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"molecule {index} of a store of {len(self)}")
        index %= len(self)
        atoms = slice(self.atom_offsets[index], self.atom_offsets[index + 1])
        bonds = slice(self.bond_offsets[index], self.bond_offsets[index + 1])
        return Molecule(
            atomic_numbers=np.array(self.atomic_numbers[atoms]),
            pos=(self.pos_milli_angstrom[atoms] / MILLI).astype(np.float32),
            formal_charge=np.array(self.formal_charge[atoms]),
            bonds=self.bonds[bonds].astype(np.int16),
        )

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


def pack(
    molecules: Sequence[Molecule],
    split: NDArray[np.uint8],
    source_index: NDArray[np.int32],
) -> dict[str, NDArray[Any]]:
    """The arrays of a store that holds `molecules`, positions centred and rounded to 0.001 Å.

    Args:
        molecules: M molecules of 1 to 255 atoms and at most 255 bonds.
        split: Split code of each, shape (M,).
        source_index: The source's own number of each, shape (M,).

    Raises:
        DataError: A molecule is empty, too large, or reaches beyond 32 Å from its centre.
    """
    for molecule, number in zip(molecules, source_index, strict=True):
        _check_fits(molecule, int(number))
    columns = {
        "n_atoms": [molecule.n_atoms for molecule in molecules],
        "n_bonds": [molecule.n_bonds for molecule in molecules],
        "atomic_numbers": _joined([m.atomic_numbers for m in molecules], ()),
        "pos_milli_angstrom": _joined([_milli_angstrom(m.pos) for m in molecules], (3,)),
        "formal_charge": _joined([m.formal_charge for m in molecules], ()),
        "bonds": _joined([m.bonds for m in molecules], (3,)),
        "split": split,
        "source_index": source_index,
    }
    return {name: np.asarray(columns[name], dtype=dtype) for name, dtype in DTYPES.items()}


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
    if array.dtype != DTYPES[name]:
        raise DataError(f"{path} holds {array.dtype}, not {DTYPES[name]}", PREPARE_HINT)
    return array


def _check_lengths(folder: Path, arrays: dict[str, NDArray[Any]]) -> None:
    n_molecules = len(arrays["n_atoms"])
    n_atoms = int(arrays["n_atoms"].sum(dtype=np.int64))
    n_bonds = int(arrays["n_bonds"].sum(dtype=np.int64))
    expected = {
        "atomic_numbers": (n_atoms,),
        "pos_milli_angstrom": (n_atoms, 3),
        "formal_charge": (n_atoms,),
        "n_bonds": (n_molecules,),
        "bonds": (n_bonds, 3),
        "split_code": (n_molecules,),
        "source_index": (n_molecules,),
    }
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise DataError(f"{folder}: {name} does not fit the other arrays", PREPARE_HINT)


def _offsets(counts: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _joined(parts: list[NDArray[Any]], row: tuple[int, ...]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros((0, *row))


def _milli_angstrom(pos: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    exact = pos.astype(np.float64)
    scaled: NDArray[np.float64] = np.rint((exact - exact.mean(axis=0)) * MILLI)
    return scaled


def _check_fits(molecule: Molecule, number: int) -> None:
    if not 1 <= molecule.n_atoms <= MAX_COUNT or molecule.n_bonds > MAX_COUNT:
        size = f"{molecule.n_atoms} atoms and {molecule.n_bonds} bonds"
        raise DataError(f"molecule {number} has {size}, a store takes 1 to {MAX_COUNT}")
    reach = np.abs(_milli_angstrom(molecule.pos)).max()
    if not reach <= np.iinfo(np.int16).max:
        raise DataError(f"molecule {number} reaches {reach / MILLI:.1f} Å from its centre")
