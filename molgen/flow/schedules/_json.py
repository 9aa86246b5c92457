"""The JSON form of schedules and of what reshapes them, nested to any depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from molgen.errors import UsageError
from molgen.flow.reshape import RESHAPES, WithVariance
from molgen.flow.schedule import Schedule
from molgen.flow.schedules._table import SCHEDULES
from molgen.names import unknown


def schedule_to_dict(schedule: Schedule) -> dict[str, Any]:
    """JSON-ready form: the name, the numbers and, if replaced, the total variance ``tv``.

    A reshaped schedule holds the form of the schedule it reshapes under ``base``.

    Raises:
        UsageError: The schedule's class is not in ``SCHEDULES``.
    """
    if isinstance(schedule, WithVariance):
        return {**schedule_to_dict(schedule.base), "tv": schedule.variance.name}
    name = getattr(schedule, "name", "")
    if _kinds().get(name) is not type(schedule):
        raise UsageError(
            f"schedule {type(schedule).__name__} has no name in molgen.flow.SCHEDULES",
            "Give the class a name and put its file into molgen/flow/schedules",
        )
    values = {field.name: getattr(schedule, field.name) for field in fields(schedule)}  # type: ignore[arg-type]
    return {"name": name} | {
        key: schedule_to_dict(value) if isinstance(value, Schedule) else value
        for key, value in values.items()
    }


def schedule_from_dict(fields: Mapping[str, Any]) -> Schedule:
    """Schedule from its JSON form; numbers that are left out keep their defaults.

    Raises:
        UsageError: Unknown name, field or total variance, or numbers out of range.
    """
    numbers = dict(fields)
    name, variance = str(numbers.pop("name", "")), numbers.pop("tv", "native")
    if name in RESHAPES:
        if not isinstance(numbers.get("base"), Mapping):
            raise UsageError(f"'{name}' needs 'base', the schedule it reshapes, in the same form")
        numbers["base"] = schedule_from_dict(numbers["base"])
    elif name not in SCHEDULES:
        raise UsageError(*unknown("schedule", name, SCHEDULES))
    try:
        schedule = _kinds()[name](**numbers)
    except TypeError as error:
        raise UsageError(f"schedule '{name}' does not accept {sorted(numbers)}") from error
    return schedule.with_tv(variance)


def _kinds() -> dict[str, type[Schedule]]:
    """Everything that can be stored, by name."""
    return {**SCHEDULES, **RESHAPES}
