"""Reader for QM9 packed in one ``.npz`` file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from molgen.data.records import Record, Source
from molgen.data.packed_npz import read_packed

KEYS: Final = ("n_atoms", "Z", "pos_milliA", "smiles", "index")


def npz_source(path: Path) -> Source:
    """QM9 from an ``.npz`` file.

    Args:
        path: A file with ``n_atoms`` (M,), ``Z`` (A,), ``pos_milliA`` (A, 3) in thousandths of
            an ångström, ``smiles`` (M,) as bytes and ``index`` (M,), QM9's own numbers.

    Raises:
        DataError: The file cannot be read or lacks one of these arrays.
    """
    arrays = read_packed(path, KEYS, "Give another --source")
    return Source(path.name, len(arrays["n_atoms"]), lambda: _records(arrays))


def _records(arrays: dict[str, NDArray[Any]]) -> Iterator[Record]:
    ends = np.cumsum(arrays["n_atoms"], dtype=np.int64)
    for row, (n_atoms, end) in enumerate(zip(arrays["n_atoms"].tolist(), ends, strict=True)):
        atoms = slice(end - n_atoms, end)
        yield Record(
            source_index=int(arrays["index"][row]),
            atomic_numbers=arrays["Z"][atoms].astype(np.uint8),
            pos=arrays["pos_milliA"][atoms] / 1000.0,
            smiles=str(arrays["smiles"][row]),
        )
