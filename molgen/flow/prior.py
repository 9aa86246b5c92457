"""Where sampling starts: the law of the state at the first level.

Pure noise is right only at zero signal-to-noise. A grid that starts at finite half-log-SNR leaks
the size and the shape of the data into its first state, and starting without them is an error
that no later step repairs. Every process is the prior of its own modality: ``Gaussian`` with and
without centre of mass, ``Masked`` and ``Uniform``, ``Bridge``. Here are those that know more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.process import Gaussian
from molgen.flow.processes.bridge import Bridge, Path, Straight
from molgen.flow.schedule import unit_tv


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of flattened data of one size.

    Attributes:
        mean: Shape ``()`` or ``[D]``.
        covariance: Shape ``()`` for a multiple of the identity, ``[D]`` for a diagonal, or
            ``[D, D]``.
    """

    mean: Tensor
    covariance: Tensor

    @classmethod
    def isotropic(cls, x: Tensor, dof: int | None = None) -> Moments:
        """One variance about zero, which is what molecules free to turn and be relabelled have.

        Args:
            x: Data, ``[n, ...]``.
            dof: Degrees of freedom of one sample, ``3 N - 3`` for centred molecules; ``None``
                is its number of entries.
        """
        per_sample = x.double().flatten(1).square().sum(dim=1)
        variance = per_sample.mean() / (dof or x[0].numel())
        return cls(torch.zeros((), dtype=torch.float64), variance)

    @classmethod
    def full(cls, x: Tensor) -> Moments:
        """Mean and covariance matrix of data ``[n, ...]``, two samples or more."""
        flat = x.double().flatten(1)
        return cls(flat.mean(dim=0), torch.cov(flat.T).reshape(flat.shape[1], flat.shape[1]))

    def draw(self, noise: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """State ``N(a mean, b^2 + a^2 covariance)`` with the symmetric root, which keeps subspaces.

        Args:
            noise: Standard normal, float64, ``[n, D]``.
            a: Signal amplitudes, ``[n, 1]``.
            b: Noise amplitudes, ``[n, 1]``.
        """
        if self.covariance.dim() < 2:
            return a * self.mean + torch.sqrt(b**2 + a**2 * self.covariance) * noise
        values, vectors = torch.linalg.eigh(self.covariance)
        widths = torch.sqrt(b**2 + a**2 * values.clamp_min(0))
        return a * self.mean + (noise @ vectors * widths) @ vectors.T


@dataclass(frozen=True, eq=False)
class Matched:
    """The Gaussian with the first two moments of the true first state, by size.

    The closed form of One More Step (Hu et al. 2023, arXiv 2311.15744), which trains a network
    for the same end.

    Attributes:
        by_size: Moments of data with each number of rows; others take the nearest.
        zero_com: Whether noise has zero centre of mass per molecule.
    """

    by_size: Mapping[int, Moments]
    zero_com: bool = False

    def __post_init__(self) -> None:
        """Reject a prior that knows nothing."""
        if not self.by_size:
            raise UsageError("a matched prior without sizes", "Give moments of one size or more")

    def start(self, noise: Tensor, lam: Tensor, mask: Tensor | None = None) -> Tensor:
        """State at the first level.

        Args:
            noise: Standard normal, ``[B, N, ...]``.
            lam: Half-log-SNR, ``()`` or ``[B]``.
            mask: Real rows, bool, ``[B, N]``, which come first; ``None`` where all are real.

        Raises:
            UsageError: Levels differ within a sample.
        """
        if lam.dim() > 1:
            raise UsageError("a matched prior got levels per row", "Give one level per sample")
        noise = Gaussian(self.zero_com).project(noise, mask)
        a, b = (weight.to(noise.device).expand(len(noise)) for weight in unit_tv(lam))
        sizes = [noise.shape[1]] * len(noise) if mask is None else mask.sum(dim=1).tolist()
        state = torch.zeros_like(noise)
        for size in set(sizes):
            rows = torch.tensor([other == size for other in sizes], device=noise.device)
            part = noise[rows, :size]
            flat = part.double().flatten(1)
            drawn = self._moments(size).draw(flat, a[rows, None], b[rows, None])
            state[rows, :size] = drawn.reshape(part.shape).to(noise)
        return state

    def _moments(self, size: int) -> Moments:
        """Moments of the nearest known size."""
        return self.by_size[min(self.by_size, key=lambda known: (abs(known - size), known))]


@dataclass(frozen=True, eq=False)
class FromStructure:
    """Start from an estimate instead of pure noise; see ``Bridge.start``.

    With the default path this is SDEdit (Meng et al. 2021, arXiv 2108.01073) for the plain
    Gaussian process; with another one the start of that bridge in its native frame, which
    ``Bridge.unit`` brings into the solvers' one.

    Attributes:
        x_hat: Estimate of the data, ``[B, ...]``.
        path: Weights of the bridge.
        noise_scale: Noise of each atom, broadcastable against the data; ``None`` is 1.
        zero_com: Whether noise has zero centre of mass per molecule.
    """

    x_hat: Tensor
    path: Path = field(default_factory=Straight)
    noise_scale: Tensor | None = None
    zero_com: bool = False

    def start(self, noise: Tensor, lam: Tensor, mask: Tensor | None = None) -> Tensor:
        """State at ``lam`` with the estimate in place of the data."""
        bridge = Bridge(self.path, self.x_hat, self.noise_scale, mask, self.zero_com)
        return bridge.start(noise, lam, mask)
