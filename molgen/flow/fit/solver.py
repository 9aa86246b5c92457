"""A multistep solver fitted to a denoiser, step by step in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from molgen.flow.fit.trajectories import Problem, Trajectories, flat, teach
from molgen.flow.grid import TimeGrid
from molgen.flow.solvers import LinearMultistep
from molgen.flow.solvers.base import Denoiser, Evaluation, transfer
from molgen.flow.state import State, tree_map

RIDGE = 1e-4
"""Pull towards the first-order step, relative to the size of the predictions' differences."""


@torch.no_grad()
def fit_solver(
    problem: Problem,
    grid: TimeGrid,
    *,
    teacher: Trajectories | None = None,
    n_back: int = 6,
) -> LinearMultistep:
    """Optimal linear subspace search (OLSS, Duan et al. 2023, arXiv 2305.14677).

    Walks ``grid`` once. Each step blends up to ``n_back`` predictions such that, in least squares
    over the batch, it lands where the teacher stands; the last step takes the latest one alone.
    Weights sum to 1 (a perfect constant prediction gives an exact step), and are numbers, so
    symmetry is kept.
    """
    target = teacher or teach(problem, grid)
    denoise, x, rows = problem.begin(), problem.start, []
    calls: list[Evaluation] = []
    for index, lam in enumerate(grid.lam[1:]):
        calls = [_call(denoise, grid.lam[index], x), *calls[: n_back - 1]]
        # Blends that end near the teacher's mean end between narrow modes: the last is plain.
        is_last = index == grid.n_steps - 1
        row = (1.0,) if is_last else _weights(problem, calls, lam, target.states[index + 1])
        x = transfer(calls[0], _blend(row, calls), lam, problem.offsets)
        rows.append(row)
    return LinearMultistep(tuple(rows))


def _call(denoise: Denoiser, lam: float, x: State) -> Evaluation:
    return Evaluation(lam, x, denoise(x, torch.tensor(lam, dtype=torch.float64)))


def _blend(weights: tuple[float, ...], calls: list[Evaluation]) -> State:
    """Weighted sum of predictions."""

    def add(*x0: Tensor) -> Tensor:
        return torch.stack([w * one for w, one in zip(weights, x0, strict=True)]).sum(0)

    return tree_map(add, *(call.x0 for call in calls[: len(weights)]))


def _weights(
    problem: Problem, calls: list[Evaluation], lam: float, target: State
) -> tuple[float, ...]:
    """Weights of the predictions, the latest first, whose step comes nearest to ``target``."""

    def land(x0: State) -> Tensor:
        return flat(transfer(calls[0], x0, lam, problem.offsets))

    if len(calls) == 1:
        return (1.0,)
    latest = land(calls[0].x0)
    # A step is affine in its prediction, so differences of landings span the rest.
    others = torch.stack([land(call.x0) - latest for call in calls[1:]], dim=1)
    gram, pull = others.T @ others, others.T @ (flat(target) - latest)
    # Predictions that agree exactly leave the matrix empty: then the latest takes all.
    size = RIDGE * gram.diagonal().mean() + torch.finfo(gram.dtype).tiny
    ridge = size * torch.eye(len(gram), dtype=gram.dtype)
    solved = torch.linalg.solve(gram + ridge.to(gram.device), pull).tolist()
    return (1.0 - sum(solved), *solved)
