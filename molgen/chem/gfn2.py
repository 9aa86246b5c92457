"""GFN2-xTB: energies and minima of geometries, through `tblite`.

GFN2-xTB (Bannwarth, Ehlert and Grimme, J. Chem. Theory Comput. 2019) is a semi-empirical quantum
method: it knows elements, positions and a charge, no bonds. `tblite` computes it (the extra
``molgen[xtb]``) and is imported on the first use; SciPy's L-BFGS-B minimises.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import constants
from scipy.optimize import minimize

from molgen.errors import UsageError

METHOD: Final = "GFN2-xTB"
LARGEST_GRADIENT: Final = 1e-4
"""Converged when no component of the gradient is larger, in hartree/bohr (0.12 kcal/mol/Å).

Up to 33 atoms the norm is then below 1e-3, which is what xtb's own level "normal" asks for.
"""

MAX_ITERATIONS: Final = 1000

BOHR: Final = constants.physical_constants["Bohr radius"][0] / constants.angstrom
"""In Å."""

HARTREE: Final = (
    constants.physical_constants["Hartree energy"][0] * constants.N_A / constants.kilo
) / constants.calorie
"""In kcal/mol."""


@dataclass(frozen=True)
class Minimum:
    """The minimum nearest to a geometry.

    Attributes:
        pos: Å, ``[N, 3]``.
        energy: kcal/mol.
        drop: Energy of the geometry above the minimum, kcal/mol.
    """

    pos: NDArray[np.float64]
    energy: float
    drop: float


@dataclass(frozen=True)
class NoMinimum:
    """A geometry without a minimum.

    Attributes:
        reason: Why, in a few words.
    """

    reason: str


def minimum(
    numbers: NDArray[np.integer], pos: NDArray[np.floating], charge: int = 0
) -> Minimum | NoMinimum:
    """The nearest minimum, in the gas phase, closed shell.

    Args:
        numbers: Atomic numbers, ``[N]``.
        pos: Å, ``[N, 3]``.
        charge: Total charge.

    Raises:
        UsageError: tblite is missing.
    """
    start = np.asarray(pos, np.float64).ravel() / BOHR
    made = calculator()
    try:
        surface = _Surface(made(METHOD, numbers.astype(int), start, charge=float(charge)))
        before, _ = surface(start)
        found = minimize(
            surface,
            start,
            jac=True,
            method="L-BFGS-B",
            options={"gtol": LARGEST_GRADIENT, "ftol": 0.0, "maxiter": MAX_ITERATIONS},
        )
    except RuntimeError:  # tblite's own error is one
        return NoMinimum("SCF not converged")
    if not np.abs(found.jac).max() <= LARGEST_GRADIENT:
        return NoMinimum("not converged")
    energy = float(found.fun)
    drop = (before - energy) * HARTREE
    return Minimum(found.x.reshape(-1, 3) * BOHR, energy * HARTREE, drop)


def calculator() -> Any:
    """The class of tblite's calculators.

    Raises:
        UsageError: tblite is missing.
    """
    try:
        from tblite.interface import Calculator  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError(
            f"{METHOD} needs tblite, which cannot be imported ({error})",
            'Type: pip install "molgen[xtb]"',
        ) from None
    return Calculator


class _Surface:
    """Energy in hartree and gradient in hartree/bohr of a flat vector of positions in bohr."""

    def __init__(self, calculator: Any) -> None:
        calculator.set("verbosity", 0)
        self.calculator = calculator
        self.result: Any = None  # each state is the first guess of the next

    def __call__(self, x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        self.calculator.update(x.reshape(-1, 3))
        try:
            self.result = self.calculator.singlepoint(self.result)
        except RuntimeError:  # a long step may lead where the last state misleads
            self.result = self.calculator.singlepoint()
        return float(self.result.get("energy")), self.result.get("gradient").ravel()
