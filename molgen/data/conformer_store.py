"""Conformers with the features of their graphs, computed once: a folder of flat arrays.

Molecules are concatenated, and so are the conformers of each; nothing is padded. Arrays are mapped
into memory, so a store may be larger than it. Training needs no chemistry package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from molgen.chem.boltzmann import boltzmann_weights
from molgen.errors import DataError
from molgen.atomic import atomic_folder

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
MILLI: Final = 1000.0

DTYPES: Final[Mapping[str, str]] = {
    "n_atoms": "<u2",
    "n_centres": "<u2",
    "n_conformers": "<u2",
    "held_out": "|b1",
    "atoms": "|u1",
    "pairs": "<u2",
    "centres": "<i2",
    "pos": "<i2",
    "energy": "<f4",
}
"""Arrays of a store; see `ConformerStore`."""


@dataclass(frozen=True)
class StoredGraph:
    """One molecule of a store, as `molgen.chem.graph_features` has it, without its conformers.

    Attributes:
        atoms: ``[N, C]`` uint8.
        pairs: ``[N, N]`` uint16.
        centres: ``[S, 5]`` int16.
    """

    atoms: NDArray[np.uint8]
    pairs: NDArray[np.uint16]
    centres: NDArray[np.int16]


@dataclass(frozen=True)
class ConformerStore:
    """Graphs and conformers of ``G`` molecules.

    Attributes:
        n_atoms: Atoms of each molecule, ``[G]``.
        n_centres: Rows of stereo centres of each, ``[G]``.
        n_conformers: Conformers of each, ``[G]``.
        held_out: Molecules that training leaves out, ``[G]`` bool: a share of all constitutions,
            the same in every store.
        atoms: ``[sum N, C]``.
        pairs: ``[sum N^2]``.
        centres: ``[sum S, 5]``.
        pos: Thousandths of an ångström, centred, ``[sum K N, 3]``.
        energy: kcal/mol above the lowest of the molecule, ``[sum K]``.
    """

    n_atoms: NDArray[np.integer]
    n_centres: NDArray[np.integer]
    n_conformers: NDArray[np.integer]
    held_out: NDArray[np.bool_]
    atoms: NDArray[np.uint8]
    pairs: NDArray[np.uint16]
    centres: NDArray[np.int16]
    pos: NDArray[np.int16]
    energy: NDArray[np.float32]

    @classmethod
    def open(cls, folder: str | Path) -> ConformerStore:
        """Map a store into memory.

        Raises:
            DataError: It is missing, damaged or of another format.
        """
        path = Path(folder)
        try:
            found = json.loads((path / MANIFEST).read_text(encoding="utf-8"))["format"]
            arrays = {name: np.load(path / f"{name}.npy", mmap_mode="r") for name in DTYPES}
        except (OSError, ValueError, KeyError, TypeError) as error:
            hint = "Make it: molgen data prepare conformers --source FILE --out FOLDER"
            raise DataError(f"no store of conformers in {path} ({error})", hint) from None
        if found != FORMAT:
            raise DataError(f"{path} has format {found}", f"This version reads {FORMAT}")
        return cls(**arrays)

    def __len__(self) -> int:
        return len(self.n_atoms)

    def rows(self, *, held_out: bool) -> NDArray[np.int64]:
        """Numbers of the molecules to train on, or of those held out."""
        return np.flatnonzero(np.asarray(self.held_out) == held_out)

    @cached_property
    def _starts(self) -> dict[str, NDArray[np.int64]]:
        n, k = self.n_atoms.astype(np.int64), self.n_conformers.astype(np.int64)
        lengths = {"atoms": n, "pairs": n * n, "centres": self.n_centres, "pos": n * k, "energy": k}
        return {
            name: np.concatenate([[0], np.cumsum(length, dtype=np.int64)])
            for name, length in lengths.items()
        }

    def _part(self, name: str, row: int) -> NDArray[Any]:
        first, last = self._starts[name][row : row + 2]
        return np.asarray(getattr(self, name)[first:last])

    def graph(self, row: int) -> StoredGraph:
        """The graph of a molecule."""
        n = int(self.n_atoms[row])
        pairs = self._part("pairs", row).reshape(n, n)
        return StoredGraph(self._part("atoms", row), pairs, self._part("centres", row))

    def conformers(self, row: int) -> NDArray[np.float32]:
        """All conformers of a molecule, Å, ``[K, N, 3]``."""
        pos = self._part("pos", row).astype(np.float32) / np.float32(MILLI)
        return pos.reshape(-1, int(self.n_atoms[row]), 3)

    def conformer(self, row: int, which: int) -> NDArray[np.float32]:
        """One conformer of a molecule, Å, ``[N, 3]``."""
        n = int(self.n_atoms[row])
        first = int(self._starts["pos"][row]) + which * n
        return np.asarray(self.pos[first : first + n]).astype(np.float32) / np.float32(MILLI)

    def populations(self, row: int, temperature: float) -> NDArray[np.float64]:
        """Boltzmann weights of the conformers of a molecule, ``[K]``."""
        return boltzmann_weights(self._part("energy", row), temperature)


def write_store(folder: Path, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
    """Write a store beside its folder, then put it in its place.

    Args:
        folder: Made where it is missing, replaced where it is there.
        arrays: Everything in `DTYPES`.
        facts: What the manifest says besides.
    """
    with atomic_folder(folder) as beside:
        for name, dtype in DTYPES.items():
            np.save(beside / f"{name}.npy", arrays[name].astype(dtype))
        manifest = json.dumps({"format": FORMAT, **facts}, indent=2)
        (beside / MANIFEST).write_text(manifest + "\n")
