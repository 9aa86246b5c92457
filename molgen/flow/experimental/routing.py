"""Routing of noise levels through channels: every level uses its own window of a layer's width.

Denoising task routing (Park et al. 2024, arXiv 2310.07138): a sliding window of channels is
open at each level, neighbouring levels share most of theirs, and no parameter is added.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from molgen.errors import UsageError


class TaskRouting(nn.Module):
    """Multiplies a layer's channels by a 0/1 window that slides with the noise level.

    Args:
        n_channels: Width of the layer.
        open_share: Share of the channels that is open at a level (the paper's beta), in (0, 1].
        bend: How the window moves with time (the paper's alpha), above 0; larger gives low
            noise levels more windows of their own.

    Raises:
        UsageError: A parameter is out of range.
    """

    def __init__(self, n_channels: int, open_share: float = 0.8, bend: float = 1.0) -> None:
        super().__init__()
        if not 0 < open_share <= 1 or bend <= 0:
            raise UsageError(
                f"routing with open_share={open_share:g}, bend={bend:g}",
                "Use 0 < open_share <= 1 and bend > 0",
            )
        self.n_channels, self.bend = n_channels, bend
        self.n_open = math.ceil(open_share * n_channels)

    def window(self, t: Tensor) -> Tensor:
        """Open channels at times ``t`` in [0, 1], shape ``[B]``; bool, ``[B, n_channels]``."""
        first = torch.round((self.n_channels - self.n_open) * t.clamp(0, 1) ** self.bend)
        channel = torch.arange(self.n_channels, device=t.device)
        return (channel >= first[:, None]) & (channel < first[:, None] + self.n_open)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Close the channels that are not of this level.

        Args:
            x: Features, ``[B, ..., n_channels]``.
            t: Times in [0, 1], ``[B]``.
        """
        window = self.window(t).to(x.dtype)
        return x * window.reshape(len(x), *(1,) * (x.dim() - 2), self.n_channels)
