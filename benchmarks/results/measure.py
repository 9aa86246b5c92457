"""Sample with the default plan of the weights, judge every molecule, append one row per seed."""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from pathlib import Path

from benchmarks.results.cells import COLUMNS, Cell, Setting, cells, key_of
from benchmarks.results.scores import Made, judge
from rich.progress import Progress
from benchmarks.schedules.table import append_row, read_rows

from molgen.cores import available_cores
from molgen.flow.plan_options import PlanOptions
from molgen.sampling.progress import new_bar

ROOT = Path(__file__).resolve().parents[2]

Row = dict[str, str]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        nargs="+",
        action="extend",
        default=[],
        metavar="WEIGHTS",
        help="shipped models or .safetensors files, NAME=FILE to name them in the tables; "
        "without any, real molecules alone",
    )
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 8, 20])
    parser.add_argument("--n", type=int, default=10_000, help="molecules per seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--relax", type=int, default=1000, help="molecules of each cell relaxed in the force field"
    )
    parser.add_argument("--solver", help="another solver than the default, as in molgen sample")
    parser.add_argument("--grid", help="another grid than the default, as in molgen sample")
    parser.add_argument(
        "--heads-alone",
        action="store_true",
        help="leave out what brings a last call's classes to terms (molgen.nn.valence_bp)",
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--warm-up", type=int, default=0, help="molecules drawn before the clock starts"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=available_cores(),
        help="processes that judge beside the sampling",
    )
    parser.add_argument(
        "--reference",
        type=Path,
        default=ROOT / "data" / "qm9",
        help="store of real molecules",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "data" / "results.csv")


def main(options: argparse.Namespace) -> None:
    """Measure what is missing; rows that are there are kept."""
    setting = Setting(
        relax=options.relax,
        store=options.reference,
        device=options.device,
        warm_up=options.warm_up,
        workers=options.workers,
        plan=PlanOptions(solver=options.solver, grid=options.grid),
        heads_alone=options.heads_alone,
    )
    done = {key_of(row) for row in read_rows(options.out, COLUMNS)}
    found = cells(options.weights, options.steps, options.seeds, options.n, options.reference)
    wanted = list(found)
    missing = [cell for cell in wanted if cell.key(setting) not in done]
    n_done = len(wanted) - len(missing)
    began = time.perf_counter()
    with new_bar() as bar:
        total = bar.add_task("cells", total=len(wanted), completed=n_done)
        for row in judged(_made(missing, setting, bar), options.workers):
            append_row(options.out, COLUMNS, row)
            n_done += 1
            bar.update(total, completed=n_done)
            print(_summary(row), flush=True)
    seconds = time.perf_counter() - began
    print(f"{options.out}: {n_done} of {len(wanted)} cells, {seconds:.0f} s")


def judged(made: Iterable[Made], n_workers: int) -> Iterator[Row]:
    """Rows in the order of the cells; with several workers, one is judged while another is drawn.

    One cell of 10,000 has a serial part as long as its parallel one, so half of the workers take
    a cell each, with two processes of their own.

    Args:
        made: Molecules of one cell after another, drawn in this process.
        n_workers: Processes in all; with one, judging waits for drawing and drawing for judging.
    """
    if n_workers == 1:
        yield from (judge(one, 1) for one in made)
        return
    n_judges = n_workers // 2
    running: deque[Future[Row]] = deque()
    context = get_context("spawn")
    with ProcessPoolExecutor(n_judges, context, initializer=_end_with_parent) as pool:
        try:
            for one in made:
                running.append(pool.submit(judge, one, n_workers // n_judges))
                # One more than there are judges is ready, so that none of them waits.
                while running and (running[0].done() or len(running) > n_judges):
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _made(missing: Sequence[Cell], setting: Setting, bar: Progress) -> Iterator[Made]:
    """Draw the cells one after another, with a bar for the molecules."""
    for cell in missing:
        task = bar.add_task(cell.title, total=cell.n)
        made = cell.make(setting, lambda n, task=task: bar.update(task, completed=n))
        bar.remove_task(task)
        yield made


def _end_with_parent() -> None:
    """A judge whose parent was killed would wait for work for ever."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    os.environ["OMP_NUM_THREADS"] = "1"
    threading.Thread(target=watch, daemon=True).start()


def _summary(row: Row) -> str:
    """One line per finished cell."""
    shown = {
        name: f"{int(row[f'{name}_count']) / int(row[f'{name}_n']):.3f}"
        for name in ("connected_valid", "bond_graph_stable_raw", "perceived_valid", "edm_stable")
        if row.get(f"{name}_count") and row[f"{name}_n"] != "0"
    }
    place = " ".join(row.get(name) or "-" for name in ("weights", "steps", "seed", "n"))
    times = f"{row.get('seconds_sampling') or 0} s drawn, {row['seconds_checks']} s judged"
    return f"{place}: {shown}, {times}"
