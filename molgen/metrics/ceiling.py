"""The same scores on real molecules: what a perfect model would reach."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from molgen.errors import DataError

Scores = dict[str, Any]
"""An evaluation as plain numbers (`molgen.metrics.evaluation.Evaluation.to_dict`)."""


@dataclass(frozen=True)
class Ceiling:
    """Scores of real molecules.

    Attributes:
        name: Short name of the data set, such as ``"QM9"``.
        command: The command that measured the scores.
        whole: Scores of the whole test split, by coordinates only.
        kept: Scores of the test molecules that have a settled bond graph; models train on such
            molecules. By the rule that settles bonds nearly all of these are valid. None where
            all have one.
        distributions: `quantiles` of measured columns, by name.
    """

    name: str
    command: str
    whole: Scores
    kept: Scores | None
    distributions: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, Scores]:
        """Scores by what stands above them in a table."""
        if self.kept is None:
            return {self.name: self.whole}
        return {f"{self.name} all": self.whole, f"{self.name} kept": self.kept}

    @property
    def sets(self) -> str:
        """What the columns are of, as a line."""
        if self.kept is None:
            return f"{self.name}: n = {self.whole['n']}"
        return (
            f"{self.name} all: its test split, n = {self.whole['n']}, by coordinates alone; "
            f"{self.name} kept: those with settled bonds, n = {self.kept['n']}"
        )


def quantiles(values: Sequence[float]) -> list[float]:
    """The 101 percentiles from the smallest value to the largest; empty for no values."""
    if not values:
        return []
    return [round(float(one), 4) for one in np.percentile(values, np.arange(101))]


@cache
def load_ceiling(reference: str | None) -> Ceiling | None:
    """The shipped scores of a data set.

    Args:
        reference: Name of the data set.

    Returns:
        None where the package holds none for it.

    Raises:
        DataError: The package is damaged.
    """
    path = files("molgen") / "reference" / f"{reference}_metrics.json"
    if not path.is_file():
        return None
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise DataError(f"{path} is not readable", "Reinstall molgen") from None
    return Ceiling(
        raw["name"], raw["command"], raw["whole"], raw.get("kept"), raw.get("distributions", {})
    )
