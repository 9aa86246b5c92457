"""The error of a denoiser measured over noise levels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from molgen.flow.fit.trajectories import flat
from molgen.flow.mmse import MMSECurve
from molgen.flow.process import Gaussian
from molgen.flow.solvers.base import Denoiser
from molgen.flow.state import Lead, State, append_dims, level, map_modalities


@torch.no_grad()
def mmse_curve(
    begin: Callable[[], Denoiser],
    clean: State,
    noise: State,
    lams: Sequence[float],
    *,
    offsets: Mapping[str, Lead] | None = None,
) -> MMSECurve:
    """Mean squared error per dimension of a denoiser at each level.

    The same noise serves every level, which makes the curve smooth. Errors of a modality that is
    ahead are multiplied by its signal-to-noise ratio over the main one, so that
    ``gamma^2 mmse`` is the rate of the entropy of the whole state in the main half-log-SNR.

    Args:
        begin: Makes a denoiser that has seen nothing.
        clean: Clean data; padding is zero.
        noise: Standard normal noise, projected, padding zero: its zeros say what is no data.
        lams: Increasing main levels of half-log-SNR.
        offsets: Lead of each modality; rows that are held clean do not count.
    """
    process, leads = Gaussian(), dict(offsets or {})
    n_real = int((flat(noise) != 0).sum())
    errors = []
    for lam in lams:

        def corrupt(lead: Lead, x0: Tensor, eps: Tensor, lam: float = lam) -> Tensor:
            return process.corrupt(x0, eps, level(lead, lam))

        def cost(lead: Lead, x0: Tensor, guess: Tensor, lam: float = lam) -> Tensor:
            own = level(lead, lam)
            ahead = torch.where(own.isinf(), 0.0, torch.exp(2 * (own - lam)))
            square = (guess - x0).to(torch.float64).square()
            return append_dims(ahead, x0) * square

        x = map_modalities(corrupt, clean, noise, offsets=leads)
        guess = begin()(x, torch.tensor(lam, dtype=torch.float64))
        errors.append(float(flat(map_modalities(cost, clean, guess, offsets=leads)).sum()) / n_real)
    return MMSECurve(tuple(lams), tuple(errors))
