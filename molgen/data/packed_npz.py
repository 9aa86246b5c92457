"""Molecules one after the other in the arrays of an ``.npz`` file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from molgen.chem.reading.record import MAX_ATOMS
from molgen.errors import DataError
from molgen.npz_file import read_npz

_PER_ATOM = {"Z": (), "pos_milliA": (3,)}
"""Arrays with a row for each atom, and the shape of a row."""

_KINDS = {"n_atoms": "iu", "Z": "iu", "index": "iu", "pos_milliA": "iuf", "smiles": "SU"}
"""Kinds of numbers, as NumPy abbreviates them."""


def read_packed(path: Path, keys: tuple[str, ...], hint: str) -> dict[str, NDArray[Any]]:
    """Read arrays that fit each other; SMILES become texts.

    Args:
        path: The file.
        keys: Of ``n_atoms`` (M,), ``Z`` (A,), ``pos_milliA`` (A, 3) in thousandths of an ångström,
            ``smiles`` (M,) and ``index`` (M,), with ``n_atoms`` among them.
        hint: What to do about a file that is none.

    Raises:
        DataError: The file cannot be read, or its arrays do not fit.
    """
    arrays = read_npz(path, keys, hint)
    n_atoms = arrays["n_atoms"]
    sizes = n_atoms if n_atoms.ndim == 1 and n_atoms.dtype.kind in "iu" else np.array([-1])
    if len(sizes) and not 0 <= int(sizes.min()) <= int(sizes.max()) <= MAX_ATOMS:
        raise DataError(f"{path}: n_atoms does not say how many atoms each molecule has", hint)
    for key, array in arrays.items():
        rows = int(sizes.sum(dtype=np.int64)) if key in _PER_ATOM else len(sizes)
        is_right = array.shape == (rows, *_PER_ATOM.get(key, ()))
        if not is_right or array.dtype.kind not in _KINDS[key]:
            raise DataError(f"{path}: {key} does not fit n_atoms, or is of another type", hint)
    if "smiles" in arrays and arrays["smiles"].dtype.kind == "S":
        arrays["smiles"] = np.char.decode(arrays["smiles"], "utf-8", errors="replace")
    return arrays
