"""The CSV file of measurements: append-only, resumable, and what is picked from it."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.schedules.cells import CELL_COLUMNS, DEFAULT, PAPER_SET

Row = Mapping[str, str]

LEAST_UNIQUE = 0.9
"""A way of sampling that repeats itself more than this is no finalist."""

RULE = (
    "For each number of calls the three combinations with the highest validity from coordinates "
    f"among those with uniqueness of at least {LEAST_UNIQUE}; ties go to the smaller distance of "
    "bond lengths. To these come the model's default plan and the paper's comparison set. What "
    "was not measured is not shown."
)
"""How finalists are picked, in words for the report."""


def number(row: Row, column: str) -> float:
    """A cell as a number; NaN where it is empty or missing."""
    return float(row.get(column) or "nan")


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of an earlier run; a last line that a kill cut short is removed from the file.

    Raises:
        SystemExit: The file has other columns.
    """
    if not path.exists():
        return []
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        path.write_bytes(whole)
    if not whole:
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if list(reader.fieldnames or ()) != list(columns):
            raise SystemExit(f"error: {path} has other columns. Choose another --out")
        return list(reader)


def append_row(path: Path, columns: Sequence[str], row: Row) -> None:
    """Write one row at the end; the first one brings the header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists() or path.stat().st_size == 0
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n", restval="")
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def key_of(row: Row) -> tuple[str, ...]:
    """The cell that a row belongs to."""
    return tuple(row[name] for name in CELL_COLUMNS)


def way_of(row: Row) -> tuple[str, str, str]:
    """Schedule, total variance and solver of a row."""
    return row["schedule"], row["tv"], row["solver"]


def finalists(
    rows: Iterable[Row], steps: Sequence[int], n_best: int = 3
) -> dict[int, list[tuple[str, str, str]]]:
    """What the final stage measures, by number of calls; see `RULE`.

    Args:
        rows: Of the wide stage.
        steps: Numbers of calls.
        n_best: Winners per number of calls.

    Returns:
        The default plan, the paper's set and the winners, each once, in this order.
    """
    chosen: dict[int, list[tuple[str, str, str]]] = {}
    known = list(rows)
    for count in steps:
        here = [
            row
            for row in known
            if int(row["steps"]) == count
            and row["schedule"] != DEFAULT
            and number(row, "unique") >= LEAST_UNIQUE
        ]
        ranked = sorted(here, key=_rank)
        winners = list(dict.fromkeys(way_of(row) for row in ranked))[:n_best]
        chosen[count] = list(dict.fromkeys([(DEFAULT, "-", DEFAULT), *PAPER_SET, *winners]))
    return chosen


def _rank(row: Row) -> tuple[float, float, tuple[str, str, str]]:
    length = number(row, "length_w1")
    return (
        -number(row, "perceived_valid"),
        math.inf if math.isnan(length) else length,
        way_of(row),
    )


def pooled(rows: Iterable[Row], columns: Sequence[str]) -> list[dict[str, str]]:
    """Mean over the seeds of each combination, with the mean intervals and the number of seeds.

    Args:
        rows: Any rows.
        columns: Numeric columns to average.
    """
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["given"], row["steps"], *way_of(row)), []).append(row)
    return [
        {**group[0], "n_seeds": str(len(group))}
        | {column: _mean([number(row, column) for row in group]) for column in columns}
        for group in groups.values()
    ]


def _mean(values: Sequence[float]) -> str:
    found = [value for value in values if math.isfinite(value)]
    return f"{sum(found) / len(found):.5g}" if found else ""
