"""Samples between two samples, by way of the noise that leads to them.

Midpoints of data are no data and midpoints of noise are too short to be noise. The great circle
keeps the law of independent noises; encodings of real data need corrections besides (Zheng et
al. 2024, arXiv 2403.08840).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy
import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.coupling import Coupling
from molgen.flow.edit import ddim_invert
from molgen.flow.grid import TimeGrid
from molgen.flow.process import Gaussian
from molgen.flow.solvers import DDIM, Denoiser
from molgen.flow.state import Offsets, State, expand_like

_SMALLEST_ANGLE = 1e-4  # the great circle and the straight line differ by its square


@dataclass(frozen=True)
class Route:
    """How encodings are mixed on the way.

    Attributes:
        process: Subspace of the noise: ``zero_com`` for positions.
        quantile: Norms are kept within the central band of this probability under the noise's
            own law, at points between the ends; 1 leaves them.
        fresh: Share of the variance that independent noise replaces halfway, from 0 to below 1;
            it heals encodings that are not normal and costs likeness. Elsewhere the share is
            smaller by ``4 w (1 - w)``, so that the ends stay.
    """

    process: Gaussian = field(default_factory=Gaussian)
    quantile: float = 0.99
    fresh: float = 0.0

    def __post_init__(self) -> None:
        """Reject shares that are none."""
        if not (0 < self.quantile <= 1 and 0 <= self.fresh < 1):
            raise UsageError(
                f"an interpolation with quantile {self.quantile:g} and fresh {self.fresh:g}",
                "Give a quantile in (0, 1] and a share of fresh noise in [0, 1)",
            )

    def between(
        self,
        first: Tensor,
        second: Tensor,
        weight: float,
        mask: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Encoding at ``weight`` of the way; exactly ``first`` at 0 and ``second`` at 1.

        Args:
            first: Encodings, ``[B, ...]``.
            second: Encodings, shaped like ``first``.
            weight: From 0 to 1.
            mask: Real rows, bool, ``[B, N]``.
            noise: Raw standard normal noise, needed if ``fresh`` is above 0.

        Raises:
            UsageError: Fresh noise is wanted and there is none.
        """
        if weight in {0.0, 1.0}:
            return second if weight else first
        mixed = slerp(first, second, weight)
        if self.fresh:
            if noise is None:
                raise UsageError("an interpolation got no fresh noise", "Pass noise=")
            share = 4 * weight * (1 - weight) * self.fresh
            mixed = (1 - share) ** 0.5 * mixed + share**0.5 * self.process.project(noise, mask)
        return self._banded(self.process.project(mixed, mask), mask)

    def band(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Smallest and largest norm of noise on the subspace, ``[B]`` each, dtype of ``x``."""
        real = Gaussian().project(torch.ones_like(x), mask).flatten(1).sum(dim=1)
        dof = real - (x.shape[-1] if self.process.zero_com else 0)
        outside = 0.5 * (1 - self.quantile)
        # Quantiles of the chi law; scipy.stats has them too, at 0.7 s of import.
        half = dof.cpu().numpy() / 2
        shares = (outside, 1 - outside)
        ends = [np.sqrt(2 * scipy.special.gammaincinv(half, share)) for share in shares]
        low, high = (torch.as_tensor(end).nan_to_num(0.0, torch.inf).to(x) for end in ends)
        return low, high

    def _banded(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Encodings scaled to the nearest norm that noise has."""
        norm = x.flatten(1).norm(dim=1)
        low, high = self.band(x, mask)
        factor = norm.clamp(low, high) / norm.clamp_min(torch.finfo(x.dtype).tiny)
        return x * expand_like(factor, x)


def slerp(first: Tensor, second: Tensor, weight: float) -> Tensor:
    """Great circle between the directions, straight line between the norms, per sample.

    Shoemake 1985. Independent normal vectors are nearly orthogonal in many dimensions, so the
    points between have the norm that noise has.

    Args:
        first: Shape ``[B, ...]``.
        second: Shaped like ``first``.
        weight: 0 is the first, 1 the second.
    """
    p, q = first.double().flatten(1), second.double().flatten(1)
    lengths = [x.norm(dim=1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny) for x in (p, q)]
    u, v = p / lengths[0], q / lengths[1]
    # The arc tangent keeps the digits of small and of nearly straight angles.
    angle = 2 * torch.atan2((u - v).norm(dim=1), (u + v).norm(dim=1))[:, None]
    bent = torch.sin(angle) > _SMALLEST_ANGLE
    sine = torch.where(bent, torch.sin(angle), 1.0)
    near = torch.where(bent, torch.sin((1 - weight) * angle) / sine, 1 - weight)
    far = torch.where(bent, torch.sin(weight * angle) / sine, weight)
    length = (1 - weight) * lengths[0] + weight * lengths[1]
    return (length * (near * u + far * v)).reshape(first.shape).to(first)


def matched(
    first: State, second: State, coupling: Coupling, mask: Tensor | None = None, key: str = "pos"
) -> State:
    """The second sample with its atoms in the order of the first one's.

    Args:
        first: Sample, ``[B, N, ...]`` or a dict of such.
        second: Sample of the same sizes.
        coupling: What relabels and turns, such as ``AtomOT``.
        mask: Real rows, bool, ``[B, N]``.
        key: Modality that decides, for dicts; the others follow its relabelling.
    """
    if isinstance(first, Tensor) or isinstance(second, Tensor):
        if not (isinstance(first, Tensor) and isinstance(second, Tensor)):
            raise UsageError("two samples of different modalities", "Give two of the same kind")
        return coupling.pair(first, second, mask).noise
    pairing = coupling.pair(first[key], second[key], mask)
    return {name: pairing.noise if name == key else pairing.follow(x) for name, x in second.items()}


def interpolate(
    denoise: Denoiser,
    samples: tuple[State, State],
    weights: Sequence[float],
    grid: TimeGrid,
    *,
    routes: Mapping[str, Route] | None = None,
    mask: Tensor | None = None,
    noise: Callable[[int], State] | None = None,
    refinements: int = 0,
    offsets: Offsets | None = None,
) -> list[State]:
    """Samples on the way from one to another, whose atoms match row by row (see ``matched``).

    Args:
        denoise: The network.
        samples: Data at weights 0 and 1, of the same shape and sizes.
        weights: Where to stop, from 0 to 1.
        grid: Levels of sampling, the last one finite.
        routes: How each modality is mixed; a bare tensor's is under the empty name.
        mask: Real rows, bool, ``[B, N]``.
        noise: Raw noise for each stop, for routes with fresh noise.
        refinements: Further network calls per step of the encoding; see ``ddim_invert``.
        offsets: Lead of each modality.

    Returns:
        One state per weight, at the last level; the ends are reconstructions.

    Raises:
        UsageError: The grid ends at clean data, or a weight is not between 0 and 1.
    """
    wrong = [weight for weight in weights if not 0 <= weight <= 1]
    if wrong:
        raise UsageError(f"interpolation weight {wrong[0]:g}", "Give weights from 0 to 1")
    ends = [
        ddim_invert(denoise, x, grid, refinements=refinements, offsets=offsets).state
        for x in samples
    ]
    stops = []
    for index, weight in enumerate(weights):
        fresh = None if noise is None else noise(index)
        stop = _stop(ends[0], ends[1], weight, routes or {}, mask, fresh)
        stops.append(DDIM().solve(denoise, stop, grid, offsets=offsets))
    return stops


def _stop(
    first: State,
    second: State,
    weight: float,
    routes: Mapping[str, Route],
    mask: Tensor | None,
    noise: State | None,
) -> State:
    """Encoding of every modality at ``weight`` of the way."""
    others, fresh = _by_name(second), None if noise is None else _by_name(noise)
    mixed = {
        name: routes.get(name, Route()).between(
            x, others[name], weight, mask, None if fresh is None else fresh[name]
        )
        for name, x in _by_name(first).items()
    }
    return mixed[""] if isinstance(first, Tensor) else mixed


def _by_name(state: State) -> dict[str, Tensor]:
    """Modalities by name, the empty one for a bare tensor."""
    return {"": state} if isinstance(state, Tensor) else state
