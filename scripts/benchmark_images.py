"""Samplers on one image network: Fréchet distance over the number of network calls.

    python scripts/benchmark_images.py --model cifar10-16 --out results/images

Every row draws the same n images (same seed, same starting noise) with another solver or grid and
compares them with 10,000 training images on EfficientNet-Lite0 features; this is not an FID. A row
is written as soon as it is there and never computed again, so a killed run goes on where it was.
Leaves ``images.csv``, ``images.md``, ``images.png``, a sheet of samples per row in the folder, and
``methods.png``, some of them side by side.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import matplotlib as mpl
import torch

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import NullFormatter, ScalarFormatter

from molgen.flow.experimental.solvers import EXPERIMENTAL_SOLVERS
from molgen.flow.grid import TimeGrid
from molgen.flow.plan import Plan, steps_within
from molgen.flow.schedule import Schedule
from molgen.flow.schedules import EDM, ISSNR, OTFlow
from molgen.flow.solvers import DDIM, DPMpp2M, Euler, Heun, Solver, UniPC2
from molgen.images.checkpoint import LoadedImages, load_images
from molgen.images.frechet import NAME, FrechetDistance
from molgen.images.picture import grid_of, write_png
from molgen.images.sampler import draw
from molgen.images.store import ImageStore

SIGMA_MIN, SIGMA_MAX, RHO = 0.004, 80.0, 7.0
"""Karras et al. 2022 (arXiv 2206.00364) in units of the data's standard deviation: their smallest
level and exponent; the largest is the end of the range that the networks here are trained on."""

REAL = "real test images"
SHOWN = 64

SIDE_BY_SIDE = tuple(
    (method, asked)
    for asked in (4, 8)
    for method in ("Euler, VP-ISSNR(1, 0)", "DDIM, Karras", "UniPC-2, OT-flow")
)
"""Rows whose samples are shown together."""

Grid = Callable[[int], TimeGrid]


@dataclass(frozen=True)
class Row:
    """One result; ``asked`` is the budget of network calls, ``nfe`` what the method made of it."""

    method: str
    asked: int
    nfe: int
    n: int
    seed: int
    frechet: float
    seconds: float


def karras(n_steps: int) -> TimeGrid:
    """The levels of Karras et al., the smallest one included, and then clean data."""
    if n_steps == 1:
        return TimeGrid.from_sigma([SIGMA_MAX])
    levels = TimeGrid.karras(SIGMA_MIN, SIGMA_MAX, RHO, n_steps - 1, to_data=False)
    return TimeGrid((*levels.lam, math.inf))


def uniform(schedule: Schedule) -> Grid:
    """Equal steps in a schedule's time."""
    return lambda n_steps: TimeGrid.uniform(schedule, n_steps)


def methods() -> dict[str, tuple[Solver, Grid]]:
    """Solver and grid by the name that tables show."""
    paper, plain = ISSNR(eta=1.5, kappa=1.0), ISSNR(eta=1.0, kappa=0.0)
    rows: dict[str, tuple[Solver, Grid]] = {
        "Euler, VP-ISSNR(1.5, 1)": (Euler(paper), uniform(paper)),
        "Euler, VP-ISSNR(1, 0)": (Euler(plain), uniform(plain)),
        "Euler, OT-flow": (Euler(OTFlow()), uniform(OTFlow())),
        "Heun, EDM": (Heun(EDM(t_min=SIGMA_MIN, t_max=SIGMA_MAX)), karras),
        "DDIM, Karras": (DDIM(), karras),
        "DDIM, VP-ISSNR(1, 0)": (DDIM(), uniform(plain)),
        "DPM-Solver++(2M), Karras": (DPMpp2M(), karras),
        "UniPC-2, Karras": (UniPC2(), karras),
        "UniPC-2, OT-flow": (UniPC2(), uniform(OTFlow())),
        "UniPC-2, VP-ISSNR(1.5, 1)": (UniPC2(), uniform(paper)),
        "UniPC-2, VP-ISSNR(1, 0)": (UniPC2(), uniform(plain)),
    }
    if "evodiff" in EXPERIMENTAL_SOLVERS:
        evodiff = EXPERIMENTAL_SOLVERS["evodiff"]()
        rows["EVODiff, Karras"] = (evodiff, karras)
        rows["EVODiff, VP-ISSNR(1, 0)"] = (evodiff, uniform(plain))
    return rows


