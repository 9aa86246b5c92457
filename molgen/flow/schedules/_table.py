"""Finding the schedules: every module of this package that does not start with an underscore."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING

from molgen.flow.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterable


def collect(path: Iterable[str], package: str) -> dict[str, type[Schedule]]:
    """The schedules that the modules of a package define, by name.

    Args:
        path: Folders that hold the modules, a package's ``__path__``.
        package: Dotted name under which the modules are imported.

    Returns:
        Concrete subclasses of ``Schedule`` with a ``name`` of their own, sorted by it.

    Raises:
        ValueError: Two schedules have the same name.
    """
    found: dict[str, type[Schedule]] = {}
    for info in pkgutil.iter_modules(path):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{package}.{info.name}")
        for _, kind in inspect.getmembers(module, inspect.isclass):
            defined_here = kind.__module__ == module.__name__ and "name" in vars(kind)
            if not (defined_here and issubclass(kind, Schedule)) or inspect.isabstract(kind):
                continue
            if kind.name in found:
                raise ValueError(f'two schedules are named "{kind.name}" in {package}')
            found[kind.name] = kind
    return dict(sorted(found.items()))


SCHEDULES: dict[str, type[Schedule]] = collect(
    [str(Path(__file__).parent)], __name__.rpartition(".")[0]
)
"""Schedules by the name that users type; a file in this folder is all that a new one takes."""
