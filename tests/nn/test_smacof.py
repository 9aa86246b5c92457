"""Positions from distances: what is lessened, the laws, and the two ways to the inverse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from e3nn import o3
from hypothesis import given, settings
from scipy.optimize import minimize
from torch import Tensor

from molgen.nn.block import pair_distances
from molgen.nn.smacof import smacof

from ..networks import DTYPES, assert_close, seeds, sizes  # noqa: TID252

each_precision = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def distances_of(pos: Tensor) -> Tensor:
    return pair_distances(pos[..., None]).squeeze(-1)


def problem(n_atoms: list[int], seed: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Positions, wanted distances, weights, anchors and mask of some molecules."""
    generator = torch.Generator().manual_seed(seed)
    batch, n = len(n_atoms), max(n_atoms)

    def random(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    mask = torch.arange(n) < torch.tensor(n_atoms)[:, None]
    pos = 4 * (random(batch, n, 3) - 0.5) * mask[..., None]
    wanted, weight = 1 + random(batch, n, n), 100 * random(batch, n, n)
    parts = (pos, wanted + wanted.mT, weight + weight.mT, 0.5 + random(batch, n))
    return (*(part.to(dtype) for part in parts), mask)


def stress(
    here: Tensor, pos: Tensor, distance: Tensor, weight: Tensor, anchor: Tensor, mask: Tensor
) -> Tensor:
    """What is lessened, per molecule, written down once more."""
    pairs = (mask[:, :, None] & mask[:, None, :]).triu(1)
    wrong = weight * (distances_of(here) - distance).square() * pairs
    moved = anchor * (here - pos).square().sum(dim=-1) * mask
    return wrong.sum(dim=(1, 2)) + moved.sum(dim=1)


@settings(max_examples=25)
@given(sizes, seeds)
def test_one_iteration_never_makes_it_worse(n_atoms: list[int], seed: int) -> None:
    known = problem(n_atoms, seed, torch.float64)
    before = stress(known[0], *known)
    after = stress(smacof(*known, n_iterations=1), *known)
    # 1e-6 under the root of a distance is the only deviation from the textbook's function.
    assert bool((after <= before * (1 + 1e-6) + 1e-6).all())


def test_many_iterations_reach_what_bfgs_finds_from_there() -> None:
    true, wrong, weight, anchor, mask = problem([8, 5], 3, torch.float64)
    start = true + 0.05 * wrong[..., :3] * mask[..., None]
    known = (start, distances_of(true) + 0.05 * wrong, weight, anchor, mask)
    here = smacof(*known, n_iterations=1000)

    def value_and_slope(flat: np.ndarray) -> tuple[float, np.ndarray]:
        at = torch.from_numpy(flat).view_as(here).requires_grad_(True)
        total = stress(at, *known).sum()
        (slope,) = torch.autograd.grad(total, at)
        return float(total.detach()), slope.numpy().ravel()

    found = minimize(value_and_slope, here.numpy().ravel(), jac=True, method="BFGS")
    reached, _ = value_and_slope(here.numpy().ravel())
    assert reached == pytest.approx(found.fun, rel=1e-4)
    assert float(np.abs(found.x - here.numpy().ravel()).max()) < 0.02


def test_distances_that_a_molecule_has_are_found() -> None:
    true = torch.tensor([[[0.0, 0, 0], [1.1, 0, 0], [0, 1.4, 0], [0, 0, 0.9]]], dtype=torch.float64)
    moved = true + 0.1 * torch.randn(true.shape, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(1, 4, dtype=torch.bool)
    weight, anchor = torch.full((1, 4, 4), 1e4), torch.full((1, 4), 1e-2)
    known = (distances_of(true), weight.double(), anchor.double(), mask)
    fitted = smacof(moved, *known, n_iterations=50)
    assert float((distances_of(moved) - distances_of(true)).abs().max()) > 0.05
    assert float((distances_of(fitted) - distances_of(true)).abs().max()) < 1e-4


@each_precision
@settings(max_examples=25)
@given(sizes, seeds)
def test_the_result_turns_reflects_and_is_renumbered_with_the_atoms(
    dtype: torch.dtype, n_atoms: list[int], seed: int
) -> None:
    pos, distance, weight, anchor, mask = problem(n_atoms, seed, dtype)
    here = smacof(pos, distance, weight, anchor, mask, 6)
    turn = -o3.rand_matrix(dtype=torch.float64).to(dtype)
    assert_close(smacof(pos @ turn, distance, weight, anchor, mask, 6), here @ turn)
    order = torch.randperm(pos.shape[1])
    swapped = smacof(
        pos[:, order],
        distance[:, order][:, :, order],
        weight[:, order][:, :, order],
        anchor[:, order],
        mask[:, order],
        6,
    )
    assert_close(swapped, here[:, order])


@each_precision
@settings(max_examples=25)
@given(sizes, seeds)
def test_a_molecule_knows_nothing_of_its_batch(
    dtype: torch.dtype, n_atoms: list[int], seed: int
) -> None:
    pos, distance, weight, anchor, mask = problem(n_atoms, seed, dtype)
    together = smacof(pos, distance, weight, anchor, mask, 6)
    for row, n in enumerate(n_atoms):
        one = slice(row, row + 1)
        alone = smacof(
            pos[one, :n],
            distance[one, :n, :n],
            weight[one, :n, :n],
            anchor[one, :n],
            mask[one, :n],
            6,
        )
        assert_close(alone, together[one, :n])
    assert bool((together[~mask] == 0).all())


def test_a_gradient_flows_to_all_that_is_believed() -> None:
    known = problem([5, 3], 1, torch.float64)
    pos, distance, weight, anchor = (part.requires_grad_(True) for part in known[:4])
    smacof(pos, distance, weight, anchor, known[4], 5).square().sum().backward()
    for part in (pos, distance, weight, anchor):
        assert part.grad is not None
        assert bool(part.grad.isfinite().all())
        assert float(part.grad.abs().max()) > 0


def test_none_asked_for_is_none_made() -> None:
    known = problem([4], 0, torch.float32)
    assert smacof(*known, n_iterations=0) is known[0]
