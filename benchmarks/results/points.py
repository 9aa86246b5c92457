"""Rows of the results file, pooled over seeds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.results.cells import DATA
from benchmarks.results.scores import RATES
from benchmarks.schedules.table import Row, number

from molgen.metrics.ceiling import load_ceiling
from molgen.metrics.rate import Rate

WHOLE = "real QM9, whole test split"
KEPT = "real QM9, bonds settled"


@dataclass(frozen=True)
class Point:
    """One line of a table.

    Attributes:
        name: How the weights are called, with their departures from the default plan.
        calls: Network calls per molecule; None for real molecules.
        rows: One per seed.
    """

    name: str
    calls: int | None
    rows: tuple[Row, ...]

    def rate(self, name: str) -> Rate | None:
        """A fraction over all seeds; None where it was not measured."""
        found = [row for row in self.rows if row.get(f"{name}_n")]
        if not found:
            return None
        count, n = (sum(int(row[f"{name}_{end}"]) for row in found) for end in ("count", "n"))
        return Rate(count, n)

    def mean(self, name: str) -> float | None:
        """A number's mean over the seeds; None where it was not measured."""
        found = [number(row, name) for row in self.rows if row.get(name)]
        return sum(found) / len(found) if found else None

    def apart(self, name: str) -> float | None:
        """The largest difference between two seeds; None with fewer than two."""
        found = [number(row, name) for row in self.rows if row.get(name)]
        return max(found) - min(found) if len(found) > 1 else None

    @property
    def n(self) -> str:
        """How many molecules, such as ``3 × 10,000``."""
        sizes = Counter(int(row["n"]) for row in self.rows)
        return " + ".join(f"{k} × {n:,}" if k > 1 else f"{n:,}" for n, k in sizes.items())


def model_points(rows: Iterable[Row]) -> list[Point]:
    """One point per set of weights, plan and number of calls; weights in the order of the file.

    Molecules of a smaller measurement with the same seed are among those of the larger one, which
    alone counts. Different files of one name are told apart by their digests.
    """
    largest: dict[tuple[str, ...], Row] = {}
    for row in rows:
        if row["weights"] == DATA:
            continue
        key = tuple(row[name] for name in ("weights", "digest", "departures", "steps", "seed"))
        if key not in largest or _size(row) > _size(largest[key]):
            largest[key] = row
    digests = {(row["weights"], row["digest"]) for row in largest.values()}
    n_files = Counter(name for name, _ in digests)
    groups: dict[tuple[str, str, str], dict[int, list[Row]]] = {}
    for row in largest.values():
        place = (row["weights"], row["digest"], row["departures"])
        groups.setdefault(place, {}).setdefault(int(row["calls"]), []).append(row)
    return [
        Point(_name(*place, n_files[place[0]]), calls, tuple(by_calls[calls]))
        for place, by_calls in groups.items()
        for calls in sorted(by_calls)
    ]


def real_points(rows: Iterable[Row]) -> list[Point]:
    """Real molecules: the whole test split by its coordinates, and those with settled bonds."""
    kept = [row for row in rows if row["weights"] == DATA]
    points = [Point(WHOLE, None, (_whole(),))]
    return [*points, Point(KEPT, None, (max(kept, key=_size),))] if kept else points


def _name(weights: str, digest: str, departures: str, n_files: int) -> str:
    name = f"`{weights}`"
    if n_files > 1:
        name += f" {digest[:6]}"
    return f"{name}, {departures}" if departures else name


def _size(row: Row) -> tuple[int, int]:
    return int(row["n"]), int(row["relax"])


def _whole() -> Row:
    """The scores that the package ships, by the same code."""
    scores = load_ceiling("qm9").whole
    row = {"n": str(scores["n"]), "relax": "0"}
    for name in RATES:
        if name in scores:
            row |= {f"{name}_{end}": str(scores[name][end]) for end in ("count", "n")}
    return row | {
        "size_tv": str(scores["atom_count_tv"]),
        "element_tv": str(scores["element_tv"]),
    }


def seeds_of(points: Sequence[Point]) -> str:
    """The seeds behind the points, such as ``0, 1, 2``."""
    seeds = {int(row["seed"]) for point in points for row in point.rows}
    return ", ".join(map(str, sorted(seeds)))


def half_width(rate: Rate | None) -> float:
    """Half of a rate's 95 % interval; 0 where there is none."""
    if rate is None:
        return 0.0
    low, high = rate.interval
    return 0.0 if math.isnan(low) else (high - low) / 2
