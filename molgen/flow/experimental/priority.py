"""Token-priority times: important tokens lose their information last and regain it first.

The idea of M2DM (priority-centric motion discrete diffusion, Kong et al. 2023, arXiv 2308.14480),
stated for any process of this package: every row has a time of its own, ``t_i = t ** w_i``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.schedule import Schedule


@dataclass(frozen=True)
class TokenPriority:
    """A clock (:data:`molgen.flow.state.Clock`) that gives every row its own pace.

    A row's level is one function of the main level, so each row's marginals are those of the
    process at that level: nothing is approximated.

    Attributes:
        schedule: Schedule in whose time the rows are warped.
        weight: Exponents ``w``, above 0, shape ``[B]``, ``[B, N]`` or ``[1, N]``; 1 is the common
            time, larger is noised later and clean earlier.

    Raises:
        UsageError: A weight is not positive, or the schedule's time leaves [0, 1].
    """

    schedule: Schedule
    weight: Tensor

    def __post_init__(self) -> None:
        """Reject weights that turn time around, and times that powers push out of range."""
        if not bool((self.weight > 0).all()):
            raise UsageError("a token's priority is not positive", "Give weights above 0")
        if self.schedule.t_min < 0 or self.schedule.t_max > 1:
            raise UsageError(
                f"token priorities need a time within [0, 1], not {self.schedule.t_max:g}",
                "Use a schedule such as otflow or issnr",
            )

    def __call__(self, lam: float) -> Tensor:
        """Level of every row when the main half-log-SNR is ``lam``; float64, like ``weight``."""
        weight = self.weight.to(torch.float64)
        if lam == float("inf"):
            return torch.full_like(weight, lam)
        t = self.schedule.t_of_lam(torch.tensor(lam, dtype=torch.float64))
        # Beyond the schedule's own ends a root or a power of time means nothing.
        return self.schedule.lam(t.clamp(self.schedule.t_min, self.schedule.t_max) ** weight)


def entropy_priority(probability: Tensor, strength: float = 1.0) -> Tensor:
    """Weights from how uncertain tokens are: uncertain ones are settled first.

    Args:
        probability: Class probabilities of every token, ``[..., N, K]``.
        strength: How far weights spread around 1; 0 gives ones.

    Returns:
        Weights ``exp(strength (h - mean h))`` with the normalised entropy ``h``, ``[..., N]``.
    """
    entropy = torch.special.entr(probability).sum(-1)
    share = entropy / torch.log(torch.tensor(float(probability.shape[-1])))
    return torch.exp(strength * (share - share.mean(dim=-1, keepdim=True)))
