"""Tables and plots of the schedule benchmark: docs/appendix/schedules.md from the CSV files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.schedules.cells import DEFAULT
from benchmarks.schedules.plot import plot_main, plot_panels
from benchmarks.schedules.scores import COLUMNS, NUMBERS, RATES
from benchmarks.schedules.table import RULE, Row, number, pooled, read_rows, way_of
from molgen.metrics.ceiling import load_ceiling

ROOT = Path(__file__).resolve().parents[2]

SHOWN = (
    ("perceived_valid", "valid from coordinates", 3),
    ("connected_valid", "connected valid", 3),
    ("bond_graph_stable_raw", "graph stable, undecoded", 3),
    ("edm_stable", "EDM stable", 3),
    ("unique", "unique", 3),
    ("size_tv", "sizes TV", 3),
    ("element_tv", "elements TV", 3),
    ("length_w1", "lengths W₁ Å", 4),
    ("angle_w1", "angles W₁ °", 2),
    ("torsion_w1", "torsions W₁ °", 1),
)
"""Column, heading and digits of the tables."""

GIVEN = (
    ("ob_stable", "stable (Open Babel, strict)", 3),
    ("perceived_valid", "valid from coordinates", 3),
    ("edm_stable", "EDM stable", 3),
    ("rmsd_to_mmff", "RMSD to MMFF minimum Å", 3),
    ("n_relaxed", "of these relaxed", 0),
    ("length_w1", "lengths W₁ Å", 4),
    ("angle_w1", "angles W₁ °", 2),
    ("torsion_w1", "torsions W₁ °", 1),
)
"""The same where compositions are given."""

COMPOSITION = ("size_tv", "element_tv")
"""Columns that say nothing of a row whose compositions are given."""

NUMERIC = (*(f"{name}{end}" for name in RATES for end in ("", "_low", "_high")), *NUMBERS)

N_WIDE = 5
"""Rows per number of calls in the table of the wide stage."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wide", type=Path, default=Path("results/wide.csv"))
    parser.add_argument("--final", type=Path, default=Path("results/final.csv"))
    parser.add_argument("--given", type=Path, default=Path("results/given.csv"))
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "appendix" / "schedules.md")


def main(options: argparse.Namespace) -> None:
    """Write the report and the plots beside it; files that are missing are left out."""
    wide, final, given = (
        pooled(read_rows(path, COLUMNS), NUMERIC)
        for path in (options.wide, options.final, options.given)
    )
    proven = {(row["steps"], way_of(row)) for row in final}
    shown = [*final, *(row for row in wide if (row["steps"], way_of(row)) not in proven)]
    if not shown:
        raise SystemExit("error: no measurements. Run benchmark.py schedules first")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(report(wide, final, given), encoding="utf-8")
    real = load_ceiling("qm9").whole["perceived_valid"]["value"]
    plot_main(shown, options.out.with_name("schedules"), real)
    plot_panels(shown, options.out.with_name("schedules_panels"))
    print(f"{options.out}: {len(wide)} wide, {len(final)} final, {len(given)} given")


def report(wide: Sequence[Row], final: Sequence[Row], given: Sequence[Row]) -> str:
    """The Markdown page."""
    parts = [_HEAD]
    if final:
        parts += [f"## Finalists\n\n{_protocol(final)} {RULE}\n\n{_by_steps(final, SHOWN)}"]
    if given:
        parts += [f"{_GIVEN_HEAD}\n\n{_protocol(given)}\n\n{_by_steps(given, GIVEN)}"]
    if wide:
        parts += [f"{_WIDE_HEAD}\n\n{_protocol(wide)}\n\n{_by_steps(wide, SHOWN, N_WIDE)}"]
    return "\n\n".join(parts) + "\n"


def _protocol(rows: Sequence[Row]) -> str:
    """How many molecules and seeds stand behind the numbers."""
    model = rows[0]["model"]
    n = " or ".join(sorted({row["n"] for row in rows}, key=int))
    seeds = sorted({row["n_seeds"] for row in rows})
    return f"Weights `{model}`, {n} molecules per seed, {' or '.join(seeds)} seed(s)."


def _by_steps(
    rows: Sequence[Row], columns: Sequence[tuple[str, str, int]], n_most: int | None = None
) -> str:
    """One table per number of calls, the best first by its first column."""
    blocks = []
    for steps in sorted({int(row["steps"]) for row in rows}):
        here = [row for row in rows if int(row["steps"]) == steps]
        here.sort(key=lambda row: (-_known(row, columns[0][0]), way_of(row)))
        kept = [row for row in here[:n_most] if row["schedule"] != DEFAULT]
        kept = [row for row in here if row in kept or row["schedule"] == DEFAULT]
        blocks.append(f"### {steps} network call{'s' * (steps > 1)}\n\n{table(kept, columns)}")
    return "\n\n".join(blocks)


def table(rows: Sequence[Row], columns: Sequence[tuple[str, str, int]]) -> str:
    """Markdown: one line per way, rates with their intervals in the first column."""
    head = ["schedule", "variance", "solver", *(title for _, title, _ in columns)]
    lines = ["| " + " | ".join(head) + " |", "|---" * 3 + "|---:" * len(columns) + "|"]
    for row in rows:
        values = [_value(row, name, digits) for name, _, digits in columns]
        first = columns[0][0]
        if row.get(f"{first}_low"):
            low, high = (number(row, f"{first}{end}") for end in ("_low", "_high"))
            values[0] += f" ({low:.2f}–{high:.2f})"
        way = [f"**{name}**" if name == DEFAULT else name for name in way_of(row)]
        lines.append("| " + " | ".join([*way, *values]) + " |")
    return "\n".join(lines)


def _value(row: Row, name: str, digits: int) -> str:
    if name in COMPOSITION and row["given"] == str(True):
        return "given"
    return f"{number(row, name):.{digits}f}" if row.get(name) else "–"


def _known(row: Row, name: str) -> float:
    return number(row, name) if row.get(name) else -1.0


_HEAD = """# Schedules, total variance and solvers at equal numbers of network calls

Generated by `python -m benchmarks schedules report`; do not edit.

![Validity and bond lengths over the number of network calls](schedules.png)

Every row samples the same molecules' noise with the same weights, and decodes by `map`
([decoding.md](decoding.md)); only the levels at which the
network is called and the rule of a step differ. A step count is a number of network calls: Heun
makes 2 n − 1 in n steps and Runge-Kutta 4(5) 6 n − 5, so they are missing where they cannot make
exactly that many. Levels are uniform in a schedule's own time between its default ends. The
network always sees states of unit total variance: the total variance matters to Euler, Heun and
Runge-Kutta alone, which step in the schedule's own frame; the other solvers step exactly in half
log-SNR and have no such column. Rates are over all molecules, with 95 % Wilson intervals (over
several seeds: the mean of each seed's interval). W₁ is the Wasserstein-1 distance to molecules of
the QM9 test split, mean over kinds weighted by how often real molecules have them; TV is the
total variation to the training set. A dash stands for what was not measured.

![All scores](schedules_panels.png)"""

_GIVEN_HEAD = """## Compositions of test molecules given

The protocol of Kahouli et al. 2025 (arXiv 2502.08598): the elements of test molecules are given
and the coordinates are made. These weights were trained to make both, never with elements given:
the network sees those noised to its own level, on the atoms where they are most probable."""

_WIDE_HEAD = f"""## All combinations

The {N_WIDE} best of each number of calls by validity from coordinates, and the default plan; the
CSV file has all. One seed and few molecules: this stage picks, it does not prove."""
