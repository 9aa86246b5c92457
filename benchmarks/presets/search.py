"""Find the solver and the noise levels by which a model is best sampled, per number of calls.

    python -m benchmarks presets runs/qm9/model.safetensors --steps 1 2 3 4 6 8 --budget-minutes 60

Candidates are the preset that the weights ship now, Euler on ISSNR schedules, grids of known
families, and random presets with one bend; the best are then refined: levels
fitted to validity and to a fine solver's ends, solvers fitted to levels, the methods of steps
exchanged. A candidate's score is the validity of its coordinates, plus half the raw stability of
its bond graphs, less what it costs in elements; few molecules for many candidates, many for few.
All candidates see the same noise. The winner becomes the default if, and only if, it beats the
present default on a seed that nothing was chosen by, by more than the standard error of the gain.
Seeds are far from those that reports use.

Every measurement is kept in a file beside the weights, so a second run goes on where the first
one ended.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.presets.bench import FIRST, Bench, Sheet, bare
from benchmarks.presets.record import Measured, digest
from molgen.checkpoint import LoadedModel, load_model, save_model
from molgen.flow.fit import (
    Effort,
    Problem,
    endpoint_score,
    first_guesses,
    fit_solver,
    search_grid,
    successive_halving,
    teach,
)
from molgen.flow.fit.plan import exchange_rules
from molgen.flow.grid import TimeGrid
from molgen.flow.plan import Plan
from molgen.flow.schedules import ISSNR
from molgen.flow.solvers import SOLVERS, Euler, solver_named
from molgen.models.denovo import ELEMENT, POS, SelfConditioned
from molgen.models.info import SamplingPreset
from molgen.sampling.noise import draw_sizes
from molgen.sampling.plan import default_plan
from molgen.sampling.sizes import size_probability

TUNING_SEED, HELD_OUT_SEED = 10_000, 20_000

N_FIRST = 96
"""Molecules per candidate in the first round; more where there is time."""

PAPER_FAMILY = ((0.8, 1.0), (0.8, 0.75), (0.9, 1.0), (0.7, 1.0), (1.0, 0.75), (1.0, 0.5))
"""eta and kappa of ISSNR schedules that Euler walks in unit total variance, in uniform time."""

N_FIT = 32
"""Molecules whose trajectories solvers and levels are fitted to."""


# ----------------------------------------------------------------------------------- candidates


@dataclass(frozen=True)
class Candidate:
    """A preset and where it comes from."""

    origin: str
    preset: SamplingPreset


def as_ladder(plan: Plan, pos_scale: float) -> SamplingPreset:
    """Name and levels in Å where they say all, with the whole plan where they do not."""
    levels = (pos_scale * math.exp(-lam) for lam in plan.grid.lam if math.isfinite(lam))
    sigma = tuple(float(f"{level:.12g}") for level in levels)
    name = next((name for name in SOLVERS if solver_named(name) == plan.solver), None)
    if name is not None and plan.grid.ends_clean and len(sigma) == plan.grid.n_steps:
        return SamplingPreset(name, sigma)
    return SamplingPreset("unipc2", sigma, plan.to_dict())


def as_plan(preset: SamplingPreset, model: LoadedModel) -> Plan:
    """Solver and grid of a preset."""
    steps = len(preset.sigma)
    plan = default_plan(replace(model.info, presets={steps: preset}), steps)
    return Plan(plan.solver, plan.grid, "fitted")


def bent(rng: np.random.Generator, steps: int) -> SamplingPreset:
    """A random preset: pure noise, then a curve in log sigma with one bend."""
    solver = str(rng.choice(["ddim", "dpm++2m", "unipc2", "unipc3"] if steps > 2 else ["ddim"]))
    first = FIRST if rng.random() < 0.5 else math.exp(rng.uniform(math.log(10), math.log(40)))
    if steps == 1:
        return SamplingPreset("ddim", (first,))
    second = math.exp(rng.uniform(math.log(1.2), math.log(6.0)))
    lowest, highest = (0.15, 1.0) if steps <= 3 else (0.04, 0.4)
    last = math.exp(rng.uniform(math.log(lowest), math.log(highest)))
    places = np.linspace(0, 1, steps - 1) ** math.exp(rng.normal(0.0, 0.5)) if steps > 2 else [1.0]
    levels = np.exp(math.log(second) + np.array(places) * (math.log(last) - math.log(second)))
    return SamplingPreset(solver, (first, *map(float, levels)))


def candidates(model: LoadedModel, steps: int, n: int) -> Iterator[Candidate]:
    """The present default, Euler on ISSNR, known families, and random presets up to ``n``."""
    scale = model.info.config.model.pos_scale
    present = present_ladder(model, steps)
    yield Candidate("default", present)
    found = 1
    for eta, kappa in PAPER_FAMILY if steps > 2 else ():
        schedule = ISSNR(eta=eta, kappa=kappa)
        plan = Plan(Euler(schedule), TimeGrid.uniform(schedule, steps))
        yield Candidate(f"Euler, ISSNR({eta:g}, {kappa:g})", as_ladder(plan, scale))
        found += 1
    if steps > 1:
        solvers = ("unipc2", "dpm++2m") if steps > 2 else ("ddim",)
        for lowest in (0.1, 0.3):
            for grid in first_guesses(steps, FIRST / scale, lowest / scale):
                if found < n // 2:
                    solver = solvers[found % len(solvers)]
                    yield Candidate("family", as_ladder(Plan(solver_named(solver), grid), scale))
                    found += 1
    rng = np.random.default_rng(TUNING_SEED + steps)
    for _ in range(max(n - found, 1)):
        yield Candidate("random", bent(rng, steps))


def present_ladder(model: LoadedModel, steps: int) -> SamplingPreset:
    """The preset by which the weights are sampled now."""
    if steps in model.info.presets:
        return model.info.presets[steps]
    plan = default_plan(model.info, steps)
    scale = model.info.config.model.pos_scale
    return as_ladder(Plan(plan.solver, plan.grid, "fitted"), scale)


# -------------------------------------------------------------------------------------- fitting


def problem_of(model: LoadedModel, n: int, seed: int) -> Problem:
    """A batch of noise, for fits that follow trajectories."""
    net, info = model.model, model.info
    probability = size_probability(info, None)
    sizes = sorted(draw_sizes(probability, seed, range(n)).tolist())
    mask = torch.arange(sizes[-1]) < torch.tensor(sizes)[:, None]
    generator = torch.Generator().manual_seed(seed)

    def noise(width: int) -> torch.Tensor:
        return torch.randn(*mask.shape, width, generator=generator)

    start = {
        "pos": POS.prior(noise(3), mask),
        "element": ELEMENT.prior(noise(info.vocabulary.n_elements), mask),
    }
    return Problem(lambda: SelfConditioned(net, mask), start, net.offsets)


def refined(bench: Bench, steps: int, best: Candidate, n: int, n_walks: int) -> Iterator[Candidate]:
    """Better versions of one candidate.

    Args:
        bench: Where candidates are measured.
        steps: Network calls.
        best: What to start from.
        n: Molecules per score.
        n_walks: Scores that each search may ask for.
    """
    scale, seed = bench.model.info.config.model.pos_scale, TUNING_SEED + steps
    plan = as_plan(best.preset, bench.model)

    def loss(plan: Plan) -> float:
        return bench.loss(steps, as_ladder(plan, scale), n, seed)

    def levels() -> Plan:
        return replace(
            plan,
            grid=search_grid(
                lambda grid: loss(replace(plan, grid=grid)), plan.grid, n_evaluations=n_walks
            ),
        )

    problem = problem_of(bench.model, N_FIT, seed)

    def ends() -> Plan:
        end = teach(problem, plan.grid, n_each=max(2, 48 // steps)).end
        score = endpoint_score(problem, plan.solver, end)
        return replace(plan, grid=search_grid(score, plan.grid, n_evaluations=n_walks))

    def made(origin: str, make: Callable[[], Plan]) -> Candidate:
        key = ["fit", steps, origin, bare(best.preset), n, n_walks]
        stored = bench.measured.get(key, lambda: make().to_dict())
        return Candidate(origin, as_ladder(Plan.from_dict(stored), scale))

    yield made("levels fitted to score", levels)
    if steps > 1:
        yield made("levels fitted to ends", ends)
    if steps > 2:
        grid = plan.grid
        trajectories = teach(problem, grid, n_each=max(2, 48 // steps))
        for n_back in (2, 4):
            solver = fit_solver(problem, grid, teacher=trajectories, n_back=n_back)
            preset = as_ladder(replace(plan, solver=solver), scale)
            yield Candidate(f"solver fitted, {n_back} back", preset)
        effort = Effort(n_rules=n_walks)
        yield made("methods of steps", lambda: exchange_rules(plan, loss, effort))


# ------------------------------------------------------------------------------------- deciding


@dataclass(frozen=True)
class Spending:
    """How many molecules a number of calls gets.

    Attributes:
        n_candidates: Candidates of the first round.
        n: Molecules per candidate in the first round; four times as many in each later one.
        n_walks: Scores per search in the refinement.
        n_held_out: Molecules of the decision.
    """

    n_candidates: int
    n: int
    n_walks: int
    n_held_out: int

    @classmethod
    def of(cls, seconds: float, per_molecule: float) -> Spending:
        """Half the time for candidates, a quarter each for refinement and decision."""
        molecules = seconds / per_molecule
        # Three rounds cost about three times the first one, the finals about as much as one.
        n_candidates = int(np.clip(molecules / 2 / (4 * N_FIRST), 4, 48))
        n = int(np.clip(molecules / 2 / (4 * n_candidates), 16, 400))
        n_walks = int(np.clip(molecules / 4 / (3 * n), 4, 60))
        return cls(n_candidates, n, n_walks, int(np.clip(molecules / 8, 32, 5000)))


def show(steps: int, candidate: Candidate, sheet: Sheet) -> None:
    """Print a row."""
    row = " ".join(f"{name} {value:.3f}" for name, value in sheet.scores.items() if name != "n")
    levels = " ".join(f"{sigma:.3g}" for sigma in candidate.preset.sigma)
    method = candidate.preset.plan["solver"]["name"] if candidate.preset.plan else ""
    solver = method or candidate.preset.solver
    print(f"{steps:3d} {candidate.origin:24s} {solver:16s} {row} [{levels}]", flush=True)


def choose(bench: Bench, steps: int, spend: Spending) -> Candidate:
    """The candidate that does best on the tuning seeds."""
    seed = TUNING_SEED + steps
    field = list(candidates(bench.model, steps, spend.n_candidates))
    ranked = successive_halving(
        field,
        lambda one, index: bench.loss(steps, one.preset, spend.n * 4**index, seed),
        n_rounds=3,
        n_last=2,
    )
    better = list(refined(bench, steps, ranked[0], spend.n, spend.n_walks))
    # Scores of a search's winner flatter it; a second seed does not.
    finals = [(one, bench.sheet(steps, one.preset, 4 * spend.n, seed + 100))
              for one in [*ranked, *better]]  # fmt: skip
    for one, sheet in finals:
        show(steps, one, sheet)
    finals.sort(key=lambda pair: -pair[1].scores["total"])
    return finals[0][0]


def decide(bench: Bench, steps: int, spend: Spending, winner: Candidate) -> SamplingPreset | None:
    """The winner with its numbers if it beats the present default on the held-out seed.

    A gain within its standard error is no gain: with few molecules chance alone would replace
    every default in the end.
    """
    if winner.origin == "default":
        print(f"{steps:3d} nothing found beats the default", flush=True)
        return None
    default = Candidate("default", present_ladder(bench.model, steps))
    seed = HELD_OUT_SEED + steps
    sheets = {one.origin: bench.sheet(steps, one.preset, spend.n_held_out, seed)
              for one in (default, winner)}  # fmt: skip
    new, old = sheets[winner.origin], sheets["default"]
    gain = new.scores["total"] - old.scores["total"]
    error = float((new.each - old.each).std() / math.sqrt(len(new.each)))
    for one in (default, winner):
        show(steps, replace(one, origin=f"held out: {one.origin}"), sheets[one.origin])
    wins = gain > error
    verdict = "new default" if wins else "the default stays"
    print(f"{steps:3d} gain {gain:+.4f} ± {error:.4f} on {len(new.each)}: {verdict}", flush=True)
    if not wins:
        return None
    facts = {**new.scores, "default_total": old.scores["total"], "gain_error": error}
    return replace(winner.preset, scores={**facts, "seed": seed})


def fit(bench: Bench, steps: int, seconds: float) -> None:
    """Fit one number of calls and write the result into the weights."""
    call, rest = bench.seconds()
    spend = Spending.of(seconds, call * steps + rest)
    print(f"{steps:3d} {spend}", flush=True)
    preset = decide(bench, steps, spend, choose(bench, steps, spend))
    if preset is not None:
        info = bench.model.info
        presets = {**info.presets, steps: preset}
        save_model(bench.path, bench.model.model, replace(info, presets=presets))


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", type=Path)
    parser.add_argument("--steps", type=int, nargs="+", default=[*range(1, 11), 12, 20, 50])
    parser.add_argument("--budget-minutes", type=float, default=60.0, help="for all steps together")
    parser.add_argument("--workers", type=int, default=1)


def main(options: argparse.Namespace) -> None:
    """Fit every number of calls."""
    torch.set_num_threads(1)
    weights = options.weights.resolve()
    model = load_model(weights, "cpu")
    measured = Measured(weights.with_suffix(".fits.jsonl"), digest(model.model))
    pool = ProcessPoolExecutor(options.workers) if options.workers > 1 else None
    call, rest = Bench(weights, model, measured, options.workers, pool).seconds()
    shares = {steps: math.sqrt(call * steps + rest) for steps in options.steps}
    for steps, share in shares.items():
        done = ["done", steps, options.budget_minutes, options.steps]
        if measured.has(done):
            print(f"{steps:3d} was fitted before", flush=True)
            continue
        bench = Bench(weights, load_model(weights, "cpu"), measured, options.workers, pool)
        fit(bench, steps, 60 * options.budget_minutes * share / sum(shares.values()))
        measured.get(done, lambda: True)
    if pool is not None:
        pool.shutdown()
    sys.stdout.write(f"{weights}: {len(load_model(weights, 'cpu').info.presets)} presets\n")
