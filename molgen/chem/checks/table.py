"""The checks by name, and how they are made: in processes that a time limit ends."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final

from rdkit import rdBase

from molgen.chem.checks.alerts import ALERTS, BRENK, PAINS
from molgen.chem.checks.check import Check, Tags, Value
from molgen.chem.checks.properties import PROPERTIES, SHAPE
from molgen.chem.checks.stereo import STEREO
from molgen.chem.mol import build_mol
from molgen.chem.molecule import Molecule
from molgen.chem.workers import Unfinished, run_with_limit
from molgen.config.evaluation import Bound
from molgen.did_you_mean import unknown
from molgen.errors import UsageError

TIME_LIMIT_S: Final = 10.0

TEXT: Final = "_names"
"""How columns of text end."""

CHECKS: Final[Mapping[str, Check]] = MappingProxyType(
    {
        "properties": PROPERTIES,
        "alerts": ALERTS,
        "brenk": BRENK,
        "pains": PAINS,
        "shape": SHAPE,
        "stereo": STEREO,
    }
)


def columns_of(names: Sequence[str]) -> tuple[str, ...]:
    """Names of the values of some checks, in order.

    Raises:
        UsageError: There is no check of a name.
    """
    for name in names:
        if name not in CHECKS:
            raise UsageError(*unknown("check", name, CHECKS))
    return tuple(column for name in names for column in CHECKS[name].columns)


def numbers_of(names: Sequence[str]) -> tuple[str, ...]:
    """Columns of some checks that may have bounds: numbers and truths.

    Raises:
        UsageError: There is no check of a name.
    """
    return tuple(column for column in columns_of(names) if not column.endswith(TEXT))


def checks_of(columns: Collection[str]) -> tuple[str, ...]:
    """The checks that measure some columns.

    Raises:
        UsageError: None measures one of them.
    """
    homes = {column: name for name in CHECKS for column in numbers_of([name])}
    for column in columns:
        if column not in homes:
            raise UsageError(*unknown("column", column, homes))
    return tuple(dict.fromkeys(homes[column] for column in columns))


def measure(item: tuple[Molecule, Tags], names: Sequence[str]) -> dict[str, Value]:
    """The values of one molecule; None for those that do not apply or cannot be had."""
    molecule, tags = item
    values: dict[str, Value] = dict.fromkeys(columns_of(names))
    with rdBase.BlockLogs():
        built = build_mol(molecule)
        if built.reason or not molecule.n_atoms:
            return values
        for name in names:
            try:
                values |= CHECKS[name].measure(built.mol, tags)
            except (ValueError, RuntimeError):
                continue
    return values


def measure_all(
    molecules: Sequence[Molecule],
    tags: Sequence[Tags],
    names: Sequence[str],
    n_workers: int,
    progress: Callable[[int], None] | None = None,
) -> list[dict[str, Value]]:
    """The values of each molecule, in order.

    Args:
        molecules: n molecules with bonds; one without atoms has no values.
        tags: Data fields of each.
        names: Keys of `CHECKS`.
        n_workers: Processes.
        progress: Called with the number of molecules done.
    """
    if not names:
        return [{} for _ in molecules]
    nothing: dict[str, Value] = dict.fromkeys(columns_of(names))
    items = [(one, dict(fields)) for one, fields in zip(molecules, tags, strict=True)]
    work = partial(measure, names=tuple(names))
    found = run_with_limit(work, items, TIME_LIMIT_S, n_workers, progress)
    return [dict(nothing) if isinstance(one, Unfinished) else one for one in found]


def beyond(values: Mapping[str, Value], bounds: Mapping[str, Bound]) -> str:
    """Which values lie outside their bounds; empty for none.

    Args:
        values: By column.
        bounds: By column, too.
    """
    faults = []
    for name, bound in bounds.items():
        value = values.get(name)
        if value is None or isinstance(value, str):
            faults.append(f"{name} is missing")
        elif bound.min is not None and value < bound.min:
            faults.append(f"{name} {float(value):g} < {bound.min:g}")
        elif bound.max is not None and value > bound.max:
            faults.append(f"{name} {float(value):g} > {bound.max:g}")
    return ", ".join(faults)
