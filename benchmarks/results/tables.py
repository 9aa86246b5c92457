"""Markdown tables of the results page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.results.points import Point, half_width, seeds_of

ABSENT = "–"


@dataclass(frozen=True)
class Column:
    """One score.

    Attributes:
        name: In the file.
        heading: In the table.
        digits: After the point.
        sign: 1 where more is better, -1 where less is, 0 where neither.
    """

    name: str
    heading: str
    digits: int = 3
    sign: int = 1


MAIN = (
    Column("connected_valid", "connected valid, decoded"),
    Column("bond_graph_stable_raw", "graph stable, undecoded"),
    Column("perceived_valid_raw", "valid from coordinates, undecoded"),
    Column("perceived_valid", "valid from coordinates, decoded"),
    Column("edm_stable", "EDM stable, decoded"),
    Column("unique", "unique of valid"),
)

MORE = (
    Column("connected_valid_raw", "connected valid, undecoded"),
    Column("bond_graph_stable", "graph stable, decoded"),
    Column("bond_graph_atom_stable_raw", "graph: atoms stable, undecoded", 4),
    Column("graphs_agree", "graph agrees with coordinates"),
    Column("edm_stable_raw", "EDM stable, undecoded"),
    Column("edm_atom_stable", "EDM: atoms stable", 4),
    Column("edm_valid", "EDM valid"),
    Column("edm_valid_unique", "EDM valid × unique"),
    Column("novel", "novel of unique", sign=0),
)

DISTANCES = (
    Column("size_tv", "sizes TV", 4, -1),
    Column("element_tv", "elements TV", 4, -1),
    Column("ring_tv", "ring sizes TV", 4, -1),
    Column("ring_count_tv", "numbers of rings TV", 4, -1),
    Column("length_w1", "lengths W₁ Å", 4, -1),
    Column("angle_w1", "angles W₁ °", 2, -1),
    Column("torsion_w1", "torsions W₁ °", 2, -1),
    Column("gyration_w1", "radii of gyration W₁ Å", 3, -1),
    Column("rmsd_median", "RMSD to MMFF minimum Å", 3, -1),
    Column("heavy_rmsd_median", "… heavy atoms Å", 3, -1),
    Column("strain_median", "strain kcal/mol", 1, -1),
    Column("n_relaxed", "relaxed", 0, 0),
)


def main_table(models: Sequence[Point], real: Sequence[Point]) -> str:
    """The rates that count, with their intervals."""

    def cell(point: Point, column: Column) -> str:
        rate = point.rate(column.name)
        if rate is None or not rate.n:
            return ABSENT
        low, high = (f"{end:.{column.digits}f}" for end in rate.interval)
        return f"{_marked(models, point, column, _rate)} ({low}–{high})"

    return f"{_table(models, real, MAIN, cell)}\n\n{_protocol(models)}"


def more_table(models: Sequence[Point], real: Sequence[Point]) -> str:
    """The other rates, with the widest interval among them."""

    def cell(point: Point, column: Column) -> str:
        return _marked(models, point, column, _rate)

    rates = [point.rate(column.name) for point in models for column in MORE]
    widest = max(map(half_width, rates), default=0.0)
    note = f"The 95 % intervals of the models' rates reach at most {widest:.3f} to either side."
    return f"{_table(models, real, MORE, cell)}\n\n{note}"


def distance_table(models: Sequence[Point], real: Sequence[Point]) -> str:
    """Distances from real molecules and geometry, means over the seeds."""

    def cell(point: Point, column: Column) -> str:
        return _marked(models, point, column, Point.mean)

    text = _table(models, real, DISTANCES, cell)
    apart = [[point.apart(column.name) for point in models] for column in DISTANCES]
    if any(value is not None for values in apart for value in values):
        largest = [max((v for v in values if v is not None), default=None) for values in apart]
        shown = [_text(v, column) for v, column in zip(largest, DISTANCES, strict=True)]
        text += "\n" + _line(["*seeds apart, at most*", "", "", *shown])
    return text


def speed_table(models: Sequence[Point]) -> str:
    """Molecules per second of each kind of hardware, with solver and noise levels.

    Rows without a time, such as those measured beside other work, do not count.
    """
    head = [
        "weights",
        "calls",
        "solver",
        "noise levels Å (× τ)",
        "molecules per second",
        "hardware",
    ]
    lines = [_line([*head, "judges beside", "MB"]), "|---|---:|---|---|---:|---|---:|---:|"]
    for point in models:
        timed = [row for row in point.rows if row["seconds_sampling"]]
        for hardware, workers in dict.fromkeys((r["hardware"], r["workers"]) for r in timed):
            rows = [r for r in timed if (r["hardware"], r["workers"]) == (hardware, workers)]
            seconds = sum(float(row["seconds_sampling"]) for row in rows)
            speed = sum(int(row["n"]) for row in rows) / seconds
            sigma = ", ".join(rows[0]["sigma"].split())
            beside = str(int(workers) if int(workers) > 1 else 0)
            place = [point.name, str(point.calls), rows[0]["solver"], sigma]
            cells = [*place, f"{speed:,.{0 if speed >= 100 else 1}f}", hardware, beside]
            lines.append(_line([*cells, rows[0]["megabytes"]]))
    return "\n".join(lines)


def _protocol(models: Sequence[Point]) -> str:
    names = ", ".join(dict.fromkeys(point.name for point in models))
    return (
        f"Weights {names}; seed {seeds_of(models)}. n is seeds × molecules asked for, none left "
        "out; counts are added over the seeds, in brackets 95 % Wilson intervals. Bold: the best "
        "of a column."
    )


def _table(
    models: Sequence[Point],
    real: Sequence[Point],
    columns: Sequence[Column],
    cell: Callable[[Point, Column], str],
) -> str:
    lines = [_line(["weights", "calls", "n", *(column.heading for column in columns)])]
    lines.append("|---|---:|---:|" + "---:|" * len(columns))
    for point in (*models, *real):
        calls = ABSENT if point.calls is None else str(point.calls)
        lines.append(_line([point.name, calls, point.n, *(cell(point, one) for one in columns)]))
    return "\n".join(lines)


def _marked(
    models: Sequence[Point],
    point: Point,
    column: Column,
    value_of: Callable[[Point, str], float | None],
) -> str:
    """A value, bold where no model's is better at the digits that are shown."""
    value = value_of(point, column.name)
    shown = _text(value, column)
    if value is None or not column.sign or point.calls is None:
        return shown
    values = [value_of(one, column.name) for one in models]
    best = max(column.sign * other for other in values if other is not None)
    return f"**{shown}**" if shown == _text(column.sign * best, column) else shown


def _rate(point: Point, name: str) -> float | None:
    rate = point.rate(name)
    return rate.value if rate is not None and rate.n else None


def _text(value: float | None, column: Column) -> str:
    return ABSENT if value is None else f"{value:.{column.digits}f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
