"""A plan: which solver walks which grid. What a model ships to say how it is best sampled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.lean import NO_LEAN, Lean
from molgen.flow.solvers.base import Denoiser, Solver
from molgen.flow.solvers.stored import solver_from_dict, solver_to_dict
from molgen.flow.tau import AtTau, check_tau


def steps_within(solver: Solver, nfe: int) -> int | None:
    """The most steps that cost at most ``nfe`` network calls; None if the fewest cost more."""
    possible = range(solver.min_steps, nfe + 1)
    return max((n for n in possible if solver.nfe(n) <= nfe), default=None)


def steps_for(solver: Solver, nfe: int) -> int:
    """The number of steps that costs exactly ``nfe`` network calls.

    Raises:
        UsageError: No number of the solver's steps does.
    """
    n_steps = steps_within(solver, nfe)
    if n_steps is not None and solver.nfe(n_steps) == nfe:
        return n_steps
    nearest = solver.nfe(solver.min_steps if n_steps is None else n_steps)
    calls = f"{solver.name} cannot make exactly {nfe} network calls"
    raise UsageError(calls, f"Use --steps {nearest}")


@dataclass(frozen=True)
class Plan:
    """A solver and the levels at which it calls the network.

    Attributes:
        solver: The solver.
        grid: The levels, half-log-SNR.
        origin: Where the two come from, for reports: ``"fitted"`` or a schedule's name.
        tau: Total standard deviation at which each call is made (`molgen.flow.tau`), for a solver
            whose steps are one call each; None keeps to the process, which has 1.
        lean: What is added to the log-probabilities of classes in every estimate
            (`molgen.flow.lean`), for such a solver.

    Raises:
        UsageError: The solver cannot follow the grid, or `tau` or `lean` belong to other calls.
    """

    solver: Solver
    grid: TimeGrid
    origin: str = ""
    tau: tuple[float, ...] | None = None
    lean: Lean = NO_LEAN

    def __post_init__(self) -> None:
        """Reject a grid that the solver cannot follow, and factors that it has no calls for."""
        self.solver.check(self.grid)
        for name in ("tau", "lean"):
            if getattr(self, name) and not self.solver.jumps:
                wrong = f"{self.solver.name} has no single call per step"
                raise UsageError(wrong, f"Leave out {name}")
        if self.tau is not None:
            check_tau(self.tau, self.grid)

    def called(self, denoise: Denoiser, modality: str = "") -> Denoiser:
        """The network as this plan calls it; arguments as of `molgen.flow.tau.AtTau`."""
        return denoise if self.tau is None else AtTau(denoise, self.grid, self.tau, modality)

    def plain(self) -> Plan:
        """The same calls, at the total variance of the process and with classes as they are."""
        return replace(self, tau=None, lean=NO_LEAN)

    @property
    def nfe(self) -> int:
        """Network calls per sample."""
        return self.solver.nfe(self.grid.n_steps)

    @property
    def jumps(self) -> TimeGrid | None:
        """The grid, for a network that is told where its steps end; None if calls are shared."""
        return self.grid if self.solver.jumps else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        grid, solver = self.grid.to_dict(), solver_to_dict(self.solver)
        tau = {} if self.tau is None else {"tau": list(self.tau)}
        lean = {"lean": self.lean.to_dict()} if self.lean else {}
        return {"solver": solver, "grid": grid, "origin": self.origin, **tau, **lean}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Plan:
        """Plan from its JSON form.

        Raises:
            UsageError: Missing or wrong fields, or a solver that cannot follow the grid.
        """
        try:
            solver, grid = dict(fields["solver"]), dict(fields["grid"])
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError("a stored plan needs 'solver' and 'grid' tables") from error
        origin = str(fields.get("origin", ""))
        tau = None if fields.get("tau") is None else tuple(map(float, fields["tau"]))
        lean = Lean.from_dict(fields.get("lean"))
        return cls(solver_from_dict(solver), TimeGrid.from_dict(grid), origin, tau, lean)
