"""Distance statistics of data sets: those that ship, and those that lie beside a store."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from molgen.chem.distances import DistanceStatistics
from molgen.config.dataset import Dataset

DISTANCES_FILE: Final = "distances.npz"

SIGMA: Final = 0.1
ELEMENT_WEIGHT: Final = 0.7
CHARGE_WEIGHT: Final = 4.0
"""Fitted on samples of QM9's models at few calls. Sigma is flat between 0.07 and 0.14 Å. Less
weight of the element head helps the bonds more and takes the elements away from the data's. With a
charge weight of 1 one molecule in ten had a charged atom, against one in a thousand of QM9."""


@cache
def shipped_distances(name: str) -> DistanceStatistics | None:
    """Distance statistics of a data set; None where the package holds none of this name."""
    with as_file(files("molgen") / "reference" / f"{name}_distances.npz") as path:
        return DistanceStatistics.load(path) if path.exists() else None


def distances_of(dataset: Dataset, store: str | Path = "") -> DistanceStatistics | None:
    """Distance statistics of a data set: those that ship, or those beside its store.

    Args:
        dataset: The data set.
        store: Folder of its store.

    Returns:
        None where there are neither: a decoder then goes by the network alone.
    """
    if dataset.reference is not None:
        return shipped_distances(dataset.reference)
    path = Path(store or f"data/{dataset.name}") / DISTANCES_FILE
    return DistanceStatistics.load(path) if path.is_file() else None
