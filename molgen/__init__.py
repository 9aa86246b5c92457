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
    "dock": "molgen.docking.api",
    "evaluate": "molgen.api",
    "load": "molgen.api",
    "to_ase": "molgen.integrations.ase",
    "to_dataframe": "molgen.integrations.pandas",
    "view": "molgen.integrations.py3dmol",
}

_EXTRAS = {"pandas": "dataframe", "py3Dmol": "notebook"}
"""The extra that brings a package, by the name that Python imports."""

keep_threads_modest()

__all__ = [
    "Generator",
    "__version__",
    "conformers",
    "dock",
    "evaluate",
    "load",
    "to_ase",
    "to_dataframe",
    "view",
]

if TYPE_CHECKING:
    from molgen.api import Generator, evaluate, load
    from molgen.docking.api import dock
    from molgen.integrations.ase import to_ase
    from molgen.integrations.pandas import to_dataframe
    from molgen.integrations.py3dmol import view
    from molgen.sampling.conformers.stream import conformers


def __getattr__(name: str) -> object:
    """Import a public name from its home on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        home = import_module(_HOMES[name])
    except ModuleNotFoundError as error:
        if error.name not in _EXTRAS:
            raise
        extra = _EXTRAS[error.name]
        raise ImportError(f'molgen.{name} needs more: pip install "molgen[{extra}]"') from error
    value: object = getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
