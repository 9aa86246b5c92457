"""What the package knows of the molecules that its models were trained on.

A reference is one small ``.npz`` file in the package: a hash of each constitution in place of the
molecule. Two different constitutions share a 64-bit hash with probability n / 2**64, about 1e-14
for QM9, so a hash that is absent proves novelty and one that is present all but proves the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from molgen.config.dataset import Dataset
from molgen.data.statistics import Statistics
from molgen.errors import DataError
from molgen.did_you_mean import suggestion



REFERENCE_FILE: Final = "reference.npz"
"""Name of the file in a store."""


@dataclass(frozen=True)
class Reference:
    """A training set.

    Attributes:
        name: Name of the data set.
        hashes: Ascending `hash_of` of the distinct constitutions, uint64.
        atom_counts: Number of molecules by number of atoms, hydrogens included.
        element_counts: Number of atoms by atomic number.
        rdkit: Version of RDKit that wrote the SMILES; canonical SMILES may change with it.
    """

    name: str
    hashes: NDArray[np.uint64]
    atom_counts: dict[int, int]
    element_counts: dict[int, int]
    rdkit: str

    def knows(self, constitution: str) -> bool:
        """Whether a molecule is in the training set; a molecule that is not is novel.

        Args:
            constitution: SMILES by `molgen.chem.constitution.constitution`.
        """
        wanted = hash_of(constitution)
        place = int(np.searchsorted(self.hashes, wanted))
        return place < len(self.hashes) and bool(self.hashes[place] == wanted)


def hash_of(constitution: str) -> np.uint64:
    """First 64 bits (little-endian) of the BLAKE2b hash of a SMILES; BLAKE2b is RFC 7693.

    Example:
        >>> hash_of("CCO") == hash_of("CCO"), hash_of("CCO") == hash_of("CCN")
        (np.True_, np.False_)
    """
    digest = hashlib.blake2b(constitution.encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def make_reference(
    name: str, constitutions: Iterable[str], statistics: Statistics, rdkit: str
) -> Reference:
    """The reference of a training set.

    Args:
        name: Name of the data set.
        constitutions: SMILES by `molgen.chem.constitution.constitution`.
        statistics: Of the same molecules.
        rdkit: Version of RDKit that wrote the SMILES.
    """
    hashes = np.unique(np.array([hash_of(smiles) for smiles in constitutions], dtype=np.uint64))
    return Reference(name, hashes, statistics.n_atoms, statistics.elements, rdkit)


def save_reference(path: Path, reference: Reference) -> None:
    """Write a reference to an ``.npz`` file."""
    np.savez(
        path,
        name=np.array(reference.name),
        hashes=reference.hashes,
        atom_counts=_table(reference.atom_counts),
        element_counts=_table(reference.element_counts),
        rdkit=np.array(reference.rdkit),
    )


def shipped_references() -> list[str]:
    """Names of the references in the package."""
    names = (path.name for path in (files("molgen") / "reference").iterdir())
    return sorted(name.removesuffix(".npz") for name in names if name.endswith(".npz") and "_" not in name)


@cache
def load_reference(name: str) -> Reference:
    """A reference by its name, or that of a store.

    Args:
        name: One of the package, or the folder of a store.

    Raises:
        DataError: There is no reference of this name, or its file is missing or damaged.
    """
    if (Path(name) / REFERENCE_FILE).is_file():
        return read_reference(Path(name) / REFERENCE_FILE)
    if name not in (known := shipped_references()):
        raise DataError(f'no reference named "{name}"', suggestion(name, known))
    with as_file(files("molgen") / "reference" / f"{name}.npz") as path:
        return read_reference(path)


def reference_of(dataset: Dataset, store: str | Path = "") -> Reference | None:
    """The reference of a data set: the one that ships, or the one of its store.

    Args:
        dataset: The data set.
        store: Folder of its store.

    Returns:
        None where there is neither.
    """
    if dataset.reference is not None:
        return load_reference(dataset.reference)
    path = Path(store or f"data/{dataset.name}") / REFERENCE_FILE
    return read_reference(path) if path.is_file() else None


def read_reference(path: Path) -> Reference:
    """A reference from its file.

    Raises:
        DataError: The file is missing or is not a reference.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return Reference(
                name=str(archive["name"]) if "name" in archive else path.stem,
                hashes=archive["hashes"],
                atom_counts=dict(archive["atom_counts"].tolist()),
                element_counts=dict(archive["element_counts"].tolist()),
                rdkit=str(archive["rdkit"]),
            )
    except (OSError, ValueError, KeyError, EOFError):
        raise DataError(f"{path} is not a readable reference", "Reinstall molgen") from None


def _table(counts: dict[int, int]) -> NDArray[np.int64]:
    return np.array(sorted(counts.items()), dtype=np.int64).reshape(-1, 2)
