"""Find the plan by which an image model is best sampled, per number of network calls.

    python -m benchmarks images presets molgen/weights/cifar10-16.safetensors

For the calls of ``--steps``, candidates are UniPC, DPM-Solver++ and DDIM on ISSNR's levels with
several eta and kappa, on Karras', log-SNR, angle and entropy levels, and the plan of the nearest
number of calls that was searched, carried over. The best ones are refined: linear multistep
solvers fitted to their levels, then levels fitted to the distance. For the calls of ``--carried``
the default and the carried plan are all that is refined.

A candidate's score is its Fréchet distance on EfficientNet-Lite0 features, computed in bfloat16.
The winner becomes the default if, and only if, it beats the present default, in full precision, on
a seed that nothing was chosen by, by more than the standard error of the gain. Seeds are far from
those that reports use.

Every measurement is kept in a file beside the weights, so a second run goes on where the first
one ended.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.images.bench import ImageBench, open_distance
from benchmarks.presets.record import Measured, digest
from molgen.flow.fit import (
    Problem,
    fit_solver,
    mmse_curve,
    search_grid,
    successive_halving,
    teach,
)
from molgen.flow.grid import GridOptions, TimeGrid, grid_named
from molgen.flow.mmse import MMSECurve
from molgen.flow.plan import Plan
from molgen.flow.schedules import ISSNR
from molgen.flow.solvers import DDIM, UniPC2, solver_named
from molgen.images.checkpoint import LoadedImages, load_images, save_images
from molgen.images.info import ImageInfo
from molgen.images.plans import carried, default_plan
from molgen.images.sampler import starts
from molgen.images.store import ImageStore
from molgen.images.stream import to_unit

TUNING_SEED, HELD_OUT_SEED = 10_000, 20_000

SHAPES = ((1.2, 0.0), (0.85, 0.0), (1.0, -0.4), (1.0, 0.4))
"""eta and kappa of ISSNR beside the default's 1 and 0."""

FAMILIES = ("karras", "log-snr", "angle", "entropy", "root-entropy")

SIGMA_MAX = 80.0

LAST_SIGMA = 0.8
"""Level of the last call times the number of calls; evenly in the default's time it is 1 to 1.3."""

FIRST_SIGMAS = (0.7, 1.0, 1.4, 2.0, 3.0, 5.0, 8.0, 14.0, 30.0)
"""Levels of a single call."""

N_KNOTS, N_LAST = 3, 3
"""Free numbers of a grid; plans that are refined."""

N_FIT, N_SMALL, N_BACK = 32, 36, 3
"""Images whose trajectories solvers are fitted to; the teacher's steps; predictions per step."""


@dataclass(frozen=True)
class Spending:
    """Images per score, and scores per search of levels."""

    n_first: int = 128
    n_later: int = 400
    n_walk: int = 200
    n_walks: int = 6
    n_held_out: int = 1000


def error_curve(loaded: LoadedImages, store: ImageStore) -> MMSECurve:
    """Error of the network over noise levels, on training images."""
    data = loaded.info.config.data
    images = store.tensor("train", data.size)[-64:]
    clean = to_unit(images, data.center, data.scale)
    noise = starts(loaded, range(len(images)), TUNING_SEED)
    levels = torch.linspace(-4.4, 4.0, 18).tolist()
    return mmse_curve(lambda: loaded.model.denoise, clean, noise, levels)


def field_of(info: ImageInfo, steps: int, curve: MMSECurve) -> Iterator[Plan]:
    """The present default and known families."""
    yield replace(default_plan(info, steps), origin="default")
    if steps == 1:
        for sigma in FIRST_SIGMAS:
            yield Plan(DDIM(), TimeGrid.from_sigma([sigma]), f"sigma {sigma:g}")
        return
    plain = TimeGrid.uniform(ISSNR(eta=1.0, kappa=0.0), steps)
    for name in ("dpm++2m", "unipc3") if steps > 2 else ("ddim",):
        yield Plan(solver_named(name), plain, f"{name}, ISSNR(1, 0)")
    for eta, kappa in SHAPES:
        grid = TimeGrid.uniform(ISSNR(eta=eta, kappa=kappa), steps)
        yield Plan(UniPC2(), grid, f"ISSNR({eta:g}, {kappa:g})")
    for family in FAMILIES:
        options = GridOptions(
            steps - 1, LAST_SIGMA / steps, SIGMA_MAX, curve=curve, to_data=False
        )  # fmt: skip
        inner = grid_named(family, options)
        yield Plan(UniPC2(), TimeGrid((*inner.lam, math.inf)), family)


def nearest(found: dict[int, Plan], steps: int) -> Plan:
    """The plan of the nearest number of calls, carried over."""
    near = min(found, key=lambda known: abs(math.log(known / steps)))
    return replace(carried(found[near], steps), origin=f"carried from {near}")


