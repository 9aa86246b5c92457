"""Which schedule, total variance and solver yields what, at equal numbers of network calls."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from benchmarks.schedules.cells import (
    PAPER_SET,
    SCHEDULE_OPTIONS,
    SOLVER_OPTIONS,
    Cell,
    all_ways,
    cells,
)
from benchmarks.schedules.scores import COLUMNS, Bench, measure, new_bench
from benchmarks.schedules.table import append_row, finalists, key_of, read_rows
from molgen.api import load
from molgen.did_you_mean import unknown
from molgen.sampling.progress import progress_bar

ROOT = Path(__file__).resolve().parents[2]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="qm9", help="name or .safetensors file")
    parser.add_argument("--stage", choices=["wide", "final"], default="wide")
    parser.add_argument("--wide", type=Path, help="CSV of the wide stage, to pick finalists from")
    parser.add_argument("--n", type=int, help="molecules per cell; 96, in the final stage 1000")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 3, 4, 6, 8, 12, 20, 50])
    parser.add_argument("--schedules", nargs="+", default=["all"])
    parser.add_argument("--solvers", nargs="+", default=["all"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[100])
    parser.add_argument(
        "--given", choices=["test"], help="give compositions of test molecules, as the paper does"
    )
    parser.add_argument(
        "--reference",
        type=Path,
        default=ROOT / "data" / "qm9",
        help="store of real molecules; its test split is compared with, and gives compositions",
    )
    parser.add_argument("--out", type=Path, help="CSV file; results/STAGE.csv")
    parser.add_argument("--workers", type=int, default=1, help="cells measured at a time")
    parser.add_argument("--budget-minutes", type=float, help="start no cell after this time")


def main(options: argparse.Namespace) -> None:
    """Measure what is missing; print seconds per cell."""
    options.out = options.out or Path("results") / f"{options.stage}.csv"
    done = {key_of(row) for row in read_rows(options.out, COLUMNS)}
    wanted = list(wanted_cells(options))
    missing = [cell for cell in wanted if cell.key not in done]
    began = time.perf_counter()
    n_done = len(wanted) - len(missing)
    n_before = n_done
    with progress_bar("cells", len(wanted), done=n_done) as advance:
        for row in _measured(options, missing, began):
            append_row(options.out, COLUMNS, row)
            n_done += 1
            advance(n_done)
    seconds = time.perf_counter() - began
    rate = f", {seconds / (n_done - n_before):.1f} s per cell" if n_done > n_before else ""
    print(f"{options.out}: {n_done} of {len(wanted)} cells{rate}")


def wanted_cells(options: argparse.Namespace) -> Iterator[Cell]:
    """The cells of a command line.

    Raises:
        SystemExit: A name is unknown, or the final stage lacks the file of the wide one.
    """
    ways = all_ways(
        _chosen("schedule", options.schedules, list(SCHEDULE_OPTIONS)),
        _chosen("solver", options.solvers, list(SOLVER_OPTIONS)),
    )
    n = options.n or (1000 if options.stage == "final" else 96)
    by_steps = dict.fromkeys(options.steps, ways)
    if options.stage == "final":
        if options.wide is None or not options.wide.exists():
            raise SystemExit("error: no file of the wide stage. Give one with --wide")
        by_steps = finalists(read_rows(options.wide, COLUMNS), options.steps)
    elif options.given:
        # The protocol of the paper: its own set, and the default plan of the model.
        by_steps = {steps: [ways[0], *PAPER_SET] for steps in options.steps}
    model = Path(options.model).stem
    return cells(by_steps, options.seeds, n, model, given=options.given is not None)


def _chosen(kind: str, names: Sequence[str], known: Sequence[str]) -> list[str]:
    if list(names) == ["all"]:
        return list(known)
    for name in names:
        if name not in known:
            message, hint = unknown(kind, name, known)
            raise SystemExit(f"error: {message}. {hint}")
    return list(names)


def _measured(
    options: argparse.Namespace, missing: Sequence[Cell], began: float
) -> Iterator[dict[str, str]]:
    """Rows as they are done, while the time lasts."""
    limit = None if options.budget_minutes is None else 60 * options.budget_minutes
    relax = options.given is not None
    setting = (options.model, str(options.reference), relax)
    queue = iter(missing)

    def coming() -> Iterator[Cell]:
        for cell in queue:
            if limit is not None and time.perf_counter() - began > limit:
                return
            yield cell

    if options.workers == 1:
        for cell in coming():
            yield measure(_bench(*setting), cell)
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        yield from _pooled(pool, coming(), setting, options.workers)


def _pooled(
    pool: ProcessPoolExecutor,
    coming: Iterator[Cell],
    setting: tuple[str, str, bool],
    n_workers: int,
) -> Iterator[dict[str, str]]:
    """Keep every worker busy and none waiting for more than the next cell."""
    running: set[Future[dict[str, str]]] = set()
    while True:
        for cell in coming:
            running.add(pool.submit(_work, setting, cell))
            if len(running) == n_workers:
                break
        if not running:
            return
        finished, running = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            yield future.result()


def _work(setting: tuple[str, str, bool], cell: Cell) -> dict[str, str]:
    return measure(_bench(*setting), cell)


@cache
def _bench(model: str, reference: str, relax: bool) -> Bench:
    return new_bench(load(model), Path(reference), relax=relax)
