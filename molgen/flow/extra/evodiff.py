"""EVODiff: two-step solver whose weights minimise a conditional variance.

Experimental: with exact denoisers it is of first order and loses to UniPC on every grid tried.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from molgen.flow.schedule import unit_tv
from molgen.flow.solvers.base import History, Solver, Step, transfer
from molgen.flow.state import Lead, Offsets, State, append_dims, expand_like, level, map_modalities

_CLAMP = 2.0
_MU = 0.5


@dataclass(frozen=True)
class EVODiff(Solver):
    """Entropy-aware variance-optimised solver (2025, arXiv 2509.26096), in the frame x / a.

    Predictor, network call, corrector: one call per step. The weights are inner products of
    predictions, taken per sample over all entries of a modality, so that molecules of a batch do
    not see each other and rotations change nothing.

    Attributes:
        released: Take the last step by the rule of the released code, which is tuned to one
            image grid, instead of at first order. Only meaningful on a grid that ends at a
            small finite noise level.
        sigma_min: Lowest noise level b / a of the solver's grids, for its mixing weight.
    """

    released: bool = False
    sigma_min: float = 0.002
    name: ClassVar[str] = "evodiff"
    order: ClassVar[int] = 1

    @property
    def memory(self) -> int:
        return sys.maxsize

    def advance(self, step: Step, history: History) -> State:
        """Predictor: the exact step plus a weighted difference of the last two predictions."""
        now = history[0]
        first = transfer(now, now.x0, step.lam, step.offsets)
        if len(history) == 1 or (step.is_last and not self.released):
            return first
        past, rule = history[1], self._last if step.is_last else self._predict

        def move(lead: Lead, x_s: Tensor, m0: Tensor, m1: Tensor) -> Tensor:
            span = _Span.of(lead, step.lam, history, m0)
            m0, m1 = span.used(m0), span.used(m1)
            return torch.where(span.moves, span.a * rule(span, x_s / span.a, m0, m1), x_s)

        return map_modalities(move, first, now.x0, past.x0, offsets=step.offsets)

    def correct(self, offsets: Offsets, history: History) -> State:
        """Corrector: the same step with weights that also know the prediction at its end."""
        if len(history) < 3:
            return history[0].x
        end, now, past = history[:3]
        first = transfer(now, now.x0, end.lam, offsets)

        def move(lead: Lead, x: Tensor, x_s: Tensor, *predictions: Tensor) -> Tensor:
            span = _Span.of(lead, end.lam, history[1:], x)
            corrected = self._correct(span, x_s / span.a, x / span.a, *map(span.used, predictions))
            return torch.where(span.moves, span.a * corrected, x)

        predictions = end.x0, now.x0, past.x0
        return map_modalities(move, end.x, first, *predictions, offsets=offsets)

    def _mix(self, span: _Span, measured: Tensor) -> Tensor:
        """Weight of an older prediction: between the step's ratio and a measured one."""
        place = (span.sigma + self.sigma_min) / (span.widest + self.sigma_min)
        w = 0.5 * (1 - place**2)
        return (1 - w) * span.balance + w * measured.clamp(-_CLAMP, _CLAMP)

    def _slope(self, span: _Span, m0: Tensor, m1: Tensor) -> tuple[Tensor, Tensor]:
        """The predictor's difference and its divisor."""
        r1 = self._mix(span, _ratio(m0, m1))
        low, high = 0.25 * span.r, 1.5 * span.r
        return m0 - r1 * m1, torch.clamp(torch.sigmoid(0.25 * r1.abs()) * span.r, low, high)

    def _predict(self, span: _Span, y_s: Tensor, m0: Tensor, m1: Tensor) -> Tensor:
        """Predicted state in the frame x / a."""
        d1, divisor = self._slope(span, m0, m1)
        return y_s + 0.5 * span.reach / divisor * d1

    def _correct(
        self, span: _Span, y_s: Tensor, y: Tensor, m_s: Tensor, m0: Tensor, m1: Tensor
    ) -> Tensor:
        """Corrected state in the frame x / a."""
        d1, divisor = self._slope(span, m0, m1)
        d2 = m_s - self._mix(span, _ratio(m_s, m0)) * m0
        before, after = d1 / (span.r * span.h), span.r * d2 / span.h
        eta = _ratio(after + before, after - before).clamp(-_CLAMP, _CLAMP)
        eta = 0.5 * torch.sigmoid(0.5 * eta.abs())
        mixed = -eta / span.r * d1 + span.r * (1 - eta) * d2
        surplus = span.used(y - y_s) - 0.5 * span.reach / divisor * mixed
        zeta = _ratio(surplus, d1).clamp(-_CLAMP, _CLAMP) / span.reach
        return y_s + 0.5 * span.reach / torch.sigmoid(zeta.abs() - _MU) * mixed

    def _last(self, span: _Span, y_s: Tensor, m0: Tensor, m1: Tensor) -> Tensor:
        """The released code's last step."""
        share = span.sigma / span.start
        bent = torch.sqrt((share - 0.5).clamp_min(0))
        weight = torch.where(share >= 0.5, bent, 1 - 0.5 * share.sqrt())
        kept = 1 - torch.sqrt(span.sigma * span.start)
        return kept * y_s + 0.5 * span.reach * (m0 - weight * m1)


