"""Noise levels by size: the analytic shift, and levels calibrated on a trained network.

One level destroys less of a large molecule than of a small one, since its atoms bear witness
for each other. The shift moves the levels of sampling; the calibration leaves them as they are
and moves what the network is told.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import scipy
import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.process import Gaussian
from molgen.flow.solvers.base import Denoiser

_TOLERANCE = 1e-3  # of a calibrated level, in half log-SNR


def size_shift(lam: Tensor, d: Tensor, d_ref: float) -> Tensor:
    """Level, float64, at which ``d`` dimensions are as uncertain as ``d_ref`` are at ``lam``.

    ``lam - log(m)`` with ``m = sqrt(d / d_ref)``; on straight paths ``t' = m t / (1 + (m - 1) t)``
    (Esser et al. 2024, arXiv 2403.03206, section 5.3.2).
    """
    return lam.to(torch.float64) - 0.5 * torch.log(d.to(torch.float64) / d_ref)


def size_lead(n_atoms: Tensor, n_ref: int) -> Tensor:
    """The shift of ``3 N - 3`` degrees of freedom as a lead per molecule, float64, ``[B]``.

    Infinity for single atoms, which have no coordinates to find. ``n_ref``, at least 2, are the
    atoms of the molecule whose levels stay.
    """
    if n_ref < 2:
        raise UsageError(f"reference size of {n_ref} atoms", "Give 2 atoms or more")
    return size_shift(torch.zeros(()), 3 * n_atoms - 3, 3 * n_ref - 3)


@dataclass(frozen=True)
class LevelCalibration:
    """Which level to tell the network instead of the true one, by size (NoiseShift, 2510.02307).

    ``delta`` corrects half-log-SNR per size and level, both increasing; it is interpolated linearly
    between them, beyond them it is that of the nearest.
    """

    sizes: tuple[int, ...]
    lam: tuple[float, ...]
    delta: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        shape = len(self.delta) == len(self.sizes) and all(
            len(row) == len(self.lam) for row in self.delta
        )
        if not (shape and self.sizes and self.lam):
            raise UsageError("a level calibration of uneven shape", "Give one row per size")
        if not (_increasing(self.sizes) and _increasing(self.lam)):
            raise UsageError("a level calibration out of order", "List sizes and levels upwards")

    def told(self, lam: float, n_atoms: Sequence[int]) -> Tensor:
        """Levels for the network, float64, ``[B]``, when the true one is ``lam``."""
        rows = [_linear(self.lam, row, lam) for row in self.delta]
        shifts = [lam + _linear(self.sizes, rows, size) for size in n_atoms]
        return torch.tensor(shifts, dtype=torch.float64)

    def wrap(self, denoise: Denoiser, n_atoms: Sequence[int]) -> Denoiser:
        """A denoiser of molecules of these sizes that passes on calibrated levels, ``[B]``."""
        return lambda x, lam: denoise(x, self.told(float(lam), n_atoms))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> LevelCalibration:
        """Calibration from its JSON form."""
        return cls(
            tuple(int(size) for size in fields["sizes"]),
            tuple(float(level) for level in fields["lam"]),
            tuple(tuple(float(shift) for shift in row) for row in fields["delta"]),
        )


def calibrate_levels(
    denoise_at: Callable[[Tensor, Tensor], Tensor],
    data: Mapping[int, Tensor],
    noise: Mapping[int, Tensor],
    lam: Sequence[float],
    *,
    process: Gaussian | None = None,
    reach: float = 1.0,
) -> LevelCalibration:
    """Find the level to tell a network at each size by minimising its denoising error.

    The same noise serves every candidate, so the error is a smooth function of the level. A
    correction, at most ``reach``, that does not lower the error is not made. ``denoise_at`` takes a
    state ``[n, N, F]`` and levels ``[n]``; data and noise are ``[n, N, F]`` by size.
    """
    gaussian = process or Gaussian()

    def best(size: int, level: float) -> float:
        x0 = data[size]
        true = torch.full((len(x0),), level, dtype=torch.float64)
        x = gaussian.corrupt(x0, gaussian.project(noise[size]), true)

        def error(shift: float) -> float:
            return float((denoise_at(x, true + shift) - x0).square().mean())

        found = scipy.optimize.minimize_scalar(
            error, bounds=(-reach, reach), method="bounded", options={"xatol": _TOLERANCE}
        )
        return float(found.x) if found.fun < error(0.0) else 0.0

    sizes = tuple(sorted(data))
    delta = tuple(tuple(best(size, level) for level in lam) for size in sizes)
    return LevelCalibration(sizes, tuple(lam), delta)


def _linear(x: Sequence[float], y: Sequence[float], at: float) -> float:
    """Piecewise linear interpolation, constant beyond the ends."""
    right = bisect_right(x, at)
    if right in {0, len(x)}:
        return y[0] if right == 0 else y[-1]
    low, high = x[right - 1], x[right]
    share = (at - low) / (high - low)
    return (1 - share) * y[right - 1] + share * y[right]


def _increasing(values: Sequence[float]) -> bool:
    """Whether every value is above the one before it."""
    return all(low < high for low, high in pairwise(values))
