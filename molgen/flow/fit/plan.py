"""Search for the best plan of a number of steps: solver, method of every step, and grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

import numpy as np

from molgen.errors import UsageError
from molgen.flow.fit.grid import huber, search_grid
from molgen.flow.fit.solver import fit_solver
from molgen.flow.fit.trajectories import Problem, flat, teach
from molgen.flow.grid import TimeGrid
from molgen.flow.plan import Plan
from molgen.flow.schedules import OTFlow
from molgen.flow.solvers import (
    DDIM,
    DPMpp2M,
    ExpMultistep,
    Rule,
    Solver,
    Stepwise,
    UniPC2,
)

C = TypeVar("C")

PlanScore: TypeAlias = Callable[[Plan, int], float]
"""How bad a plan is on a batch, by the number of the batch."""

RULES = tuple(
    Rule(order, prediction, corrector)
    for order in (1, 2, 3)
    for prediction in ("x0", "eps")
    for corrector in (False, True)
)
"""Methods that a step may be taken by."""


@dataclass(frozen=True)
class Effort:
    """How much a search may spend.

    Attributes:
        n_finalists: Plans that are refined.
        n_grid: Scores per grid search.
        n_rules: Scores per search over the methods of the steps.
        seed: Seed of the order in which steps are tried.
    """

    n_finalists: int = 3
    n_grid: int = 60
    n_rules: int = 60
    seed: int = 0


@dataclass
class _Judge:
    """Scores of plans, each computed once."""

    score: PlanScore
    known: dict[tuple[Plan, int], float] = field(default_factory=dict)

    def on(self, plan: Plan, batch: int) -> float:
        key = (plan, batch)
        if key not in self.known:
            self.known[key] = self.score(plan, batch)
        return self.known[key]

    def mean(self, plan: Plan, batches: Iterable[int]) -> float:
        return float(np.mean([self.on(plan, batch) for batch in batches]))


def search_plan(
    problems: Sequence[Problem],
    guesses: Sequence[TimeGrid],
    *,
    score: PlanScore | None = None,
    solvers: Sequence[Solver] = (DDIM(), DPMpp2M(), UniPC2()),
    effort: Effort | None = None,
) -> Plan:
    """Search solver, method of every step and grid (USF, Liu et al. 2023, arXiv 2312.07243).

    Every solver on every guess is ranked by successive halving over the batches. The grids of the
    finalists are fitted, solvers fitted to these grids (`fit_solver`), and the methods of single
    steps exchanged while that helps. The last batch, which nothing was fitted to, decides between
    all of these and the plans they came from; equal efforts on equal inputs give equal plans.

    Args:
        problems: Batches, at least two; the last is held out.
        guesses: Grids to start from; all with one number of steps and one first level.
        score: How bad a plan is on a batch; None is the distance of its ends from a teacher's.
        solvers: Solvers to start from.
        effort: How much to spend.
    """
    if len(problems) < 2:
        raise UsageError("a search needs a batch to decide on", "Give two problems or more")
    effort = effort or Effort()
    judge = _Judge(score or _distance(problems, guesses))
    tuning, held_out = range(len(problems) - 1), len(problems) - 1
    finalists = successive_halving(
        list(_pairs(solvers, guesses)),
        lambda plan, index: judge.mean(plan, tuning[: index + 1]),
        n_rounds=len(tuning),
        n_last=effort.n_finalists,
    )
    refined = [better for plan in finalists for better in _refine(plan, problems, judge, effort)]
    return min([*finalists, *refined], key=lambda plan: judge.on(plan, held_out))


def _pairs(solvers: Sequence[Solver], guesses: Sequence[TimeGrid]) -> Iterator[Plan]:
    """Every solver on every grid that it can follow."""
    plans = 0
    for grid in guesses:
        for solver in solvers:
            try:
                plan = Plan(solver, grid, "fitted")
            except UsageError:
                continue
            plans += 1
            yield plan
    if not plans:
        raise UsageError("no solver can follow any of the grids", "Give solvers of fewer steps")


def _distance(problems: Sequence[Problem], guesses: Sequence[TimeGrid]) -> PlanScore:
    """Mean pseudo-Huber distance of a plan's ends from a teacher's."""
    ends = [flat(teach(problem, guesses[0]).end) for problem in problems]

    def score(plan: Plan, batch: int) -> float:
        return huber(flat(problems[batch].solve(plan.solver, plan.grid)) - ends[batch])

    return score


def _refine(
    plan: Plan, problems: Sequence[Problem], judge: _Judge, effort: Effort
) -> Iterator[Plan]:
    """Plans made from one: its grid fitted, a solver fitted to that grid, its steps exchanged."""
    grid = search_grid(
        lambda grid: judge.on(replace(plan, grid=grid), 0), plan.grid, n_evaluations=effort.n_grid
    )
    better = replace(plan, grid=grid)
    yield better
    for n_back in (2, 4):
        yield replace(better, solver=fit_solver(problems[0], grid, n_back=n_back))
    yield exchange_rules(better, lambda plan: judge.on(plan, 0), effort)


def rules_of(plan: Plan) -> tuple[Rule, ...]:
    """The rules nearest to how a multistep solver takes each step; empty for other solvers."""
    solver, n_steps = plan.solver, plan.grid.n_steps
    if isinstance(solver, Stepwise):
        return solver.rules
    plain = {"ddim": Rule(1, "x0", False), "dpm++2m": Rule(2, "x0", False)}
    if isinstance(solver, ExpMultistep):
        rule = Rule(solver.order, solver.prediction, False)
    elif solver.name in {"unipc2", "unipc3"}:
        rule = Rule(solver.order, "x0", True)
    elif solver.name in plain:
        rule = plain[solver.name]
    else:
        return ()
    # Orders fall towards the end, as they do in these solvers.
    return tuple(replace(rule, order=min(rule.order, n_steps - step)) for step in range(n_steps))


def exchange_rules(plan: Plan, loss: Callable[[Plan], float], effort: Effort) -> Plan:
    """Exchange the method of one step after the other while that lowers a loss.

    For plans of a plain multistep solver or of `Stepwise`; others are returned as they are.
    """
    rules = rules_of(plan)
    if not rules:
        return plan
    rng = np.random.default_rng(effort.seed)
    best = replace(plan, solver=Stepwise(rules))
    lowest, n_left, improved = loss(best), effort.n_rules - 1, True
    while improved:
        improved = False
        # The method of a step to clean data has no effect.
        steps = rng.permutation(plan.grid.n_steps - plan.grid.ends_clean)
        for step, rule in ((int(step), rule) for step in steps for rule in RULES):
            changed = _with_rule(best, step, rule)
            if n_left <= 0 or changed is None:
                continue
            n_left -= 1
            found = loss(changed)
            if found < lowest:
                best, lowest, improved = changed, found, True
    return best


def _with_rule(plan: Plan, step: int, rule: Rule) -> Plan | None:
    """The plan with another rule at one step; None if that is no other plan, or none at all."""
    if not isinstance(plan.solver, Stepwise) or plan.solver.rules[step] == rule:
        return None
    rules = (*plan.solver.rules[:step], rule, *plan.solver.rules[step + 1 :])
    try:
        return replace(plan, solver=Stepwise(rules))
    except UsageError:
        return None


def first_guesses(n_steps: int, sigma_max: float, sigma_min: float = 0.02) -> list[TimeGrid]:
    """Grids of known families between two noise-to-signal ratios, for a search to start from."""
    families = [
        TimeGrid.log_snr(sigma_min, sigma_max, n_steps),
        TimeGrid.karras(sigma_min, sigma_max, 7.0, n_steps),
        TimeGrid.angle(sigma_min, sigma_max, n_steps),
        TimeGrid.logistic(sigma_min, sigma_max, 1.0, 0.0, n_steps),
        TimeGrid.logistic(sigma_min, sigma_max, 1.5, 0.0, n_steps),
        TimeGrid.logistic(sigma_min, sigma_max, 1.5, 1.0, n_steps),
    ]
    schedule = OTFlow(t_max=sigma_max / (1 + sigma_max))
    return [*families, TimeGrid.uniform(schedule, n_steps)]


def successive_halving(
    candidates: Sequence[C],
    score: Callable[[C, int], float],
    *,
    n_rounds: int = 3,
    n_last: int = 3,
) -> list[C]:
    """Rank candidates in rounds (Jamieson and Talwalkar 2016, arXiv 1502.07943).

    ``score(candidate, round)`` says how bad one is; later rounds should use more samples, and a
    score that is not a number loses. The ``n_last`` of the last round come back, the best first.
    """
    field = list(candidates)
    n_last = min(n_last, len(field))
    shrink = (n_last / len(field)) ** (1 / max(n_rounds - 1, 1))
    for index in range(n_rounds):
        keep = max(n_last, math.ceil(len(candidates) * shrink ** (index + 1)))
        scores = [_rank(score(one, index)) for one in field]
        ranked = sorted(range(len(field)), key=scores.__getitem__)
        field = [field[place] for place in ranked[:keep]]
    return field[:n_last]


def _rank(score: float) -> float:
    return math.inf if math.isnan(score) else score
