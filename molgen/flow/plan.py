"""A plan: which solver walks which grid. What a model ships to say how it is best sampled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.solvers.base import Solver
from molgen.flow.solvers.stored import solver_from_dict, solver_to_dict


@dataclass(frozen=True)
class Plan:
    """A solver and the levels at which it calls the network.

    Attributes:
        solver: The solver.
        grid: The levels, half-log-SNR.
        origin: Where the two come from, for reports: ``"fitted"`` or a schedule's name.

    Raises:
        UsageError: The solver cannot follow the grid.
    """

    solver: Solver
    grid: TimeGrid
    origin: str = ""

    def __post_init__(self) -> None:
        """Reject a grid that the solver cannot follow."""
        self.solver.check(self.grid)

    @property
    def nfe(self) -> int:
        """Network calls per sample."""
        return self.solver.nfe(self.grid.n_steps)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        grid, solver = self.grid.to_dict(), solver_to_dict(self.solver)
        return {"solver": solver, "grid": grid, "origin": self.origin}

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
        return cls(solver_from_dict(solver), TimeGrid.from_dict(grid), origin)
