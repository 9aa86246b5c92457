"""Published scores on QM9, as their papers print them; none was measured here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One model as a paper reports it.

    Attributes:
        model: Its name, with the arXiv number where known.
        calls: Network calls per molecule, in words where they are no number.
        atoms: Fraction of stable atoms.
        molecules: Fraction of stable molecules.
        valid: Fraction of valid molecules, or None.
        unique: Fraction that is valid and unique (distance table) or unique (own bonds), or None.
        source: ``paper`` for a number read in a paper that prints it, ``quoted`` for one read in a
            work that quotes such a paper.
    """

    model: str
    calls: str
    atoms: float | None
    molecules: float
    valid: float | None
    unique: float | None
    source: str


BY_DISTANCE = (
    Published("real QM9, as GeoLDM prints it", "–", 0.990, 0.952, 0.977, 0.977, "paper"),
    Published("E-NF", "ODE solver", 0.850, 0.049, 0.402, 0.394, "paper"),
    Published("G-SchNet", "one per atom", 0.957, 0.681, 0.855, 0.803, "paper"),
    Published("GDM-aug", "1000", 0.976, 0.716, 0.904, 0.895, "paper"),
    Published("EDM (2203.17003)", "1000", 0.987, 0.820, 0.919, 0.907, "paper"),
    Published("EDM-Bridge", "1000", 0.988, 0.846, 0.920, 0.907, "paper"),
    Published("GeoLDM (2305.01140)", "1000", 0.989, 0.894, 0.938, 0.927, "paper"),
    Published("UniGEM", "1000", 0.990, 0.898, 0.950, None, "quoted"),
    Published("GeoBFN", "100", 0.986, 0.872, 0.930, 0.915, "quoted"),
    Published("MolFLAE", "100", 0.994, 0.920, 0.968, None, "quoted"),
    Published("FlashMol (2605.07020)", "4 or 8, not stated", None, 0.708, None, None, "quoted"),
    Published("EQUIMF (2604.08189)", "few, not stated", 0.989, 0.930, None, None, "quoted"),
)
"""Bonds from the distance table of EDM; the last column is valid and unique over all."""

BY_OWN_BONDS = (
    Published("MiDi", "500", 0.998, 0.975, 0.979, 0.976, "quoted"),
    Published("EQGAT-diff (2309.17296)", "500", 0.999, 0.987, 0.990, 1.000, "quoted"),
    Published("FlowMol", "100", 0.997, 0.962, 0.973, None, "quoted"),
    Published("SemlaFlow (2406.07266)", "100", 0.999, 0.997, 0.994, 0.954, "quoted"),
    Published("SSD-Flow", "20 to 100", 0.999, 0.999, 1.000, 1.000, "quoted"),
)
"""Bonds that the model itself writes, with a table of allowed valences."""


def published_tables() -> str:
    """Both tables with their conventions."""
    return f"""{_BY_DISTANCE}

{_table(BY_DISTANCE, "valid and unique")}

{_BY_OWN_BONDS}

{_table(BY_OWN_BONDS, "unique")}"""


def _table(rows: Sequence[Published], unique: str) -> str:
    head = ["model", "calls", "atoms stable", "molecules stable", "valid", unique, "number from"]
    lines = ["| " + " | ".join(head) + " |", "|---|---:|" + "---:|" * 4 + "---|"]
    for row in rows:
        values = (row.atoms, row.molecules, row.valid, row.unique)
        shown = ["–" if value is None else f"{value:.3f}" for value in values]
        lines.append("| " + " | ".join([row.model, row.calls, *shown, row.source]) + " |")
    return "\n".join(lines)


_BY_DISTANCE = (
    '**By the distance table** (bonds by EDM\'s table of lengths, no charges; "valid": the largest '
    'fragment sanitises). The columns "EDM stable", "EDM: atoms stable", "EDM valid" and "EDM '
    'valid × unique" above follow this convention. Published ones are over 10,000 molecules each.'
)

_BY_OWN_BONDS = (
    "**By the model's own bonds** (valences of the bonds that the model writes, as MiDi, "
    'EQGAT-diff and SemlaFlow count them). "Graph stable, undecoded" above is the nearest column; '
    "its table of valences is another one (`molgen/chem/valence.py`). Neither says anything of "
    "the geometry, and the two tables here cannot be compared with each other."
)
