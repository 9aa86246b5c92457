"""Distance statistics that come with the package, by the data set they were counted in."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files

from molgen.chem.distances import DistanceStatistics


@cache
def shipped_distances(name: str) -> DistanceStatistics | None:
    """Distance statistics of a data set; None where the package holds none of this name."""
    with as_file(files("molgen") / "reference" / f"{name}_distances.npz") as path:
        return DistanceStatistics.load(path) if path.exists() else None