@dataclass(frozen=True)
class _Span:
    """Numbers of one step, shaped against the state, in its dtype.

    ``a`` and ``sigma = b / a`` at the end, ``sigma`` at the ``start`` and at the first call
    (``widest``); ``r``, the width of the step before over that of this one, in half-log-SNR; the
    width ``h`` in 1 / sigma; ``reach = sigma h``; ``balance``, the root of this step's ratio of
    noise levels over the one before; rows that have two predictions at distinct levels and do not
    end at clean data (``moves``).
    """

    a: Tensor
    sigma: Tensor
    start: Tensor
    widest: Tensor
    r: Tensor
    h: Tensor
    reach: Tensor
    balance: Tensor
    moves: Tensor

    @classmethod
    def of(cls, lead: Lead, lam: float, calls: History, x: Tensor) -> _Span:
        """The step to main level ``lam`` from the latest of ``calls``, for one modality."""
        s, t, u, first = (level(lead, at) for at in (lam, *(calls[i].lam for i in (0, 1, -1))))
        moves = torch.isfinite(s) & torch.isfinite(u) & (s > t) & (t > u)
        # Rows that cannot move get any three levels, and nothing of what follows from them.
        s, t, u, first = (
            torch.where(moves, at, float(spare))
            for at, spare in ((s, 0), (t, -1), (u, -2), (first, -2))
        )
        sigma, start, h = torch.exp(-s), torch.exp(-t), torch.exp(s) - torch.exp(t)
        numbers = {
            "a": unit_tv(s)[0],
            "sigma": sigma,
            "start": start,
            "widest": torch.exp(-first),
            "r": (t - u) / (s - t),
            "h": h,
            "reach": sigma * h,
            "balance": torch.exp(0.5 * ((t - s) - (u - t))),
        }
        shaped = {name: expand_like(number, x) for name, number in numbers.items()}
        return cls(moves=append_dims(moves, x), **shaped)

    def used(self, m: Tensor) -> Tensor:
        """A prediction without the rows that do not move."""
        return torch.where(self.moves, m, 0.0)


def _ratio(u: Tensor, v: Tensor) -> Tensor:
    """``<u, v> / <v, v>`` per sample, shaped ``[B, 1, ...]``; 0 where ``v`` vanishes."""
    dims = tuple(range(1, u.dim()))
    product, square = (u * v).sum(dims, keepdim=True), (v * v).sum(dims, keepdim=True)
    return torch.where(square > 0, product / square, 0.0)
