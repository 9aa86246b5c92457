"""What an evaluation checks, from YAML or from options of the command line."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from molgen.config.section import Finite, Section

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


class EvaluationConfig(Section):
    """An evaluation of a file.

    Attributes:
        checks: Keys of `molgen.metrics.checks.table.CHECKS`.
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
