"""Solvers that no measurement has promoted yet, by the name that users type."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from molgen.flow.experimental.evodiff import EVODiff
from molgen.flow.solvers.base import Solver

EXPERIMENTAL_SOLVERS: Mapping[str, type[Solver]] = MappingProxyType({EVODiff.name: EVODiff})
"""Each can be built without arguments."""
