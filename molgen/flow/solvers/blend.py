"""Exponential interpolation: predictions of several network calls blended into one.

The exact solution of the probability-flow ODE over a step of width h in half-log-SNR weighs the
predictions along it by an exponential. Put a polynomial through the predictions that are known,
and the step is the exact one with a blend of them as its frozen prediction (Hochbruck and
Ostermann 2010; Lu et al. 2022, arXiv 2211.01095; Zhao et al. 2023, arXiv 2302.04867).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import torch
from torch import Tensor

from molgen.did_you_mean import unknown
from molgen.errors import UsageError
from molgen.flow.schedule import unit_tv
from molgen.flow.solvers.base import Evaluation
from molgen.flow.state import Lead, Offsets, State, expand_like, level, map_modalities

Weights: TypeAlias = Callable[[Sequence[Tensor], Tensor], list[Tensor]]
"""``weights(nodes, h)``: weights of the other predictions against the one at the step's start.

``nodes`` are their levels relative to the start, ``h`` the width of the step, all float64 and of
one shape. A weight is 0 where the row cannot use the prediction.
"""


def phi(k: int, z: Tensor) -> Tensor:
    """``phi_k(z) = int_0^1 e^((1 - s) z) s^(k - 1) / (k - 1)! ds``, k >= 1, no cancellation."""
    small = torch.where(z.abs() < 1, z, 0.0)
    term = torch.full_like(z, 1 / math.factorial(k))
    series = term
    for n in range(1, 19):
        term = term * small / (n + k)
        series = series + term
    large = torch.where(z.abs() < 1, 1.0, z)
    value = torch.expm1(large) / large
    for n in range(1, k):
        value = (value - 1 / math.factorial(n)) / large
    return torch.where(z.abs() < 1, series, value)


def polynomial_weights(nodes: Sequence[Tensor], moments: Sequence[Tensor]) -> list[Tensor]:
    """Mean of each Lagrange polynomial over a step: weight of the value at each node against 0's.

    ``nodes`` are distinct places other than 0, at most 3; ``moments`` the means of ``u, u^2, ...``.
    """
    weights = []
    for j, own in enumerate(nodes):
        others = [node for k, node in enumerate(nodes) if k != j]
        polynomial, scale = [torch.ones_like(own)], own
        for node in others:
            shifted = [torch.zeros_like(own), *polynomial]
            lowered = [*(-node * c for c in polynomial), torch.zeros_like(own)]
            polynomial = [up + down for up, down in zip(shifted, lowered, strict=True)]
            scale = scale * (own - node)
        mean = sum((c * m for c, m in zip(polynomial, moments, strict=True)), torch.zeros_like(own))
        weights.append(mean / scale)
    return weights


@dataclass(frozen=True)
class Exponential:
    """Exact weights under the exponential of a step.

    Attributes:
        sign: -1 weighs late predictions more (data prediction), +1 early ones (noise prediction).
        midpoint: Replace the mean of u by h / 2 where there is but one other prediction, as
            DPM-Solver++ and UniPC do.
    """

    sign: float
    midpoint: bool = False

    def __call__(self, nodes: Sequence[Tensor], h: Tensor) -> list[Tensor]:
        """Weights of the longest run of usable nodes, row by row; 0 for the others."""
        h, *nodes = torch.broadcast_tensors(h, *nodes)
        usable = torch.isfinite(h) & (h > 0)
        safe, before = torch.where(usable, h, 1.0), torch.zeros_like(h)
        first = phi(1, self.sign * safe)
        weights = [torch.zeros_like(h) for _ in nodes]
        moments: list[Tensor] = []
        for n, node in enumerate(nodes, 1):
            # Levels fall with age; a row that rested in between has no older predictions.
            usable = usable & torch.isfinite(node) & (node != 0) & ((n == 1) | (node < before))
            before = torch.clamp_max(node, 0)
            moments.append(math.factorial(n) * safe**n * phi(n + 1, self.sign * safe) / first)
            means = [0.5 * safe] if n == 1 and self.midpoint else moments
            better = polynomial_weights(nodes[:n], means)
            better += weights[n:]
            weights = [
                torch.where(usable, new, old) for new, old in zip(better, weights, strict=True)
            ]
        return weights


@dataclass(frozen=True)
class Fixed:
    """The same weights in every row, but 0 in rows that the step takes to clean data."""

    weights: tuple[float, ...]

    def __call__(self, nodes: Sequence[Tensor], h: Tensor) -> list[Tensor]:
        """The first ones, as many as there are nodes."""
        used = self.weights[: len(nodes)]
        return [torch.where(torch.isfinite(h), torch.full_like(h, one), 0.0) for one in used]


def blend_data(
    base: Evaluation, others: Sequence[Evaluation], lam: float, offsets: Offsets, rule: Weights
) -> State:
    """Blend of data predictions, as a frozen prediction for the step from ``base`` to ``lam``.

    ``others`` are blended in, the newest first, by the weights per row that ``rule`` gives.
    """
    if not others:
        return base.x0

    def combine(lead: Lead, now: Tensor, *rest: Tensor) -> Tensor:
        blended = now
        for weight, other in zip(_weights(lead, base, others, lam, rule), rest, strict=True):
            blended = blended + expand_like(weight, now) * (other - now)
        return blended

    return map_modalities(combine, base.x0, *(other.x0 for other in others), offsets=offsets)


def blend_noise(
    base: Evaluation, others: Sequence[Evaluation], lam: float, offsets: Offsets, rule: Weights
) -> State:
    """Data prediction that follows from a blend of noise predictions; see ``blend_data``."""
    if not others:
        return base.x0

    def combine(lead: Lead, x0: Tensor, *rest: Tensor) -> Tensor:
        start, blended = level(lead, base.lam), x0
        now = _noise_of(rest[0], x0, start)
        sigma = torch.where(torch.isfinite(start), torch.exp(-start), 0.0)
        states, predictions = rest[1::2], rest[2::2]
        weights = _weights(lead, base, others, lam, rule)
        for weight, other, x, clean in zip(weights, others, states, predictions, strict=True):
            gap = _noise_of(x, clean, level(lead, other.lam)) - now
            blended = blended - expand_like(sigma * weight, x0) * gap
        return blended

    pairs = [state for other in others for state in (other.x, other.x0)]
    return map_modalities(combine, base.x0, base.x, *pairs, offsets=offsets)


@dataclass(frozen=True)
class Prediction:
    """What is interpolated along a step: clean data or noise.

    Attributes:
        sign: Sign of the exponential that weighs it.
        blend: Turns several predictions into one clean state.
        at_pure_noise: Whether it exists where the state is nothing but noise.
    """

    sign: float
    blend: Callable[[Evaluation, Sequence[Evaluation], float, Offsets, Weights], State]
    at_pure_noise: bool


PREDICTIONS: Mapping[str, Prediction] = MappingProxyType(
    {
        "x0": Prediction(-1.0, blend_data, at_pure_noise=True),
        "eps": Prediction(1.0, blend_noise, at_pure_noise=False),
    }
)
"""Interpolated quantities by the name that users type."""


def prediction_named(name: str) -> Prediction:
    """One of ``PREDICTIONS``; a UsageError where there is no such name."""
    if name not in PREDICTIONS:
        raise UsageError(*unknown("prediction type", name, PREDICTIONS))
    return PREDICTIONS[name]


def _noise_of(x: Tensor, x0: Tensor, lam: Tensor) -> Tensor:
    """Noise that a state contains if ``x0`` is its clean data; 0 in rows without noise."""
    a, b = unit_tv(lam)
    scale = torch.where(b > 0, 1 / b, 0.0)
    return expand_like(scale, x) * x - expand_like(scale * a, x) * x0


def _weights(
    lead: Lead, base: Evaluation, others: Sequence[Evaluation], lam: float, rule: Weights
) -> list[Tensor]:
    """The rule's weights at the levels of one modality."""
    start = level(lead, base.lam)
    return rule([level(lead, other.lam) - start for other in others], level(lead, lam) - start)
