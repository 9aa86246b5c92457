"""Which combinations of schedule, total variance and solver are compared, and how each is named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import torch

from molgen.flow.plan import Plan
from molgen.flow.plan_options import PlanOptions
from molgen.flow.schedules import SCHEDULES
from molgen.flow.solvers import solver_named
from molgen.flow.solvers.table import experimental_solvers
from molgen.models.info import ModelInfo
from molgen.sampling.plan import make_plan

DEFAULT = "default"
"""Schedule, total variance and solver of the plan that the model itself prescribes."""

PAPER_ISSNR = "issnr-k2"
"""ISSNR with eta 1 and kappa 2, which Kahouli et al. 2025 use for molecules."""

SCHEDULE_OPTIONS: Mapping[str, PlanOptions] = {
    **{name: PlanOptions(schedule=name) for name in SCHEDULES},
    PAPER_ISSNR: PlanOptions(schedule="issnr", eta=1.0, kappa=2.0),
}

RAW_SOLVERS = ("euler", "heun", "rk45")
"""The only solvers that see the total variance; all others step exactly in half log-SNR."""

SOLVER_OPTIONS: Mapping[str, tuple[str, float | None]] = {
    **{name: (name, None) for name in RAW_SOLVERS},
    **{name: (name, None) for name in ("ddim", "dpm++2m", "unipc2", "unipc3")},
    **{name: (name, None) for name in ("adams2", "adams2-eps")},
    "ancestral(0.5)": ("ancestral", 0.5),
    "ancestral(1)": ("ancestral", 1.0),
    **({"evodiff": ("evodiff", None)} if "evodiff" in experimental_solvers() else {}),
}
"""Solver and noise strength by the name of the table's column."""

PAPER_SET: tuple[tuple[str, str, str], ...] = (
    *((name, tv, "euler") for name in ("smld", "edm-ut", "otflow") for tv in ("native", "const")),
    *((name, "const", "euler") for name in ("vp-linear", "cosine", PAPER_ISSNR)),
)
"""(schedule, total variance, solver) of the paper's comparison at equal signal-to-noise ratio."""


@dataclass(frozen=True)
class Cell:
    """One measurement.

    Attributes:
        model: Name of the model.
        given: Whether compositions of real molecules are given.
        n: Molecules.
        seed: Seed of the run.
        steps: Network calls per molecule.
        schedule: A key of `SCHEDULE_OPTIONS`, or ``default``.
        tv: ``native``, ``const``, or ``-`` where the solver does not see it.
        solver: A key of `SOLVER_OPTIONS`, or ``default``.
    """

    model: str
    given: bool
    n: int
    seed: int
    steps: int
    schedule: str
    tv: str
    solver: str

    @property
    def key(self) -> tuple[str, ...]:
        """The cell as it stands in a CSV file."""
        return tuple(str(getattr(self, field.name)) for field in fields(self))

    @property
    def way(self) -> tuple[str, str, str]:
        """Schedule, total variance and solver."""
        return self.schedule, self.tv, self.solver

    def plan(self, info: ModelInfo) -> Plan:
        """Solver and grid, by the road that the options of ``molgen sample`` take."""
        if self.schedule == DEFAULT:
            return make_plan(info, self.steps, PlanOptions())
        base = SCHEDULE_OPTIONS[self.schedule]
        solver, rho = SOLVER_OPTIONS[self.solver]
        tv = None if self.tv == "-" else self.tv
        options = PlanOptions(base.schedule, solver, base.eta, base.kappa, tv=tv, rho=rho)
        return make_plan(info, self.steps, options)


CELL_COLUMNS = tuple(field.name for field in fields(Cell))


def variances_of(schedule: str) -> tuple[str, ...]:
    """``native`` only where it differs from ``const``."""
    one = SCHEDULES[str(SCHEDULE_OPTIONS[schedule].schedule)]()
    t = torch.linspace(one.t_min, one.t_max, 9, dtype=torch.float64)
    is_constant = bool((one.log_tau(t).abs() < 1e-9).all())
    return ("const",) if is_constant else ("native", "const")


def makes(solver: str, steps: int) -> bool:
    """Whether some number of the solver's steps makes exactly this many network calls."""
    one = solver_named(SOLVER_OPTIONS[solver][0])
    possible = range(one.min_steps, max(steps, one.min_steps) + 1)
    return any(one.nfe(n_steps) == steps for n_steps in possible)


def all_ways(schedules: Sequence[str], solvers: Sequence[str]) -> list[tuple[str, str, str]]:
    """The default plan and every distinct combination."""
    ways = [(DEFAULT, "-", DEFAULT)]
    for schedule in schedules:
        for solver in solvers:
            variances = variances_of(schedule) if solver in RAW_SOLVERS else ("-",)
            ways += [(schedule, tv, solver) for tv in variances]
    return ways


def cells(
    ways_of: Mapping[int, Iterable[tuple[str, str, str]]],
    seeds: Sequence[int],
    n: int,
    model: str,
    *,
    given: bool,
) -> Iterator[Cell]:
    """Every possible cell; step counts that a solver cannot make are left out.

    Args:
        ways_of: Combinations to measure, by number of network calls.
        seeds: Seeds of each.
        n: Molecules of each.
        model: Name of the model.
        given: Whether compositions are given.
    """
    for steps, ways in ways_of.items():
        for schedule, tv, solver in ways:
            if solver == DEFAULT or makes(solver, steps):
                for seed in seeds:
                    yield Cell(model, given, n, seed, steps, schedule, tv, solver)
