"""Compare baselines with this package's models: quality against network calls, one judge for all.

    python -m benchmarks baselines ours=runs/qm9/model.safetensors runs/edm/model.safetensors

Everybody is sampled on equal numbers of atoms and equal noise by the solver of its own recipe, and
judged by elements and coordinates alone: bonds are perceived, own ones are not looked at, and an
element is its atom's most probable one. Rows that the CSV file has are kept; --solver samples the
baselines in another way, in rows of their own.
"""

from __future__ import annotations

import argparse
import hashlib
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.schedules.table import append_row, read_rows
from molgen.baselines.build import plan_of
from molgen.baselines.checkpoint import DOMAIN, load_baseline
from molgen.baselines.sampler import draw as draw_baseline
from molgen.checkpoint import find_model, load_model, read_tree
from molgen.chem.decode import decode_argmax
from molgen.chem.molecule import Molecule
from molgen.cores import available_cores
from molgen.data.reference import load_reference
from molgen.errors import MolgenError
from molgen.flow.plan import Plan
from molgen.metrics.evaluate import evaluate
from molgen.metrics.rate import Rate
from molgen.sampling.plan import default_plan
from molgen.sampling.sampler import draw as draw_molecules

Row = dict[str, str]

RATES: Mapping[str, str] = {
    "edm_atom_stable": "atoms stable by distance",
    "edm_stable": "molecules stable by distance",
    "perceived_valid": "valid from coordinates",
    "unique": "distinct of valid",
}
"""Fractions and their columns in the table; atoms of one molecule are not independent."""

KEY = ("model", "digest", "solver", "calls", "seed", "n")
RUN = ("parameters", "trained_seconds", "trained_molecules", "trained_on", "precision")
COLUMNS = (
    *KEY,
    *(f"{name}{end}" for name in RATES for end in ("", "_low", "_high", "_n")),
    "element_tv",
    *("seconds_sampling", "hardware", *RUN, "command"),
)

INTRODUCTION = """# Baselines in the same time

Published recipes (`configs/baselines/`, [recipes.md](recipes.md)) and this package's models on the
same data, judged by elements and coordinates alone: bonds are perceived, own ones are not looked
at, an element is its atom's most probable one. Equal seeds give everybody equal sizes and noise.
Brackets are 95 % Wilson intervals; those of atoms are too narrow, for atoms of one molecule are
not independent."""

DATA = Path(__file__).resolve().parent / "data"


@dataclass(frozen=True)
class Contestant:
    """A model that takes part.

    Attributes:
        name: What it is called in the table.
        facts: Cells that are the same in all of its rows.
        plan: Solver and grid for a number of calls.
        draw: The first molecules of a seed by a plan.
    """

    name: str
    facts: Row
    plan: Callable[[int], Plan]
    draw: Callable[[Plan, int, int], list[Molecule]]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "weights", nargs="+", help="shipped models or .safetensors files; NAME=FILE names them"
    )
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 8, 20, 50, 100])
    parser.add_argument("--n", type=int, default=1000, help="molecules per number of calls")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--solver", help="another solver for baselines, such as ddim")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--workers", type=int, default=available_cores(), help="processes that judge"
    )
    parser.add_argument("--csv", type=Path, default=DATA / "baselines.csv")
    parser.add_argument("--markdown", type=Path, help="the table; default: beside the CSV, .md")


def contestant(text: str, options: argparse.Namespace) -> Contestant:
    """The model of ``NAME=FILE``, ``FILE`` or a shipped name."""
    name, named, file = text.partition("=")
    path = find_model(file if named else text)
    tree = read_tree(path)
    is_baseline = tree.get("domain") == DOMAIN
    make = _baseline if is_baseline else _own
    return make(name if named else str(tree["name"]), path, options)


def _baseline(name: str, path: Path, options: argparse.Namespace) -> Contestant:
    loaded = load_baseline(path, options.device)
    return Contestant(
        name,
        _facts(path, loaded, options),
        lambda steps: plan_of(loaded.info.config, steps, options.solver),
        lambda plan, n, seed: list(draw_baseline(loaded, range(n), plan, seed=seed)),
    )


