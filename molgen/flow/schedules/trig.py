"""The trigonometric schedule: equal turns of the angle between signal and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from molgen.flow.schedule import Schedule


@dataclass(frozen=True)
class Trig(Schedule):
    """``a = cos(pi t / 2)``, ``b = sin(pi t / 2)``, tau = 1 (Albergo et al. 2023, 2303.08797).

    Among the schedules of unit total variance this one turns at a constant rate.
    """

    name: ClassVar[str] = "trig"
    t_min: float = 1e-4
    t_max: float = 0.999

    def lam(self, t: Tensor) -> Tensor:
        """Half-log-SNR; the sine of the complement keeps the digits near t = 1."""
        signal, noise = _amplitudes(t)
        return torch.log(signal) - torch.log(noise)

    def dlam(self, t: Tensor) -> Tensor:
        """Slope."""
        signal, noise = _amplitudes(t)
        return -0.5 * math.pi / (signal * noise)

    def t_of_lam(self, lam: Tensor) -> Tensor:
        """Inverse."""
        return torch.atan(torch.exp(-lam.to(torch.float64))) * (2 / math.pi)


def _amplitudes(t: Tensor) -> tuple[Tensor, Tensor]:
    """Signal and noise at time ``t``."""
    return torch.sin(0.5 * math.pi * (1 - t)), torch.sin(0.5 * math.pi * t)
