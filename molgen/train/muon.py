"""Muon for a GPU: matrices of one shape are orthogonalised together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import Muon


class StackedMuon(Muon):
    """``torch.optim.Muon`` with one batch of matrix products per shape instead of one per matrix.

    The same update up to the rounding of bf16. A transformer repeats a dozen shapes in each of its
    blocks, and its matrices are so small that launching their kernels one by one takes longer than
    running them.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Evaluate the closure, then update all matrices."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            for parameters in _by_shape(moved):
                _update(parameters, [self._momentum(one) for one in parameters], group)
        return loss

    def _momentum(self, parameter: Tensor) -> Tensor:
        """The running mean of a matrix's gradients, under the name that torch gives it."""
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        return cast("Tensor", state["momentum_buffer"])


def _by_shape(matrices: list[Tensor]) -> Iterator[list[Tensor]]:
    """Matrices of one shape at a time, each time in the same order."""

    def shape(matrix: Tensor) -> tuple[int, ...]:
        return tuple(matrix.shape)

    for _, same in groupby(sorted(matrices, key=shape), key=shape):
        yield list(same)


def _update(parameters: list[Tensor], momenta: list[Tensor], group: dict[str, Any]) -> None:
    """One step of Muon on matrices of one shape."""
    momentum, lr = group["momentum"], group["lr"]
    gradients = [cast("Tensor", parameter.grad) for parameter in parameters]
    torch._foreach_lerp_(momenta, gradients, 1 - momentum)
    ahead = torch._foreach_lerp(gradients, momenta, momentum)  # noqa: SLF001 # has no other name
    moves = _orthogonal(
        torch.stack(ahead if group["nesterov"] else momenta),
        group["ns_coefficients"],
        group["ns_steps"],
        group["eps"],
    )
    n_rows, n_columns = parameters[0].shape
    rate = lr * math.sqrt(max(1, n_rows / n_columns))
    torch._foreach_mul_(parameters, 1 - lr * group["weight_decay"])
    torch._foreach_add_(parameters, list(moves.to(parameters[0].dtype).unbind()), alpha=-rate)


def _orthogonal(
    matrices: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """Nearly orthogonal factors of ``[K, n, m]`` by a quintic Newton-Schulz iteration in bf16.

    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks".
    """
    a, b, c = coefficients
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.bfloat16()
    x = x.mT if is_tall else x
    x = x / torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True).clamp_min(eps)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x
