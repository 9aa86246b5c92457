"""What an evaluation checks, from YAML or from options of the command line."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final, Literal

from pydantic import Field

from molgen.config.section import Finite, Section
from molgen.errors import UsageError

DEFAULT_CHECKS = ("properties", "alerts")
"""Checks beside those of bonds and coordinates that are made unless others are named."""


class Bound(Section):
    """Where a measured value has to lie; a truth counts as 0 or 1.

    Attributes:
        min: The smallest value that passes.
        max: The largest.
    """

    min: Finite | None = None
    max: Finite | None = None


_BOUND: Final = re.compile(r"\s*([a-z_]\w*)\s*(<=|>=|==|<|>)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*")


def parse_bounds(text: str) -> Mapping[str, Bound]:
    """Read ``"qed >= 0.5, alerts == 0"``; a column may have several bounds.

    Raises:
        UsageError: It is no list of bounds.

    Example:
        >>> parse_bounds("weight >= 300, weight <= 500, alerts == 0")
        {'weight': Bound(min=300.0, max=500.0), 'alerts': Bound(min=0.0, max=0.0)}
    """
    bounds: dict[str, Bound] = {}
    for part in text.split(","):
        match = _BOUND.fullmatch(part)
        try:
            number = math.nan if match is None else float(match[3])
        except ValueError:
            number = math.nan
        if match is None or not math.isfinite(number):
            raise UsageError(
                f'"{part.strip()[:60]}" is no bound', 'Type e.g. "qed >= 0.5, alerts == 0"'
            )
        low = number if match[2] != ">" else math.nextafter(number, math.inf)
        high = number if match[2] != "<" else math.nextafter(number, -math.inf)
        given = {"min": low} if ">" in match[2] else {"max": high}
        given = {"min": low, "max": high} if match[2] == "==" else given
        before = bounds.get(match[1], Bound()).model_dump(exclude_none=True)
        bounds[match[1]] = Bound(**{**before, **given})
    return bounds


class EvaluationConfig(Section):
    """An evaluation of a file.

    Attributes:
        checks: Keys of `molgen.chem.checks.table.CHECKS`.
        require: Bounds by column; a record beyond one, or without the value, fails.
        posebusters: PoseBusters' checks; None for none.
        xtb: How many records, the first, to relax in GFN2-xTB; None for none.
        relax: Whether to relax geometries in MMFF94s.
        perception: Who finds bonds in coordinates: RDKit alone, or RDKit and Open Babel. Of two
            valid opinions that with fewer charged atoms counts.
        charge: Total charge of every record; None for that of each one's atoms.
        add_hydrogens: Whether missing hydrogens are added, where its bonds leave room for them.
    """

    checks: tuple[str, ...] = DEFAULT_CHECKS
    require: dict[str, Bound] = Field(default_factory=dict)
    posebusters: Literal["fast", "full"] | None = None
    xtb: int | None = Field(None, ge=1, le=1_000_000)
    relax: bool = True
    perception: Literal["rdkit", "combined"] = "rdkit"
    charge: int | None = Field(None, ge=-100, le=100)
    add_hydrogens: bool = False
