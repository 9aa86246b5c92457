"""The JSON form of solvers: the name of the kind and its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, is_dataclass
from types import MappingProxyType
from typing import Any

from molgen.errors import UsageError
from molgen.flow.schedule import Schedule
from molgen.flow.schedules import schedule_from_dict, schedule_to_dict
from molgen.flow.solvers.base import Solver
from molgen.flow.solvers.stepwise import Rule
from molgen.flow.solvers.table import KINDS, SOLVERS, experimental_solvers, solver_named
from molgen.names import unknown

_READERS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "schedule": schedule_from_dict,
        "rules": lambda rules: tuple(Rule(**rule) for rule in rules),
        "weights": lambda rows: tuple(tuple(map(float, row)) for row in rows),
    }
)
"""Parameters that are more than a number or a name, by field."""


def solver_to_dict(solver: Solver) -> dict[str, Any]:
    """JSON-ready form; infinity becomes ``"inf"``.

    Raises:
        UsageError: A schedule within it cannot be stored.
    """
    parameters = fields(solver)  # type: ignore[arg-type] # every kind of solver is a dataclass
    return {"name": solver.name, **{f.name: _stored(getattr(solver, f.name)) for f in parameters}}


def solver_from_dict(stored: Mapping[str, Any]) -> Solver:
    """Solver from its JSON form; parameters that are left out keep their defaults.

    The name of a preset, such as ``"adams3"``, is accepted when it stands alone.

    Raises:
        UsageError: Unknown name, or parameters that the solver does not accept.
    """
    values = dict(stored)
    name = str(values.pop("name", ""))
    kinds = {**KINDS, **{kind.name: kind for kind in experimental_solvers().values()}}
    if name in SOLVERS and not values:
        return solver_named(name)
    if name not in kinds:
        raise UsageError(*unknown("solver", name, sorted({*kinds, *SOLVERS})))
    try:
        return kinds[name](**{field: _read(field, value) for field, value in values.items()})
    except (AttributeError, TypeError, ValueError) as error:
        raise UsageError(f'solver "{name}" does not accept {values}') from error


def _stored(value: Any) -> Any:
    if isinstance(value, Schedule):
        return schedule_to_dict(value)
    if isinstance(value, tuple):
        return [_stored(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return "inf" if value == math.inf else value


def _read(field: str, value: Any) -> Any:
    if value == "inf":
        return math.inf
    return _READERS[field](value) if field in _READERS else value