def refined(bench: ImageBench, plans: list[Plan], spend: Spending) -> Iterator[Plan]:
    """Better versions of plans: solvers fitted to their levels, levels to what is then the best."""
    steps = plans[0].grid.n_steps
    seed = TUNING_SEED + steps
    if steps == 1:
        return
    fitted = []
    if steps > 2:
        problem = Problem.of(
            bench.loaded.model.denoise, starts(bench.loaded, range(N_FIT), seed)
        )  # fmt: skip
        for plan in plans:
            teacher = teach(problem, plan.grid, n_each=max(3, N_SMALL // steps))
            solver = fit_solver(problem, plan.grid, teacher=teacher, n_back=N_BACK)
            fitted.append(Plan(solver, plan.grid, f"solver fitted to {plan.origin}"))
        yield from fitted
    best = min(fitted or plans, key=lambda plan: bench.loss(plan, spend.n_walk, seed))

    def loss(grid: TimeGrid) -> float:
        return bench.loss(replace(best, grid=grid), spend.n_walk, seed)

    key = ["levels", best.to_dict(), spend.n_walk, spend.n_walks]
    found = bench.measured.get(
        key,
        lambda: search_grid(
            loss, best.grid, n_evaluations=spend.n_walks, n_knots=N_KNOTS
        ).to_dict(),
    )
    yield replace(best, grid=TimeGrid.from_dict(found), origin=f"levels fitted, {best.origin}")


def choose(bench: ImageBench, field: list[Plan], spend: Spending) -> Plan:
    """The candidate that does best on the tuning seeds."""
    steps = field[0].nfe
    seed = TUNING_SEED + steps
    ranked = field
    if len(field) > N_LAST:
        ranked = successive_halving(
            field,
            lambda plan, index: bench.loss(plan, (spend.n_first, spend.n_later)[index], seed),
            n_rounds=2,
            n_last=N_LAST,
        )
    # Scores of a search's winner flatter it; a second seed does not.
    finals = [*ranked, *refined(bench, ranked, spend)]
    losses = [bench.loss(plan, spend.n_later, seed + 100) for plan in finals]
    for loss, plan in zip(losses, finals, strict=True):
        show(plan, f"{loss:.1f}")
    return finals[losses.index(min(losses))]


def decide(bench: ImageBench, winner: Plan, n: int) -> Plan | None:
    """The winner if it beats the present default on the held-out seed, by more than chance."""
    steps = winner.nfe
    if winner.origin == "default":
        print(f"{steps:3d} nothing found beats the default", flush=True)
        return None
    old, seed = default_plan(bench.loaded.info, steps), HELD_OUT_SEED + steps
    gain = bench.gain(winner, old, n, seed)
    verdict = "new default" if gain.wins else "the default stays"
    show(winner, f"{gain.new:.1f} after {gain.old:.1f}, ± {gain.error:.1f}: {verdict}")
    return winner if gain.wins else None


def show(plan: Plan, what: str) -> None:
    """Print a row."""
    levels = " ".join(f"{math.exp(-lam):.3g}" for lam in plan.grid.lam[:-1])
    print(f"{plan.nfe:3d} {plan.origin:30s} {plan.solver.name:10s} {what} [{levels}]", flush=True)


def store_plan(path: Path, bench: ImageBench, plan: Plan, n: int) -> None:
    """Write a plan into the header; the weights stay as they are, bit by bit."""
    seed, old = HELD_OUT_SEED + plan.nfe, default_plan(bench.loaded.info, plan.nfe)
    gain = bench.gain(plan, old, n, seed)
    scores = {
        "frechet": gain.new, "default_frechet": gain.old, "gain_error": gain.error,
        "n": n, "seed": seed,
    }  # fmt: skip
    fitted = {**replace(plan, origin="fitted").to_dict(), "scores": scores}
    loaded = load_images(path, "cpu")
    info = replace(loaded.info, plans={**loaded.info.plans, plan.nfe: fitted})
    save_images(path, loaded.model, info)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", type=Path)
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 8, 6, 5, 3, 2, 1])
    parser.add_argument("--carried", type=int, nargs="*", default=[10, 7, 9])
    parser.add_argument("--store", type=Path, default=Path("data/cifar10"))
    parser.add_argument("--reference", type=int, default=10_000)


def main(options: argparse.Namespace) -> None:
    """Search, carry over, decide, write."""
    torch.set_num_threads(1)
    weights, spend = options.weights.resolve(), Spending()
    loaded = load_images(weights, "cpu")
    store = ImageStore.open(options.store)
    size = loaded.info.config.data.size
    distance = open_distance(store, size, options.reference)
    measured = Measured(weights.with_suffix(".fits.jsonl"), digest(loaded.model))
    # Winners are compared with the default that was there before the search.
    before = measured.get(["plans before"], lambda: loaded.info.to_dict()["plans"])
    info = replace(loaded.info, plans={int(steps): plan for steps, plan in before.items()})
    bench = ImageBench(replace(loaded, info=info), distance, measured)
    curve = error_curve(loaded, store)
    found: dict[int, Plan] = {}
    for steps in [*options.steps, *options.carried]:
        carry = [nearest(found, steps)] if found else []
        few = [*carry, replace(default_plan(info, steps), origin="default")]
        field = [*field_of(info, steps, curve), *carry] if steps in options.steps else few
        found[steps] = choose(bench, field, spend)
        plan = decide(bench, found[steps], spend.n_held_out)
        if plan is not None:
            store_plan(weights, bench, plan, spend.n_held_out)
    print(f"{weights}: plans for {sorted(load_images(weights, 'cpu').info.plans)} calls")
