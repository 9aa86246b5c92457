"""Samplers on one image network: Fréchet distance over the number of network calls.

    python -m benchmarks images measure --model cifar10-16 --seeds 0 1 2 --out results/images

Within a seed every row draws the same n images (same starting noise) with another solver or grid
and compares them with 10,000 training images on EfficientNet-Lite0 features; this is not an FID. A
row is written as soon as it is there and never computed again, so a killed run goes on where it
was. Leaves ``images.csv``, ``images.md``, ``images.png``, a sheet of the first seed's samples per
row in the folder, and ``methods.png``, some of them side by side.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.images.bench import open_distance
from benchmarks.images.report import (
    REAL,
    Row,
    append,
    draw_plot,
    read,
    sample_path,
    write_methods,
    write_table,
)
from molgen.did_you_mean import unknown
from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.plan import Plan, steps_within
from molgen.flow.schedule import Schedule
from molgen.flow.schedules import EDM, ISSNR, OTFlow
from molgen.flow.solvers import DDIM, DPMpp2M, Euler, Heun, Solver, UniPC2
from molgen.flow.solvers.table import experimental_solvers
from molgen.images.checkpoint import LoadedImages, load_images
from molgen.images.info import ImageInfo
from molgen.images.picture import grid_of, write_png
from molgen.images.plans import default_plan
from molgen.images.sampler import draw
from molgen.images.store import ImageStore

SIGMA_MIN, SIGMA_MAX, RHO = 0.004, 80.0, 7.0
"""Karras et al. 2022 (arXiv 2206.00364) in units of the data's standard deviation: their smallest
level and exponent; the largest is the end of the range that the networks here are trained on."""

SHOWN = 64

DEFAULT = "default plan"

Method = Callable[[int], Plan | None]
"""The plan of a method within a budget of network calls; None if its first step costs more."""


@dataclass(frozen=True)
class Job:
    """One row to compute."""

    method: str
    asked: int
    seed: int
    plan: Plan


def karras(n_steps: int) -> TimeGrid:
    """The levels of Karras et al., the smallest one included, and then clean data."""
    if n_steps == 1:
        return TimeGrid.from_sigma([SIGMA_MAX])
    levels = TimeGrid.karras(SIGMA_MIN, SIGMA_MAX, RHO, n_steps - 1, to_data=False)
    return TimeGrid((*levels.lam, math.inf))


def uniform(schedule: Schedule) -> Callable[[int], TimeGrid]:
    """Equal steps in a schedule's time."""
    return lambda n_steps: TimeGrid.uniform(schedule, n_steps)


def walk(solver: Solver, grid: Callable[[int], TimeGrid]) -> Method:
    """A solver on a kind of grid, with the most steps that a budget pays for."""

    def plan(asked: int) -> Plan | None:
        n_steps = steps_within(solver, asked)
        return None if n_steps is None else Plan(solver, grid(n_steps))

    return plan


def methods(info: ImageInfo) -> dict[str, Method]:
    """What is compared, by the name that tables show."""
    paper, plain = ISSNR(eta=1.5, kappa=1.0), ISSNR(eta=1.0, kappa=0.0)
    edm = EDM(t_min=SIGMA_MIN, t_max=SIGMA_MAX)
    evodiff = experimental_solvers()["evodiff"]()
    return {
        DEFAULT: lambda asked: default_plan(info, asked),
        "Euler, VP-ISSNR(1.5, 1)": walk(Euler(paper), uniform(paper)),
        "Euler, VP-ISSNR(1, 0)": walk(Euler(plain), uniform(plain)),
        "Euler, OT-flow": walk(Euler(OTFlow()), uniform(OTFlow())),
        "Heun, EDM": walk(Heun(edm), karras),
        "DDIM, Karras": walk(DDIM(), karras),
        "DDIM, VP-ISSNR(1, 0)": walk(DDIM(), uniform(plain)),
        "DPM-Solver++(2M), Karras": walk(DPMpp2M(), karras),
        "UniPC-2, Karras": walk(UniPC2(), karras),
        "UniPC-2, OT-flow": walk(UniPC2(), uniform(OTFlow())),
        "UniPC-2, VP-ISSNR(1.5, 1)": walk(UniPC2(), uniform(paper)),
        "UniPC-2, VP-ISSNR(1, 0)": walk(UniPC2(), uniform(plain)),
        "EVODiff, Karras": walk(evodiff, karras),
        "EVODiff, VP-ISSNR(1, 0)": walk(evodiff, uniform(plain)),
    }


