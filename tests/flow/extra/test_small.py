"""The experimental set: each mechanism's law, and its acceptance test on a toy."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.extra.adaptive import adaptive_ddim, settled
from molgen.flow.extra.clocks import TokenPriority, entropy_priority
from molgen.flow.extra.networks import NoiseRefiner, TaskRouting, inversion_refine, refinement_loss
from molgen.flow.extra.training import expected_ratio_loss, mask_ratio_loss
from molgen.flow.grid import TimeGrid
from molgen.flow.process import center
from molgen.flow.schedule import unit_tv
from molgen.flow.schedules import ISSNR, OTFlow
from molgen.flow.solvers.exponential import DDIM

GRID = TimeGrid.uniform(OTFlow(), 8)


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# ------------------------------------------------------------------------------ token priority


@given(st.floats(0.3, 3.0), st.floats(-3, 3))
def test_priority_orders_the_levels_of_tokens(weight: float, lam: float) -> None:
    clock = TokenPriority(OTFlow(), torch.tensor([1.0, weight], dtype=torch.float64))
    plain, warped = clock(lam).tolist()
    assert plain == pytest.approx(lam, abs=1e-9)
    # t < 1, so a larger exponent means an earlier time: cleaner.
    assert (warped - plain) * (weight - 1) >= -1e-9


def test_priority_keeps_marginals_and_reaches_clean_data() -> None:
    clock = TokenPriority(ISSNR(), torch.tensor([[0.5, 1.0, 2.0]]))
    x0, noise = 2 * torch.ones(4000, 3, 1, dtype=torch.float64), randn(4000, 3, 1)
    a, b = unit_tv(clock(GRID.lam[0]))
    start = a[..., None] * x0 + b[..., None] * noise
    half = TimeGrid(GRID.lam[:5])
    end = DDIM().solve(lambda *_: x0, start, half, offsets={"": clock})
    assert isinstance(end, Tensor)
    a, b = unit_tv(clock(half.lam[-1]))
    torch.testing.assert_close(end, a[..., None] * x0 + b[..., None] * noise, atol=1e-10, rtol=0)
    assert torch.equal(clock(math.inf), torch.full((1, 3), math.inf, dtype=torch.float64))


def test_uncertain_tokens_get_priority() -> None:
    sure, unsure = torch.tensor([0.98, 0.01, 0.01]), torch.tensor([0.4, 0.3, 0.3])
    weight = entropy_priority(torch.stack([sure, unsure]))
    assert weight[1] > 1 > weight[0]


@pytest.mark.parametrize("weight", [0.0, -1.0])
def test_priority_must_be_positive(weight: float) -> None:
    with pytest.raises(UsageError, match="above 0"):
        TokenPriority(OTFlow(), torch.tensor([1.0, weight]))


# ----------------------------------------------------------------------------------- mask ratio


def test_realised_ratio_takes_the_scatter_out_of_the_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    ratio = torch.full((20_000,), 0.5)
    masked = torch.rand(20_000, 12, generator=generator) < 0.5
    loss = torch.full((20_000, 12), 3.0)
    scaled, usual = mask_ratio_loss(loss, masked), expected_ratio_loss(loss, masked, ratio)
    some = masked.any(dim=1)
    assert torch.equal(scaled[some], torch.full_like(scaled[some], 3.0))
    assert usual.mean() == pytest.approx(3.0, rel=0.01)
    few = masked.sum(dim=1) <= 4
    assert usual[few].mean() < 2.1
    assert scaled[few & some].mean() > 2.999


# -------------------------------------------------------------------------------- adaptive times


def corners(x: Tensor, lam: Tensor) -> Tensor:
    """Exact denoiser of rows that sit at the 8 corners of a cube."""
    a, b = unit_tv(lam)
    a, b = a[..., None], b[..., None]
    return torch.tanh(a * x / b.square().clamp_min(1e-12))


def test_confident_rows_finish_early_and_right() -> None:
    noise = randn(64, 5, 3)
    plain = adaptive_ddim(corners, noise, GRID, settled(0.05), reach=0)
    quick = adaptive_ddim(corners, noise, GRID, settled(0.3), reach=3)
    assert plain.calls == GRID.n_steps
    assert torch.equal(plain.finished_at, torch.full((64, 5), GRID.n_steps))
    assert quick.calls <= GRID.n_steps
    assert quick.finished_at.double().mean() < 0.9 * GRID.n_steps
    assert (quick.x.sign() == plain.x.sign()).double().mean() > 0.97
    with pytest.raises(UsageError, match="reach"):
        adaptive_ddim(corners, noise, GRID, settled(0.05), reach=-1)


def test_without_reach_it_is_ddim() -> None:
    noise = randn(4, 5, 3)
    usual = DDIM().solve(corners, noise, GRID)  # type: ignore[arg-type]
    assert isinstance(usual, Tensor)
    ours = adaptive_ddim(corners, noise, GRID, settled(0.05), reach=0).x
    torch.testing.assert_close(ours, usual, atol=1e-12, rtol=0)


# --------------------------------------------------------------------------------------- routing


@given(st.integers(4, 64), st.floats(0.2, 1.0), st.floats(0.5, 3.0))
def test_windows_slide_one_way_and_neighbours_overlap(n: int, share: float, bend: float) -> None:
    routing = TaskRouting(n, share, bend)
    windows = routing.window(torch.linspace(0, 1, 50))
    assert (windows.sum(dim=1) == routing.n_open).all()
    first = windows.int().argmax(dim=1)
    assert (first.diff() >= 0).all()
    overlap = (windows[0] & windows).sum(dim=1)
    assert (overlap.diff() <= 0).all()
    assert not list(routing.parameters())


def test_routing_closes_channels() -> None:
    routing = TaskRouting(8, 0.5)
    out = routing(torch.ones(2, 3, 8), torch.tensor([0.0, 1.0]))
    assert out[0].sum(dim=-1).tolist() == [4.0] * 3
    assert out[0, 0].tolist() == out[1, 0].flip(0).tolist()
    with pytest.raises(UsageError, match="open_share"):
        TaskRouting(8, 0.0)


# ---------------------------------------------------------------------------------- noise refiner


def molecule(seed: int = 0) -> tuple[Tensor, Tensor]:
    mask = torch.arange(7) < torch.tensor([[7], [5]])
    return center(randn(2, 7, 3, seed=seed), mask), mask


def trained() -> NoiseRefiner:
    torch.manual_seed(0)
    refiner = NoiseRefiner().double()
    torch.nn.init.normal_(refiner.weights[-1].weight)
    return refiner


def test_refiner_starts_as_the_identity_and_keeps_norm_and_centre() -> None:
    pos, mask = molecule()
    torch.testing.assert_close(NoiseRefiner().double()(pos, mask), pos)
    out = trained()(pos, mask)
    assert (out - pos).abs().max() > 0.01
    torch.testing.assert_close(out.square().sum((1, 2)), pos.square().sum((1, 2)))
    torch.testing.assert_close(out.sum(1), torch.zeros(2, 3).double(), atol=1e-10, rtol=0)
    assert not out[1, 5:].any()


@given(st.integers(0, 50))
def test_refiner_is_equivariant(seed: int) -> None:
    (pos, mask), refiner = molecule(seed), trained()
    turn = torch.linalg.qr(randn(3, 3, seed=seed + 1))[0]
    torch.testing.assert_close(refiner(pos @ turn, mask), refiner(pos, mask) @ turn)
    order = torch.tensor([2, 0, 1, 4, 3, 5, 6])
    torch.testing.assert_close(refiner(pos[:, order], mask), refiner(pos, mask)[:, order])


def test_refiner_learns_a_direction() -> None:
    refiner, mask = NoiseRefiner().double(), torch.ones(64, 6, dtype=torch.bool)
    pos = center(randn(64, 6, 3), mask)
    goal = trained()(pos, mask).detach()
    optimiser = torch.optim.Adam(refiner.parameters(), lr=0.01)
    before = refinement_loss(refiner, pos, goal, mask).item()
    for _ in range(60):
        optimiser.zero_grad()
        refinement_loss(refiner, pos, goal, mask).backward()
        optimiser.step()
    assert refinement_loss(refiner, pos, goal, mask).item() < 0.3 * before
    assert refinement_loss(NoiseRefiner().double(), pos, pos, mask).item() < 1e-12


def test_inverted_noise_stays_near_its_level_and_points_at_the_answer() -> None:
    noise = randn(256, 4, 3)

    def denoise(x: object, lam: Tensor) -> Tensor:
        assert isinstance(x, Tensor)
        return corners(x, lam)

    def guided(x: object, lam: Tensor) -> Tensor:
        return 1.5 * denoise(x, lam)

    refined = inversion_refine(guided, denoise, noise, GRID)
    unguided = inversion_refine(denoise, denoise, noise, GRID)
    assert isinstance(refined, Tensor)
    assert isinstance(unguided, Tensor)
    assert refined.std().item() == pytest.approx(1.0, abs=0.1)
    answer = denoise(noise, torch.tensor(GRID.lam[1]))
    assert ((refined - unguided) * answer).mean() > 0
