"""Classes: discrete processes by masking and by uniform replacement, and analog bits.

Data survive to half-log-SNR ``lam`` with probability ``alpha = sigmoid(2 lam)``, the squared
signal amplitude of the Gaussian process, so that all modalities share their levels (Austin et
al. 2021, arXiv 2107.03006; Sahoo et al. 2024, arXiv 2406.07524). States are one-hot rows
``[B, N, S]``; padding rows are zero and stay zero. All draws invert the distribution function at
uniform numbers that the caller supplies, one per row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, one_hot

from molgen.errors import UsageError
from molgen.flow.process import ScaledOneHot
from molgen.flow.state import append_dims, expand_like


def survival(lam: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities ``(alpha, 1 - alpha)`` that data are kept and lost at ``lam``, float64."""
    lam = lam.to(torch.float64)
    return torch.exp(logsigmoid(2 * lam)), torch.exp(logsigmoid(-2 * lam))


def draw(probability: Tensor, u: Tensor) -> Tensor:
    """One-hot draws from unnormalised probabilities by inversion.

    Args:
        probability: Shape ``[..., S]``; classes of probability zero are never drawn.
        u: Uniform numbers in [0, 1), shape ``[...]``.

    Returns:
        One-hot rows, shape and dtype of ``probability``; zero where all probabilities are zero.
    """
    cumulated = probability.cumsum(dim=-1)
    total = cumulated[..., -1:]
    # Rounding may carry u * total up to total, where no class is left.
    below = torch.nextafter(total, torch.zeros_like(total))
    target = torch.minimum(u[..., None].to(total) * total, below)
    index = (cumulated <= target).sum(dim=-1).clamp_max(probability.shape[-1] - 1)
    return one_hot(index, probability.shape[-1]).to(probability) * (total > 0)


