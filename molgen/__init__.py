"""Few-step generative modelling of 3D molecules.

The public names load on first use, so that ``import molgen`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from molgen.cores import keep_threads_modest

__version__ = "0.1.0"

_HOMES = {
    "Generator": "molgen.api",
    "conformers": "molgen.sampling.conformers.stream",
    "evaluate": "molgen.api",
    "load": "molgen.api",
    "to_ase": "molgen.integrations.ase",
}

keep_threads_modest()

__all__ = ["Generator", "__version__", "conformers", "evaluate", "load", "to_ase"]

if TYPE_CHECKING:
    from molgen.api import Generator, evaluate, load
    from molgen.integrations.ase import to_ase
    from molgen.sampling.conformers.stream import conformers


def __getattr__(name: str) -> object:
    """Import a public name from its home on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
