"""Calling a network with states of another total variance than the process has.

At half log-SNR lambda the process says x = a x0 + b eps with a^2 + b^2 = 1. A sampler of few large
steps does not keep to it: an estimate is a mean over what the data may be, so it varies less than
data do, and with it the states that it leads to. The network takes them for states of smaller
samples, and makes these. It is called at ``input_scale x`` instead, with the signal and the noise
that x has, so that log-SNR stays what it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.solvers.base import Denoiser
from molgen.flow.state import State


def check_input_scale(factors: tuple[float, ...], grid: TimeGrid) -> None:
    """Raise a UsageError for factors that are no positive numbers, one per call of a grid."""
    if len(factors) != grid.n_steps:
        raise UsageError(
            f"{len(factors)} values of input_scale for {grid.n_steps} calls",
            "Give one for each call",
        )
    if not all(0 < value < math.inf for value in factors):
        raise UsageError(
            "input_scale is a total standard deviation", "Give numbers above 0; 1 is none"
        )


@dataclass(frozen=True)
class InputScale:
    """A denoiser that is called with states of another total variance.

    Attributes:
        denoise: The network.
        grid: The levels at which it is called.
        factors: Total standard deviation at each of them, in that of the process.
        modality: Part of the state that is scaled; ``""`` for a state that is a tensor.
    """

    denoise: Denoiser
    grid: TimeGrid
    factors: tuple[float, ...]
    modality: str = ""

    def __call__(self, x: State, lam: Tensor) -> State:
        """Predicted clean state at half log-SNR ``lam``, one of the grid's."""
        factor = self.factors[self.grid.lam.index(float(lam))]
        return self.denoise(scaled(x, factor, self.modality), lam)


def scaled(x: State, factor: float, modality: str = "") -> State:
    """A state, or one modality of it, times a factor.

    Example:
        >>> import torch
        >>> scaled({"pos": torch.ones(2), "element": torch.ones(2)}, 1.5, "pos")["pos"].tolist()
        [1.5, 1.5]
    """
    if factor == 1:
        return x
    if isinstance(x, Tensor):
        return factor * x
    return {**x, modality: factor * x[modality]}
