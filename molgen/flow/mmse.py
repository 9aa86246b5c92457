"""The error of a denoiser at each noise level, and what it says about information.

The identity of Guo, Shamai and Verdu (2005, arXiv cs/0412108): per dimension, the entropy of the
data given the noisy state falls at the rate ``d H / d lam = -gamma^2 mmse(lam)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy
import torch
from torch import Tensor

from molgen.errors import UsageError


@dataclass(frozen=True)
class MMSECurve:
    """Mean squared error of a denoiser per dimension at increasing levels of half-log-SNR."""

    lam: tuple[float, ...]
    mmse: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.lam) != len(self.mmse) or len(self.lam) < 2:
            raise UsageError("an MMSE curve needs as many errors as levels", "Give at least two")
        if not all(map(math.isfinite, (*self.lam, *self.mmse))):
            raise UsageError("an MMSE curve has a value that is not finite")
        if not all(low < high for low, high in zip(self.lam, self.lam[1:], strict=False)):
            raise UsageError("the levels of an MMSE curve do not increase", "Sort them")
        if min(self.mmse) < 0 or max(self.mmse) == 0:
            raise UsageError("the errors of an MMSE curve are negative or all zero")

    def entropy(self) -> tuple[float, ...]:
        """Entropy of the data given the state, relative to the last level; nats per dimension."""
        fall = self._integral(1.0)
        return tuple((fall[-1] - fall).tolist())

    def quantiles(self, share: Tensor, power: float = 1.0) -> Tensor:
        """Levels, float64, below which a share of ``integral (gamma^2 mmse)^power d lam`` lies.

        ``power`` 1 is the conditional entropy, 0.5 ``gamma sqrt(mmse)``.
        """
        total = self._integral(power)
        levels = np.interp(share.numpy() * total[-1], total, self.lam)
        # Where nothing is decided the integral is flat, and the ends would slip inwards.
        levels[share.numpy() == 0], levels[share.numpy() == 1] = self.lam[0], self.lam[-1]
        return torch.from_numpy(levels)

    def clip(self, sigma_min: float, sigma_max: float) -> MMSECurve:
        """The part between two noise-to-signal ratios, the ends interpolated.

        Raises:
            UsageError: The curve was not measured there.
        """
        low, high = -math.log(sigma_max), -math.log(sigma_min)
        if low >= high or low < self.lam[0] - 1e-9 or high > self.lam[-1] + 1e-9:
            ends = f"{math.exp(-self.lam[-1]):.3g} to {math.exp(-self.lam[0]):.3g}"
            raise UsageError(f"the MMSE curve was measured for sigma {ends}", "Stay inside")
        levels = (low, *(level for level in self.lam if low < level < high), high)
        return MMSECurve(levels, tuple(np.interp(levels, self.lam, self.mmse).tolist()))

    def _integral(self, power: float) -> np.ndarray:
        lam = np.array(self.lam)
        rate = (np.exp(2 * lam) * np.array(self.mmse)) ** power
        return scipy.integrate.cumulative_trapezoid(rate, lam, initial=0.0)
