"""Solvers by the name that users type, and their JSON form."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, is_dataclass
from types import MappingProxyType
from typing import Any

from molgen.did_you_mean import unknown
from molgen.errors import UsageError
from molgen.flow.schedule import Schedule
from molgen.flow.schedules import OTFlow, schedule_from_dict, schedule_to_dict
from molgen.flow.solvers.base import Solver
from molgen.flow.solvers.exponential import (
    DDIM,
    PLMS,
    DPMpp2M,
    ExpMultistep,
    LinearMultistep,
    Rule,
    Stepwise,
    UniPC2,
    UniPC3,
)
from molgen.flow.solvers.raw import RK45, Euler, Heun
from molgen.flow.solvers.stochastic import Ancestral, DPMpp2MSDE, EDMChurn

KINDS: Mapping[str, type[Solver]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            *(Euler, Heun, RK45, DDIM, DPMpp2M, DPMpp2MSDE, ExpMultistep, PLMS, UniPC2, UniPC3),
            *(Ancestral, EDMChurn, LinearMultistep, Stepwise),
        )
    }
)
"""Classes of solvers by the name of their stored form."""

SOLVERS: Mapping[str, tuple[type[Solver], Mapping[str, Any]]] = MappingProxyType(
    {
        **{kind.name: (kind, {}) for kind in (Euler, Heun, RK45, DDIM, DPMpp2M, DPMpp2MSDE)},
        "adams2": (ExpMultistep, {"order": 2}),
        "adams3": (ExpMultistep, {"order": 3}),
        "adams2-eps": (ExpMultistep, {"order": 2, "prediction": "eps"}),
        "adams3-eps": (ExpMultistep, {"order": 3, "prediction": "eps"}),
        **{kind.name: (kind, {}) for kind in (PLMS, UniPC2, UniPC3, Ancestral, EDMChurn)},
    }
)
"""Solvers that need no coefficients of their own: the class and its parameters."""


def experimental_solvers() -> Mapping[str, type[Solver]]:
    """Solvers that no measurement has promoted; loaded when asked for."""
    from molgen.flow.extra.evodiff import EVODiff  # noqa: PLC0415 - the main road goes without

    return {EVODiff.name: EVODiff}


def solver_named(name: str, **options: Any) -> Solver:
    """Build one of ``SOLVERS``, or an experimental solver; each takes of the options what it has.

    The ``schedule`` that raw solvers need is ``OTFlow`` unless given.
    """
    if name not in SOLVERS:
        experimental = experimental_solvers()
        if name in experimental:
            return experimental[name]()
        message, hint = unknown("solver", name, [*SOLVERS, *experimental])
        raise UsageError(message, f"{hint} (experimental: {', '.join(experimental)})")
    kind, own = SOLVERS[name]
    given = {"schedule": OTFlow(), **options}
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{**{key: given[key] for key in given if key in known}, **own})


_READERS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "schedule": schedule_from_dict,
        "rules": lambda rules: tuple(Rule(**rule) for rule in rules),
        "weights": lambda rows: tuple(tuple(map(float, row)) for row in rows),
    }
)
"""Parameters that are more than a number or a name, by field."""


def solver_to_dict(solver: Solver) -> dict[str, Any]:
    """JSON-ready form, the name and the parameters; infinity becomes ``"inf"``.

    Raises:
        UsageError: A schedule within it cannot be stored.
    """
    parameters = fields(solver)  # type: ignore[arg-type] # every kind of solver is a dataclass
    return {"name": solver.name, **{f.name: _stored(getattr(solver, f.name)) for f in parameters}}


def solver_from_dict(stored: Mapping[str, Any]) -> Solver:
    """Solver from its JSON form; parameters that are left out keep their defaults.

    A name of ``SOLVERS``, such as ``"adams3"``, is accepted when it stands alone.

    Raises:
        UsageError: Unknown name, or parameters that the solver does not accept.
    """
    values = dict(stored)
    name = str(values.pop("name", ""))
    kinds = {**KINDS, **experimental_solvers()} if name not in KINDS else KINDS
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