@dataclass(frozen=True)
class Categorical(ABC):
    """Base of the discrete processes over ``n_classes``, at least 2."""

    n_classes: int

    def __post_init__(self) -> None:
        if self.n_classes < 2:
            raise UsageError(f"a process over {self.n_classes} classes", "Give 2 classes or more")

    @property
    def n_states(self) -> int:
        """NetworkDims of a state's rows."""
        return self.n_classes

    @abstractmethod
    def limit(self, like: Tensor) -> Tensor:
        """Distribution at pure noise, shape ``[S]``, dtype and device of ``like``."""

    @abstractmethod
    def posterior(self, x_t: Tensor, x0: Tensor, lam_t: Tensor, lam_s: Tensor) -> Tensor:
        """Distribution ``[B, N, S]`` of the state at ``lam_s`` given the one at ``lam_t``.

        The exact posterior for known data, averaged over ``x0``, the probabilities of the data
        given ``x_t`` (Austin et al. 2021, equations 3 and 4).
        """

    def encode(self, classes: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """State of class indices ``[...]``, one-hot, ``[..., S]``."""
        return one_hot(classes, self.n_states).to(dtype)

    def decode(self, x: Tensor) -> Tensor:
        """Index of each row's state, ``[...]``; the mask is ``n_classes``."""
        return x.argmax(dim=-1)

    def project(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Clear the padding."""
        return x if mask is None else x * expand_like(mask, x)

    def start(self, noise: Tensor, lam: Tensor, mask: Tensor | None = None) -> Tensor:
        """State at pure noise from uniform ``noise`` of shape ``[B, N]``."""
        limit = self.limit(noise).expand(*noise.shape, -1)
        return self.project(draw(limit, noise), mask)

    def corrupt(self, x0: Tensor, noise: Tensor, lam: Tensor) -> Tensor:
        """State at ``lam``, one-hot, of probabilities ``x0`` ``[B, N, K]`` by uniform noise."""
        kept, lost = (expand_like(share, x0) for share in survival(lam))
        limit = self.limit(x0) * x0.sum(dim=-1, keepdim=True)
        return draw(kept * self._widen(x0) + lost * limit, noise)

    def step(
        self,
        x_t: Tensor,
        x0: Tensor,
        lam_t: Tensor,
        lam_s: Tensor,
        rho: float = 0.0,
        z: Tensor | None = None,
    ) -> Tensor:
        """Draw from the posterior by uniform ``z``, ``[B, N]``; rows of equal levels stay."""
        if z is None:
            raise UsageError("a discrete step got no noise", "Pass uniform numbers as z")
        lam_t, lam_s = lam_t.to(torch.float64), lam_s.to(torch.float64)
        x_s = draw(self.posterior(x_t, x0, lam_t, lam_s), z)
        return torch.where(append_dims(lam_s == lam_t, x_t), x_t, x_s)

    def _widen(self, x0: Tensor) -> Tensor:
        """Class probabilities as probabilities of states."""
        return x0


@dataclass(frozen=True)
class Masked(Categorical):
    """Data are replaced by a mask, the last state, and never come back masked."""

    @property
    def n_states(self) -> int:
        return self.n_classes + 1

    def limit(self, like: Tensor) -> Tensor:
        mask = torch.tensor(self.n_classes, device=like.device)
        return one_hot(mask, self.n_states).to(like)

    def posterior(self, x_t: Tensor, x0: Tensor, lam_t: Tensor, lam_s: Tensor) -> Tensor:
        """Masked rows open with probability ``(alpha_s - alpha_t) / (1 - alpha_t)``."""
        stay = survival(lam_s)[1] / survival(lam_t)[1]
        hidden = x_t[..., -1:]
        probability = x0 / x0.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(x0.dtype).tiny)
        opened = expand_like(1 - stay, x_t) * self._widen(probability)
        closed = expand_like(stay, x_t) * self.limit(x_t)
        return torch.where(hidden > 0, opened + closed, x_t)

    def _widen(self, x0: Tensor) -> Tensor:
        """Append the mask, which data never are."""
        return torch.cat([x0, torch.zeros_like(x0[..., :1])], dim=-1)


@dataclass(frozen=True)
class Uniform(Categorical):
    """Data are replaced by a class drawn from a fixed distribution.

    Attributes:
        weights: Unnormalised distribution of the replacements, above 0; ``None`` is uniform.
    """

    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights is None:
            return
        if len(self.weights) != self.n_classes or not all(weight > 0 for weight in self.weights):
            raise UsageError(
                f"replacement weights do not fit {self.n_classes} classes",
                "Give one number above 0 per class",
            )

    def limit(self, like: Tensor) -> Tensor:
        weights = torch.tensor(self.weights or (1.0,) * self.n_classes, dtype=torch.float64)
        return (weights / weights.sum()).to(like)

    def posterior(self, x_t: Tensor, x0: Tensor, lam_t: Tensor, lam_s: Tensor) -> Tensor:
        """Bayes' rule in linear time: every transition is a multiple of one plus rank one."""
        lost_t = expand_like(survival(lam_t)[1], x_t)
        kept_s, lost_s = (expand_like(share, x_t) for share in survival(lam_s))
        # alpha_t / alpha_s, the probability that the last stretch of noise did nothing.
        log_ratio = logsigmoid(2 * lam_t) - logsigmoid(2 * lam_s)
        quiet, noisy = expand_like(log_ratio.exp(), x_t), expand_like(-log_ratio.expm1(), x_t)
        kept_t = expand_like(survival(lam_t)[0], x_t)
        limit = self.limit(x_t)
        here = (x_t * limit).sum(dim=-1, keepdim=True)
        reach = kept_t * x_t + lost_t * here
        odds = x0 / reach.clamp_min(torch.finfo(x_t.dtype).tiny)
        before = kept_s * odds + lost_s * limit * odds.sum(dim=-1, keepdim=True)
        return (quiet * x_t + noisy * here) * before


@dataclass(frozen=True)
class AnalogBits(ScaledOneHot):
    """Binary digits of the class as ``scale`` and ``-scale`` (Chen et al. 2022, 2208.04202).

    Attributes:
        n_classes: Classes of the data, at least 2.
    """

    n_classes: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_classes < 2:
            raise UsageError(f"bits of {self.n_classes} classes", "Give 2 classes or more")

    @property
    def n_bits(self) -> int:
        """Length of a code vector."""
        return (self.n_classes - 1).bit_length()

    def codes(self, like: Tensor) -> Tensor:
        """Code vectors of all classes, ``[K, n_bits]``, dtype and device of ``like``."""
        classes = torch.arange(self.n_classes)[:, None]
        bits = classes >> torch.arange(self.n_bits - 1, -1, -1) & 1
        return ((2 * bits - 1) * self.scale).to(like)

    def encode(self, probability: Tensor) -> Tensor:
        return probability @ self.codes(probability)

    def decode(self, x: Tensor) -> Tensor:
        """The class whose digits fit best; all code vectors have one length."""
        return (x @ self.codes(x).T).argmax(dim=-1)
