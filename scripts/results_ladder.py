"""The ladder of what each change bought, from docs/ablation.csv."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from molgen.errors import DataError

COLUMNS = (
    *("change", "weights", "steps", "n", "seed", "perceived_valid", "edm_stable"),
    *("bond_graph_stable_raw", "element_tv", "kept", "command", "note"),
)
"""`n` is the number of molecules per seed; empty cells were not measured."""

SHOWN = (
    ("change", "change", "---"),
    ("weights", "weights, plan", "---"),
    ("steps", "calls", "---:"),
    ("n", "n per seed", "---:"),
    ("seed", "seeds", "---"),
    ("perceived_valid", "valid from coordinates", "---:"),
    ("edm_stable", "EDM stable", "---:"),
    ("bond_graph_stable_raw", "graph stable, undecoded", "---:"),
    ("element_tv", "elements TV", "---:"),
    ("kept", "kept", "---"),
    ("note", "note", "---"),
)
"""Column, heading and alignment; the commands stay in the file."""

ABSENT = "–"


def read_ladder(path: Path) -> list[dict[str, str]]:
    """Its rows, in the order of the file.

    Raises:
        DataError: The file is missing or has other columns.
    """
    if not path.is_file():
        raise DataError(f"no file {path}", "Name the file of changes with --ablation")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, strict=True)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise DataError(f"{path} has other columns", f"Use {','.join(COLUMNS)}")
        rows = list(reader)
    for place, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise DataError(f"{path}, row {place}, has not {len(COLUMNS)} cells", "Quote commas")
    return rows


def ladder_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Markdown; a change is named once for the rows that follow each other."""
    lines = ["| " + " | ".join(heading for _, heading, _ in SHOWN) + " |"]
    lines.append("|" + "|".join(align for *_, align in SHOWN) + "|")
    before = ""
    for row in rows:
        cells = [row[name] or ("" if name == "note" else ABSENT) for name, *_ in SHOWN]
        cells[0] = "" if row["change"] == before else row["change"]
        before = row["change"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