def chosen(info: ImageInfo, names: Sequence[str]) -> dict[str, Method]:
    """The methods of these names, all of them if none is named.

    Raises:
        UsageError: There is no such method.
    """
    known = methods(info)
    for name in names:
        if name not in known:
            raise UsageError(*unknown("method", name, known))
    return {name: known[name] for name in names or known}


def missing(rows: list[Row], compared: dict[str, Method], options: argparse.Namespace) -> list[Job]:
    """Rows that are still to be computed; one seed after the other, cheap ones first."""
    done = {(row.method, row.asked, row.seed) for row in rows if row.n == options.n}
    return [
        Job(method, asked, seed, plan)
        for seed in options.seeds
        for asked in sorted(options.calls)
        for method, plan_for in compared.items()
        if (method, asked, seed) not in done and (plan := plan_for(asked)) is not None
    ]


def estimate(loaded: LoadedImages, todo: list[Job], n: int) -> float:
    """Hours of network calls that are still to be made, from one timed batch."""
    batch = 64
    plan = Plan(DDIM(), TimeGrid.from_sigma([10.0, 1.0]))
    list(draw(loaded, range(batch), plan))
    began = time.perf_counter()
    list(draw(loaded, range(batch), plan))
    per_call = (time.perf_counter() - began) / batch / plan.nfe
    return per_call * n * sum(job.plan.nfe for job in todo) / 3600


def compare(
    loaded: LoadedImages, rows: list[Row], todo: list[Job], options: argparse.Namespace
) -> None:
    """Compute the missing rows."""
    store, size = ImageStore.open(options.store), loaded.info.config.data.size
    log, n = options.out / "images.csv", options.n
    distance = open_distance(store, size, options.reference)
    for seed in {job.seed for job in todo}:
        if not any((row.method, row.n, row.seed) == (REAL, n, seed) for row in rows):
            real = distance(store.tensor("test", size)[seed * n : (seed + 1) * n])
            append(log, Row(REAL, 0, 0, n, seed, real, 0.0))
            print(f"{real:10.1f}  {REAL}", flush=True)
    for job in todo:
        began = time.perf_counter()
        images = torch.cat(list(draw(loaded, range(n), job.plan, seed=job.seed)))
        seconds = time.perf_counter() - began
        value, calls = distance(images), job.plan.nfe
        append(log, Row(job.method, job.asked, calls, n, job.seed, value, seconds))
        if job.seed == options.seeds[0]:
            path = sample_path(options.out, job.method, job.asked)
            write_png(path, grid_of(images[:SHOWN]), zoom=3)
        print(f"{value:10.1f}  {job.method}, {calls} calls, seed {job.seed}", flush=True)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="cifar10-16")
    parser.add_argument("--store", default="data/cifar10")
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--reference", type=int, default=10_000)
    parser.add_argument("--calls", type=int, nargs="+", default=[4, 6, 8, 10, 18, 35])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--methods", nargs="*", default=[], help="names of rows; all of them")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("results/images"))


def main(options: argparse.Namespace) -> None:
    """Draw, compare, write, row by row."""
    options.out.mkdir(parents=True, exist_ok=True)
    loaded = load_images(options.model, options.device)
    compared = chosen(loaded.info, options.methods)
    log = options.out / "images.csv"
    rows = read(log)
    todo = missing(rows, compared, options)
    hours = estimate(loaded, todo, options.n)
    print(f"{len(todo)} rows to go; drawing alone takes about {hours:.2f} hours here", flush=True)
    if todo:
        compare(loaded, rows, todo, options)
    shown = [row for row in read(log) if row.method in {*compared, REAL} and row.n == options.n]
    write_table(options.out / "images.md", shown, options.seeds)
    draw_plot(options.out / "images.png", shown, options.seeds)
    write_methods(options.out)