def _own(name: str, path: Path, options: argparse.Namespace) -> Contestant:
    loaded = load_model(path, options.device)

    def draw(plan: Plan, n: int, seed: int) -> list[Molecule]:
        drawn = draw_molecules(loaded, range(n), plan=plan, seed=seed)
        return [decode_argmax(one.beliefs) for one in drawn]

    facts = _facts(path, loaded, options)
    return Contestant(name, facts, lambda steps: default_plan(loaded.info, steps), draw)


def _facts(path: Path, loaded: Any, options: argparse.Namespace) -> Row:
    weights, training = list(loaded.model.parameters()), loaded.info.training
    return {
        "digest": hashlib.blake2b(path.read_bytes(), digest_size=4).hexdigest(),
        "seed": str(options.seed),
        "n": str(options.n),
        "hardware": str(weights[0].device),
        "parameters": str(sum(weight.numel() for weight in weights)),
        "trained_seconds": f"{training.get('seconds', 0):.0f}",
        "trained_molecules": str(training.get("molecules", "")),
        "trained_on": str(training.get("hardware", "")),
        "precision": loaded.info.config.train.precision,
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
    }


def measure(who: Contestant, plan: Plan, row: Row, workers: int) -> Row:
    """One row: sample, then judge by elements and coordinates."""
    n, seed = int(row["n"]), int(row["seed"])
    began = time.perf_counter()
    molecules = who.draw(plan, n, seed)
    seconds = time.perf_counter() - began
    reference = load_reference("qm9")
    found = evaluate(molecules, reference, has_bonds=False, relax=False, n_workers=workers)
    rates: dict[str, Rate] = {name: getattr(found, name) for name in RATES}
    cells = {"seconds_sampling": f"{seconds:.2f}", "element_tv": f"{found.element_tv:.4f}"}
    for name, rate in rates.items():
        if rate.n:
            numbers = (rate.value, *rate.interval)
            ends = zip(("", "_low", "_high"), numbers, strict=True)
            cells |= {f"{name}{end}": f"{number:.4f}" for end, number in ends}
        cells[f"{name}_n"] = str(rate.n)
    return {**row, **cells}


def table(rows: Sequence[Row]) -> str:
    """The page: how the models came about, and what they do."""
    runs = {(row["model"], row["digest"]): row for row in rows}
    facts = ("parameters", "minutes of training", "molecules seen", "precision", "on")
    lines = [INTRODUCTION, "", *_head("model", *facts)]
    for row in runs.values():
        minutes = f"{float(row['trained_seconds']) / 60:.1f}"
        seen = row["trained_molecules"]
        cells = (row["model"], row["parameters"], minutes, seen, row["precision"])
        lines.append(_line(*cells, row["trained_on"]))
    titles = [*list(RATES.values()), "elements, TV"]
    lines += ["", *_head("model", "solver", "calls", *titles, "n", "seed")]
    for row in rows:
        rates = [_rate(row, name) for name in RATES]
        start = (row["model"], row["solver"], row["calls"])
        lines.append(_line(*start, *rates, row["element_tv"], row["n"], row["seed"]))
    commands = dict.fromkeys(row["command"] for row in rows)
    return "\n".join([*lines, "", "```bash", *commands, "```", ""])


def _rate(row: Row, name: str) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    return f"{float(value):.3f} ({float(low):.3f}–{float(high):.3f})" if value else "–"


def _head(*titles: str) -> list[str]:
    return [_line(*titles), "|" + " --- |" * len(titles)]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main(options: argparse.Namespace) -> None:
    done = {tuple(row[name] for name in KEY) for row in read_rows(options.csv, COLUMNS)}
    try:
        for who in [contestant(text, options) for text in options.weights]:
            for steps in options.steps:
                plan = who.plan(steps)
                row = {"model": who.name, "solver": plan.solver.name, "calls": str(steps)}
                row |= who.facts
                if tuple(row[name] for name in KEY) in done:
                    continue
                found = measure(who, plan, row, options.workers)
                append_row(options.csv, COLUMNS, found)
                score = found["perceived_valid"]
                print(f"{who.name}, {steps} calls: {score} valid from coordinates", flush=True)
    except MolgenError as error:
        raise SystemExit(f"error: {error}") from None
    markdown = options.markdown or options.csv.with_suffix(".md")
    markdown.write_text(table(read_rows(options.csv, COLUMNS)), encoding="utf-8")
