"""Batch coupling straightens the paths that a network learns, so that few steps suffice."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from molgen.flow import OTFlow
from molgen.flow.coupling import BatchOT, Coupling, Independent
from molgen.flow.grid import TimeGrid
from molgen.flow.objective import Objective
from molgen.flow.parameterisation import V
from molgen.flow.process import Gaussian
from molgen.flow.schedule import unit_tv
from molgen.flow.solvers import DDIM
from molgen.flow.state import State
from molgen.flow.times import Logistic
from molgen.flow.weighting import MinSNR


class Small(nn.Module):
    """Velocity in the plane at a level."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(5, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2)
        )

    def forward(self, x: Tensor, lam: Tensor) -> Tensor:
        level = lam.to(x.dtype)[:, None] / 3
        return self.layers(torch.cat([x, level.tanh(), level.sin(), level.cos()], dim=1))


def ring(n: int, generator: torch.Generator) -> Tensor:
    """Eight narrow modes on a circle, about unit variance."""
    angle = torch.randint(8, (n,), generator=generator) * (math.pi / 4)
    points = 1.4 * torch.stack([angle.cos(), angle.sin()], dim=1)
    return points + 0.15 * torch.randn(n, 2, generator=generator)


def trained(coupling: Coupling, steps: int = 250) -> Small:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Small()
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-3)
    objective = Objective(Gaussian(), coupling, Logistic(0, 1, -5.3, 5.3), MinSNR(math.inf), V)
    for _ in range(steps):
        optimiser.zero_grad()
        objective.loss(network, ring(128, generator), generator).per_sample.mean().backward()
        optimiser.step()
    return network


@torch.no_grad()
def walk(network: Small, n_steps: int) -> Tensor:
    """States of 1000 paths in the frame ``a + b = 1``, from noise to data, ``[n_steps + 1, ...]``.

    There the time of ``OTFlow`` is uniform and an uncoupled pair moves on a straight line.
    """
    grid = TimeGrid.uniform(OTFlow(), n_steps)
    path = [torch.randn(1000, 2, generator=torch.Generator().manual_seed(1))]

    def denoise(x: State, lam: Tensor) -> State:
        levels = lam.expand(len(x))
        return V.x0(network(x, levels), x, levels)

    DDIM().solve(denoise, path[0], grid, on_step=lambda _, x: path.append(x))
    sums = [sum(unit_tv(torch.tensor(lam))) for lam in grid.lam]
    return torch.stack([x / total for x, total in zip(path, sums, strict=True)])


def curvature_and_error(coupling: Coupling) -> tuple[float, float]:
    """Mean squared departure of the velocity from the chord, and the error of four steps."""
    network = trained(coupling)
    path = walk(network, 48)
    velocity = path.diff(dim=0) * 48
    departure = (velocity - (path[-1] - path[0])).square().sum(-1).mean()
    error = (walk(network, 4)[-1] - path[-1]).square().sum(-1).mean().sqrt()
    return float(departure), float(error)


@pytest.mark.slow
def test_batch_coupling_straightens_learned_paths_and_cuts_the_error_of_four_steps() -> None:
    (bent, wrong), (straight, right) = map(curvature_and_error, (Independent(), BatchOT()))
    assert straight < 0.7 * bent
    assert right < 0.7 * wrong
