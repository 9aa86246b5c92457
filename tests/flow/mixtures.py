"""Gaussian mixtures with exact denoisers: what a perfectly trained network would say."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.stats import chi2
from torch import Tensor

from molgen.flow import unit_tv

N_PROJECTIONS = 200


@dataclass(frozen=True)
class Mixture:
    """Equal-weight Gaussians with means [K, D] and one diagonal of deviations [D]."""

    means: Tensor
    deviations: Tensor

    @property
    def dim(self) -> int:
        return self.means.shape[1]

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        mode = torch.randint(len(self.means), (n,), generator=generator)
        noise = torch.randn(n, self.dim, generator=generator, dtype=torch.float64)
        return self.means[mode] + self.deviations * noise

    def denoise(self, x: Tensor, lam: Tensor) -> Tensor:
        """Posterior mean of the clean data given the unit-total-variance state."""
        a, b = unit_tv(lam)
        variance = a**2 * self.deviations**2 + b**2
        away = x[:, None] - a * self.means
        weight = torch.softmax(-0.5 * (away**2 / variance).sum(-1), dim=1)
        means = weight @ self.means
        return means + a * self.deviations**2 / variance * (x - a * means)

    def stability(self, x: Tensor) -> float:
        """Share of points within the 99.9 % ellipsoid of the nearest mode."""
        away = (x[:, None] - self.means) / self.deviations
        return float(((away**2).sum(-1).amin(1) < chi2.ppf(0.999, self.dim)).double().mean())


def mol27(n_modes: int = 40, stiff: int = 18, soft: int = 9) -> Mixture:
    """27 dimensions like a small molecule: 18 stiff (bonds, angles), 9 soft (torsions)."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(n_modes, stiff + soft, generator=generator, dtype=torch.float64)
    deviations = torch.tensor([0.03] * stiff + [0.6] * soft, dtype=torch.float64)
    means[:, stiff:] *= 0.8
    return Mixture(means - means.mean(0), deviations)


def toy2() -> Mixture:
    """Four well separated modes in the plane."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(4, 2, generator=generator, dtype=torch.float64)
    return Mixture(means, torch.full((2,), 0.3, dtype=torch.float64))


def bell() -> Mixture:
    """One Gaussian on the line, where the exact flow is a scaling."""
    zero = torch.zeros(1, 1, dtype=torch.float64)
    return Mixture(zero, torch.full((1,), 0.5, dtype=torch.float64))


def sliced_w2(x: Tensor, y: Tensor) -> float:
    """Sliced Wasserstein-2 distance of two equally large samples [N, D]."""
    generator = torch.Generator().manual_seed(1)
    directions = torch.randn(x.shape[1], N_PROJECTIONS, generator=generator, dtype=x.dtype)
    directions = directions / directions.norm(dim=0)
    gap = (x @ directions).sort(0).values - (y @ directions).sort(0).values
    return float((gap**2).mean().sqrt())


def normal(n: int, dim: int, seed: int = 0) -> Tensor:
    """Standard normal numbers [N, D]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, dim, generator=generator, dtype=torch.float64)
