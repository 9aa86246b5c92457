"""Laws of couplings: cost, symmetry, and what they keep."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from molgen.flow import AtomOT, Coupling, Independent, center

COUPLINGS = [Independent(), AtomOT(), AtomOT(rotate=False), AtomOT(permute=False)]
couplings = st.sampled_from(COUPLINGS)
seeds = st.integers(0, 10_000)
SIZES = torch.tensor([1, 2, 5, 9, 4])


def draw(seed: int, sizes: Tensor = SIZES) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(int(sizes.max())) < sizes[:, None]
    x0, eps = torch.randn(2, *mask.shape, 3, generator=generator, dtype=torch.float64)
    return center(x0, mask), center(eps, mask), mask


def orthogonal(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]


def cost(x0: Tensor, eps: Tensor) -> Tensor:
    return (x0 - eps).square().sum((1, 2))


@given(couplings, seeds)
def test_cost_never_increases(coupling: Coupling, seed: int) -> None:
    x0, eps, mask = draw(seed)
    assert (cost(x0, coupling.pair(x0, eps, mask).pos) <= cost(x0, eps) + 1e-9).all()


@given(couplings, seeds)
def test_noise_stays_centred_padded_and_as_long(coupling: Coupling, seed: int) -> None:
    x0, eps, mask = draw(seed)
    pos = coupling.pair(x0, eps, mask).pos
    assert pos.sum(1).abs().max() < 1e-12
    assert not pos[~mask].any()
    torch.testing.assert_close(pos.norm(dim=(1, 2)), eps.norm(dim=(1, 2)))


@given(couplings, seeds)
def test_noise_changes_by_a_permutation_and_an_orthogonal_map(
    coupling: Coupling, seed: int
) -> None:
    x0, eps, mask = draw(seed)
    pairing = coupling.pair(x0, eps, mask)
    order = torch.arange(mask.shape[1]).expand(mask.shape)
    assert torch.equal(pairing.permutation.sort(1).values, order)
    assert torch.equal(pairing.permutation[~mask], order[~mask])
    moved = eps.take_along_dim(pairing.permutation[..., None], dim=1)
    torch.testing.assert_close(torch.cdist(moved, moved), torch.cdist(pairing.pos, pairing.pos))


@given(seeds)
def test_relabelling_alone_keeps_the_noise_multiset(seed: int) -> None:
    x0, eps, mask = draw(seed)
    pairing = AtomOT(rotate=False).pair(x0, eps, mask)
    assert torch.equal(pairing.pos, eps.take_along_dim(pairing.permutation[..., None], dim=1))


@given(couplings, seeds)
def test_turning_data_and_noise_turns_the_pairing(coupling: Coupling, seed: int) -> None:
    x0, eps, mask = draw(seed, torch.tensor([5, 9, 4]))
    turn = orthogonal(seed)
    plain, turned = coupling.pair(x0, eps, mask), coupling.pair(x0 @ turn, eps @ turn, mask)
    assert torch.equal(plain.permutation, turned.permutation)
    torch.testing.assert_close(turned.pos, plain.pos @ turn)


@given(st.sampled_from([AtomOT(), AtomOT(rotate=False)]), seeds)
def test_relabelling_the_data_relabels_the_pairing(coupling: Coupling, seed: int) -> None:
    x0, eps, mask = draw(seed, torch.tensor([7, 7]))
    order = torch.randperm(7, generator=torch.Generator().manual_seed(seed))
    plain, relabelled = coupling.pair(x0, eps, mask), coupling.pair(x0[:, order], eps, mask)
    torch.testing.assert_close(relabelled.pos, plain.pos[:, order])
    assert torch.equal(relabelled.permutation, plain.permutation[:, order])


@given(seeds)
def test_assignment_is_the_best_one(seed: int) -> None:
    x0, eps, mask = draw(seed, torch.tensor([4]))
    best = min(float(cost(x0, eps[:, list(order)])) for order in permutations(range(4)))
    found = float(cost(x0, AtomOT(rotate=False).pair(x0, eps, mask).pos))
    assert found == pytest.approx(best)


@given(seeds)
def test_turning_recovers_any_orthogonal_map(seed: int) -> None:
    x0, _, mask = draw(seed, torch.tensor([6, 9]))
    pos = AtomOT(permute=False).pair(x0, x0 @ orthogonal(seed), mask).pos
    torch.testing.assert_close(pos, x0)


def test_single_precision_and_gradients() -> None:
    x0, eps, mask = draw(0)
    pairing = AtomOT().pair(x0.float().requires_grad_(), eps.float(), mask)
    assert pairing.pos.dtype == torch.float32
    assert not pairing.pos.requires_grad


def test_coupling_shortens_the_paths_of_molecules() -> None:
    x0, eps, mask = draw(1, torch.full((64,), 18))
    before, after = cost(x0, eps).mean(), cost(x0, AtomOT().pair(x0, eps, mask).pos).mean()
    assert after < 0.3 * before
