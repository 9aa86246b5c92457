"""Laws of couplings: cost, symmetry, and what they keep."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.coupling import AtomOT, BatchOT, Chain, Coupling, Independent, Pairing
from molgen.flow.process import center

WITHIN = [Independent(), AtomOT(), AtomOT(rotate=False), AtomOT(permute=False)]
BATCH = [BatchOT(), BatchOT(size=2), BatchOT(half=True), BatchOT(size=3, half=True)]
CHAINS = [Chain((BatchOT(), AtomOT())), Chain((AtomOT(), BatchOT(size=4))), Chain(())]
within = st.sampled_from(WITHIN)
batchwise = st.sampled_from(BATCH)
everything = st.sampled_from([*WITHIN, *BATCH, *CHAINS])
seeds = st.integers(0, 10_000)
SIZES = torch.tensor([1, 5, 2, 5, 9, 4, 5, 9])


def draw(seed: int, sizes: Tensor = SIZES) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(int(sizes.max())) < sizes[:, None]
    x0, eps = torch.randn(2, *mask.shape, 3, generator=generator, dtype=torch.float64)
    return center(x0, mask), center(eps, mask), mask


def draw_images(seed: int, *shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x0, eps = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    return x0, eps


def orthogonal(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]


def cost(x0: Tensor, eps: Tensor) -> Tensor:
    return (x0 - eps).square().flatten(1).sum(1)


@settings(max_examples=25)
@given(everything, seeds)
def test_cost_never_increases(coupling: Coupling, seed: int) -> None:
    x0, eps, mask = draw(seed)
    assert cost(x0, coupling.pair(x0, eps, mask).noise).sum() <= cost(x0, eps).sum() + 1e-9


@given(within, seeds)
def test_cost_of_no_molecule_increases(coupling: Coupling, seed: int) -> None:
    x0, eps, mask = draw(seed)
    assert (cost(x0, coupling.pair(x0, eps, mask).noise) <= cost(x0, eps) + 1e-9).all()


@settings(max_examples=25)
@given(everything, seeds)
def test_noise_stays_centred_and_padded(coupling: Coupling, seed: int) -> None:
    x0, eps, mask = draw(seed)
    noise = coupling.pair(x0, eps, mask).noise
    assert noise.sum(1).abs().max() < 1e-12
    assert not noise[~mask].any()


@settings(max_examples=25)
@given(everything, seeds)
def test_noise_changes_by_permutations_and_orthogonal_maps(coupling: Coupling, seed: int) -> None:
    x0, eps, mask = draw(seed)
    pairing = coupling.pair(x0, eps, mask)
    order = torch.arange(mask.shape[1]).expand(mask.shape)
    assert torch.equal(pairing.samples.sort().values, torch.arange(len(mask)))
    assert torch.equal(pairing.rows.sort(1).values, order)
    assert torch.equal(pairing.rows[~mask], order[~mask])
    moved, noise = pairing.follow(eps), pairing.noise
    torch.testing.assert_close(torch.cdist(moved, moved), torch.cdist(noise, noise))


@given(st.sampled_from([*BATCH, AtomOT(rotate=False), Independent(), Chain(tuple(BATCH))]), seeds)
def test_without_turning_the_noise_is_only_reordered(coupling: Coupling, seed: int) -> None:
    x0, eps, mask = draw(seed)
    pairing = coupling.pair(x0, eps, mask)
    assert torch.equal(pairing.noise, pairing.follow(eps))


@given(batchwise, seeds)
def test_batch_assignment_works_without_a_mask_for_images_and_points(
    coupling: Coupling, seed: int
) -> None:
    for shape in ((7, 3, 4, 4), (7, 5)):
        x0, eps = draw_images(seed, *shape)
        pairing = coupling.pair(x0, eps)
        assert torch.equal(pairing.noise, eps[pairing.samples])
        assert torch.equal(pairing.samples.sort().values, torch.arange(7))
        assert cost(x0, pairing.noise).sum() <= cost(x0, eps).sum()


@given(seeds)
def test_batch_assignment_is_the_best_one(seed: int) -> None:
    x0, eps = draw_images(seed, 5, 2)
    best = min(float(cost(x0, eps[list(order)]).sum()) for order in permutations(range(5)))
    assert float(cost(x0, BatchOT().pair(x0, eps).noise).sum()) == pytest.approx(best)


@given(seeds, st.integers(2, 6))
def test_samples_stay_within_their_group(seed: int, size: int) -> None:
    x0, eps = draw_images(seed, 11, 2)
    samples = BatchOT(size=size).pair(x0, eps).samples
    assert torch.equal(samples // size, torch.arange(11) // size)


@given(seeds)
def test_half_precision_costs_little(seed: int) -> None:
    x0, eps = draw_images(seed, 32, 3, 8, 8)
    exact, rounded = (
        float(cost(x0, BatchOT(half=half).pair(x0, eps).noise).sum()) for half in (False, True)
    )
    assert exact <= rounded + 1e-9
    assert rounded <= exact * 1.001  # float16 keeps 11 bits


@given(seeds)
def test_batch_assignment_commutes_with_reordering_the_data(seed: int) -> None:
    x0, eps = draw_images(seed, 9, 4)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
    plain, reordered = BatchOT().pair(x0, eps), BatchOT().pair(x0[order], eps)
    assert torch.equal(reordered.noise, plain.noise[order])


@given(within, seeds)
def test_turning_data_and_noise_turns_the_pairing(coupling: Coupling, seed: int) -> None:
    x0, eps, mask = draw(seed, torch.tensor([5, 9, 4]))
    turn = orthogonal(seed)
    plain, turned = coupling.pair(x0, eps, mask), coupling.pair(x0 @ turn, eps @ turn, mask)
    assert torch.equal(plain.rows, turned.rows)
    torch.testing.assert_close(turned.noise, plain.noise @ turn)


@given(st.sampled_from([AtomOT(), AtomOT(rotate=False)]), seeds)
def test_relabelling_the_data_relabels_the_pairing(coupling: Coupling, seed: int) -> None:
    x0, eps, mask = draw(seed, torch.tensor([7, 7]))
    order = torch.randperm(7, generator=torch.Generator().manual_seed(seed))
    plain, relabelled = coupling.pair(x0, eps, mask), coupling.pair(x0[:, order], eps, mask)
    torch.testing.assert_close(relabelled.noise, plain.noise[:, order])
    assert torch.equal(relabelled.rows, plain.rows[:, order])


@given(seeds)
def test_turning_the_data_alone_turns_the_noise_with_it(seed: int) -> None:
    # Only the turn by itself has a unique optimum; alternating with labels finds a local one.
    x0, eps, mask = draw(seed, torch.tensor([5, 9, 4]))
    turn, coupling = orthogonal(seed), AtomOT(permute=False)
    plain, turned = coupling.pair(x0, eps, mask), coupling.pair(x0 @ turn, eps, mask)
    torch.testing.assert_close(turned.noise, plain.noise @ turn)
    torch.testing.assert_close(cost(x0 @ turn, turned.noise), cost(x0, plain.noise))


@given(seeds)
def test_row_assignment_is_the_best_one(seed: int) -> None:
    x0, eps, mask = draw(seed, torch.tensor([4]))
    best = min(float(cost(x0, eps[:, list(order)])) for order in permutations(range(4)))
    found = float(cost(x0, AtomOT(rotate=False).pair(x0, eps, mask).noise))
    assert found == pytest.approx(best)


@given(seeds)
def test_turning_recovers_any_orthogonal_map(seed: int) -> None:
    x0, _, mask = draw(seed, torch.tensor([6, 9]))
    noise = AtomOT(permute=False).pair(x0, x0 @ orthogonal(seed), mask).noise
    torch.testing.assert_close(noise, x0)


@given(seeds)
def test_a_chain_moves_other_modalities_as_its_parts_do(seed: int) -> None:
    x0, eps, mask = draw(seed)
    other = torch.randn(*mask.shape, 4, dtype=torch.float64)
    first = BatchOT().pair(x0, eps, mask)
    second = AtomOT().pair(x0, first.noise, mask)
    chained = Chain((BatchOT(), AtomOT())).pair(x0, eps, mask)
    assert torch.equal(chained.noise, second.noise)
    assert torch.equal(chained.follow(other), second.follow(first.follow(other)))


def crosses(n: int, *, turned: bool) -> tuple[Tensor, Tensor]:
    """Molecules of four atoms in a cross, each turned and relabelled at random, and noise."""
    generator = torch.Generator().manual_seed(0)
    cross = torch.tensor([[3.0, 0, 0], [-3, 0, 0], [0, 1, 0], [0, -1, 0]], dtype=torch.float64)
    normal = torch.randn(n, 3, 3, generator=generator, dtype=torch.float64)
    q, r = torch.linalg.qr(normal)
    turns = q * r.diagonal(dim1=1, dim2=2).sign()[:, None]
    orders = torch.rand(n, 4, generator=generator).argsort(1)
    eps = torch.randn(n, 4, 3, generator=generator, dtype=torch.float64)
    x0 = cross[orders] @ turns if turned else cross.expand(n, 4, 3)
    return x0, center(eps, torch.ones(n, 4, dtype=torch.bool))


@pytest.mark.parametrize(
    "coupling", [BatchOT(size=8), AtomOT(), Chain((BatchOT(size=8), AtomOT()))]
)
def test_the_law_of_the_noise_is_kept(coupling: Coupling) -> None:
    # Centring four atoms leaves 3/4 of the variance. The law holds exactly for data that are
    # exchangeable and turned at random; 1.63 / sqrt(n) is the 1 % point of the statistic.
    values = coupling.pair(*crosses(8000, turned=True)).noise[::8, 0, 0]
    bound = 1.63 / math.sqrt(len(values))
    assert kstest(values.numpy(), "norm", args=(0, math.sqrt(0.75))).statistic < bound


def test_without_random_turns_the_law_of_the_noise_is_not_kept() -> None:
    values = AtomOT().pair(*crosses(300, turned=False)).noise[:, 0, 0]
    assert kstest(values.numpy(), "norm", args=(0, math.sqrt(0.75))).pvalue < 1e-6


@pytest.mark.parametrize("coupling", [AtomOT(), BatchOT(half=True), BatchOT()])
def test_single_precision_and_gradients(coupling: Coupling) -> None:
    x0, eps, mask = draw(0)
    pairing = coupling.pair(x0.float().requires_grad_(), eps.float(), mask)
    assert isinstance(pairing, Pairing)
    assert pairing.noise.dtype == torch.float32
    assert not pairing.noise.requires_grad


def test_a_missing_mask_is_a_full_one() -> None:
    x0, eps, mask = draw(3, torch.full((4,), 6))
    for coupling in (*WITHIN, *BATCH, *CHAINS):
        plain, masked = coupling.pair(x0, eps), coupling.pair(x0, eps, mask)
        assert torch.equal(plain.noise, masked.noise)


def test_an_empty_batch_is_allowed() -> None:
    x0 = torch.zeros(0, 3, 4, 4)
    assert BatchOT().pair(x0, x0).noise.shape == x0.shape


def test_groups_of_one_are_refused() -> None:
    with pytest.raises(UsageError):
        BatchOT(size=1)


def test_coupling_shortens_the_paths_of_molecules() -> None:
    x0, eps, mask = draw(1, torch.full((64,), 18))
    before, after = cost(x0, eps).mean(), cost(x0, AtomOT().pair(x0, eps, mask).noise).mean()
    assert after < 0.3 * before


@settings(max_examples=25)
@given(everything, seeds)
def test_given_rows_keep_their_noise_and_nothing_is_turned(coupling: Coupling, seed: int) -> None:
    x0, eps, mask = draw(seed)
    held = torch.rand(mask.shape, generator=torch.Generator().manual_seed(seed)) < 0.4
    held &= mask
    held[0] = False
    pairing = coupling.pair(x0, eps, mask, held)
    assert cost(x0, pairing.noise).sum() <= cost(x0, eps).sum() + 1e-9
    has_given = held.any(dim=1)
    torch.testing.assert_close(pairing.noise[has_given], pairing.follow(eps)[has_given])
    # Samples are exchanged only if the same rows are given, so the rows' own noise stays.
    mine = eps[pairing.samples]
    torch.testing.assert_close(pairing.noise[held], mine[held])


def test_what_is_given_decides_nothing_elsewhere() -> None:
    x0, eps, mask = draw(3)
    held = torch.zeros_like(mask)
    held[1, :2] = True
    plain, around = AtomOT().pair(x0, eps, mask), AtomOT().pair(x0, eps, mask, held)
    others = torch.arange(len(mask)) != 1
    assert torch.equal(plain.noise[others], around.noise[others])
    assert not torch.equal(plain.noise[1], around.noise[1])