def read(path: Path) -> list[Row]:
    """Rows of an earlier run."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            Row(
                line["method"],
                *(int(line[name]) for name in ("asked", "nfe", "n", "seed")),
                *(float(line[name]) for name in ("frechet", "seconds")),
            )
            for line in csv.DictReader(file)
        ]


def append(path: Path, row: Row) -> None:
    """One more row, on disk at once."""
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(vars(row))


def plan_for(solver: Solver, grid: Grid, asked: int) -> Plan | None:
    """The longest plan within a budget of network calls; None if the first step costs more."""
    n_steps = steps_within(solver, asked)
    return None if n_steps is None else Plan(solver, grid(n_steps))


def measure(
    loaded: LoadedImages, plan: Plan, distance: FrechetDistance, options: argparse.Namespace
) -> tuple[torch.Tensor, float, float]:
    """Images, their distance, and the seconds that drawing them took."""
    began = time.perf_counter()
    images = torch.cat(list(draw(loaded, range(options.n), plan, seed=options.seed)))
    seconds = time.perf_counter() - began
    return images, distance(images), seconds


def estimate(loaded: LoadedImages, todo: list[tuple[str, int, Plan]], n: int) -> float:
    """Hours of network calls that are still to be made, from one timed batch."""
    batch = 64
    plan = Plan(DDIM(), TimeGrid.from_sigma([10.0, 1.0]))
    list(draw(loaded, range(batch), plan))
    began = time.perf_counter()
    list(draw(loaded, range(batch), plan))
    per_call = (time.perf_counter() - began) / batch / plan.nfe
    return per_call * n * sum(plan.nfe for _, _, plan in todo) / 3600


def write_table(path: Path, rows: list[Row], n: int, seed: int) -> None:
    """Methods down, budgets across; the calls made stand in brackets where they differ."""
    shown = [row for row in rows if (row.n, row.seed) == (n, seed)]
    budgets = sorted({row.asked for row in shown if row.asked})
    cells = {(row.method, row.asked): row for row in shown}
    lines = [
        f"{NAME}, {n} images against 10,000 training images (not an FID).",
        "",
        "| network calls | " + " | ".join(map(str, budgets)) + " |",
        "| --- |" + " ---: |" * len(budgets),
    ]
    for method in dict.fromkeys(row.method for row in shown if row.asked):
        values = [_cell(cells.get((method, asked))) for asked in budgets]
        lines.append(f"| {method} | " + " | ".join(values) + " |")
    floor = cells.get((REAL, 0))
    if floor is not None:
        lines += ["", f"{n} {REAL}: {floor.frechet:.1f}."]
    path.write_text("\n".join(lines) + "\n")


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    made = "" if row.nfe == row.asked else f" ({row.nfe})"
    return f"{row.frechet:.1f}{made}"


def draw_plot(path: Path, rows: list[Row], n: int, seed: int) -> None:
    """Distance over network calls, both logarithmic."""
    figure, axes = plt.subplots(figsize=(8, 5))
    shown = [row for row in rows if (row.n, row.seed) == (n, seed)]
    for index, method in enumerate(dict.fromkeys(row.method for row in shown if row.asked)):
        line = sorted({(row.nfe, row.frechet) for row in shown if row.method == method})
        style = ("-", "--", ":")[index // 10]
        axes.plot(*zip(*line, strict=True), marker="o", ms=3, ls=style, label=method)
    for row in shown:
        if row.method == REAL:
            axes.axhline(row.frechet, color="grey", lw=0.8, label=REAL)
    axes.set(xscale="log", yscale="log", xlabel="network calls", ylabel=NAME)
    axes.set_xticks(sorted({row.asked for row in shown if row.asked}))
    axes.set_yticks([200, 300, 400, 600, 1000, 2000])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_formatter(NullFormatter())
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def sample_path(folder: Path, method: str, asked: int) -> Path:
    """Where the sheet of a row lies."""
    name = "".join(c if c.isalnum() else "-" for c in method.lower())
    return folder / f"{name}-{asked}.png"


def write_methods(folder: Path) -> None:
    """Half a sheet of each of ``SIDE_BY_SIDE``, budgets down; nothing while one is missing."""
    sheets = {pair: sample_path(folder, *pair) for pair in SIDE_BY_SIDE}
    if not all(sheet.exists() for sheet in sheets.values()):
        return
    figure, places = plt.subplots(2, len(SIDE_BY_SIDE) // 2, figsize=(11, 4.6))
    for axes, ((method, asked), sheet) in zip(places.flat, sheets.items(), strict=True):
        pixels = plt.imread(sheet)
        axes.imshow(pixels[: len(pixels) // 2])
        axes.set_title(f"{method}, {asked} calls", fontsize=9)
        axes.axis("off")
    figure.tight_layout()
    figure.savefig(folder / "methods.png", dpi=110)
    plt.close(figure)


def missing(rows: list[Row], options: argparse.Namespace) -> list[tuple[str, int, Plan]]:
    """Rows that are still to be computed: method, budget, plan; cheap ones first."""
    done = {
        (row.method, row.asked) for row in rows if (row.n, row.seed) == (options.n, options.seed)
    }
    return [
        (method, asked, plan)
        for asked in sorted(options.calls)
        for method, (solver, grid) in methods().items()
        if (method, asked) not in done and (plan := plan_for(solver, grid, asked)) is not None
    ]


def main() -> None:
    """Draw, compare, write, row by row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="cifar10-16")
    parser.add_argument("--store", default="data/cifar10")
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--reference", type=int, default=10_000)
    parser.add_argument("--calls", type=int, nargs="+", default=[4, 6, 8, 10, 18, 35])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("results/images"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    log = options.out / "images.csv"
    loaded = load_images(options.model, options.device)
    rows = read(log)
    todo = missing(rows, options)
    print(
        f"{len(todo)} rows to go; drawing alone takes about "
        f"{estimate(loaded, todo, options.n):.2f} hours here",
        flush=True,
    )
    if todo:
        compare(loaded, rows, todo, options)
    write_table(options.out / "images.md", read(log), options.n, options.seed)
    draw_plot(options.out / "images.png", read(log), options.n, options.seed)
    write_methods(options.out)


def compare(
    loaded: LoadedImages,
    rows: list[Row],
    todo: list[tuple[str, int, Plan]],
    options: argparse.Namespace,
) -> None:
    """Compute the missing rows."""
    store, size = ImageStore.open(options.store), loaded.info.config.data.size
    log = options.out / "images.csv"
    distance = FrechetDistance(store.tensor("train", size)[: options.reference])
    if not any((row.method, row.n) == (REAL, options.n) for row in rows):
        real = distance(store.tensor("test", size)[: options.n])
        append(log, Row(REAL, 0, 0, options.n, options.seed, real, 0.0))
        print(f"{real:10.1f}  {REAL}", flush=True)
    for method, asked, plan in todo:
        images, value, seconds = measure(loaded, plan, distance, options)
        append(log, Row(method, asked, plan.nfe, options.n, options.seed, value, seconds))
        write_png(sample_path(options.out, method, asked), grid_of(images[:SHOWN]), zoom=3)
        print(f"{value:10.1f}  {method}, {plan.nfe} calls ({seconds:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
