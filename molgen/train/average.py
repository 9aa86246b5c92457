"""The running average of a model's weights."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, nn


class WeightAverage(nn.Module):
    """A copy of a model whose weights follow it slowly.

    ``torch.optim.swa_utils.AveragedModel``, with the same state, reads its counter off the device
    in every step, for which the host would have to wait.

    Args:
        model: The model.
        blend: Moves the averages (first) towards the present weights (second), in place. The first
            update copies the weights instead.
    """

    n_averaged: Tensor

    def __init__(
        self, model: nn.Module, blend: Callable[[list[Tensor], list[Tensor]], None]
    ) -> None:
        super().__init__()
        self.module = deepcopy(model)
        self.register_buffer("n_averaged", torch.tensor(0))
        self.blend, self._has_begun = blend, False

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Follow the model by one update; buffers are copied."""
        averaged: list[Tensor] = list(self.module.parameters())
        current: list[Tensor] = list(model.parameters())
        # The counter may come from a checkpoint. Once it counts, it need not be read again.
        self._has_begun = self._has_begun or bool(self.n_averaged > 0)
        if self._has_begun:
            self.blend(averaged, current)
        else:
            torch._foreach_copy_(averaged, current)
        for old, new in zip(self.module.buffers(), model.buffers(), strict=True):
            old.copy_(new)
        self.n_averaged += 1
