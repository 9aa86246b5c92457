"""The same scores on real molecules: what a perfect model would reach."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

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
            molecules. By the rule that settles bonds nearly all of these are valid.
    """

    name: str
    command: str
    whole: Scores
    kept: Scores


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
    return Ceiling(raw["name"], raw["command"], raw["whole"], raw["kept"])
