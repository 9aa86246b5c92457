"""Tables between the markers of docs/appendix/results.md, and its figure."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

from benchmarks.results.cells import COLUMNS
from benchmarks.results.plot import plot_results
from benchmarks.results.points import Point, model_points, real_points
from benchmarks.results.published import published_tables
from benchmarks.results.tables import distance_table, main_table, more_table, speed_table
from benchmarks.schedules.table import read_rows

from molgen.errors import DataError

ROOT = Path(__file__).resolve().parents[2]

UNMEASURED = "*Not measured yet: `python -m benchmarks results measure`.*"


def add_options(parser: argparse.ArgumentParser) -> None:
    rows = ROOT / "benchmarks" / "data" / "results.csv"
    parser.add_argument("rows", type=Path, nargs="?", default=rows)
    page = ROOT / "docs" / "appendix" / "results.md"
    parser.add_argument("--page", type=Path, default=page)
    picture = ROOT / "docs" / "results.png"
    parser.add_argument("--picture", type=Path, default=picture)


def main(options: argparse.Namespace) -> None:
    """Fill the page's markers; the prose between them stays."""
    rows = read_rows(options.rows, COLUMNS)
    models, real = model_points(rows), real_points(rows)
    figure = options.picture
    parts = {
        **_measured(models, real, figure),
        "published": published_tables(),
    }
    if not options.page.is_file():
        raise DataError(f"no page {options.page}", "Name a page with markers with --page")
    page = filled(options.page.read_text(encoding="utf-8"), parts)
    if models:
        plot_results(models, real, figure)
    options.page.write_text(page, encoding="utf-8")
    print(f"{options.page}: {len(rows)} rows, {len(models)} points")


def _measured(models: list[Point], real: list[Point], figure: Path) -> dict[str, str]:
    names = ("figure", "main", "more", "distances", "speed")
    if not models:
        return dict.fromkeys(names, UNMEASURED) | {"figure": ""}
    text = "Validity and stability over the number of network calls"
    return {
        "figure": f"![{text}](../{figure.name})",
        "main": main_table(models, real),
        "more": more_table(models, real),
        "distances": distance_table(models, real),
        "speed": speed_table(models),
    }


def filled(page: str, parts: Mapping[str, str]) -> str:
    """A page with each part between its markers ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.

    Raises:
        DataError: A part has no markers, or markers have no part.
    """
    named = re.findall(r"<!-- begin (\S+) -->", page)
    if sorted(named) != sorted(parts):
        odd = ", ".join(sorted(set(named) ^ set(parts)) or named)
        raise DataError(f"markers and tables differ: {odd}", "Each table needs its markers, once")
    for name, part in parts.items():
        pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
        body = f"\n{part}\n\n" if part else ""
        page, n = re.subn(pattern, lambda m, b=body: m[1] + b + m[2], page, flags=re.DOTALL)
        if n != 1:
            raise DataError(f"the markers of {name} do not match", "Give it a begin and an end")
    return page
